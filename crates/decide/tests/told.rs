//! Who is told and who is woken, in a plan.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use common::{Planner, converged, spec, worker};
use daybook_model::Spec;
use daybook_model::forward::{Forward, Outlet};
use daybook_model::incident::Severity;
use daybook_model::notify::{Address, Channel, Receiver};
use daybook_model::oncall::{OnCall, When, Window};
use daybook_model::spec::{Schedule, SecretRef};

fn channel(name: &str, version: u64, line: u32) -> Channel {
    let url = SecretRef { name: "slack".parse().unwrap(), version: Some(version), generate: false };
    let (name, receiver) = (name.parse().unwrap(), Receiver::Slack { url });
    Channel { name, receiver, least: Severity::Ticket, changes: false, authority: None, line: Some(line) }
}

#[test]
fn a_change_of_who_is_woken_is_a_change_without_steps() {
    let people = [("ada".to_owned(), vec!["team".parse().unwrap()])].into();
    let before = Spec { notify: vec![channel("team", 1, 4)], ..spec([worker("1")]) };
    let begins = Schedule { cron: "0 2 * * 0".to_owned(), zone: "UTC".to_owned() };
    let when = When::Every { begins, length_ms: 3_600_000 };
    let after = Spec {
        notify: vec![channel("team", 2, 5), channel("ada", 1, 6)],
        on_call: OnCall { people, ..OnCall::default() },
        maintenance: vec![Window { title: "Updates".to_owned(), services: [].into(), when }],
        ..before.clone()
    };
    let planner = Planner::after(&before);
    let (plan, found) = planner.plan(&after, &converged(&before));
    assert!(plan.steps.is_empty() && found.is_empty(), "{plan:?} {found:?}");
    let details = plan.changes.iter().flat_map(|change| &change.details);
    let told: Vec<_> = details.map(|detail| (detail.text.as_str(), detail.line)).collect();
    assert_eq!(
        told,
        [("new: ada", Some(6)), ("changed: team", Some(5)), ("new: person ada", None), ("new: Updates", None)]
    );
    // A line that moved is no change.
    let moved = Spec { notify: vec![channel("team", 1, 9)], ..before.clone() };
    assert!(planner.plan(&moved, &converged(&before)).0.is_empty());
}

fn outlet(url: &str, line: u32) -> Outlet {
    let url = Address::Plain(url.to_owned());
    Outlet { url, login: None, tenant: None, only: Vec::new(), authority: None, line: Some(line) }
}

#[test]
fn a_change_of_who_else_has_what_is_measured_is_a_change_without_steps() {
    let before = spec([worker("1")]);
    let key = SecretRef { name: "key".parse().unwrap(), version: Some(1), generate: false };
    let forward = Forward { metrics: Some(outlet("https://a.example.com/", 4)), ..Forward::default() };
    let after = Spec { forward, receive: Some(key), ..before.clone() };
    let said = |before: &Spec, after: &Spec| {
        let (plan, found) = Planner::after(before).plan(after, &converged(before));
        assert!(plan.steps.is_empty() && found.is_empty(), "{plan:?} {found:?}");
        let details = plan.changes.into_iter().flat_map(|change| change.details);
        details.map(|detail| (detail.text, detail.line)).collect::<Vec<_>>()
    };
    let told = [("new: the key of other tools".to_owned(), None), ("new: metrics".to_owned(), Some(4))];
    assert_eq!(said(&before, &after), told);
    let forward = Forward {
        metrics: Some(outlet("https://b.example.com/", 4)),
        logs: Some(outlet("https://c.example.com/", 5)),
        otlp_logs: Some(outlet("https://d.example.com/", 6)),
    };
    let other = Spec { forward, ..after.clone() };
    let told = [
        ("new: logs".to_owned(), Some(5)),
        ("changed: metrics".to_owned(), Some(4)),
        ("new: otlp_logs".to_owned(), Some(6)),
    ];
    assert_eq!(said(&after, &other), told);
    assert_eq!(said(&after, &before).len(), 2, "and so is its end");
    // A line that moved is no change.
    let forward = Forward { metrics: Some(outlet("https://a.example.com/", 9)), ..Forward::default() };
    assert!(said(&after, &Spec { forward, ..after.clone() }).is_empty());
}
