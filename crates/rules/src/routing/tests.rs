use std::collections::BTreeMap;

use daybook_metrics::Labels;

use super::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

const CONFIG: &str = r##"
global: {resolve_timeout: 3m, smtp_smarthost: "mail.example.com:587"}
templates: ["/etc/alertmanager/*.tmpl"]
route:
  receiver: default
  group_by: [alertname]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
  routes:
    - matchers: [severity="page"]
      receiver: pager
      continue: true
      mute_time_intervals: [night]
    - match: {team: db}
      match_re: {service: "db|cache"}
      receiver: database
      group_by: ["..."]
      routes:
        - matchers: ['{service="cache", env!="test"}']
          receiver: cache
receivers:
  - name: default
    webhook_configs: [{url: "http://127.0.0.1/hook"}]
  - name: pager
    pagerduty_configs: [{routing_key: secret-key}]
    slack_configs: [{channel: "#ops"}]
  - name: database
    email_configs: [{to: db@example.com, send_resolved: true}]
  - name: cache
    opsgenie_configs: [{api_key: x}]
    smoke_configs: [{}]
inhibit_rules:
  - source_matchers: [severity="page"]
    target_matchers: [severity=~"ticket|info"]
    equal: [service]
time_intervals:
  - name: night
    time_intervals:
      - times: [{start_time: "22:00", end_time: "24:00"}]
        location: Europe/Paris
"##;

fn dispatcher() -> Dispatcher {
    Dispatcher::new(read("alertmanager.yml", CONFIG).unwrap(), State::default())
}

fn labels(text: &str) -> Labels {
    Labels::new(text.split(' ').filter_map(|pair| pair.split_once('=')))
}

/// An alert that fires since `starts_at` and is heard of for the next quarter of an hour.
fn fires(text: &str, starts_at: i64) -> Alert {
    Alert {
        labels: labels(text),
        annotations: BTreeMap::from([("summary".to_owned(), text.to_owned())]),
        starts_at,
        ends_at: i64::MAX,
        guessed: false,
        updated_at: 0,
        source: "up == 0".to_owned(),
    }
}

fn ended(text: &str, starts_at: i64, ends_at: i64) -> Alert {
    Alert { ends_at, ..fires(text, starts_at) }
}

/// What is due, sent at once: each as receiver, way, status, reason and its alerts.
fn send(dispatcher: &mut Dispatcher, now: i64) -> Vec<String> {
    let due = dispatcher.due(now);
    for notification in &due {
        dispatcher.sent(&notification.id, now);
    }
    let mut shown: Vec<String> = due.iter().map(shown).collect();
    shown.sort();
    shown
}

fn shown(notification: &Notification) -> String {
    let alerts: Vec<String> = (notification.alerts.iter())
        .map(|alert| format!("{}:{:?}", alert.labels["alertname"], alert.status).to_lowercase())
        .collect();
    let Notification { receiver, integration, reason, .. } = notification;
    format!("{receiver}/{integration} {reason:?} {}", alerts.join(" "))
}

#[test]
fn a_configuration_is_read() {
    let config = read("alertmanager.yml", CONFIG).unwrap();
    assert_eq!(config.resolve_timeout, 3 * MINUTE);
    let takes = |text: &str| {
        config.route.matching(&labels(text)).iter().map(|route| route.receiver.clone()).collect::<Vec<_>>()
    };
    assert_eq!(takes("alertname=A"), ["default"]);
    assert_eq!(takes("severity=page"), ["pager"]);
    assert_eq!(takes("severity=page team=db service=db"), ["pager", "database"]);
    assert_eq!(takes("team=db service=cache"), ["cache"]);
    assert_eq!(takes("team=db service=cache env=test"), ["database"]);
    let cache = config.route.find(r#"{}/{service=~"db|cache",team="db"}/{env!="test",service="cache"}"#).unwrap();
    assert_eq!((&cache.group_by, cache.group_wait), (&GroupBy::All, 30_000));
    let pager = config.receiver("pager").unwrap();
    let ways: Vec<_> = pager.integrations.iter().map(|way| (way.kind.name, way.send_resolved)).collect();
    assert_eq!(ways, [("pagerduty", true), ("slack", false)]);
    assert!(!format!("{config:?}").contains("secret-key"));
    let notes: Vec<String> = config.notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].starts_with("alertmanager.yml:31:24: Daybook cannot notify through opsgenie"), "{notes:?}");
    assert!(notes[1].contains("`smoke_configs` are of no kind"), "{notes:?}");
}

