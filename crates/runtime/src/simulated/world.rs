//! What is there in a simulation.

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::fingerprint::Fingerprint;
use daybook_model::launch::Role;
use daybook_model::observed::SeenChart;
use daybook_model::route::Target;
use daybook_model::spec::Quota;
use daybook_model::traffic::{ReplicaTraffic, Traffic};
use daybook_model::{
    Digest, EnvKey, EnvRoutes, NetworkName, ReleaseNumber, ReplicaId, ReplicaState, RunId, ServiceName, VolumeName,
};

use super::Behaviour;
use crate::Owner;

/// Requests a second that each routed service gets.
const REQUESTS_PER_SECOND: u64 = 100;

pub(super) struct World {
    pub(super) replicas: BTreeMap<(EnvKey, ReplicaId, Role), Replica>,
    pub(super) volumes: BTreeSet<(EnvKey, VolumeName)>,
    pub(super) networks: BTreeSet<(EnvKey, NetworkName)>,
    pub(super) charts: BTreeMap<(EnvKey, ServiceName), SeenChart>,
    pub(super) quotas: BTreeMap<EnvKey, Quota>,
    pub(super) artifacts: BTreeSet<Digest>,
    pub(super) others: BTreeMap<EnvKey, Owner>,
    pub(super) routes: BTreeMap<EnvKey, EnvRoutes>,
    pub(super) behaviours: BTreeMap<Digest, Behaviour>,
    pub(super) exclusive: BTreeSet<ServiceName>,
    pub(super) violations: Vec<String>,
    pub(super) hook_runs: BTreeMap<String, u32>,
    pub(super) fault_percent: u64,
    pub(super) full: bool,
    /// Between the beginnings of two replicas, milliseconds.
    pub(super) begins_every: u64,
    begun: u64,
    traffic: BTreeMap<EnvKey, Traffic>,
    counted_until: u64,
    random: u64,
}

#[derive(Clone)]
pub(super) struct Replica {
    pub(super) fingerprint: Fingerprint,
    pub(super) release: ReleaseNumber,
    pub(super) run: RunId,
    pub(super) artifact: Digest,
    pub(super) restarts_itself: bool,
    /// When its process begins. `None`: it was stopped, or never started.
    pub(super) started: Option<u64>,
    pub(super) ended: Option<(u64, i32)>,
    pub(super) unrouted: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    Before,
    After,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            replicas: BTreeMap::new(),
            volumes: BTreeSet::new(),
            networks: BTreeSet::new(),
            charts: BTreeMap::new(),
            quotas: BTreeMap::new(),
            artifacts: BTreeSet::new(),
            others: BTreeMap::new(),
            routes: BTreeMap::new(),
            behaviours: BTreeMap::new(),
            exclusive: BTreeSet::new(),
            violations: Vec::new(),
            hook_runs: BTreeMap::new(),
            fault_percent: 0,
            full: false,
            begins_every: 0,
            begun: 0,
            traffic: BTreeMap::new(),
            counted_until: 0,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    /// The next number of a xorshift generator (Marsaglia 2003).
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// When the process of a replica begins that is started now.
    pub(super) fn begin(&mut self, now: u64) -> u64 {
        self.begun = now.max(self.begun + self.begins_every);
        self.begun
    }

    /// How long an act takes before and after its effect, and whether it fails.
    pub(super) fn draw(&mut self) -> (u64, u64, Fault) {
        let (before, after) = (1 + self.random() % 8, self.random() % 4);
        let fault = match self.random() % 100 < self.fault_percent {
            false => Fault::None,
            true if self.random().is_multiple_of(2) => Fault::Before,
            true => Fault::After,
        };
        (before, after, fault)
    }

    pub(super) fn behaviour(&self, artifact: &Digest) -> Behaviour {
        self.behaviours.get(artifact).cloned().unwrap_or_default()
    }

    /// Whether and how a replica runs at `now`, how its last process ended, and how often it was
    /// started again.
    pub(super) fn state(&self, replica: &Replica, now: u64) -> (ReplicaState, Option<i32>, u32) {
        let Some(started) = replica.started else {
            let state = if replica.ended.is_some() { ReplicaState::Exited } else { ReplicaState::Created };
            return (state, replica.ended.map(|(_, code)| code), 0);
        };
        if now < started {
            return (ReplicaState::Starting, None, 0);
        }
        let Some((after, code)) = self.behaviour(&replica.artifact).ends_after_ms else {
            return (ReplicaState::Running, None, 0);
        };
        let age = now.saturating_sub(started);
        if age < after {
            (ReplicaState::Running, None, 0)
        } else if replica.restarts_itself {
            (ReplicaState::Restarting, Some(code), u32::try_from(age / after.max(1)).unwrap_or(u32::MAX))
        } else {
            (ReplicaState::Exited, Some(code), 0)
        }
    }

    pub(super) fn is_ready(&self, replica: &Replica, now: u64) -> bool {
        let behaviour = self.behaviour(&replica.artifact);
        let age = replica.started.map_or(0, |started| now.saturating_sub(started));
        let running = self.state(replica, now).0 == ReplicaState::Running;
        running
            && behaviour.ready_after_ms.is_some_and(|ready| age >= ready)
            && behaviour.fails_after_ms.is_none_or(|fails| age < fails)
    }

