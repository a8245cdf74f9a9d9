//! How one service gets from what is there to what should be.

use daybook_model::launch::Role;
use daybook_model::plan::WatchPhase;
use daybook_model::route::Target;
use daybook_model::spec::{Artifact, Condition, Kind};
use daybook_model::{Action, ReplicaId, RunKind, SeenReplica, Service, ServiceName, StepId};

use super::World;
use super::builder::Builder;
use super::replicas::{is_completed, is_usable};
use crate::{readiness, routes};

/// What becomes of a service's replicas.
struct Turnover<'a> {
    /// Replicas of the wanted configuration that stay.
    keep: Vec<&'a SeenReplica>,
    /// Replicas to be made.
    new: Vec<ReplicaId>,
    /// Replicas that go, live ones among them.
    going: Vec<&'a SeenReplica>,
    /// Whether one of those that go has another configuration: this is a change of version.
    changes_version: bool,
}

impl Turnover<'_> {
    /// Those that are to serve in the end.
    fn serving(&self) -> Vec<ReplicaId> {
        self.keep.iter().map(|replica| replica.id.clone()).chain(self.new.iter().cloned()).collect()
    }

    /// Those whose process must be made or started.
    fn to_start(&self) -> Vec<ReplicaId> {
        let ended = self.keep.iter().filter(|r| !r.state.is_live());
        ended.map(|replica| replica.id.clone()).chain(self.new.iter().cloned()).collect()
    }
}

/// The steps that later ones of the same service wait for.
#[derive(Default)]
struct Launched {
    started: Vec<StepId>,
    /// What requests wait for: `ready`, or the first answers where nothing serves them.
    answered: Vec<StepId>,
    ready: Vec<StepId>,
}

impl Launched {
    /// What is true once requests were `routed` and all replicas are ready.
    fn proven(&self, routed: &[StepId]) -> Vec<StepId> {
        let further = if self.answered == self.ready { &[] } else { self.ready.as_slice() };
        routed.iter().chain(further).copied().collect()
    }
}

impl<'a> World<'a> {
    /// Plans one service. Its dependencies have been planned before.
    pub(super) fn service(&self, builder: &mut Builder, service: &'a Service) {
        match (&service.artifact, &service.kind) {
            (Artifact::Static { .. } | Artifact::StatusPage(_), _) => self.site(builder, service),
            (Artifact::Chart(_), _) => self.chart(builder, service),
            (_, Kind::Job(_)) => self.nothing_runs(builder, service, "it runs at the times of its schedule"),
            (_, Kind::Task) if !service.stopped => self.task(builder, service),
            _ if service.replicas() == 0 => self.nothing_runs(builder, service, "no replica is wanted"),
            _ => self.replicated(builder, service),
        }
    }

    fn site(&self, builder: &mut Builder, service: &'a Service) {
        let grounds = builder.grounds().to_vec();
        let mut reached = Vec::new();
        if service.stopped {
            return self.nothing_runs(builder, service, "it was stopped");
        }
        if !routes::matches(&self.seen.routes, service, &[]) {
            let action = Action::Route { service: service.name.clone(), endpoints: Vec::new() };
            reached.push(builder.step(action, "the edge serves its files", service.line, &grounds));
        }
        reached.iter().for_each(|id| builder.end(*id));
        builder.reached(&service.name, reached.clone(), reached);
    }

    fn nothing_runs(&self, builder: &mut Builder, service: &'a Service, why: &'static str) {
        let grounds = builder.grounds().to_vec();
        let going: Vec<_> = self.replicas_of(&service.name).collect();
        for id in self.retire(builder, &service.name, &going, why, &grounds) {
            builder.end(id);
        }
    }

