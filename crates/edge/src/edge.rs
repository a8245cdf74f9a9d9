//! What can be done to a running edge: a new table, the next generation, an end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use daybook_model::traffic::EdgeTraffic;
use daybook_model::{EnvKey, ReplicaId, RouteTable};

use crate::backend::Endpoint;
use crate::config::Config;
use crate::control::client::Client;
use crate::control::wire::{CertificateStatus, ListenerStatus, Status};
use crate::generation;
use crate::listeners::{BindError, Listeners, Place};
use crate::persist::{Kept, TableFile};
use crate::routing::table::{self, TableError};
use crate::state::State;
use crate::tls::authority::Authority;
use crate::tls::files::LoadedFiles;
use crate::upstream::check;

/// A running edge.
pub(crate) struct Edge {
    pub(crate) config: Config,
    pub(crate) generation: u64,
    pub(crate) state: Arc<State>,
    pub(crate) listeners: Listeners,
    pub(crate) authority: Arc<Authority>,
    pub(crate) file: TableFile,
    pub(crate) damage: Vec<String>,
    /// Places that were to be listened at and could not.
    pub(crate) unbound: Mutex<Vec<(Place, BindError)>>,
    /// The control socket of the generation before, until it has ended.
    pub(crate) predecessor: Mutex<Option<PathBuf>>,
    /// One change at a time. `true` once this generation is handing over, or ends.
    changing: tokio::sync::Mutex<bool>,
}

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EdgeError {
    /// What was asked for cannot be.
    #[error("{0}")]
    Refused(String),
    /// Another generation is taking over.
    #[error("this generation of the edge is ending")]
    Busy,
    /// Something went wrong.
    #[error("{0}")]
    Failed(String),
}

