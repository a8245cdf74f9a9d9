//! What is alerted about is a part of the release: a change of it is shown, and touches no replica.

mod common;

use common::{Planner, converged, spec, worker};
use daybook_model::policy::RuleFile;
use daybook_model::remedy::{Remedy, Rule};
use daybook_model::rules::{Adjustment, Rules};
use daybook_model::{Severity, Spec};

fn file(name: &str, text: &str) -> RuleFile {
    RuleFile { name: name.to_owned(), text: text.to_owned() }
}

#[test]
fn a_change_of_rules_is_a_change_without_steps() {
    let adjusted = |adjusted: Adjustment| [("HighLatency".to_owned(), adjusted)].into();
    let before = Rules {
        files: vec![file("a.rules.yaml", "1"), file("b.rules.yaml", "1")],
        adjusted: adjusted(Adjustment { off: true, line: 7, ..Adjustment::default() }),
    };
    let after = Rules {
        files: vec![file("b.rules.yaml", "2"), file("c.rules.yaml", "1")],
        adjusted: adjusted(Adjustment {
            threshold: Some("0.5".to_owned()),
            hold_ms: Some(600_000),
            severity: Some(Severity::Page),
            line: 9,
            ..Adjustment::default()
        }),
    };
    let before = Spec { rules: before, ..spec([worker("1")]) };
    let after = Spec { rules: after, ..before.clone() };
    let planner = Planner::after(&before);
    let (plan, found) = planner.plan(&after, &converged(&before));
    assert!(plan.steps.is_empty() && found.is_empty(), "{plan:?} {found:?}");
    let told: Vec<_> = plan.changes[0].details.iter().map(|detail| (detail.text.as_str(), detail.line)).collect();
    assert_eq!(
        told,
        [
            ("no longer: a.rules.yaml", None),
            ("changed: b.rules.yaml", None),
            ("new: c.rules.yaml", None),
            ("HighLatency: off → threshold 0.5, for 10 min, page", Some(9)),
        ]
    );
    // A line that moved is no change.
    let mut moved = before.clone();
    moved.rules.adjusted.values_mut().for_each(|adjusted| adjusted.line = 8);
    assert!(planner.plan(&moved, &converged(&before)).0.is_empty());
}

#[test]
fn a_change_for_one_service_is_told_with_its_name() {
    let rules = |services: &[(&str, Adjustment)]| {
        let services = services.iter().map(|(name, adjusted)| (name.parse().unwrap(), adjusted.clone()));
        let adjusted = Adjustment { services: services.collect(), line: 3, ..Adjustment::default() };
        Rules { adjusted: [("TrafficDrop".to_owned(), adjusted)].into(), ..Rules::default() }
    };
    let off = Adjustment { off: true, line: 4, ..Adjustment::default() };
    let wider = Adjustment { threshold: Some("1.5".to_owned()), line: 5, ..Adjustment::default() };
    let before = Spec { rules: rules(&[("worker", off.clone())]), ..spec([worker("1")]) };
    let after = Spec { rules: rules(&[("api", off), ("worker", wider)]), ..before.clone() };
    let (plan, _) = Planner::after(&before).plan(&after, &converged(&before));
    let told: Vec<_> = plan.changes[0].details.iter().map(|detail| (detail.text.as_str(), detail.line)).collect();
    let expect =
        [("TrafficDrop of api: by default → off", Some(4)), ("TrafficDrop of worker: off → threshold 1.5", Some(5))];
    assert_eq!(told, expect);
}

#[test]
fn a_change_of_what_is_mended_by_itself_is_shown() {
    let rule = |name: &str, least_share| Rule {
        name: name.to_owned(),
        may: [Remedy::SwapBack].into(),
        services: [].into(),
        least_share,
        most: 1,
        within_ms: 3_600_000,
        most_replicas: 10,
        line: 9,
    };
    let none = spec([worker("1")]);
    let before = Spec { remedies: vec![rule("a", 60), rule("b", 60)], ..none.clone() };
    let after = Spec { remedies: vec![rule("b", 80), rule("c", 60)], ..none.clone() };
    let planner = Planner::after(&before);
    let told = |wanted: &Spec| {
        let (plan, found) = planner.plan(wanted, &converged(&before));
        assert!(plan.steps.is_empty() && found.is_empty(), "{plan:?} {found:?}");
        let change = plan.changes.first().cloned();
        change.map(|change| (change.sign.mark(), change.details.into_iter().map(|one| (one.text, one.line)).collect()))
    };
    let line = |text: &str, line| (text.to_owned(), line);
    let words = |share: u8| format!("may swap back, where {share} % is suspected, once in 1 h");
    let expect: Vec<_> = vec![
        line(&format!("b: {} → {}", words(60), words(80)), Some(9)),
        line(&format!("c: {}", words(60)), Some(9)),
        line("no longer: a", None),
    ];
    assert_eq!(told(&after), Some(("~", expect)));
    assert_eq!(told(&none), Some(("-", vec![line("no longer: a", None), line("no longer: b", None)])));
    let turned = Spec { remedies: vec![rule("b", 60), rule("a", 60)], ..none };
    assert_eq!(told(&turned), Some(("~", vec![line("asked in another order: b, a", None)])));
    assert_eq!(told(&before), None);
}
