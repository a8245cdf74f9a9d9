//! What is sent, against what each service documents.

use std::sync::LazyLock;

use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod schemas;

const CANARY: &str = "canary00000000000000000000000000";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

fn channel(target: &Value) -> Channel {
    let channel: Channel = serde_json::from_value(json!({"name": "c", "target": target})).unwrap();
    assert!(channel.problems().is_empty(), "{:?}", channel.problems());
    channel
}

fn channels() -> [Channel; 6] {
    [
        json!({"pagerduty": {"routing_key": CANARY}}),
        json!({"slack": {"webhook": format!("https://hooks.slack.com/services/{CANARY}")}}),
        json!({"teams": {"webhook": format!("https://example.com/workflows?sig={CANARY}")}}),
        json!({"webhook": {"url": format!("https://example.com/{CANARY}"), "key": CANARY}}),
        json!({"ntfy": {"topic": CANARY, "token": CANARY}}),
        json!({"email": {"host": "mail.example.com", "from": "Daybook <daybook@example.com>", "to": ["ops@example.com"],
            "login": {"user": "u", "password": CANARY}}}),
    ]
    .each_ref()
    .map(channel)
}

/// One that says everything there is to say.
fn full(kind: Kind) -> Notice {
    let link = |text: &str, path: &str| Link::new(text, &format!("https://daybook.example.com/{path}")).unwrap();
    Notice {
        app: Some("shop".to_owned()),
        environment: Some("production".to_owned()),
        service: Some("web".to_owned()),
        impact: Some("One in ten requests to /checkout fails.\nThe others take 2 s.".to_owned()),
        cause: Some("Release 42 began 2 minutes before; <web> restarts since & runs out of memory.".to_owned()),
        by: (kind != Kind::Triggered).then(|| "Ada".to_owned()),
        timeline: vec![
            Moment { at: at(-120), text: "release 42 began".to_owned() },
            Moment { at: at(-30), text: "alert: errors above 5 %".to_owned() },
        ],
        links: vec![link("incident", "incidents/7"), link("query", "graph?q=a|b&c=<d>")],
        actions: vec![link("Swap back to release 41", "incidents/7/swap-back")],
        labels: [("severity".to_owned(), "page".to_owned())].into(),
        ..Notice::new("incident-7", kind, Severity::Critical, "Checkout fails for one in ten users", at(0))
    }
}

fn rendered(notice: &Notice, channel: &Channel) -> Option<Rendered> {
    render(notice, channel, Stamp { at: at(1), delivery: "17" })
}

fn request(notice: &Notice, channel: &Channel) -> (Request, Value) {
    let Some(Rendered::Request(request)) = rendered(notice, channel) else { panic!("no request") };
    let body = serde_json::from_slice(&request.body).unwrap();
    (request, body)
}

fn pretty(notice: &Notice, channel: &Channel) -> String {
    let (request, body) = request(notice, channel);
    format!("POST {}\n{}", request.url.expose(), serde_json::to_string_pretty(&body).unwrap())
}

const KINDS: [Kind; 5] = [Kind::Triggered, Kind::Acknowledged, Kind::Resolved, Kind::Note, Kind::Change];

#[test]
fn pagerduty_gets_events_of_its_form() {
    let [pagerduty, ..] = channels();
    insta::assert_snapshot!("pagerduty_trigger", pretty(&full(Kind::Triggered), &pagerduty));
    insta::assert_snapshot!("pagerduty_resolve", pretty(&full(Kind::Resolved), &pagerduty));
    insta::assert_snapshot!("pagerduty_change", pretty(&full(Kind::Change), &pagerduty));
    let keys = [Kind::Triggered, Kind::Acknowledged, Kind::Resolved]
        .map(|kind| request(&full(kind), &pagerduty).1["dedup_key"].clone());
    assert!(keys.iter().all(|key| *key == "incident-7"), "{keys:?}");
    assert_eq!(rendered(&full(Kind::Note), &pagerduty), None, "its events have no notes");
}

#[test]
fn what_pagerduty_gets_our_own_inbound_takes() {
    let [pagerduty, ..] = channels();
    let (request, _) = request(&full(Kind::Triggered), &pagerduty);
    let event = crate::inbound::pagerduty_events::enqueue(&request.body, String::new).unwrap();
    assert_eq!((event.signal.key.as_str(), event.signal.severity), ("incident-7", Some(Severity::Critical)));
}

#[test]
fn slack_gets_blocks() {
    let [_, slack, ..] = channels();
    insta::assert_snapshot!("slack", pretty(&full(Kind::Triggered), &slack));
}

#[test]
fn nobody_is_mentioned_in_slack_by_a_text() {
    let [_, slack, ..] = channels();
    let notice = Notice::new("k", Kind::Triggered, Severity::Info, "<!channel> & <https://evil.example|here>", at(0));
    let (_, body) = request(&notice, &slack);
    assert_eq!(body["text"], "Info: &lt;!channel&gt; &amp; &lt;https://evil.example|here&gt;");
    assert!(!body.to_string().contains("<!"));
}

#[test]
fn teams_gets_a_card() {
    let [_, _, teams, ..] = channels();
    insta::assert_snapshot!("teams", pretty(&full(Kind::Acknowledged), &teams));
}