impl From<TableError> for EdgeError {
    fn from(error: TableError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// The shortest and the longest time that a generation drains for.
const SHORTEST_DRAIN: Duration = Duration::from_secs(5);
const LONGEST_DRAIN: Duration = Duration::from_secs(120);

impl Edge {
    pub(crate) fn new(
        config: Config,
        generation: u64,
        state: Arc<State>,
        listeners: Listeners,
        authority: Arc<Authority>,
        damage: Vec<String>,
    ) -> Arc<Self> {
        let file = TableFile::new(&config.directory());
        Arc::new(Self {
            config,
            generation,
            state,
            listeners,
            authority,
            file,
            damage,
            unbound: Mutex::default(),
            predecessor: Mutex::default(),
            changing: tokio::sync::Mutex::new(false),
        })
    }

    /// Takes a new table: checks it, opens what it needs, persists it, and serves by it. If anything fails,
    /// the table before stays in force.
    pub(crate) async fn set_table(self: &Arc<Self>, table: RouteTable) -> Result<(), EdgeError> {
        let ending = self.changing.lock().await;
        if *ending {
            return Err(EdgeError::Busy);
        }
        let live = self.state.live.load_full();
        if table.version <= live.table.version {
            return Err(TableError::NotNewer { given: table.version, current: live.table.version }.into());
        }
        table::check(&table)?;
        let files = LoadedFiles::load(&table, &live.files).map_err(|error| EdgeError::Refused(error.to_string()))?;
        let wanted: BTreeSet<Place> = table::addresses(&table).into_iter().map(Place::Entry).collect();
        let open = self.listeners.places();
        let new = self.listeners.bind(wanted.difference(&open).copied());
        let new = new.map_err(|error| EdgeError::Refused(error.to_string()))?;
        let persisted = tokio::task::block_in_place(|| self.file.write(&table));
        persisted.map_err(|error| EdgeError::Failed(format!("the table could not be kept: {error}")))?;
        self.put_in_force(table, files, |_, _| true);
        for (place, listener) in new {
            self.listeners.accept(place, listener);
        }
        let gone = open.into_iter().filter(|place| matches!(place, Place::Entry(_)) && !wanted.contains(place));
        gone.for_each(|place| self.listeners.close(place));
        self.unbound().retain(|(place, _)| !matches!(place, Place::Entry(_)));
        Ok(())
    }

    /// Serves by the table that was kept. What it needs and cannot have is reported, and the rest is served.
    pub(crate) fn start_with(self: &Arc<Self>, kept: Kept, healthy: &BTreeSet<(EnvKey, ReplicaId)>) {
        let files = LoadedFiles::load(&kept.table, &LoadedFiles::default()).unwrap_or_else(|error| {
            tracing::error!(%error, "certificate of the kept table");
            LoadedFiles::default()
        });
        let trusted = |key: &EnvKey, replica: &ReplicaId| healthy.contains(&(key.clone(), replica.clone()));
        self.put_in_force(kept.table, files, trusted);
    }

    /// Opens the places that are not open yet; failures are reported by [`Edge::status`].
    pub(crate) async fn open_missing(&self) {
        let ending = self.changing.lock().await;
        if *ending {
            return;
        }
        let public = self.config.http.iter().map(|address| Place::Http(*address));
        let public = public.chain(self.config.https.iter().map(|address| Place::Https(*address)));
        let public = public.chain(self.config.behind.iter().map(|address| Place::Behind(*address)));
        let entries = table::addresses(&self.state.live.load().table).into_iter().map(Place::Entry);
        let open = self.listeners.places();
        let mut unbound = Vec::new();
        for place in public.chain(entries).filter(|place| !open.contains(place)) {
            match self.listeners.bind([place]) {
                Ok(bound) => bound.into_iter().for_each(|(place, listener)| self.listeners.accept(place, listener)),
                Err(error) => unbound.push((place, error)),
            }
        }
        let before = std::mem::replace(&mut *self.unbound(), unbound.clone());
        for (_, error) in unbound.iter().filter(|failure| !before.contains(failure)) {
            tracing::error!(%error, "a listener is missing");
        }
        let https = self.listeners.places().into_iter().find(|place| matches!(place, Place::Https(_)));
        self.state.set_https_port(https.map_or(0, |place| place.address().port()));
    }

    fn put_in_force(&self, table: RouteTable, files: LoadedFiles, trusted: impl Fn(&EnvKey, &ReplicaId) -> bool) {
        let swapped = self.state.swap(table, files, trusted);
        for endpoint in swapped.arrived {
            tokio::spawn(check::watch(self.state.clone(), endpoint));
        }
        for endpoint in swapped.left {
            tokio::spawn(cut_at_bound(endpoint));
        }
    }

    /// How the edge does.
    pub(crate) fn status(&self) -> Status {
        let live = self.state.live.load();
        let open = self.listeners.places().into_iter().map(|place| listener_status(place, None));
        let unbound = self.unbound();
        let failed = unbound.iter().map(|(place, error)| listener_status(*place, Some(error.why.clone())));
        Status {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            table_version: live.table.version,
            pid: std::process::id(),
            generation: self.generation,
            listeners: open.chain(failed).collect(),
            certificates: CertificateStatus {
                authority: self.authority.path().to_owned(),
                files: live.files.paths().map(str::to_owned).collect(),
            },
            hits: self.state.hits(),
            log_lines_dropped: self.state.log.dropped(),
            damage: self.damage.clone(),
        }
    }

    /// What has been counted, with what is still in flight in the generation before.
    pub(crate) async fn traffic(&self) -> EdgeTraffic {
        let mut traffic = self.state.traffic(Instant::now());
        let predecessor = self.predecessor.lock().expect("no panic while it is held").clone();
        let Some(socket) = predecessor else { return traffic };
        // Boxed: a generation asks the one before it.
        match Box::pin(Client::at(socket).traffic()).await {
            Ok(before) => add_in_flight(&mut traffic, before),
            Err(_) => *self.predecessor.lock().expect("no panic while it is held") = None,
        }
        traffic
    }

    /// Starts the next generation and hands over to it.
    pub(crate) async fn upgrade(self: &Arc<Self>, exe: &Path) -> Result<Status, EdgeError> {
        let mut ending = self.changing.lock().await;
        if *ending {
            return Err(EdgeError::Busy);
        }
        let status = generation::hand_over(self, exe).await.map_err(|error| EdgeError::Failed(error.to_string()))?;
        *ending = true;
        self.end();
        Ok(status)
    }

    /// Ends this generation: accepts nothing, drains, and lets the process end.
    pub(crate) fn stop(self: &Arc<Self>) {
        let edge = self.clone();
        tokio::spawn(async move {
            *edge.changing.lock().await = true;
            edge.end();
        });
    }

    fn end(&self) {
        self.state.end(self.drain_window());
        self.listeners.close_all();
        self.state.log.flush();
    }

    /// How long this generation drains: as long as the most patient of its services.
    pub(crate) fn drain_window(&self) -> Duration {
        let live = self.state.live.load();
        let longest = table::backends(&live.table).map(|(_, _, backend)| backend.drain_ms).max().unwrap_or(0);
        Duration::from_millis(longest).clamp(SHORTEST_DRAIN, LONGEST_DRAIN)
    }

    fn unbound(&self) -> std::sync::MutexGuard<'_, Vec<(Place, BindError)>> {
        self.unbound.lock().expect("no panic while it is held")
    }
}

async fn cut_at_bound(endpoint: Arc<Endpoint>) {
    tokio::time::sleep(Duration::from_millis(endpoint.drain_ms.load(Relaxed))).await;
    endpoint.cut.cancel();
}

fn listener_status(place: Place, error: Option<String>) -> ListenerStatus {
    let kind = match place {
        Place::Http(_) => "http",
        Place::Https(_) => "https",
        Place::Behind(_) => "behind",
        Place::Entry(_) => "entry",
    };
    ListenerStatus { kind: kind.to_owned(), address: place.address(), error }
}

fn add_in_flight(traffic: &mut EdgeTraffic, before: EdgeTraffic) {
    for (key, environment) in before.environments {
        let into = traffic.environments.entry(key).or_default();
        for (replica, counted) in environment.replicas {
            let (now, then) = (&mut into.replicas.entry(replica).or_default().in_flight, counted.in_flight);
            now.requests += then.requests;
            now.uploads += then.uploads;
            now.streams += then.streams;
            now.upgraded += then.upgraded;
            now.connections += then.connections;
        }
    }
}