#[test]
fn what_is_wrong_with_a_configuration_is_told_at_once() {
    let text = r#"
route:
  group_by: [a, "..."]
  group_interval: 0s
  matchers: [a=b]
  routes:
    - receiver: nobody
      mute_time_intervals: [never]
      match_re: {a: "("}
receivers:
  - name: x
  - name: x
    webhook_config: []
time_intervals:
  - name: t
    time_intervals: [{weekdays: [mon], times: [{start_time: "9:00", end_time: "10:00"}], location: Nowhere}]
inhibit_rules: [{source_match: {a: b}, targets: []}]
"#;
    let problems = read("a.yml", text).unwrap_err().to_string();
    for part in [
        "a.yml:3:13: `...` is all labels already",
        "`group_interval` cannot be zero",
        "the root route is for all alerts",
        "the root route has no `receiver`",
        "a.yml:7:17: no receiver is called `nobody`",
        "a.yml:8:29: no time interval is called `never`",
        "the pattern `(` cannot be read",
        "a.yml:12:5: the receiver `x` is there twice",
        "a receiver has no field `webhook_config`",
        "`mon` is no range of `weekdays`",
        "this is no range of times",
        "no time zone is called `Nowhere`",
        "an inhibition has no field `targets`",
    ] {
        assert!(problems.contains(part), "{part} in\n{problems}");
    }
    assert!(read("a.yml", "").unwrap_err().to_string().contains("there is no `route`"));
}

#[test]
fn a_group_waits_and_is_told_of_again_only_when_something_changes() {
    let mut dispatcher = dispatcher();
    dispatcher.observe([fires("alertname=A instance=1", 0)], 0);
    assert_eq!((dispatcher.next(), send(&mut dispatcher, 29_999)), (Some(30_000), vec![]));
    dispatcher.observe([fires("alertname=A instance=2", 10_000)], 10_000);
    let due = dispatcher.due(30_000);
    let [notification] = due.as_slice() else { panic!("{due:?}") };
    assert_eq!(shown(notification), "default/0 First a:firing a:firing");
    assert_eq!(notification.group_labels, BTreeMap::from([("alertname".to_owned(), "A".to_owned())]));
    assert_eq!(notification.common_labels, notification.group_labels);
    assert!(notification.common_annotations.is_empty());
    dispatcher.sent(&notification.id, 31_000);
    // Nothing changed, and then something did.
    assert!(send(&mut dispatcher, 30_000 + 5 * MINUTE).is_empty());
    dispatcher.observe([fires("alertname=A instance=3", 6 * MINUTE)], 6 * MINUTE);
    assert!(send(&mut dispatcher, 6 * MINUTE).is_empty());
    let at = 30_000 + 10 * MINUTE;
    assert_eq!(send(&mut dispatcher, at), ["default/0 MoreFire a:firing a:firing a:firing"]);
    // One ends, then all.
    dispatcher.observe([ended("alertname=A instance=3", 6 * MINUTE, at)], at);
    assert_eq!(send(&mut dispatcher, at + 5 * MINUTE), ["default/0 SomeEnded a:firing a:firing a:resolved"]);
    let end = at + 6 * MINUTE;
    dispatcher.observe([1, 2].map(|n| ended(&format!("alertname=A instance={n}"), 0, end)), end);
    assert_eq!(send(&mut dispatcher, at + 10 * MINUTE), ["default/0 AllEnded a:resolved a:resolved"]);
    // Being told of the end again is no news.
    dispatcher.observe([1, 2].map(|n| ended(&format!("alertname=A instance={n}"), 0, end)), end + MINUTE);
    assert_eq!((send(&mut dispatcher, at + 20 * MINUTE), dispatcher.next()), (vec![], None));
    assert!(dispatcher.state().alerts.is_empty());
}

#[test]
fn what_lasts_is_told_again_after_the_repeat_interval() {
    let mut dispatcher = dispatcher();
    dispatcher.observe([fires("alertname=A", 0)], 0);
    let mut told = Vec::new();
    for minute in 0..9 * 60 {
        let now = minute * MINUTE;
        told.extend(send(&mut dispatcher, now).into_iter().map(|text| (minute, text)));
    }
    // Looked at every five minutes from the first minute on, and after more than four hours.
    assert_eq!(told.iter().map(|(minute, _)| *minute).collect::<Vec<_>>(), [1, 246, 491]);
    assert_eq!(told[1].1, "default/0 Repeat a:firing");
}