    fn task(&self, builder: &mut Builder, service: &'a Service) {
        let replicas = &self.replicas[&service.name];
        let current: Vec<_> = replicas.current().collect();
        if self.cx.purpose == RunKind::Heal || current.iter().any(|replica| is_completed(service, replica)) {
            return self.clear_old(builder, service, replicas.old().collect());
        }
        let gates = self.gates(builder, service);
        let unspent = current.iter().find(|replica| is_usable(service, replica, false));
        let id = unspent.map_or_else(|| self.next_ids(service, 1).remove(0), |replica| replica.id.clone());
        let mut needs = gates;
        if !unspent.is_some_and(|replica| replica.state.is_live()) {
            needs = vec![self.start(builder, service, &id, "it has not completed with this configuration", &needs)];
        }
        let action = Action::AwaitCompleted { replica: id.clone() };
        let done = builder.step(action, "others wait for its success", service.line, &needs);
        builder.reached(&service.name, needs, vec![done]);
        builder.end(done);
        let leftover = replicas.all().filter(|replica| replica.id != id).collect();
        self.clear_old(builder, service, leftover);
    }

    fn clear_old(&self, builder: &mut Builder, service: &'a Service, old: Vec<&'a SeenReplica>) {
        let ends = builder.ready(&service.name).to_vec();
        for replica in old {
            self.stop_and_remove(builder, replica, "an earlier configuration of it", &ends);
        }
    }

    fn replicated(&self, builder: &mut Builder, service: &'a Service) {
        let turnover = self.turnover(service);
        let quiet =
            turnover.to_start().is_empty() && turnover.going.is_empty() && self.awaited(service, &turnover).is_empty();
        if quiet
            && !self.arrives(service)
            && (!service.has_edge() || self.routed_right(service, &turnover.serving(), &[]))
        {
            return;
        }
        let mut gates = self.gates(builder, service);
        if self.hook_due(service) && !turnover.to_start().is_empty() {
            let replica = ReplicaId::new(service.name.clone(), self.cx.to.0);
            let action = Action::RunHook { service: service.name.clone(), replica };
            gates = vec![builder.step(action, "its release hook runs before traffic moves", service.line, &gates)];
        }
        if !turnover.to_start().is_empty() {
            gates = self.vacate(builder, service, gates);
        }
        if service.stop_first(&self.spec.volumes) && turnover.going.iter().any(|r| self.running(&r.id)) {
            self.stop_first(builder, service, &turnover, &gates);
        } else {
            self.start_first(builder, service, &turnover, &gates);
        }
    }

