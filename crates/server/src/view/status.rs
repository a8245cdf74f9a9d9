//! An environment as it is now: by observation, never by assumption.

use std::collections::BTreeMap;

use daybook_api::status::{ComingView, JobRunView, MovingView, ReplicaView, ServiceState, ServiceView, StatusView};
use daybook_edge::ListenerStatus;
use daybook_model::fingerprint::Fingerprint;
use daybook_model::launch::Role;
use daybook_model::observed::{ChartState, Health};
use daybook_model::route::{Backend, Entry, Target, is_service_address};
use daybook_model::spec::{Artifact, Kind, Tls};
use daybook_model::traffic::{ReplicaTraffic, Traffic};
use daybook_model::{EnvKey, Event, Observed, ReplicaState, RunId, SeenReplica, Service, ServiceName, Spec, Timestamp};
use daybook_runtime::Entrance;
use daybook_store::Job;

use crate::App;
use crate::change::no_environment;
use crate::edge::address;
use crate::error::ApiError;

/// What a status is made from.
pub(crate) struct Seen<'a> {
    pub(crate) observed: &'a Observed,
    /// What an open run leads to: replicas of it are as they should be, too.
    pub(crate) coming: Option<&'a Spec>,
    pub(crate) traffic: &'a Traffic,
    pub(crate) jobs: &'a BTreeMap<ServiceName, Job>,
    /// Ports of the edge's own listeners, for URLs.
    pub(crate) http: Option<u16>,
    pub(crate) https: Option<u16>,
    pub(crate) now: Timestamp,
}

impl App {
    /// One environment as it is now.
    pub(crate) async fn status(&self, key: &EnvKey) -> Result<StatusView, ApiError> {
        let store = &self.inner.store;
        let known = store.environment(key).await?.ok_or_else(|| no_environment(key))?;
        let release = store.current_release(key).await?;
        let spec = release.as_ref().map(|release| &release.spec);
        let observed = self.inner.executor.observe(key, spec).await?;
        let traffic = self.inner.router.traffic(key).await.unwrap_or_default();
        let jobs = store.jobs(key).await?;
        let edge = match &self.inner.edge {
            Some(edge) => edge.status().await.ok(),
            None => None,
        };
        let open = match known.open_run {
            Some(run) => self.coming(key, run).await?,
            None => None,
        };
        let coming = open.as_ref().map(|(_, spec)| spec);
        let entrance = self.inner.router.entrance(key).await.unwrap_or_default();
        let port = |kind| edge.as_ref().and_then(|edge| address(edge, kind)).map(|address| address.port());
        let entrance =
            entrance.unwrap_or_else(|| Entrance { http: port("http"), https: port("https"), addresses: Vec::new() });
        let leaving = spec.and_then(|spec| spec.leaving.as_ref());
        let moving = leaving.map(|from| MovingView { from: from.name(), entrance: entrance.addresses.clone() });
        let seen = Seen {
            observed: &observed,
            coming,
            traffic: &traffic,
            jobs: &jobs,
            http: entrance.http,
            https: entrance.https,
            now: self.now(),
        };
        // What is in force takes the place of what is coming.
        let wanted: BTreeMap<_, _> = coming.into_iter().chain(spec).flat_map(|spec| &spec.services).collect();
        let mut services: Vec<_> = wanted.values().map(|service| seen.service(service)).collect();
        services.extend(seen.unknown(|name| wanted.contains_key(name)));
        let warnings = edge.iter().flat_map(|edge| unreached(edge, &observed, spec)).collect();
        let counts: Vec<_> = traffic.replicas.values().collect();
        Ok(StatusView {
            key: key.clone(),
            release: release.as_ref().map(|release| release.number),
            reached: release.as_ref().map(|release| release.accepted_at),
            manifest: release.as_ref().and_then(|release| release.manifest.as_ref()).map(ToString::to_string),
            adopted: known.adopted,
            open_run: known.open_run,
            coming: open.map(|(coming, _)| coming),
            target: spec.map(|spec| self.target_of(spec).name()).unwrap_or_default(),
            moving,
            services,
            volumes: observed.volumes.iter().map(ToString::to_string).collect(),
            requests: counts.iter().map(|count| count.requests()).sum(),
            errors: counts.iter().map(|count| count.errors()).sum(),
            warnings,
        })
    }