#[test]
fn an_alert_that_waited_elsewhere_does_not_wait_again() {
    let mut dispatcher = dispatcher();
    dispatcher.observe([fires("alertname=A", 0)], 10 * MINUTE);
    assert_eq!(send(&mut dispatcher, 10 * MINUTE), ["default/0 First a:firing"]);
}

#[test]
fn ways_that_do_not_tell_of_ends_are_told_of_what_fires_next() {
    let mut dispatcher = dispatcher();
    let alert = "alertname=A severity=page";
    dispatcher.observe([fires(alert, 0)], MINUTE);
    assert_eq!(send(&mut dispatcher, MINUTE), ["pager/0 First a:firing", "pager/1 First a:firing"]);
    dispatcher.observe([ended(alert, 0, 2 * MINUTE)], 2 * MINUTE);
    assert_eq!(send(&mut dispatcher, 6 * MINUTE), ["pager/0 AllEnded a:resolved"]);
    dispatcher.observe([fires(alert, 7 * MINUTE)], 8 * MINUTE);
    assert_eq!(send(&mut dispatcher, 8 * MINUTE), ["pager/0 First a:firing", "pager/1 First a:firing"]);
}

#[test]
fn an_alert_of_which_nothing_is_heard_ends() {
    let mut dispatcher = dispatcher();
    dispatcher.observe([ended("alertname=A", 0, 4 * MINUTE)], 0);
    assert_eq!(send(&mut dispatcher, MINUTE), ["default/0 First a:firing"]);
    assert_eq!(send(&mut dispatcher, 6 * MINUTE), ["default/0 AllEnded a:resolved"]);
}

#[test]
fn a_restart_repeats_nothing_and_loses_nothing() {
    let restart = |dispatcher: &Dispatcher| {
        let text = serde_json::to_string(dispatcher.state()).unwrap();
        let state: State = serde_json::from_str(&text).unwrap();
        assert_eq!(&state, dispatcher.state());
        Dispatcher::new(read("alertmanager.yml", CONFIG).unwrap(), state)
    };
    let mut dispatcher = dispatcher();
    dispatcher.observe([fires("alertname=A", 0)], 0);
    dispatcher = restart(&dispatcher);
    let due = dispatcher.due(MINUTE);
    assert_eq!(due.len(), 1);
    // It was handed out, and nobody knows whether it was sent.
    dispatcher = restart(&dispatcher);
    assert!(dispatcher.due(2 * MINUTE).is_empty());
    assert_eq!(dispatcher.unsent().cloned().collect::<Vec<_>>(), due);
    dispatcher.sent(&due[0].id, 2 * MINUTE);
    dispatcher.sent(&due[0].id, 3 * MINUTE);
    dispatcher = restart(&dispatcher);
    assert_eq!(dispatcher.unsent().count(), 0);
    dispatcher.observe([fires("alertname=A", 0)], 10 * MINUTE);
    assert!(send(&mut dispatcher, 10 * MINUTE).is_empty());
    // It ends while nothing runs.
    dispatcher = restart(&dispatcher);
    dispatcher.observe([ended("alertname=A", 0, 11 * MINUTE)], 12 * MINUTE);
    assert_eq!(send(&mut dispatcher, 20 * MINUTE), ["default/0 AllEnded a:resolved"]);
}

#[test]
fn what_could_not_be_sent_is_part_of_the_next() {
    let mut dispatcher = dispatcher();
    dispatcher.observe([fires("alertname=A", 0)], 0);
    let due = dispatcher.due(MINUTE);
    // While somebody still tries, nothing more is handed out.
    dispatcher.observe([fires("alertname=A instance=2", 0)], 2 * MINUTE);
    assert!(dispatcher.due(6 * MINUTE).is_empty());
    dispatcher.failed(&due[0].id);
    assert_eq!(send(&mut dispatcher, 11 * MINUTE), ["default/0 First a:firing a:firing"]);
    // An end that could not be told stays.
    dispatcher
        .observe([ended("alertname=A", 0, 12 * MINUTE), ended("alertname=A instance=2", 0, 12 * MINUTE)], 12 * MINUTE);
    let due = dispatcher.due(16 * MINUTE);
    assert_eq!(shown(&due[0]), "default/0 AllEnded a:resolved a:resolved");
    dispatcher.failed(&due[0].id);
    assert_eq!(send(&mut dispatcher, 21 * MINUTE), ["default/0 AllEnded a:resolved a:resolved"]);
}

