//! Leaving a target for another.
//!
//! An environment that moves starts at its new target as if nothing were there. What is at the old one goes
//! last, once all of the new one serves; only what must not run twice ends before its successor starts. A failed
//! move is planned the same way round: then the new target is the one that is left.

use daybook_model::launch::Role;
use daybook_model::observed::Away;
use daybook_model::spec::RolloutOrder;
use daybook_model::{Action, ReplicaId, RunKind, SeenReplica, Service, ServiceName, Spec, StepId, Target};

use super::builder::Builder;
use super::changes::volumes_of;
use super::problems::Problem;
use super::{World, in_dependency_order};

/// The target that an environment leaves on its way to `spec`, if it leaves one: of the targets in `before`, the
/// first that `spec` neither names nor goes on to serve from. `home` is meant by a spec that names none.
pub fn left<'a>(spec: &Spec, before: impl IntoIterator<Item = &'a Spec>, home: &Target) -> Option<Target> {
    let here = spec.target.as_ref().unwrap_or(home);
    let known = before.into_iter().filter(|spec| !spec.services.is_empty());
    let mut places = known.flat_map(|spec| [Some(spec.target.as_ref().unwrap_or(home)), spec.leaving.as_ref()]);
    places.find_map(|place| place.filter(|place| *place != here).cloned())
}

/// What keeps the environment of `from` from moving as `spec`, and what can be done about it. Volumes may begin
/// empty where a person allows it.
pub fn hindrances(from: &Spec, spec: &Spec, shares_entrance: bool, empty_volumes: bool) -> Vec<Problem> {
    let mut problems = if empty_volumes { Vec::new() } else { filled_volumes(from, spec) };
    problems.extend(charts(from));
    if shares_entrance {
        return problems;
    }
    let exclusive = spec.services.values().filter(|service| {
        service.rollout.order == RolloutOrder::StopFirst
            && service.has_edge()
            && from.services.contains_key(&service.name)
            && service.single_writer(&spec.volumes).is_none()
    });
    problems.extend(exclusive.map(|service| Problem {
        code: "P0107".to_owned(),
        service: Some(service.name.clone()),
        line: service.line,
        message: format!("`{}` must not run twice, and clients come in at both targets for a while", service.name),
        hint: format!(
            "stop it for the move (`daybook stop {0}`), or let `{0}` overlap (`order: start-first`)",
            service.name
        ),
    }));
    problems
}

/// What a chart has made may hold anything, and is not known well enough to run twice.
fn charts(from: &Spec) -> impl Iterator<Item = Problem> {
    from.services.values().filter(|service| service.artifact.chart().is_some()).map(|service| Problem {
        code: "P0110".to_owned(),
        service: Some(service.name.clone()),
        line: service.line,
        message: format!("`{}` is a Helm chart, and a move does not carry charts along", service.name),
        hint: "take it out of the manifest for the move, and bring it up at the new target afterwards".to_owned(),
    })
}

/// Volumes that a service of ours writes to now and would find empty at the new target.
fn filled_volumes(from: &Spec, spec: &Spec) -> Vec<Problem> {
    let ours = spec.volumes.iter().filter(|(name, volume)| !volume.external && from.volumes.contains_key(*name));
    let user = |name| from.services.values().find(|service| volumes_of(service).any(|volume| volume == name));
    let used = ours.filter_map(|(name, _)| Some((name, user(name)?)));
    used.map(|(name, user)| Problem {
        code: "P0106".to_owned(),
        service: Some(user.name.clone()),
        line: user.line,
        message: format!("volume `{name}` of `{}` holds data, and a move does not carry data along", user.name),
        hint: "bring the data to an external volume at the new target first, or let it begin empty with \
               `--empty-volumes`: what it holds now stays where it is"
            .to_owned(),
    })
    .collect()
}