    fn turnover(&self, service: &'a Service) -> Turnover<'a> {
        let replicas = &self.replicas[&service.name];
        let healing = self.cx.purpose == RunKind::Heal;
        let wanted = service.replicas() as usize;
        let (mut keep, mut going): (Vec<_>, Vec<_>) =
            replicas.current().partition(|replica| is_usable(service, replica, healing));
        let shares = routes::shares(&self.seen.routes, &service.name);
        keep.sort_by_key(|r| (shares.get(&r.id).copied().unwrap_or(0) == 0, !r.is_running(), r.id.ordinal));
        going.extend(keep.split_off(wanted.min(keep.len())));
        let missing = wanted - keep.len();
        let changes_version = replicas.old().next().is_some();
        going.extend(replicas.old());
        Turnover { keep, new: self.next_ids(service, missing), going, changes_version }
    }

    fn next_ids(&self, service: &Service, count: usize) -> Vec<ReplicaId> {
        let unused = self.cx.next_ordinals.get(&service.name).copied().unwrap_or(1);
        let highest = self.replicas[&service.name].highest_ordinal().max(self.highest_ordinal_away(&service.name));
        let first = unused.max(highest + 1);
        (first..).take(count).map(|ordinal| ReplicaId::new(service.name.clone(), ordinal)).collect()
    }

    /// What must be done before a replica of this service starts.
    pub(super) fn gates(&self, builder: &Builder, service: &Service) -> Vec<StepId> {
        let mut gates = builder.grounds().to_vec();
        for dependency in &service.depends_on {
            gates.extend(match dependency.condition {
                Condition::Started => builder.started(&dependency.service),
                Condition::Healthy | Condition::Completed => builder.ready(&dependency.service),
            });
        }
        gates.extend(self.database_gates(builder, service));
        gates
    }

    /// Running replicas that nobody has seen ready yet: the edge does not know them, or this run
    /// started them and was interrupted.
    fn awaited(&self, service: &Service, turnover: &Turnover<'a>) -> Vec<ReplicaId> {
        let shares = routes::shares(&self.seen.routes, &service.name);
        let unknown = |replica: &&&SeenReplica| {
            let unseen =
                self.cx.progress.started.contains(&replica.id) && !self.cx.progress.ready.contains(&replica.id);
            let unrouted = service.has_edge() && !shares.contains_key(&replica.id);
            replica.state.is_live() && (unseen || unrouted)
        };
        turnover.keep.iter().filter(unknown).map(|replica| replica.id.clone()).collect()
    }

    fn routed_right(&self, service: &Service, serving: &[ReplicaId], warm: &[ReplicaId]) -> bool {
        let shares = routes::with_warm(serving, warm);
        routes::matches(&self.seen.routes, service, &shares) && self.addresses_are_current(service)
    }

    /// Whether the edge reaches each replica where it is now: one that was started again may have another
    /// address than before.
    fn addresses_are_current(&self, service: &Service) -> bool {
        routes::endpoints(&self.seen.routes, &service.name).iter().all(|endpoint| {
            let replica = self.replica(&endpoint.replica).filter(|replica| replica.is_running());
            let Some((replica, now)) = replica.and_then(|replica| Some((replica, replica.address?))) else {
                return true;
            };
            endpoint.ports.iter().all(|(port, at)| (at.ip(), at.port()) == (now, replica.port(*port)))
        })
    }

    fn start(
        &self,
        builder: &mut Builder,
        service: &Service,
        id: &ReplicaId,
        why: &'static str,
        needs: &[StepId],
    ) -> StepId {
        let fingerprint = self.replicas[&service.name].fingerprint().clone();
        builder.step(Action::Start { replica: id.clone(), fingerprint }, why, service.line, needs)
    }

    /// Starts what must be started and waits for all that nobody has seen ready.
    fn launch(
        &self,
        builder: &mut Builder,
        service: &'a Service,
        turnover: &Turnover<'a>,
        only: &[ReplicaId],
        needs: &[StepId],
    ) -> Launched {
        let mut launched = Launched::default();
        let why = if turnover.changes_version { "its configuration changed" } else { "it is wanted and not there" };
        let to_start: Vec<_> = turnover.to_start().into_iter().filter(|id| only.contains(id)).collect();
        for id in &to_start {
            let started = self.start(builder, service, id, why, needs);
            launched.started.push(started);
            self.await_ready(builder, service, turnover, id, &[started], &mut launched);
        }
        for id in self.awaited(service, turnover).iter().filter(|id| only.contains(id)) {
            self.await_ready(builder, service, turnover, id, needs, &mut launched);
        }
        launched
    }

    /// Requests that nothing answers gain by the first replica that answers at all. Whether it is ready is
    /// waited for all the same: the release, and whatever depends on the service, counts on that.
    fn await_ready(
        &self,
        builder: &mut Builder,
        service: &'a Service,
        turnover: &Turnover<'a>,
        id: &ReplicaId,
        needs: &[StepId],
        launched: &mut Launched,
    ) {
        let ready = Action::AwaitReady { replica: id.clone() };
        if self.is_unserved(service, turnover) {
            let action = Action::AwaitAnswer { replica: id.clone() };
            let answered =
                builder.step(action, "nothing serves yet, so its first answer is enough", service.line, needs);
            launched.answered.push(answered);
            launched.ready.push(builder.step(ready, "it must go on answering", service.line, &[answered]));
        } else {
            let ready = builder.step(ready, "it must answer before it serves", service.line, needs);
            launched.answered.push(ready);
            launched.ready.push(ready);
        }
    }

    /// Whether nothing answers or holds the requests that this service is to get.
    fn is_unserved(&self, service: &Service, turnover: &Turnover<'a>) -> bool {
        let ours = self.seen.routes.backends.get(&service.name);
        let is_free = ours.is_none_or(|backend| match &backend.target {
            Target::Endpoints(all) => {
                backend.hold_ms.is_none() && !all.iter().any(|one| one.weight > 0 && self.running(&one.replica))
            }
            Target::Files { .. } => false,
        });
        service.has_edge()
            && readiness::is_answered(&service.effective_check())
            && is_free
            && self.handed_over(service).is_empty()
            && !turnover.going.iter().any(|replica| self.running(&replica.id))
            && !routes::is_served_by_another(&self.seen.routes, service)
    }

    fn start_first(&self, builder: &mut Builder, service: &'a Service, turnover: &Turnover<'a>, gates: &[StepId]) {
        let serving = turnover.serving();
        let live_old = self.live_old(service, turnover);
        let (canary, rest) = self.canary_split(service, &serving, &live_old);
        let mut launched = self.launch(builder, service, turnover, &canary, gates);
        builder.proves(&launched.ready);
        let mut gate = if launched.answered.is_empty() { gates.to_vec() } else { launched.answered.clone() };
        if !rest.is_empty() || (self.canary_due(service, &live_old)) {
            gate = self.canary(builder, service, &canary, &live_old, &gate);
            let second = self.launch(builder, service, turnover, &rest, &gate);
            gate.extend(&second.ready);
            launched.started.extend(second.started);
            launched.answered.extend(second.answered);
            launched.ready.extend(second.ready);
        }
        let replaces = turnover.changes_version && !live_old.is_empty();
        let watched = (replaces || self.arrives(service)) && self.probation_due(service);
        let warm = if watched { live_old.clone() } else { Vec::new() };
        let why = if launched.ready.is_empty() {
            "these are the replicas that should serve"
        } else if launched.answered != launched.ready {
            "new replicas answer, and nothing else does"
        } else {
            "new replicas are ready"
        };
        let routed = self.route(builder, service, &serving, &warm, why, &gate);
        let mut last = launched.proven(&routed);
        let reached = if service.has_edge() { last.clone() } else { launched.ready };
        builder.reached(&service.name, launched.started, reached);
        if watched {
            let before = if replaces { live_old } else { self.handed_over(service) };
            last = vec![self.probation(builder, service, &serving, &before, &last)];
            last = self.route(builder, service, &serving, &[], "probation is over", &last);
        }
        self.finish(builder, service, turnover, &last);
    }

    /// Old first: nobody but one version may run. The edge holds requests meanwhile.
    fn stop_first(&self, builder: &mut Builder, service: &'a Service, turnover: &Turnover<'a>, gates: &[StepId]) {
        let mut last = gates.to_vec();
        if turnover.changes_version && !self.cx.recovery {
            // What stops first is not stopped for a version that turns out to be unfit elsewhere.
            last.extend(builder.proofs());
        }
        last = self.back_up_before(builder, service, last);
        let running: Vec<_> = turnover.going.iter().filter(|r| self.running(&r.id)).copied().collect();
        let known = self.seen.routes.backends.contains_key(&service.name);
        if service.has_edge() && known && !turnover.to_start().is_empty() {
            let why = "only one version of it may run; requests wait";
            last = vec![builder.step(Action::Hold { service: service.name.clone() }, why, service.line, &last)];
            last = vec![self.drain(builder, running.iter().map(|r| r.id.clone()).collect(), &last)];
        }
        let stop_why = "the new version must not run beside it";
        let stopped: Vec<_> = running
            .iter()
            .map(|replica| builder.step(Action::Stop { replica: replica.id.clone() }, stop_why, service.line, &last))
            .collect();
        let serving = turnover.serving();
        let launched = self.launch(builder, service, turnover, &serving, &stopped);
        let gate = if launched.ready.is_empty() { stopped } else { launched.ready.clone() };
        let routed = self.route(builder, service, &serving, &[], "the new version is ready", &gate);
        builder.reached(&service.name, launched.started, routed.clone());
        let mut last = routed;
        if turnover.changes_version && self.probation_due(service) {
            last = vec![self.probation(builder, service, &serving, &[], &last)];
        }
        for replica in &turnover.going {
            let action = Action::Remove { replica: replica.id.clone(), role: Role::Main };
            let id = builder.step(action, "its replacement works", service.line, &last);
            builder.end(id);
        }
        last.iter().for_each(|id| builder.end(*id));
    }

    /// Drains, stops and removes what goes.
    fn finish(&self, builder: &mut Builder, service: &'a Service, turnover: &Turnover<'a>, needs: &[StepId]) {
        let shares = routes::shares(&self.seen.routes, &service.name);
        let routed: Vec<_> =
            turnover.going.iter().filter(|r| shares.contains_key(&r.id)).map(|r| r.id.clone()).collect();
        let drained = if routed.is_empty() { needs.to_vec() } else { vec![self.drain(builder, routed, needs)] };
        let why = if turnover.changes_version { "its replacement serves" } else { "it is no longer wanted" };
        for replica in &turnover.going {
            let id = self.stop_and_remove(builder, replica, why, &drained);
            builder.end(id);
        }
        drained.iter().for_each(|id| builder.end(*id));
    }

    /// Takes replicas of a service out of traffic, drains, stops and removes them, and lets the edge
    /// forget the service. Returns the last steps.
    pub(super) fn retire(
        &self,
        builder: &mut Builder,
        name: &ServiceName,
        going: &[&'a SeenReplica],
        why: &'static str,
        needs: &[StepId],
    ) -> Vec<StepId> {
        let mut last = needs.to_vec();
        let known = self.seen.routes.backends.contains_key(name);
        if known {
            last = vec![builder.step(Action::Unroute { service: name.clone() }, why, None, &last)];
        }
        let shares = routes::shares(&self.seen.routes, name);
        let routed: Vec<_> = going.iter().filter(|r| shares.contains_key(&r.id)).map(|r| r.id.clone()).collect();
        if !routed.is_empty() {
            last = vec![self.drain(builder, routed, &last)];
        }
        let removed: Vec<_> = going.iter().map(|replica| self.stop_and_remove(builder, replica, why, &last)).collect();
        match (known, removed.is_empty()) {
            (false, true) => Vec::new(),
            (_, true) => last,
            _ => removed,
        }
    }

    fn stop_and_remove(
        &self,
        builder: &mut Builder,
        replica: &SeenReplica,
        why: &'static str,
        needs: &[StepId],
    ) -> StepId {
        let mut last = needs.to_vec();
        if replica.state.is_live() {
            last = vec![builder.step(Action::Stop { replica: replica.id.clone() }, why, None, &last)];
        }
        let action = Action::Remove { replica: replica.id.clone(), role: replica.role };
        builder.step(action, why, None, &last)
    }

    /// Removes replicas of hooks whose outcome is recorded.
    pub(super) fn sweep_hooks(&self, builder: &mut Builder) {
        let accepted = self.cx.current.map_or(0, |release| release.number.0);
        for replica in
            self.seen.replicas.iter().filter(|replica| replica.role == Role::Hook && !replica.state.is_live())
        {
            let (release, service) = (replica.id.ordinal, &replica.id.service);
            let over = release <= accepted
                || (!self.cx.recovery && release < self.cx.to.0)
                || self.cx.progress.hooks_ended.contains(service);
            if over {
                let action = Action::Remove { replica: replica.id.clone(), role: Role::Hook };
                builder.step(action, "the outcome of this hook is recorded", None, &[]);
            }
        }
    }

    pub(super) fn drain(&self, builder: &mut Builder, replicas: Vec<ReplicaId>, needs: &[StepId]) -> StepId {
        builder.step(Action::Drain { replicas }, "requests in flight end first", None, needs)
    }

    /// A route step, unless the edge serves so already. Returns what later steps wait for.
    fn route(
        &self,
        builder: &mut Builder,
        service: &Service,
        serving: &[ReplicaId],
        warm: &[ReplicaId],
        why: &'static str,
        needs: &[StepId],
    ) -> Vec<StepId> {
        let waits_for_nothing = needs.iter().all(|id| builder.grounds().contains(id));
        if !service.has_edge() || (waits_for_nothing && self.routed_right(service, serving, warm)) {
            return needs.to_vec();
        }
        let endpoints = routes::with_warm(serving, warm);
        let action = Action::Route { service: service.name.clone(), endpoints };
        vec![builder.step(action, why, service.line, needs)]
    }

    fn live_old(&self, service: &Service, turnover: &Turnover<'a>) -> Vec<ReplicaId> {
        let fingerprint = self.replicas[&service.name].fingerprint();
        let live = turnover.going.iter().filter(|r| &r.fingerprint != fingerprint && r.is_running());
        live.map(|replica| replica.id.clone()).collect()
    }

    pub(super) fn probation_due(&self, service: &Service) -> bool {
        // While a database server is replaced others wait, and every row is compared anyway.
        !self.cx.recovery
            && self.cx.purpose != RunKind::Upgrade
            && service.rollout.probation_ms > 0
            && !self.cx.progress.probations.contains(&service.name)
    }

    fn canary_due(&self, service: &Service, live_old: &[ReplicaId]) -> bool {
        service.rollout.canary_percent.is_some()
            && service.has_edge()
            && !live_old.is_empty()
            && !self.cx.recovery
            && self.cx.purpose != RunKind::Heal
            && !self.cx.progress.canaries.contains(&service.name)
    }

    /// The replicas that get the canary share, and the rest. Without a canary, all come first.
    fn canary_split(
        &self,
        service: &Service,
        serving: &[ReplicaId],
        live_old: &[ReplicaId],
    ) -> (Vec<ReplicaId>, Vec<ReplicaId>) {
        if !self.canary_due(service, live_old) {
            return (serving.to_vec(), Vec::new());
        }
        let percent = usize::from(service.rollout.canary_percent.unwrap_or(0));
        let count = (serving.len() * percent).div_ceil(100).clamp(1, serving.len());
        let (canary, rest) = serving.split_at(count);
        (canary.to_vec(), rest.to_vec())
    }

    fn canary(
        &self,
        builder: &mut Builder,
        service: &Service,
        canary: &[ReplicaId],
        old: &[ReplicaId],
        needs: &[StepId],
    ) -> Vec<StepId> {
        let percent = u32::from(service.rollout.canary_percent.unwrap_or(0));
        let endpoints = routes::with_share(canary, old, percent);
        let why = format!("{percent} % of requests try the new version first");
        let action = Action::Route { service: service.name.clone(), endpoints };
        let routed = builder.step(action, why, service.line, needs);
        let action = Action::Watch {
            service: service.name.clone(),
            phase: WatchPhase::Canary,
            new: canary.to_vec(),
            old: old.to_vec(),
            for_ms: service.rollout.canary_ms,
        };
        vec![builder.step(action, "it must do no worse than the old version", service.line, &[routed])]
    }

    fn probation(
        &self,
        builder: &mut Builder,
        service: &Service,
        new: &[ReplicaId],
        old: &[ReplicaId],
        needs: &[StepId],
    ) -> StepId {
        let action = Action::Watch {
            service: service.name.clone(),
            phase: WatchPhase::Probation,
            new: new.to_vec(),
            old: old.to_vec(),
            for_ms: service.rollout.probation_ms,
        };
        let why = if old.is_empty() { "it must keep working" } else { "it must do no worse than the old version" };
        builder.step(action, why, service.line, needs)
    }
}