#[test]
fn what_fires_again_while_its_end_is_told_stays() {
    let mut dispatcher = dispatcher();
    dispatcher.observe([fires("alertname=A", 0)], MINUTE);
    send(&mut dispatcher, MINUTE);
    dispatcher.observe([ended("alertname=A", 0, 2 * MINUTE)], 2 * MINUTE);
    let due = dispatcher.due(6 * MINUTE);
    dispatcher.observe([fires("alertname=A", 6 * MINUTE)], 6 * MINUTE);
    dispatcher.sent(&due[0].id, 7 * MINUTE);
    assert_eq!(send(&mut dispatcher, 11 * MINUTE), ["default/0 First a:firing"]);
}

#[test]
fn an_alert_is_not_told_of_while_its_cause_fires() {
    let mut dispatcher = dispatcher();
    let (page, ticket) = ("alertname=A severity=page service=web", "alertname=B severity=ticket service=web");
    let other = "alertname=C severity=ticket service=db";
    dispatcher.observe([fires(page, 0), fires(ticket, 0), fires(other, 0)], MINUTE);
    assert_eq!(
        send(&mut dispatcher, MINUTE),
        ["default/0 First c:firing", "pager/0 First a:firing", "pager/1 First a:firing"]
    );
    assert_eq!(dispatcher.standing(&labels(ticket), MINUTE), Standing::Inhibited(labels(page)));
    dispatcher.observe([ended(page, 0, 2 * MINUTE)], 2 * MINUTE);
    assert_eq!(send(&mut dispatcher, 6 * MINUTE), ["default/0 First b:firing", "pager/0 AllEnded a:resolved"]);
}

#[test]
fn an_alert_that_is_source_and_target_does_not_inhibit_itself_or_another_such() {
    let config = r#"
route: {receiver: r}
receivers: [{name: r, webhook_configs: [{url: x}]}]
inhibit_rules: [{source_match: {a: "1"}, target_match: {b: "1"}}]
"#;
    let mut dispatcher = Dispatcher::new(read("a.yml", config).unwrap(), State::default());
    dispatcher.observe(
        [fires("alertname=X a=1 b=1", 0), fires("alertname=Y a=1 b=1", 0), fires("alertname=Z b=1", 0)],
        MINUTE,
    );
    assert_eq!(send(&mut dispatcher, MINUTE), ["r/0 First x:firing y:firing"]);
    dispatcher.observe([fires("alertname=W a=1", 0)], MINUTE);
    assert_eq!(send(&mut dispatcher, 6 * MINUTE), ["r/0 MoreFire w:firing"]);
}

#[test]
fn silences_hold_for_their_time() {
    let mut dispatcher = dispatcher();
    let silence = Silence {
        id: "s1".to_owned(),
        matchers: parse_matchers("alertname=~\"A|B\"").unwrap(),
        starts_at: 0,
        ends_at: 10 * MINUTE,
        created_by: "ann".to_owned(),
        comment: "moving house".to_owned(),
    };
    assert_eq!(
        dispatcher.silence(Silence { matchers: parse_matchers("a=~\".*\"").unwrap(), ..silence.clone() }, 0),
        Err(BadSilence::Everything)
    );
    assert_eq!(dispatcher.silence(Silence { ends_at: 0, ..silence.clone() }, 0), Err(BadSilence::Never));
    assert_eq!(dispatcher.silence(Silence { comment: String::new(), ..silence.clone() }, 0), Err(BadSilence::Nobody));
    dispatcher.silence(silence, 0).unwrap();
    dispatcher.observe([fires("alertname=A", 0), fires("alertname=C", 0)], MINUTE);
    assert_eq!(send(&mut dispatcher, MINUTE), ["default/0 First c:firing"]);
    assert_eq!(dispatcher.standing(&labels("alertname=A"), MINUTE), Standing::Silenced(vec!["s1".to_owned()]));
    assert!(dispatcher.expire("s1", 3 * MINUTE) && !dispatcher.expire("s1", 3 * MINUTE));
    assert_eq!(send(&mut dispatcher, 6 * MINUTE), ["default/0 First a:firing"]);
}

