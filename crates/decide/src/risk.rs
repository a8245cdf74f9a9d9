//! What a plan risks: whether it can be gone back on, and what came of the last one like it.

use daybook_model::database::{Pending, RemarkKind};
use daybook_model::{Action, Plan, ReleaseNumber, Timestamp, Verdict};

use crate::text::{clock, subject};

/// The last run that was for the same as a plan is.
#[derive(Debug, Clone, Copy)]
pub struct Past<'a> {
    /// The release that it led to.
    pub to: ReleaseNumber,
    /// When it was over.
    pub at: Timestamp,
    /// How long it took, milliseconds.
    pub took_ms: u64,
    /// What came of it.
    pub verdict: &'a Verdict,
}

/// How a plan is gone back on, or why it cannot be.
pub fn undo(plan: &Plan) -> String {
    let lost: Vec<_> = plan.changes.iter().filter(|change| change.destructive).map(subject).collect();
    if !lost.is_empty() {
        return format!("not possible: {} cannot be had back", lost.join(", "));
    }
    if plan.from.is_none() {
        return "there is no release before this one to go back to".to_owned();
    }
    let migrations = plan.steps.iter().filter_map(|step| match &step.action {
        Action::Migrate { database, migrations } => Some((database, migrations)),
        _ => None,
    });
    let mut stays = Vec::new();
    for (database, migrations) in migrations {
        let breaks = |one: &&Pending| one.remarks.iter().any(|remark| remark.kind == RemarkKind::Breaks);
        if let Some(one) = migrations.iter().find(breaks) {
            return format!("not possible: the version before would not work after {} of {database}", one.what);
        }
        stays.push(format!("what was migrated in {database}"));
    }
    let hooks = plan.steps.iter().filter_map(|step| match &step.action {
        Action::RunHook { service, .. } => Some(format!("what the release command of {service} did")),
        _ => None,
    });
    stays.extend(hooks);
    match stays.as_slice() {
        [] => "daybook rollback".to_owned(),
        [one] => format!("daybook rollback; {one} stays"),
        many => format!("daybook rollback; {} stay", many.join(", ")),
    }
}

/// What came of the last run like it: `release 4, 28 Nov 22:41: done in 0:41`.
pub fn last(past: &Past<'_>) -> String {
    let (at, took) = (past.at.strftime("%-d %b %H:%M"), clock(past.took_ms));
    let came = match past.verdict {
        Verdict::Reached => format!("done in {took}"),
        Verdict::SwappedBack(failure) => format!("swapped back after {took}: {}", failure.why),
        Verdict::Failed(failure) => format!("failed after {took}: {}", failure.why),
        Verdict::Abandoned => format!("given up after {took}"),
    };
    format!("release {}, {at}: {came}", past.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_run_is_told_in_a_line() {
        let at = "2026-11-28T22:41:00Z".parse().expect("a time");
        let past = |verdict| last(&Past { to: ReleaseNumber(4), at, took_ms: 41_200, verdict });
        assert_eq!(past(&Verdict::Reached), "release 4, 28 Nov 22:41: done in 0:41");
        assert_eq!(past(&Verdict::Abandoned), "release 4, 28 Nov 22:41: given up after 0:41");
    }
}
