//! One service's replicas, sorted by what they are good for.

use daybook_model::fingerprint::Fingerprint;
use daybook_model::launch::Role;
use daybook_model::observed::Health;
use daybook_model::spec::{Kind, Restart};
use daybook_model::{ReplicaState, SeenReplica, Service};

/// What was seen of one service.
#[derive(Default)]
pub(crate) struct Replicas<'a> {
    wanted: Option<Fingerprint>,
    main: Vec<&'a SeenReplica>,
}

impl<'a> Replicas<'a> {
    pub(super) fn wanting(fingerprint: Fingerprint) -> Self {
        Self { wanted: Some(fingerprint), main: Vec::new() }
    }

    pub(super) fn add(&mut self, replica: &'a SeenReplica) {
        if replica.role == Role::Main {
            self.main.push(replica);
        }
    }

    pub(crate) fn fingerprint(&self) -> &Fingerprint {
        self.wanted.as_ref().expect("a service of the spec has a fingerprint")
    }

    /// Replicas of the wanted configuration.
    pub(crate) fn current(&self) -> impl Iterator<Item = &'a SeenReplica> {
        self.main.iter().copied().filter(|replica| Some(&replica.fingerprint) == self.wanted.as_ref())
    }

    /// Replicas of any other configuration.
    pub(crate) fn old(&self) -> impl Iterator<Item = &'a SeenReplica> {
        self.main.iter().copied().filter(|replica| Some(&replica.fingerprint) != self.wanted.as_ref())
    }

    /// Every replica that the plan counts.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'a SeenReplica> {
        self.main.iter().copied()
    }

    pub(crate) fn highest_ordinal(&self) -> u64 {
        self.main.iter().map(|replica| replica.id.ordinal).max().unwrap_or(0)
    }
}

/// Whether a replica of the wanted configuration does what it should, or will once it is started.
pub(crate) fn is_usable(service: &Service, replica: &SeenReplica, healing: bool) -> bool {
    if healing && matches!(replica.health, Health::Unhealthy(_)) {
        return false;
    }
    match replica.state {
        ReplicaState::Created | ReplicaState::Starting | ReplicaState::Running | ReplicaState::Restarting => true,
        ReplicaState::Exited => !is_spent(service, replica),
    }
}

/// Whether a replica ended for good: a task that failed, or one that the runtime gave up.
fn is_spent(service: &Service, replica: &SeenReplica) -> bool {
    let failed = replica.last_exit.as_ref().is_some_and(|exit| exit.code != 0);
    match (&service.kind, service.restart) {
        (Kind::Task, _) => failed,
        (_, Restart::OnFailure(Some(_))) => failed,
        _ => false,
    }
}

/// Whether a replica that has ended should stay so: its work is done.
pub(crate) fn is_completed(service: &Service, replica: &SeenReplica) -> bool {
    let succeeded = replica.state == ReplicaState::Exited && replica.last_exit.as_ref().is_some_and(|e| e.code == 0);
    let ends = matches!(service.kind, Kind::Task) || matches!(service.restart, Restart::OnFailure(_) | Restart::No);
    succeeded && ends
}