#[test]
fn at_some_times_nothing_is_told() {
    let mut dispatcher = dispatcher();
    // The first of January 1970, at 22:30 in Paris.
    let now = 21 * HOUR + 30 * MINUTE;
    dispatcher.observe([fires("alertname=A severity=page", 0)], now);
    assert!(send(&mut dispatcher, now).is_empty());
    assert_eq!(send(&mut dispatcher, 23 * HOUR), ["pager/0 First a:firing", "pager/1 First a:firing"]);
}

#[test]
fn another_configuration_tells_only_those_who_do_not_know() {
    let mut dispatcher = dispatcher();
    dispatcher.observe([fires("alertname=A", 0), fires("alertname=B", 0)], MINUTE);
    send(&mut dispatcher, MINUTE);
    dispatcher.reconfigure(read("a.yml", CONFIG).unwrap());
    assert!(send(&mut dispatcher, 6 * MINUTE).is_empty());
    let moved = CONFIG.replace(
        "    - match: {team: db}",
        "    - match: {alertname: B}\n      receiver: pager\n    - match: {team: db}",
    );
    dispatcher.reconfigure(read("a.yml", &moved).unwrap());
    assert_eq!(send(&mut dispatcher, 11 * MINUTE), ["pager/0 First b:firing", "pager/1 First b:firing"]);
}

#[test]
fn many_alerts_in_one_group_are_one_notification() {
    let mut dispatcher = dispatcher();
    dispatcher.observe((0..500).map(|n| fires(&format!("alertname=A instance={n}"), 0)), MINUTE);
    let due = dispatcher.due(MINUTE);
    assert_eq!((due.len(), due[0].alerts.len()), (1, 500));
}

#[test]
fn by_default_a_service_that_is_down_is_one_page() {
    let config = read("default.yml", DEFAULT).unwrap();
    assert!(config.notes.is_empty());
    let webhook = DEFAULT.replace("- name: default", "- name: default\n    webhook_configs: [{url: x}]");
    let mut dispatcher = Dispatcher::new(read("default.yml", &webhook).unwrap(), State::default());
    let of = |name: &str, severity: &str| {
        format!("alertname={name} severity={severity} app=shop env=production service=web")
    };
    let alerts =
        [("ServiceDown", "page"), ("HighErrorRate", "page"), ("ReplicaDown", "ticket"), ("MemoryLeak", "ticket")];
    dispatcher.observe(alerts.map(|(name, severity)| fires(&of(name, severity), 0)), MINUTE);
    let other = "alertname=MemoryLeak severity=ticket app=shop env=production service=worker";
    dispatcher.observe([fires(other, 0), fires("alertname=Watchdog severity=none", 0)], MINUTE);
    let sent = [send(&mut dispatcher, MINUTE), send(&mut dispatcher, 3 * MINUTE)].concat();
    assert_eq!(sent, ["default/0 First servicedown:firing", "default/0 First memoryleak:firing"]);
    // What has no service is not silenced by a page about another thing without one.
    dispatcher.observe([fires("alertname=DiskNearlyFull severity=page host=a mountpoint=/", 0)], 4 * MINUTE);
    dispatcher.observe([fires("alertname=TargetDown severity=ticket job=x instance=y", 0)], 4 * MINUTE);
    let sent = [send(&mut dispatcher, 4 * MINUTE), send(&mut dispatcher, 7 * MINUTE)].concat();
    assert_eq!(sent.len(), 2, "{sent:?}");
}

#[test]
fn an_alert_of_somebody_else_ends_when_nothing_is_heard_of_it() {
    let alert = |ends_at, now| {
        Alert::new(labels("alertname=A"), BTreeMap::new(), (None, ends_at), String::new(), (now, 5 * MINUTE))
    };
    let mut dispatcher = dispatcher();
    dispatcher.observe([alert(None, 0)], 0);
    assert_eq!(send(&mut dispatcher, MINUTE), ["default/0 First a:firing"]);
    dispatcher.observe([alert(None, 4 * MINUTE)], 4 * MINUTE);
    assert!(send(&mut dispatcher, 6 * MINUTE).is_empty());
    let known = dispatcher.state().alerts.values().next().unwrap();
    assert_eq!((known.starts_at, known.ends_at), (0, 9 * MINUTE));
    assert_eq!(send(&mut dispatcher, 11 * MINUTE), ["default/0 AllEnded a:resolved"]);
}