    /// Looks for what must never be: two configurations of an exclusive service at once, and a routed
    /// service that nobody answers for while nothing is held.
    pub(super) fn check(&mut self, now: u64, operation: &str) {
        let mut found = Vec::new();
        for service in &self.exclusive {
            let running: BTreeSet<_> = self
                .replicas
                .iter()
                .filter(|((_, id, role), r)| {
                    &id.service == service && *role == Role::Main && self.state(r, now).0 == ReplicaState::Running
                })
                .map(|(_, replica)| &replica.fingerprint)
                .collect();
            if running.len() > 1 {
                found.push(format!("two versions of {service} run at once after: {operation}"));
            }
        }
        for (key, routes) in &self.routes {
            for (service, backend) in &routes.backends {
                let Target::Endpoints(endpoints) = &backend.target else { continue };
                let answered = endpoints.iter().filter(|endpoint| endpoint.weight > 0).any(|endpoint| {
                    let replica = self.replicas.get(&(key.clone(), endpoint.replica.clone(), Role::Main));
                    replica.is_some_and(|r| r.started.is_some())
                });
                if !answered && backend.hold_ms.is_none() {
                    found.push(format!("requests for {service} fail after: {operation}"));
                }
            }
        }
        self.violations.extend(found);
    }

    /// Counts the requests up to `now`: each routed service gets its share a second, by weight.
    pub(super) fn count(&mut self, now: u64) {
        let span = now.saturating_sub(self.counted_until);
        self.counted_until = now;
        let mut hits = Vec::new();
        for (key, routes) in &self.routes {
            for backend in routes.backends.values() {
                let Target::Endpoints(endpoints) = &backend.target else { continue };
                let total: u64 = endpoints.iter().map(|endpoint| u64::from(endpoint.weight)).sum();
                for endpoint in endpoints.iter().filter(|endpoint| endpoint.weight > 0) {
                    let share = REQUESTS_PER_SECOND * span * u64::from(endpoint.weight) / total.max(1) / 1_000;
                    hits.push((key.clone(), endpoint.replica.clone(), share));
                }
            }
        }
        for (key, id, requests) in hits {
            let artifact = self.replicas.get(&(key.clone(), id.clone(), Role::Main)).map(|r| r.artifact);
            let percent = artifact.map_or(100, |artifact| self.behaviour(&artifact).errors_percent);
            let counts = self.traffic.entry(key).or_default().replicas.entry(id).or_default();
            let errors = requests * percent / 100;
            counts.by_status[4] += errors;
            counts.by_status[1] += requests - errors;
            counts.latency[3] += requests;
        }
    }

    pub(super) fn traffic(&mut self, key: &EnvKey, now: u64) -> Traffic {
        self.count(now);
        let mut traffic = self.traffic.get(key).cloned().unwrap_or_default();
        for ((_, id, role), replica) in self.replicas.iter().filter(|((other, ..), _)| other == key) {
            if *role != Role::Main {
                continue;
            }
            let draining = replica.unrouted.is_some_and(|at| now < at + self.behaviour(&replica.artifact).drains_ms);
            let ready = self.is_ready(replica, now);
            let counts = traffic.replicas.entry(id.clone()).or_insert_with(ReplicaTraffic::default);
            counts.in_flight.requests = u64::from(draining);
            counts.healthy = Some(ready);
            counts.last_failure = (!ready).then(|| "GET /healthz answered 500".to_owned());
        }
        traffic
    }

    pub(super) fn picture(&self, now: u64) -> String {
        let mut lines: Vec<String> = self
            .replicas
            .iter()
            .map(|((key, id, role), replica)| {
                format!("{key} {} {role:?} {} {:?}", id.service, replica.fingerprint, self.state(replica, now).0)
            })
            .collect();
        lines.sort();
        lines.extend(
            self.charts
                .iter()
                .map(|((key, name), chart)| format!("{key} chart {name} {} {:?}", chart.fingerprint, chart.state)),
        );
        lines.extend(self.volumes.iter().map(|(key, name)| format!("{key} volume {name}")));
        lines.extend(self.networks.iter().map(|(key, name)| format!("{key} network {name}")));
        for (key, routes) in &self.routes {
            lines.extend(routes.backends.iter().map(|(service, backend)| self.route_line(key, service, backend)));
        }
        lines.join("\n")
    }

    fn route_line(&self, key: &EnvKey, service: &ServiceName, backend: &daybook_model::Backend) -> String {
        let Target::Endpoints(endpoints) = &backend.target else { return format!("{key} {service} → files") };
        let mut targets: Vec<String> = endpoints
            .iter()
            .map(|endpoint| {
                let replica = self.replicas.get(&(key.clone(), endpoint.replica.clone(), Role::Main));
                let version = replica.map_or("nothing".to_owned(), |replica| replica.fingerprint.to_string());
                format!("{version}×{}", endpoint.weight)
            })
            .collect();
        targets.sort();
        let held = if backend.hold_ms.is_some() { " held" } else { "" };
        format!("{key} {service} → {}{held}", targets.join(" "))
    }
}