    /// What the open run leads to.
    async fn coming(&self, key: &EnvKey, run: RunId) -> Result<Option<(ComingView, Spec)>, ApiError> {
        let record = self.inner.store.run(run).await?;
        let Some(Event::RunStarted { to, spec, .. }) = record.map(|record| record.started.event) else {
            return Ok(None);
        };
        Ok(Some((ComingView { release: to, interrupted: self.is_interrupted(key, run).await? }, *spec)))
    }
}

/// What the edge could not listen at, as far as this environment is reached there.
fn unreached(edge: &daybook_edge::Status, observed: &Observed, in_force: Option<&Spec>) -> Vec<String> {
    let services = in_force.into_iter().flat_map(|spec| spec.services.values());
    let domains: Vec<_> = services.flat_map(|service| &service.routes).collect();
    let entries = || observed.routes.backends.values().flat_map(|backend| &backend.entries);
    let concerns = |listener: &ListenerStatus| match listener.kind.as_str() {
        "http" => !domains.is_empty(),
        "https" => domains.iter().any(|domain| domain.tls != Tls::Off),
        _ => entries().any(|entry| matches!(entry, Entry::Address { listen, .. } if *listen == listener.address)),
    };
    let told = |listener: &ListenerStatus| {
        let error = listener.error.as_ref().filter(|_| concerns(listener))?;
        let elsewhere = match listener.kind.as_str() {
            "entry" => "publish another port".to_owned(),
            kind => format!("serve elsewhere: daybook serve --{kind} ADDRESS"),
        };
        Some(format!("nothing is reached at {}: {error}; free it, or {elsewhere}", listener.address))
    };
    edge.listeners.iter().filter_map(told).collect()
}

