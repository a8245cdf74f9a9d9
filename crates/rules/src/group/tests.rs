use daybook_metrics::{Labels, is_stale};
use daybook_promql::testfile::{self, Storage};

use super::*;
use crate::file;
use crate::state::State;

const MINUTE: i64 = 60_000;

/// A group that is evaluated over series, whose samples are stored as a server would.
struct World {
    group: Group,
    state: GroupState,
    storage: Storage,
    external: Labels,
}

impl World {
    fn new(rules: &str, series: &[&str]) -> Self {
        let mut storage = Storage::default();
        for line in series {
            let (labels, items) = testfile::series(line).unwrap();
            storage.append(labels, (0..).zip(items).filter_map(|(n, item): (i64, _)| Some((n * MINUTE, item?))));
        }
        let (group, state, external) = (parse(rules), GroupState::default(), Labels::new([("region", "eu")]));
        Self { group, state, storage, external }
    }

    fn evaluate(&mut self, minute: i64) -> Evaluation {
        let environment = Environment::new(&self.external, "https://daybook.example");
        let evaluation = self.group.evaluate(&mut self.state, &self.storage, minute * MINUTE, &environment);
        for sample in &evaluation.samples {
            self.storage.append(sample.labels.clone(), [(sample.at, sample.value.clone())]);
        }
        evaluation
    }

