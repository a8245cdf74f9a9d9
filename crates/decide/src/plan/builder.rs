//! Steps as they are put together.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use daybook_model::plan::Step;
use daybook_model::{Action, Cause, DatabaseName, ReplicaId, ServiceName, StepId};

/// How many proofs a step waits for, at most.
const MOST_PROOFS: usize = 100;

/// Collects steps in topological order: a step can only need those that are already there.
#[derive(Default)]
pub(crate) struct Builder {
    steps: Vec<Step>,
    grounds: Vec<StepId>,
    started: HashMap<ServiceName, Vec<StepId>>,
    ready: HashMap<ServiceName, Vec<StepId>>,
    proofs: Vec<StepId>,
    ends: Vec<StepId>,
    vacated: HashSet<ReplicaId>,
    settled: HashMap<DatabaseName, Vec<StepId>>,
}

impl Builder {
    /// Adds a step.
    pub(crate) fn step(
        &mut self,
        action: Action,
        why: impl Into<Cow<'static, str>>,
        line: Option<u32>,
        needs: &[StepId],
    ) -> StepId {
        let id = StepId(u32::try_from(self.steps.len()).expect("a plan has fewer than 2^32 steps"));
        let mut needs = needs.to_vec();
        needs.sort_unstable();
        needs.dedup();
        self.steps.push(Step { id, action, cause: Cause { why: why.into(), line }, needs });
        id
    }

    /// `id` must be done before any replica starts.
    pub(crate) fn ground(&mut self, id: StepId) {
        self.grounds.push(id);
    }

    /// `id` must be done before any replica starts, and needs all that had to be so far.
    pub(crate) fn ground_alone(&mut self, id: StepId) {
        self.grounds = vec![id];
    }

    /// What must be done before any replica starts.
    pub(crate) fn grounds(&self) -> &[StepId] {
        &self.grounds
    }

    /// Remembers the steps after which a service's replicas are started, and ready.
    pub(crate) fn reached(&mut self, service: &ServiceName, started: Vec<StepId>, ready: Vec<StepId>) {
        self.started.insert(service.clone(), started);
        self.ready.insert(service.clone(), ready);
    }

    /// The steps after which `service` is started; none if it is so already.
    pub(crate) fn started(&self, service: &ServiceName) -> &[StepId] {
        self.started.get(service).map_or(&[], Vec::as_slice)
    }

    /// The steps after which `service` is ready (a task: completed); none if it is so already.
    pub(crate) fn ready(&self, service: &ServiceName) -> &[StepId] {
        self.ready.get(service).map_or(&[], Vec::as_slice)
    }

    /// `ids` are the last steps that change a database.
    pub(crate) fn settles(&mut self, database: &DatabaseName, ids: &[StepId]) {
        self.settled.insert(database.clone(), ids.to_vec());
    }

    /// The steps after which `database` is as it should be; none if it is so already.
    pub(crate) fn settled(&self, database: &DatabaseName) -> &[StepId] {
        self.settled.get(database).map_or(&[], Vec::as_slice)
    }

    /// `ids` show that a new version can serve, at no cost to the old one.
    pub(crate) fn proves(&mut self, ids: &[StepId]) {
        self.proofs.extend(ids);
    }

    /// The steps so far that show whether new versions can serve; only the first of very many, for each
    /// step that waits for them lists them all.
    pub(crate) fn proofs(&self) -> &[StepId] {
        &self.proofs[..self.proofs.len().min(MOST_PROOFS)]
    }

    /// A service's last steps, which removals of other services wait for.
    pub(crate) fn end(&mut self, id: StepId) {
        self.ends.push(id);
    }

    /// The last steps of all services so far.
    pub(crate) fn ends(&self) -> &[StepId] {
        &self.ends
    }

    /// A replica at the target that is left ends by then.
    pub(crate) fn vacates(&mut self, replica: ReplicaId) {
        self.vacated.insert(replica);
    }

    /// Whether a replica at the target that is left was ended before.
    pub(crate) fn has_vacated(&self, replica: &ReplicaId) -> bool {
        self.vacated.contains(replica)
    }

    pub(crate) fn into_steps(self) -> Vec<Step> {
        self.steps
    }
}
