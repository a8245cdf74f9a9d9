//! What the replicas of an environment may have together.

mod common;

use common::{Planner, converged, spec, web, worker};
use daybook_model::spec::{Quota, Resources};
use daybook_model::{Observed, Service, Spec};

const MIB: u64 = 1 << 20;

fn sized(mut service: Service, cpu_millis: u64, mebibytes: u64) -> Service {
    service.container.resources =
        Resources { cpu_millis: Some(cpu_millis), memory_bytes: Some(mebibytes * MIB), ..Resources::default() };
    service
}

fn bounded(services: impl IntoIterator<Item = Service>, cpu_millis: u64, mebibytes: u64) -> Spec {
    let quota = Quota { cpu_millis: Some(cpu_millis), memory_bytes: Some(mebibytes * MIB) };
    Spec { quota: Some(quota), ..spec(services) }
}

/// The codes of what is wrong, and the first in words.
fn problems(planner: &Planner, spec: &Spec, seen: &Observed) -> (Vec<String>, String) {
    let (_, found) = planner.plan(spec, seen);
    let first = found.first().map(|problem| problem.message.clone()).unwrap_or_default();
    (found.into_iter().map(|problem| problem.code).collect(), first)
}

#[test]
fn an_environment_is_bounded_before_anything_starts_in_it() {
    let spec = bounded([sized(worker("1"), 500, 256)], 2_000, 1_024);
    insta::assert_snapshot!(Planner::first().show(&spec, &Observed::nothing(spec.key.clone())));
    let (plan, found) = Planner::after(&spec).plan(&spec, &converged(&spec));
    assert!(plan.is_empty() && found.is_empty(), "{plan:?} {found:?}");
}

#[test]
fn a_quota_that_changed_or_that_somebody_removed_is_set_again() {
    let before = bounded([sized(worker("1"), 500, 256)], 2_000, 1_024);
    let after = bounded([sized(worker("1"), 500, 256)], 4_000, 1_024);
    insta::assert_snapshot!(Planner::after(&before).show(&after, &converged(&before)));
    let removed = Observed { quota: None, ..converged(&before) };
    assert_eq!(Planner::after(&before).plan(&before, &removed).0.steps.len(), 1);
    let free = Spec { quota: None, ..before.clone() };
    insta::assert_snapshot!(Planner::after(&before).show(&free, &converged(&before)));
}

#[test]
fn what_does_not_fit_is_refused_before_anything_moves() {
    let nothing = Observed::nothing(common::key());
    let mut two = sized(web("1"), 500, 256);
    two.scale.max = 2;
    let (codes, why) = problems(&Planner::first(), &bounded([two.clone()], 900, 1_024), &nothing);
    assert_eq!(codes, ["P0112"]);
    assert_eq!(why, "the services may use 1 core of 900m that the environment's quota allows");
    assert_eq!(problems(&Planner::first(), &bounded([two.clone()], 1_000, 512), &nothing).0, [""; 0]);

    let mut free = sized(worker("1"), 500, 256);
    free.container.resources.memory_bytes = None;
    let (codes, why) = problems(&Planner::first(), &bounded([free], 2_000, 1_024), &nothing);
    assert_eq!(codes, ["P0114"]);
    assert_eq!(why, "`worker` has no limit, and the environment's quota counts it");
}

#[test]
fn r04_a_rollout_whose_replicas_do_not_fit_beside_the_old_ones_is_refused() {
    let before = bounded([sized(web("1"), 500, 256), sized(worker("1"), 500, 256)], 1_400, 2_048);
    let after = Spec {
        services: bounded([sized(web("2"), 500, 256), sized(worker("1"), 500, 256)], 0, 0).services,
        ..before.clone()
    };
    let (codes, why) = problems(&Planner::after(&before), &after, &converged(&before));
    assert_eq!(codes, ["P0113"]);
    assert_eq!(
        why,
        "while `web` is rolled out, old and new replicas may use 1500m of 1400m that the environment's quota allows"
    );
    let wide = Spec { quota: bounded([], 1_500, 2_048).quota, ..after };
    assert_eq!(problems(&Planner::after(&before), &wide, &converged(&before)).0, [""; 0]);
}