    /// The states of all alerts at a minute, as `instance:state`.
    fn states(&mut self, minute: i64) -> String {
        self.evaluate(minute);
        let alerts = self.state.rules.values().flat_map(|rule| rule.active.values());
        alerts
            .map(|alert| format!("{}:{}", alert.labels.get("instance"), alert.state.word()))
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn restart(&mut self) {
        let text = serde_json::to_string(&self.state).unwrap();
        let state: GroupState = serde_json::from_str(&text).unwrap();
        assert_eq!(state, self.state);
        self.state = state;
    }
}

fn parse(rules: &str) -> Group {
    let text = format!("groups:\n- name: g\n{}", rules.lines().map(|line| format!("  {line}\n")).collect::<String>());
    file::read("rules.yml", &text).unwrap_or_else(|problems| panic!("{problems}")).remove(0)
}

fn shown(samples: &[Sample]) -> Vec<String> {
    let value = |sample: &Sample| match sample.value.float() {
        Some(value) if is_stale(value) => "stale".to_owned(),
        _ => sample.value.to_string(),
    };
    samples.iter().map(|sample| format!("{} {} @{}", sample.labels, value(sample), sample.at / MINUTE)).collect()
}

const DOWN: &str = "rules:
- alert: Down
  expr: up == 0
  for: 2m
  labels: {severity: page}
  annotations: {summary: '{{ $labels.instance }} in {{ $externalLabels.region }}: {{ $value }}'}";

#[test]
fn an_alert_is_pending_fires_and_ends() {
    let mut world = World::new(DOWN, &["up{instance=\"a\"} 1 0x4 1x30"]);
    let states: Vec<String> = (0..7).map(|minute| world.states(minute)).collect();
    assert_eq!(states, ["", "a:pending", "a:pending", "a:firing", "a:firing", "a:firing", "a:inactive"]);
    // It is remembered for a quarter of an hour.
    assert_eq!((world.states(21), world.states(22)), ("a:inactive".to_owned(), String::new()));
}

#[test]
fn a_pending_alert_that_ends_is_gone_at_once() {
    let mut world = World::new(DOWN, &["up{instance=\"a\"} 1 0 1 0 0 0 0"]);
    let states: Vec<String> = (0..6).map(|minute| world.states(minute)).collect();
    assert_eq!(states, ["", "a:pending", "", "a:pending", "a:pending", "a:firing"]);
}

#[test]
fn alerts_are_series() {
    let mut world = World::new(DOWN, &["up{instance=\"a\"} 1 0x2 1"]);
    assert!(world.evaluate(0).samples.is_empty());
    let series = |state: &str, at: i64| {
        [
            format!("ALERTS{{alertname=\"Down\", alertstate=\"{state}\", instance=\"a\", severity=\"page\"}} 1 @{at}"),
            format!("ALERTS_FOR_STATE{{alertname=\"Down\", instance=\"a\", severity=\"page\"}} 60 @{at}"),
        ]
    };
    assert_eq!(shown(&world.evaluate(1).samples), series("pending", 1));
    assert_eq!(shown(&world.evaluate(2).samples), series("pending", 2));
    let mut firing = series("firing", 3).to_vec();
    firing.push(series("pending", 3)[0].replace(" 1 @", " stale @"));
    assert_eq!(shown(&world.evaluate(3).samples), firing);
    let ends =
        [series("firing", 4)[0].replace(" 1 @", " stale @"), series("firing", 4)[1].replace(" 60 @", " stale @")];
    assert_eq!(shown(&world.evaluate(4).samples), ends);
    assert!(world.evaluate(5).samples.is_empty());
}

#[test]
fn an_alert_fires_on_for_a_while() {
    let rules = "rules: [{alert: Down, expr: up == 0, keep_firing_for: 3m}]";
    let mut world = World::new(rules, &["up{instance=\"a\"} 0 1 1 0 1 1 1 1 1"]);
    let states: Vec<String> = (0..8).map(|minute| world.states(minute)).collect();
    let firing = "a:firing";
    assert_eq!(states, [firing, firing, firing, firing, firing, firing, firing, "a:inactive"]);
}

#[test]
fn notices_are_told_at_once_and_again() {
    let mut world = World::new(DOWN, &["up{instance=\"a\"} 0x5 1x30"]);
    let mut told = Vec::new();
    for half in 0..60 {
        let environment = Environment::new(&world.external, "");
        let at = half * MINUTE / 2;
        for notice in world.group.evaluate(&mut world.state, &world.storage, at, &environment).notices {
            assert_eq!(notice.annotations["summary"], "a in eu: 0");
            told.push((half, (notice.ends_at - at) / MINUTE, notice.is_resolved(at)));
        }
    }
    // It fires at 2 minutes and ends at 6; each is told again after more than a minute.
    let fires: Vec<_> = told.iter().filter(|(.., resolved)| !resolved).map(|(half, ends, _)| (*half, *ends)).collect();
    assert_eq!(fires, [(4, 4), (7, 4), (10, 4)]);
    let ended: Vec<i64> = told.iter().filter(|(.., resolved)| *resolved).map(|(half, ..)| *half).collect();
    assert_eq!((ended[0], ended[1], *ended.last().unwrap()), (12, 15, 42));
}

#[test]
fn a_rule_records_and_the_next_one_sees_it() {
    let rules = "labels: {team: shop}
rules:
- record: job:up:sum
  expr: sum by (job) (up)
  labels: {instance: ''}
- record: twice
  expr: job:up:sum * 2
- record: number
  expr: 1 + 1";
    let mut world =
        World::new(rules, &["up{job=\"a\", instance=\"1\"} 1 1 stale", "up{job=\"a\", instance=\"2\"} 1 1 stale"]);
    let expected = [
        "job:up:sum{job=\"a\", team=\"shop\"} 2 @0",
        "twice{job=\"a\", team=\"shop\"} 4 @0",
        "number{team=\"shop\"} 2 @0",
    ];
    assert_eq!(shown(&world.evaluate(0).samples), expected);
    world.evaluate(1);
    let ends = [
        "job:up:sum{job=\"a\", team=\"shop\"} stale @2",
        "twice{job=\"a\", team=\"shop\"} stale @2",
        "number{team=\"shop\"} 2 @2",
    ];
    assert_eq!(shown(&world.evaluate(2).samples), ends);
}

#[test]
fn a_group_may_look_back() {
    let mut world = World::new("query_offset: 1m\nrules: [{record: x, expr: up}]", &["up 1 2 3"]);
    assert_eq!(shown(&world.evaluate(2).samples), ["x 2 @1"]);
}

#[test]
fn a_rule_fails_alone_and_keeps_its_state() {
    let rules = "limit: 2
rules:
- alert: Down
  expr: up == 0
- alert: Same
  expr: up == 0
  labels: {instance: same}
- record: same
  expr: sum without (nothing) (up)
  labels: {instance: ''}
- record: many
  expr: up or label_replace(up, 'instance', 'x$1', 'instance', '(.*)')
- record: text
  expr: '\"a\"'
- record: works
  expr: count(up)";
    let mut world = World::new(rules, &["up{instance=\"a\"} 0 0 0", "up{instance=\"b\"} 0 0 0"]);
    let evaluation = world.evaluate(0);
    let errors: Vec<String> = (evaluation.outcomes.iter())
        .map(|outcome| outcome.error.as_ref().map(ToString::to_string).unwrap_or_default())
        .collect();
    let expected = [
        "",
        "vector contains metrics with the same labelset after applying alert labels",
        "vector contains metrics with the same labelset after applying rule labels",
        "exceeded limit of 2 with 4 series or alerts",
        "rule result is not a vector or scalar: the query has to answer one value for each series",
        "",
    ];
    assert_eq!(errors, expected);
    assert_eq!(shown(&evaluation.samples).last().unwrap(), "works 2 @0");
    assert_eq!(evaluation.notices.len(), 2);
    assert!(world.state.rules.values().filter(|rule| rule.error.is_some()).count() == 4);
    // More alerts than the limit: all of them are forgotten.
    world.group.limit = 1;
    let evaluation = world.evaluate(1);
    assert!(evaluation.outcomes[0].error.is_some() && evaluation.notices.is_empty());
}

#[test]
fn a_changed_file_keeps_what_is_still_the_same() {
    let mut world = World::new(DOWN, &["up{instance=\"a\"} 0x30"]);
    assert_eq!((world.states(0), world.states(2)), ("a:pending".to_owned(), "a:firing".to_owned()));
    // Another query, and a longer wait: it is pending again.
    world.group = parse(&DOWN.replace("up == 0", "up < 1").replace("2m", "10m"));
    assert_eq!((world.states(3), world.states(10)), ("a:pending".to_owned(), "a:firing".to_owned()));
    // The rule is gone, and so are its series.
    world.group = parse("rules: []");
    let samples = world.evaluate(11).samples;
    assert!(
        samples.len() == 2 && samples.iter().all(|sample| sample.value.float().is_some_and(is_stale)),
        "{samples:?}"
    );
    assert!(world.state.rules.is_empty());
}

#[test]
fn a_restart_goes_on_and_tells_nothing_twice() {
    let mut world = World::new(DOWN, &["up{instance=\"a\"} 0x120"]);
    world.evaluate(0);
    assert_eq!(world.evaluate(2).notices.len(), 1);
    world.restart();
    world.group.resume(&mut world.state, 3 * MINUTE);
    let starts: Vec<i64> =
        (3..6).flat_map(|minute| world.evaluate(minute).notices).map(|notice| notice.starts_at).collect();
    assert!(starts.iter().all(|at| *at == 2 * MINUTE), "{starts:?}");
    // Also after a long time.
    world.restart();
    world.group.resume(&mut world.state, 100 * MINUTE);
    let notices = world.evaluate(100).notices;
    assert_eq!(notices.iter().map(|notice| notice.starts_at).collect::<Vec<_>>(), [2 * MINUTE]);
}

#[test]
fn an_outage_does_not_count_as_waiting() {
    let rules = DOWN.replace("2m", "30m");
    let up = ["up{instance=\"a\"} 0x300"];
    let fires_at = |down: i64, back: i64| {
        let mut world = World::new(&rules, &up);
        (0..=down).for_each(|minute| drop(world.evaluate(minute)));
        world.restart();
        world.group.resume(&mut world.state, back * MINUTE);
        (back..300).find(|minute| world.states(*minute) == "a:firing").unwrap()
    };
    // Twenty of thirty minutes remain after the outage.
    assert_eq!(fires_at(10, 30), 50);
    // Five would remain, and ten do.
    assert_eq!(fires_at(25, 40), 50);
    // After more than an hour it begins anew.
    assert_eq!(fires_at(10, 80), 110);
}

#[test]
fn a_state_that_was_lost_is_restored_from_its_series() {
    let rules = DOWN.replace("2m", "30m");
    let mut world = World::new(&rules, &["up{instance=\"a\"} 0x300"]);
    (0..=10).for_each(|minute| drop(world.evaluate(minute)));
    world.state = GroupState::default();
    world.group.restore(&mut world.state, &world.storage, 30 * MINUTE).unwrap();
    assert_eq!((world.states(49), world.states(50)), ("a:pending".to_owned(), "a:firing".to_owned()));
    let alert = world.state.rules.values().next().unwrap().active.values().next().unwrap();
    assert_eq!((alert.state, alert.active_at, alert.annotations.len()), (State::Firing, 20 * MINUTE, 1));
}

#[test]
fn values_that_are_no_numbers_survive_a_restart() {
    let rules = "rules: [{alert: Odd, expr: x}]";
    let mut world = World::new(rules, &["x{n=\"1\"} NaN", "x{n=\"2\"} Inf"]);
    world.evaluate(0);
    let text = serde_json::to_string(&world.state).unwrap();
    let state: GroupState = serde_json::from_str(&text).unwrap();
    let values: Vec<String> =
        state.rules.values().flat_map(|rule| rule.active.values()).map(|alert| alert.value.to_string()).collect();
    assert_eq!(values, ["NaN", "inf"]);
}
