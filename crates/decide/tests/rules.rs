//! What is alerted about is a part of the release: a change of it is shown, and touches no replica.

mod common;

use common::{Planner, converged, spec, worker};
use daybook_model::policy::RuleFile;
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