impl Seen<'_> {
    pub(crate) fn service(&self, service: &Service) -> ServiceView {
        let coming = self.coming.and_then(|spec| spec.services.get(&service.name));
        let prints = [Some(Fingerprint::of(service)), coming.map(|coming| Fingerprint::of(coming))];
        let backend = self.observed.routes.backends.get(&service.name);
        let mine = || self.observed.replicas.iter().filter(|replica| replica.id.service == service.name);
        let current = |replica: &&SeenReplica| {
            replica.role == Role::Main && prints.iter().flatten().any(|print| *print == replica.fingerprint)
        };
        let ready = mine().filter(current).filter(|replica| self.is_ready(service, replica, backend)).count();
        let (wanted, ready) = (service.replicas(), u32::try_from(ready).unwrap_or(u32::MAX));
        let job = self.jobs.get(&service.name);
        ServiceView {
            name: service.name.to_string(),
            kind: kind(service).to_owned(),
            wanted,
            ready,
            state: self.state(service, wanted, ready, &mine().filter(current).collect::<Vec<_>>()),
            image: image(service),
            urls: self.urls(service, backend),
            replicas: mine().map(|replica| self.replica(replica, backend)).collect(),
            next_run: match &service.kind {
                Kind::Job(schedule) if !service.stopped => daybook_decide::jobs::next(schedule, self.now),
                _ => None,
            },
            last_run: job.and_then(last_run),
        }
    }

    /// Services that run and are in no release: found after our records were lost, or on their way out.
    fn unknown(&self, is_known: impl Fn(&ServiceName) -> bool) -> Vec<ServiceView> {
        let mut names: Vec<_> = self.observed.replicas.iter().map(|replica| &replica.id.service).collect();
        names.dedup();
        names.retain(|name| !is_known(name));
        names.into_iter().map(|name| self.unknown_service(name)).collect()
    }

    fn unknown_service(&self, name: &ServiceName) -> ServiceView {
        let backend = self.observed.routes.backends.get(name);
        let replicas: Vec<_> = self.observed.replicas.iter().filter(|replica| &replica.id.service == name).collect();
        let main = || replicas.iter().filter(|replica| replica.role == Role::Main);
        let running = main().filter(|replica| replica.is_running()).count();
        ServiceView {
            name: name.to_string(),
            kind: "service".to_owned(),
            wanted: u32::try_from(main().count()).unwrap_or(u32::MAX),
            ready: u32::try_from(running).unwrap_or(u32::MAX),
            state: if running > 0 { ServiceState::Running } else { ServiceState::Stopped },
            image: replicas.first().map(|replica| replica.artifact.short().to_owned()).unwrap_or_default(),
            urls: backend.map(|backend| self.backend_urls(backend)).unwrap_or_default(),
            replicas: replicas.into_iter().map(|replica| self.replica(replica, backend)).collect(),
            next_run: None,
            last_run: None,
        }
    }

    fn is_ready(&self, service: &Service, replica: &SeenReplica, backend: Option<&Backend>) -> bool {
        let completed = matches!(service.kind, Kind::Task)
            && replica.state == ReplicaState::Exited
            && replica.last_exit.as_ref().is_some_and(|exit| exit.code == 0);
        if completed {
            return true;
        }
        let well = matches!(replica.health, Health::Healthy | Health::Unasked);
        let edge_says_no = self.traffic.replicas.get(&replica.id).and_then(|count| count.healthy) == Some(false);
        let routed = !service.has_edge() || weight(backend, replica) > 0;
        replica.is_running() && well && routed && !edge_says_no
    }

    fn state(&self, service: &Service, wanted: u32, ready: u32, current: &[&SeenReplica]) -> ServiceState {
        if service.stopped {
            return ServiceState::Stopped;
        }
        match (&service.kind, &service.artifact) {
            (_, Artifact::Static { .. } | Artifact::StatusPage(_)) => ServiceState::Static,
            (_, Artifact::Chart(_)) => self.chart_state(service),
            (Kind::Job(_), _) => ServiceState::Scheduled,
            (Kind::Task, _) if ready >= wanted => ServiceState::Completed,
            _ if wanted == 0 => ServiceState::Stopped,
            _ if ready >= wanted => ServiceState::Running,
            _ if ready > 0 => ServiceState::Degraded,
            _ if current.iter().any(|replica| is_starting(replica)) => ServiceState::Starting,
            _ => ServiceState::Failing,
        }
    }

    fn chart_state(&self, service: &Service) -> ServiceState {
        match self.observed.charts.get(&service.name).map(|chart| chart.state) {
            None => ServiceState::Stopped,
            Some(ChartState::Released) => ServiceState::Running,
            Some(ChartState::Pending) => ServiceState::Starting,
            Some(ChartState::Failed) => ServiceState::Failing,
        }
    }

    fn replica(&self, replica: &SeenReplica, backend: Option<&Backend>) -> ReplicaView {
        let none = ReplicaTraffic::default();
        let counts = self.traffic.replicas.get(&replica.id).unwrap_or(&none);
        let weight = if replica.role == Role::Main { weight(backend, replica) } else { 0 };
        let port = replica.ports.values().next();
        ReplicaView {
            id: replica.id.clone(),
            role: word(&replica.role),
            state: word(&replica.state),
            health: health(replica, counts).to_owned(),
            note: note(replica, counts),
            release: replica.release,
            restarts: replica.restarts,
            started_at: replica.started_at,
            address: replica.address.map(|ip| match port {
                Some(port) => format!("{ip}:{port}"),
                None => ip.to_string(),
            }),
            routed: weight > 0,
            weight,
            in_flight: counts.in_flight.total(),
        }
    }

    fn urls(&self, service: &Service, backend: Option<&Backend>) -> Vec<String> {
        let mut urls: Vec<_> = backend.map(|backend| self.backend_urls(backend)).unwrap_or_default();
        for domain in &service.routes {
            urls.push(self.domain_url(&domain.host, &domain.path, &domain.tls));
        }
        urls.sort();
        urls.dedup();
        urls
    }

    fn backend_urls(&self, backend: &Backend) -> Vec<String> {
        let url = |entry: &Entry| match entry {
            Entry::Domain { host, path, tls, .. } => Some(self.domain_url(host, path, tls)),
            Entry::Address { listen, .. } if is_service_address(listen.ip()) => None,
            Entry::Address { listen, speaks, .. } => {
                let host = if listen.ip().is_unspecified() { "127.0.0.1".to_owned() } else { listen.ip().to_string() };
                let scheme = if *speaks == daybook_model::route::Speaks::Tcp { "tcp" } else { "http" };
                Some(format!("{scheme}://{host}:{}", listen.port()))
            }
        };
        backend.entries.iter().filter_map(url).collect()
    }

    fn domain_url(&self, host: &str, path: &str, tls: &Tls) -> String {
        let host = if host == "*" { "127.0.0.1" } else { host };
        let (scheme, port, usual) = match tls {
            Tls::Off => ("http", self.http, 80),
            _ => ("https", self.https, 443),
        };
        let port = port.filter(|port| *port != usual).map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{host}{port}{}", if path == "/" { "" } else { path })
    }
}