#[test]
fn a_webhook_gets_the_notice_signed() {
    let [_, _, _, webhook, ..] = channels();
    insta::assert_snapshot!("webhook", pretty(&full(Kind::Note), &webhook));
    let (request, _) = request(&full(Kind::Note), &webhook);
    let [(name, value)] = &request.headers[..] else { panic!("one header") };
    assert_eq!(*name, "x-daybook-signature");
    let window = crate::signature::WINDOW;
    let keys = [Secret::new(CANARY)];
    assert_eq!(crate::signature::verify(&keys, value.expose(), &request.body, at(1), window), Ok(at(1)));
}

#[test]
fn ntfy_gets_its_json() {
    let [_, _, _, _, ntfy, _] = channels();
    insta::assert_snapshot!("ntfy", pretty(&full(Kind::Triggered), &ntfy));
    let (request, _) = request(&full(Kind::Triggered), &ntfy);
    assert_eq!(request.headers, [("authorization", Secret::new(format!("Bearer {CANARY}")))]);
}

#[test]
fn an_email_has_text_and_html_and_a_thread() {
    let [.., email] = channels();
    let mail = |kind| match rendered(&full(kind), &email) {
        Some(Rendered::Mail(mail)) => mail,
        other => panic!("{other:?}"),
    };
    let opened = mail(Kind::Triggered);
    insta::assert_snapshot!("email", format!("Subject: {}\n\n{}\n{}", opened.subject, opened.text, opened.html));
    assert_eq!(opened.thread, mail(Kind::Resolved).thread);
    assert_eq!(opened.id, mail(Kind::Triggered).id, "sent again it is the same");
    assert_ne!(opened.id, opened.thread);
}

#[test]
fn r31_no_secret_is_where_it_does_not_belong() {
    for channel in channels() {
        for rendered in KINDS.iter().filter_map(|kind| rendered(&full(*kind), &channel)) {
            assert!(!format!("{rendered:?}").contains(CANARY), "{}", channel.describe());
            let Rendered::Request(request) = rendered else { continue };
            let is_in_body = String::from_utf8_lossy(&request.body).contains(CANARY);
            let belongs = matches!(channel.target, Target::Pagerduty { .. } | Target::Ntfy { .. });
            assert_eq!(is_in_body, belongs, "{}", channel.describe());
        }
    }
}

/// The contract of each of [`channels`] that gets JSON. PagerDuty has two.
static CONTRACTS: LazyLock<[Validator; 6]> = LazyLock::new(|| {
    [schemas::event(), schemas::slack(), schemas::teams(), schemas::webhook(), schemas::ntfy(), schemas::change()]
        .map(|schema| jsonschema::validator_for(&schema).unwrap())
});

/// What each service documents, for any notice.
fn check(notice: &Notice) {
    let channels = channels();
    for (place, channel) in channels.iter().enumerate() {
        let Some(Rendered::Request(request)) = rendered(notice, channel) else { continue };
        let body = serde_json::from_slice(&request.body).unwrap();
        let contract = if place == 0 && notice.kind == Kind::Change { 5 } else { place };
        let errors: Vec<_> = CONTRACTS[contract].iter_errors(&body).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", channel.describe());
        let most = if place == 2 { 28 << 10 } else { 512 << 10 };
        assert!(request.body.len() <= most, "{}: {} bytes", channel.describe(), request.body.len());
    }
    let Some(Rendered::Mail(mail)) = rendered(notice, &channels[5]) else { panic!("no mail") };
    assert!(!mail.subject.contains(['\r', '\n']) && mail.subject.chars().count() <= 250);
    assert!(!mail.html.contains("<script"));
}

#[test]
fn whatever_is_told_fits() {
    for text in ["\"", "\u{1f525}", "<&", "\r\nBcc: x"] {
        let (long, short) = (text.repeat(4_500), text.repeat(600));
        let link = |index: usize| Link::new(&short, &format!("https://example.com/{index}/{}", "x".repeat(600)));
        let links: Vec<_> = (0..30).map(|index| link(index).unwrap()).collect();
        for kind in [Kind::Triggered, Kind::Change] {
            let mut notice = full(kind);
            for field in [&mut notice.impact, &mut notice.cause] {
                *field = Some(long.clone());
            }
            for field in [&mut notice.app, &mut notice.environment, &mut notice.service, &mut notice.by] {
                *field = Some(short.clone());
            }
            (notice.title, notice.key) = (long.clone(), short.clone());
            notice.timeline = vec![Moment { at: at(0), text: short.clone() }; 60];
            (notice.links, notice.actions) = (links.clone(), links.clone());
            notice.labels = (0..70).map(|index| (format!("{index}{short}"), short.clone())).collect();
            check(&notice);
        }
    }
}

#[test]
fn what_says_nothing_is_sent_too() {
    for kind in KINDS {
        check(&Notice::new("", kind, Severity::Info, "\n", at(0)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_text_fits(title in ".{0,3000}", paragraph in "(?s).{0,9000}", name in "[a-z<>&\"]{0,300}") {
        let mut notice = full(Kind::Triggered);
        (notice.title, notice.impact, notice.service) = (title, Some(paragraph), Some(name));
        check(&notice);
    }
}
