//! The steps from what is there to what should be.
//!
//! Any prefix of a plan is safe: traffic moves only to what is ready, and nothing is removed before
//! its replacement serves. So a crash needs no undoing: observe again, plan again.

mod builder;
mod changes;
mod charts;
pub mod codes;
mod databases;
mod departure;
mod large;
mod order;
mod problems;
mod quota;
mod replicas;
mod rollout;
mod told;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use daybook_model::fingerprint::Fingerprint;
use daybook_model::plan::Change;
use daybook_model::{
    Action, Digest, Observed, Plan, PlanId, Release, ReleaseNumber, ReplicaId, RunKind, SeenReplica, Service,
    ServiceName, Spec, VolumeName,
};
use serde::{Deserialize, Serialize};

use builder::Builder;
pub use databases::asks_databases;
pub use departure::{hindrances, left};
pub use order::in_dependency_order;
pub use problems::Problem;

/// What a plan depends on beside the desired and the observed state.
#[derive(Debug, Clone, Copy)]
pub struct PlanContext<'a> {
    /// The release in force.
    pub current: Option<&'a Release>,
    /// The release that the plan leads to.
    pub to: ReleaseNumber,
    /// What the run is for.
    pub purpose: RunKind,
    /// The run failed, and this plan brings back what was there: at once, without hooks, canary
    /// shares or probation.
    pub recovery: bool,
    /// The plan that this one goes on from.
    pub parent: Option<&'a PlanId>,
    /// What the run has reached so far.
    pub progress: &'a Progress,
    /// The lowest ordinal that was never used, by service.
    pub next_ordinals: &'a BTreeMap<ServiceName, u64>,
    /// Volumes that a person asked to remove, by name.
    pub remove_volumes: &'a BTreeSet<VolumeName>,
    /// What the runtime can do.
    pub able: Able,
}

/// What a runtime can do, as far as a plan depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Able {
    /// Runs images; without it, directories and static sites only.
    pub images: bool,
    /// Has networks that must be made.
    pub networks: bool,
    /// Releases charts.
    pub charts: bool,
    /// Keeps the replicas of an environment within a quota.
    pub quotas: bool,
}

/// What a run has reached: facts that the world does not show, folded from its journal entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Release hooks that ran and succeeded.
    pub hooks: BTreeSet<ServiceName>,
    /// Release hooks that ran, whatever came of it.
    pub hooks_ended: BTreeSet<ServiceName>,
    /// Canary shares that were watched to the end.
    pub canaries: BTreeSet<ServiceName>,
    /// Probations that were watched to the end.
    pub probations: BTreeSet<ServiceName>,
    /// Replicas that this run started.
    pub started: BTreeSet<ReplicaId>,
    /// Of these, those that were seen ready or completed.
    pub ready: BTreeSet<ReplicaId>,
}

/// Plans the way from `seen` to `spec`. Same inputs, same plan.
///
/// An artifact of `spec` without a digest is shown as such, and is a problem of its own. Problems make the plan
/// unfit to be carried out; it is returned all the same, so that a person sees both.
pub fn plan(spec: &Spec, seen: &Observed, cx: &PlanContext<'_>) -> (Plan, Vec<Problem>) {
    let world = World::new(spec, seen, cx);
    let mut builder = Builder::default();
    let (order, cyclic) = in_dependency_order(&spec.services, |service| service.stop_first(&spec.volumes));
    world.bound(&mut builder);
    world.networks_and_volumes(&mut builder);
    world.prepare(&mut builder);
    world.databases_elsewhere(&mut builder);
    for name in &order {
        let service = &spec.services[*name];
        world.service(&mut builder, service);
        world.databases_of(&mut builder, service);
    }
    world.removals(&mut builder);
    world.depart(&mut builder);
    world.sweep_hooks(&mut builder);
    let mut problems = problems::find(spec, seen, cx);
    problems.extend(cyclic.map(|circle| problems::cycle(&circle)));
    let steps = builder.into_steps();
    let digest_of_steps = || Digest::of_json(&steps);
    let (digest, changes) = large::both(order.len(), digest_of_steps, || changes::summarize(&world, &steps));
    let plan = Plan {
        id: name(spec, cx, &digest, &changes),
        parent: cx.parent.cloned(),
        key: spec.key.clone(),
        from: cx.current.map(|release| release.number),
        to: cx.to,
        steps,
        changes,
    };
    (plan, problems)
}

/// The name of a plan: the digest of everything in it.
fn name(spec: &Spec, cx: &PlanContext<'_>, steps: &Digest, changes: &[Change]) -> PlanId {
    let from = cx.current.map(|release| release.number);
    PlanId(Digest::of_json(&(cx.parent, &spec.key, from, cx.to, steps, changes)))
}

/// The inputs of a plan, indexed.
pub(crate) struct World<'a> {
    pub(crate) spec: &'a Spec,
    pub(crate) seen: &'a Observed,
    pub(crate) cx: &'a PlanContext<'a>,
    pub(crate) replicas: HashMap<&'a ServiceName, replicas::Replicas<'a>>,
}

impl<'a> World<'a> {
    fn new(spec: &'a Spec, seen: &'a Observed, cx: &'a PlanContext<'a>) -> Self {
        let wanted = large::fingerprints(spec).into_iter().map(replicas::Replicas::wanting);
        let mut replicas: HashMap<&ServiceName, replicas::Replicas> = spec.services.keys().zip(wanted).collect();
        for replica in &seen.replicas {
            replicas.entry(&replica.id.service).or_default().add(replica);
        }
        Self { spec, seen, cx, replicas }
    }

