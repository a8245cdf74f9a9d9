//! What is different about alerts by default, as the manifest writes it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use daybook_manifest::{Bundle, Loaded, Options, load};
use daybook_model::Severity;
use daybook_model::rules::Adjustment;

/// What a manifest means with these lines below its `alerts`, from its fourth on.
fn loaded(alerts: &str) -> Loaded {
    let path = "/app/daybook.yaml".to_owned();
    let text = format!("services:\n  web: {{image: nginx}}\nalerts:\n{alerts}");
    let mut bundle = Bundle { entries: vec![path.clone()], root: "/app".to_owned(), ..Bundle::default() };
    bundle.files.insert(path, text);
    load(&bundle, &Options::new("production".parse().unwrap()))
}

#[test]
fn a_service_may_have_an_alert_otherwise_than_its_environment() {
    let lines = "  TrafficDrop:\n    threshold: 1.5\n    services:\n      web: {for: 30m, severity: info}\n";
    let loaded = loaded(lines);
    let rules = loaded.spec.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics)).rules;
    let web = Adjustment { hold_ms: Some(1_800_000), severity: Some(Severity::Info), line: 7, ..Adjustment::default() };
    let services = [("web".parse().unwrap(), web)].into();
    let all = Adjustment { threshold: Some("1.5".to_owned()), services, line: 4, ..Adjustment::default() };
    assert_eq!(rules.adjusted, [("TrafficDrop".to_owned(), all)].into());
}

#[test]
fn an_alert_may_be_off_for_a_service_that_is_there() {
    let rules = loaded("  TrafficDrop: {services: {web: off}}\n").spec.unwrap().rules;
    let adjusted = &rules.adjusted["TrafficDrop"];
    assert!(!adjusted.off && adjusted.services.values().all(|web| web.off), "{adjusted:?}");
    assert_eq!(adjusted.services.len(), 1);
    let unknown = loaded("  TrafficDrop: {services: {wep: off}}\n").diagnostics;
    let codes: Vec<_> = unknown.iter().map(|found| (found.code.to_string(), found.label.as_str())).collect();
    assert_eq!(codes, [("M0201".to_owned(), "did you mean `web`?")]);
    // What a service has different is not different again for services.
    let nested = loaded("  TrafficDrop: {services: {web: {services: {web: off}}}}\n");
    assert!(nested.spec.is_none(), "{:?}", nested.diagnostics);
}
