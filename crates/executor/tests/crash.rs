//! Every journal boundary, before and after the commit, with many seeds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use daybook_executor::simulation::{Findings, Scenario, Second, play};
use daybook_model::Verdict;
use daybook_store::memory::When;

/// Seeds in `make test`; `SEEDS` asks for more.
fn seeds() -> u64 {
    std::env::var("SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000)
}

fn uninterrupted(second: Second) -> Findings {
    play(Scenario { seed: 1, crash: None, fault_percent: 0, second }).unwrap()
}

fn assert_sound(findings: &Findings, expected: &Findings, what: &str) {
    let ending = |verdict: &Verdict| std::mem::discriminant(verdict);
    assert_eq!(ending(&findings.verdict), ending(&expected.verdict), "{what}: {:?}", findings.verdict);
    assert_eq!(findings.violations, Vec::<String>::new(), "{what}");
    assert_eq!(findings.hooks_not_once, Vec::<String>::new(), "{what}");
    assert_eq!(findings.migrations_not_once, Vec::<String>::new(), "{what}");
    assert_eq!(findings.left, Vec::<String>::new(), "{what}");
    assert_eq!(findings.picture, expected.picture, "{what}");
}

fn crash_everywhere(second: Second) {
    let expected = uninterrupted(second);
    assert_sound(&expected, &expected, "no crash");
    for write in 1..=expected.writes {
        for when in [When::Before, When::After] {
            let scenario = Scenario { seed: 1, crash: Some((write, when)), fault_percent: 0, second };
            assert_sound(&play(scenario).unwrap(), &expected, &format!("{scenario:?}"));
        }
    }
}

#[test]
fn r02_a_crash_at_any_journal_write_leaves_what_an_uninterrupted_run_leaves() {
    assert_eq!(uninterrupted(Second::Good).verdict, Verdict::Reached);
    crash_everywhere(Second::Good);
}

/// The same of a version whose migration fails: the one before serves on, and what was migrated before is there once.
#[test]
fn r22_a_migration_that_fails_leaves_the_old_version_serving_wherever_the_server_crashes() {
    let expected = uninterrupted(Second::MigrationFails);
    let Verdict::SwappedBack(failure) = &expected.verdict else { panic!("{:?}", expected.verdict) };
    assert!(failure.why.contains("no such table"), "{failure:?}");
    crash_everywhere(Second::MigrationFails);
}

/// Another server takes over at each write, while the one before still runs and tries to go on.
#[test]
fn r15_a_leader_that_is_lost_at_any_journal_write_loses_and_repeats_nothing() {
    for second in [Second::Good, Second::Errors, Second::HookFails] {
        let expected = uninterrupted(second);
        for write in 1..=expected.writes {
            let scenario = Scenario { seed: 1, crash: Some((write, When::Deposed)), fault_percent: 0, second };
            assert_sound(&play(scenario).unwrap(), &expected, &format!("{scenario:?}"));
        }
    }
    let expected = uninterrupted(Second::Good);
    for seed in 1..=seeds() {
        let write = 1 + usize::try_from(seed).unwrap() % expected.writes;
        let scenario = Scenario { seed, crash: Some((write, When::Deposed)), fault_percent: 5, second: Second::Good };
        assert_sound(&play(scenario).unwrap(), &expected, &format!("{scenario:?}"));
    }
}

#[test]
fn r02_a_thousand_seeds_with_transient_faults_and_a_crash_each() {
    let expected = uninterrupted(Second::Good);
    for seed in 1..=seeds() {
        let write = 1 + usize::try_from(seed).unwrap() % (expected.writes + 10);
        let when = if seed.is_multiple_of(2) { When::Before } else { When::After };
        let scenario = Scenario { seed, crash: Some((write, when)), fault_percent: 5, second: Second::Good };
        assert_sound(&play(scenario).unwrap(), &expected, &format!("{scenario:?}"));
    }
}

#[test]
fn r04_a_version_that_fails_leaves_the_old_one_serving_wherever_the_server_crashes() {
    let old = before();
    for second in Second::BAD {
        let findings = uninterrupted(second);
        let Verdict::SwappedBack(failure) = &findings.verdict else { panic!("{second:?}: {:?}", findings.verdict) };
        assert!(!failure.why.is_empty());
        assert_eq!(findings.picture, old, "{second:?}");
        crash_everywhere(second);
    }
}

/// What is there before the second deployment.
fn before() -> String {
    let same = uninterrupted(Second::NoImage);
    same.picture
}