    /// Networks first: replicas join them as they start. Volumes likewise.
    fn networks_and_volumes(&self, builder: &mut Builder) {
        if self.cx.able.networks {
            for (name, network) in &self.spec.networks {
                if !self.seen.networks.contains(name) && !network.external {
                    let why = "the environment has no such network yet";
                    let id = builder.step(Action::CreateNetwork { network: name.clone() }, why, None, &[]);
                    builder.ground(id);
                }
            }
        }
        for (name, volume) in &self.spec.volumes {
            if !self.seen.volumes.contains(name) && !volume.external {
                let why = "the environment has no such volume yet";
                let id = builder.step(Action::CreateVolume { volume: name.clone() }, why, None, &[]);
                builder.ground(id);
            }
        }
    }

    /// Artifacts one after the other, before anything else moves: a build that fails changes nothing,
    /// and two builds at once would starve what serves.
    fn prepare(&self, builder: &mut Builder) {
        let mut done = BTreeSet::new();
        for service in self.spec.services.values() {
            let digest = service.artifact.digest();
            let here = digest.is_some_and(|digest| self.seen.artifacts.contains(digest));
            // The same artifact, however two services name it; without a digest, the same name.
            let identity = || digest.copied().unwrap_or_else(|| Digest::of_json(&service.artifact));
            if service.stopped || here || !service.artifact.is_content() || !done.insert(identity()) {
                continue;
            }
            let needs: Vec<_> = builder.grounds().to_vec();
            let why = match digest {
                Some(digest) => format!("this machine does not have {}", digest.short()),
                None => changes::known_after(&service.artifact).to_owned(),
            };
            let id = builder.step(Action::Prepare { service: service.name.clone() }, why, service.line, &needs);
            builder.ground_alone(id);
        }
    }

    /// What is there and is not in the spec goes last, and what others depended on goes after them.
    fn removals(&self, builder: &mut Builder) {
        let services = self.cx.current.map(|release| &release.spec.services);
        let before = services.map(|services| in_dependency_order(services, |_| false).0).unwrap_or_default();
        let mut gone: Vec<&ServiceName> =
            self.known_services().filter(|name| !self.spec.services.contains_key(*name)).collect();
        let position: BTreeMap<&ServiceName, usize> = before.iter().enumerate().map(|(i, name)| (*name, i)).collect();
        gone.sort_by_key(|name| (std::cmp::Reverse(position.get(name).copied().unwrap_or(0)), *name));
        let kept: Vec<_> = builder.ends().to_vec();
        let mut after = kept;
        for name in gone {
            let old: Vec<_> = self.replicas_of(name).collect();
            let why = "the manifest no longer has this service";
            let mut ends = self.retire(builder, name, &old, why, &after);
            ends.extend(self.remove_chart(builder, name, why, &after));
            if !ends.is_empty() {
                after = ends;
            }
        }
        self.remove_networks_and_volumes(builder, &after);
    }

    fn known_services(&self) -> impl Iterator<Item = &'a ServiceName> {
        let observed = self.seen.replicas.iter().map(|replica| &replica.id.service);
        let routed = self.seen.routes.backends.keys();
        let charts = self.seen.charts.keys();
        observed.chain(routed).chain(charts).collect::<BTreeSet<_>>().into_iter()
    }

    fn remove_networks_and_volumes(&self, builder: &mut Builder, after: &[daybook_model::StepId]) {
        if self.cx.able.networks {
            for name in self.seen.networks.iter().filter(|name| !self.spec.networks.contains_key(*name)) {
                builder.step(Action::RemoveNetwork { network: name.clone() }, "nothing uses it any more", None, after);
            }
        }
        for name in self.cx.remove_volumes.iter().filter(|name| self.seen.volumes.contains(*name)) {
            let why = "its removal was asked for by name";
            builder.step(Action::RemoveVolume { volume: name.clone() }, why, None, after);
        }
    }

    pub(crate) fn running(&self, id: &ReplicaId) -> bool {
        let alive = |r: &SeenReplica| r.state.is_live();
        self.replica(id).is_some_and(alive)
    }

    pub(crate) fn replica(&self, id: &ReplicaId) -> Option<&'a SeenReplica> {
        self.replicas_of(&id.service).find(|replica| &replica.id == id)
    }

    /// Replicas of a service that the plan counts.
    pub(crate) fn replicas_of(&self, service: &ServiceName) -> impl Iterator<Item = &'a SeenReplica> {
        self.replicas.get(service).into_iter().flat_map(replicas::Replicas::all)
    }

    /// Whether a service's hook has to run: a new configuration goes live because someone asked for it.
    pub(crate) fn hook_due(&self, service: &Service) -> bool {
        let before = self.cx.current.and_then(|release| release.spec.services.get(&service.name));
        let same = || before.is_some_and(|before| Fingerprint::of(before) == Fingerprint::of(service));
        service.release_hook.is_some()
            && matches!(self.cx.purpose, RunKind::Up | RunKind::Move)
            && !self.cx.recovery
            && !self.cx.progress.hooks.contains(&service.name)
            && !same()
    }
}