fn kind(service: &Service) -> &'static str {
    match (&service.artifact, &service.kind) {
        (Artifact::Static { .. }, _) => "static",
        (Artifact::Chart(_), _) => "chart",
        (Artifact::StatusPage(_), _) => "status_page",
        (_, Kind::Service) => "service",
        (_, Kind::Task) => "task",
        (_, Kind::Job(_)) => "job",
    }
}

fn image(service: &Service) -> String {
    match &service.artifact {
        Artifact::Image { reference, .. } => reference.clone(),
        Artifact::Build(build) => build.tag.clone().unwrap_or_else(|| build.context.clone()),
        Artifact::Static { root, .. } => root.clone(),
        Artifact::StatusPage(_) => "status page".to_owned(),
        Artifact::Chart(chart) => match &chart.made {
            Some(made) => format!("{} {}", chart.reference, made.version),
            None => chart.reference.clone(),
        },
    }
}

fn is_starting(replica: &SeenReplica) -> bool {
    let trouble = replica.restarts > 0 || matches!(replica.health, Health::Unhealthy(_));
    matches!(replica.state, ReplicaState::Created | ReplicaState::Starting | ReplicaState::Running) && !trouble
}

fn weight(backend: Option<&Backend>, replica: &SeenReplica) -> u32 {
    let Some(Backend { target: Target::Endpoints(endpoints), .. }) = backend else { return 0 };
    endpoints.iter().find(|endpoint| endpoint.replica == replica.id).map_or(0, |endpoint| endpoint.weight)
}

fn health(replica: &SeenReplica, counts: &ReplicaTraffic) -> &'static str {
    match (&replica.health, counts.healthy) {
        (Health::Unhealthy(_), _) | (_, Some(false)) => "unhealthy",
        (Health::Starting, _) => "starting",
        (Health::Healthy, _) | (_, Some(true)) => "healthy",
        (Health::Unasked, None) => "unasked",
    }
}

fn note(replica: &SeenReplica, counts: &ReplicaTraffic) -> Option<String> {
    if let Health::Unhealthy(said) = &replica.health {
        return Some(said.clone());
    }
    if counts.healthy == Some(false) {
        return counts.last_failure.clone();
    }
    let exit = replica.last_exit.as_ref().filter(|_| !replica.is_running() || replica.restarts > 0)?;
    Some(match (exit.oom, &exit.error) {
        (true, _) => "out of memory".to_owned(),
        (_, Some(error)) => error.clone(),
        _ => format!("exit code {}", exit.code),
    })
}

fn last_run(job: &Job) -> Option<JobRunView> {
    if let Some((_, due)) = &job.running {
        return Some(JobRunView { due: *due, code: None, skipped: None });
    }
    let last = job.last.as_ref()?;
    Some(JobRunView { due: last.due, code: last.code, skipped: last.skipped.clone() })
}

/// The snake-case word that stands for a value in JSON.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
