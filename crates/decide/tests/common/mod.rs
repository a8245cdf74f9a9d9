//! Worlds to plan in.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "shared by tests, each of which uses a part")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use daybook_decide::plan::Able;
use daybook_decide::{PlanContext, Problem, Progress, plan, routes, text};
use daybook_model::fingerprint::Fingerprint;
use daybook_model::launch::Role;
use daybook_model::observed::Health;
use daybook_model::route::Endpoint;
use daybook_model::spec::{
    Artifact, Check, CheckTest, Domain, Mount, MountSource, Port, Protocol, PullPolicy, Tls, Volume,
};
use daybook_model::{
    Digest, EnvKey, Observed, Plan, Release, ReleaseNumber, ReplicaId, ReplicaState, RunId, RunKind, SeenReplica,
    Service, Spec, Timestamp,
};

pub fn key() -> EnvKey {
    "shop/production".parse().unwrap()
}

pub fn image(reference: &str) -> Artifact {
    let digest = Some(Digest::of(reference.as_bytes()));
    Artifact::image(reference.to_owned(), PullPolicy::Missing, digest)
}

/// A web service on port 8080 with a domain.
pub fn web(version: &str) -> Service {
    let mut web = Service::new("web".parse().unwrap(), image(&format!("web:{version}")));
    web.line = Some(3);
    web.ports = vec![Port { container: 8080, protocol: Protocol::Http, publish: None }];
    web.routes =
        vec![Domain { host: "shop.localhost".to_owned(), path: "/".to_owned(), port: 8080, tls: Tls::Internal }];
    web.check = Some(Check {
        test: CheckTest::Http { path: "/healthz".to_owned(), port: 8080 },
        interval_ms: 1_000,
        timeout_ms: 1_000,
        retries: 3,
        start_period_ms: 0,
        start_interval_ms: 100,
    });
    web
}

pub fn worker(version: &str) -> Service {
    Service::new("worker".parse().unwrap(), image(&format!("worker:{version}")))
}

/// A database: one writer to a volume.
pub fn db(version: &str) -> Service {
    let mut db = Service::new("db".parse().unwrap(), image(&format!("postgres:{version}")));
    db.ports = vec![Port { container: 5432, protocol: Protocol::Tcp, publish: None }];
    let source = MountSource::Volume { name: "data".parse().unwrap(), subpath: None, nocopy: false };
    db.container.mounts = vec![Mount { target: "/data".to_owned(), source, read_only: false }];
    db
}

pub fn spec(services: impl IntoIterator<Item = Service>) -> Spec {
    let mut spec = Spec::empty(key());
    for service in services {
        if service.single_writer(&BTreeMap::new()).is_some() {
            spec.volumes.insert("data".parse().unwrap(), Volume::default());
        }
        spec.services.insert(service.name.clone(), Box::new(service));
    }
    spec
}

pub fn release(number: u64, spec: &Spec) -> Release {
    Release {
        number: ReleaseNumber(number),
        run: RunId(uuid()),
        accepted_at: Timestamp::UNIX_EPOCH,
        spec: spec.clone(),
        manifest: None,
        reason: "up".to_owned(),
    }
}

fn uuid() -> uuid::Uuid {
    uuid::Uuid::nil()
}

/// A world in which `spec` has been carried out.
pub fn converged(spec: &Spec) -> Observed {
    let mut seen = Observed::nothing(spec.key.clone());
    seen.volumes = spec.volumes.keys().cloned().collect();
    seen.networks = spec.networks.keys().cloned().collect();
    seen.quota = spec.quota.clone();
    for service in spec.services.values() {
        seen.artifacts.extend(service.artifact.digest().copied());
        let ids: Vec<_> =
            (1..=u64::from(service.replicas())).map(|n| ReplicaId::new(service.name.clone(), n)).collect();
        seen.replicas.extend(ids.iter().map(|id| running(service, id)));
        if service.has_edge() {
            route(&mut seen, service, &routes::with_warm(&ids, &[]));
        }
    }
    seen
}

pub fn running(service: &Service, id: &ReplicaId) -> SeenReplica {
    SeenReplica {
        id: id.clone(),
        role: Role::Main,
        fingerprint: Fingerprint::of(service),
        release: ReleaseNumber(1),
        run: RunId(uuid()),
        artifact: service.artifact.digest().copied().unwrap(),
        state: ReplicaState::Running,
        health: Health::Unasked,
        started_at: None,
        restarts: 0,
        last_exit: None,
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        ports: BTreeMap::new(),
    }
}

pub fn route(seen: &mut Observed, service: &Service, shares: &[(ReplicaId, u32)]) {
    let endpoints = shares
        .iter()
        .map(|(replica, weight)| Endpoint { replica: replica.clone(), ports: BTreeMap::new(), weight: *weight })
        .collect();
    seen.routes.backends.insert(service.name.clone(), routes::backend(service, endpoints, None, None));
}

/// How to plan.
pub struct Planner {
    pub current: Option<Release>,
    pub purpose: RunKind,
    pub recovery: bool,
    pub progress: Progress,
    pub images: bool,
}

impl Planner {
    pub fn first() -> Self {
        Self { current: None, purpose: RunKind::Up, recovery: false, progress: Progress::default(), images: true }
    }

    pub fn after(spec: &Spec) -> Self {
        Self { current: Some(release(1, spec)), ..Self::first() }
    }

    pub fn plan(&self, spec: &Spec, seen: &Observed) -> (Plan, Vec<Problem>) {
        let none = BTreeSet::new();
        let cx = PlanContext {
            current: self.current.as_ref(),
            to: ReleaseNumber(self.current.as_ref().map_or(1, |release| release.number.0 + 1)),
            purpose: self.purpose,
            recovery: self.recovery,
            parent: None,
            progress: &self.progress,
            next_ordinals: &BTreeMap::new(),
            remove_volumes: &none,
            able: Able { images: self.images, networks: true, charts: self.images, quotas: self.images },
        };
        plan(spec, seen, &cx)
    }

    /// The plan's text, then its steps with their needs and causes.
    pub fn show(&self, spec: &Spec, seen: &Observed) -> String {
        let (plan, problems) = self.plan(spec, seen);
        let mut out = text::render(&plan);
        for step in &plan.steps {
            let needs: Vec<_> = step.needs.iter().map(ToString::to_string).collect();
            out.push_str(&format!("{:>2} [{}] {}: {}\n", step.id, needs.join(" "), text::step(step), step.cause.why));
        }
        for problem in problems {
            out.push_str(&format!("{} {}: {}\n", problem.code, problem.message, problem.hint));
        }
        out
    }
}