impl<'a> World<'a> {
    /// What is at the target that this plan leaves; nothing where it goes on to serve.
    pub(super) fn left(&self) -> Option<&'a Away> {
        self.seen.away.as_ref().filter(|away| self.spec.leaving.as_ref() != Some(&away.target))
    }

    /// Live replicas of a service at the target that it leaves.
    fn live_away(&self, service: &ServiceName) -> Vec<ReplicaId> {
        let all = self.seen.away.iter().flat_map(|away| &away.replicas);
        let live = all.filter(|r| &r.id.service == service && r.role == Role::Main && r.state.is_live());
        live.map(|replica| replica.id.clone()).collect()
    }

    /// No replica gets a number that one has at the other target: routes and counts name replicas by it.
    pub(super) fn highest_ordinal_away(&self, service: &ServiceName) -> u64 {
        let all = self.seen.away.iter().flat_map(|away| &away.replicas);
        let of_service = all.filter(|replica| &replica.id.service == service && replica.role == Role::Main);
        of_service.map(|replica| replica.id.ordinal).max().unwrap_or(0)
    }

    /// The live replicas that requests for a service move away from, through one and the same edge.
    pub(super) fn handed_over(&self, service: &Service) -> Vec<ReplicaId> {
        match &self.seen.away {
            Some(away) if away.shares_entrance && service.has_edge() => self.live_away(&service.name),
            _ => Vec::new(),
        }
    }

    /// Whether requests go to a service's new replicas here, and nobody has watched yet how these do.
    pub(super) fn arrives(&self, service: &Service) -> bool {
        self.cx.purpose == RunKind::Move && self.probation_due(service) && !self.handed_over(service).is_empty()
    }

    /// Ends the replicas of what must not run twice at the target that it leaves. Where clients come in at both
    /// for a while, only of what nobody can send requests to: the rest has to go on.
    pub(super) fn vacate(&self, builder: &mut Builder, service: &Service, gates: Vec<StepId>) -> Vec<StepId> {
        let Some(away) = &self.seen.away else { return gates };
        let live = self.live_away(&service.name);
        let goes = service.stop_first(&self.spec.volumes) && (away.shares_entrance || !service.has_edge());
        if live.is_empty() || !goes {
            return gates;
        }
        let mut last = gates;
        if !self.cx.recovery {
            last.extend(builder.proofs());
        }
        if service.has_edge() && self.seen.routes.backends.contains_key(&service.name) {
            let why = "it must not run twice; requests wait";
            last = vec![builder.step(Action::Hold { service: service.name.clone() }, why, service.line, &last)];
            last = vec![self.drain(builder, live.clone(), &last)];
        }
        let stop = |builder: &mut Builder, replica: ReplicaId| {
            builder.vacates(replica.clone());
            let action = Action::StopAt { target: away.target.clone(), replica, role: Role::Main };
            builder.step(action, "it must not run at both targets", service.line, &last)
        };
        live.into_iter().map(|replica| stop(builder, replica)).collect()
    }

    /// Ends and removes all that is at the target that is left, dependents before what they depend on.
    pub(super) fn depart(&self, builder: &mut Builder) {
        let Some(away) = self.left() else { return };
        let why = if self.cx.recovery { "the move did not work" } else { "everything serves at the new target" };
        let mut last = builder.ends().to_vec();
        let is_live =
            |builder: &Builder, replica: &SeenReplica| replica.state.is_live() && !builder.has_vacated(&replica.id);
        let live: Vec<_> = away.replicas.iter().filter(|replica| is_live(builder, replica)).collect();
        if !away.shares_entrance {
            last = vec![builder.step(Action::CloseAt { target: away.target.clone() }, why, None, &last)];
        } else if !live.is_empty() {
            last = vec![self.drain(builder, live.iter().map(|replica| replica.id.clone()).collect(), &last)];
        }
        for name in self.last_to_leave_first(away).into_iter().rev() {
            let of_service = away.replicas.iter().filter(|replica| &replica.id.service == name);
            let mut removed = Vec::new();
            for replica in of_service {
                let (target, role) = (away.target.clone(), replica.role);
                let mut needs = last.clone();
                if is_live(builder, replica) {
                    let action = Action::StopAt { target: target.clone(), replica: replica.id.clone(), role };
                    needs = vec![builder.step(action, why, None, &needs)];
                }
                let action = Action::RemoveAt { target, replica: replica.id.clone(), role };
                removed.push(builder.step(action, why, None, &needs));
            }
            if !removed.is_empty() {
                last = removed;
            }
        }
        builder.step(Action::Leave { target: away.target.clone() }, why, None, &last);
    }

    /// The services that have replicas at a target, each after those it depends on.
    fn last_to_leave_first(&self, away: &'a Away) -> Vec<&'a ServiceName> {
        let before = self.cx.current.map_or(&self.spec.services, |release| &release.spec.services);
        let order = in_dependency_order(before, |_| false).0;
        let there: std::collections::BTreeSet<_> = away.replicas.iter().map(|replica| &replica.id.service).collect();
        let unknown = there.iter().filter(|name| !before.contains_key(**name)).copied();
        order.into_iter().filter(|name| there.contains(*name)).chain(unknown).collect()
    }
}
