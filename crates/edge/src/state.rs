//! What the running edge shares between its connections: the table in force, and the counts.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use daybook_model::route::{self, Entry, Speaks};
use daybook_model::spec::Tls;
use daybook_model::traffic::{EdgeTraffic, ReplicaTraffic, Traffic};
use daybook_model::{EnvKey, ReplicaId, RouteTable};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio_util::sync::CancellationToken;

use crate::access_log::AccessLog;
use crate::backend::{Backend, BackendCounts, Endpoint, Endpoints, Target};
use crate::counters::{ReplicaCounters, RouteCounters};
use crate::limits::Limits;
use crate::routing::domain::DomainIndex;
use crate::routing::table::{backends, service_name};
use crate::tls::files::LoadedFiles;
use crate::workers::Seat;

/// The running edge.
pub(crate) struct State {
    pub(crate) live: ArcSwap<Live>,
    /// An endpoint changed its health, or the table was swapped.
    pub(crate) changed: Notify,
    pub(crate) log: Arc<AccessLog>,
    pub(crate) limits: Limits,
    /// This generation ends: nothing new is accepted, and what is open drains.
    pub(crate) ending: CancellationToken,
    /// This generation's drain bound has come.
    pub(crate) cut: CancellationToken,
    /// Client connections that are open.
    connections: Arc<AtomicU64>,
    ending_window_ms: AtomicU64,
    https_port: AtomicU16,
    registry: Mutex<Registry>,
}

/// A table in force.
pub(crate) struct Live {
    pub(crate) table: Arc<RouteTable>,
    pub(crate) domains: DomainIndex<Arc<Route>>,
    pub(crate) addresses: HashMap<SocketAddr, AddressEntry>,
    routes: HashMap<String, Arc<Route>>,
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    pub(crate) files: LoadedFiles,
}

/// A way that requests take to a backend.
pub(crate) struct Route {
    /// Names it across tables: the service and the entry.
    label: String,
    pub(crate) backend: Arc<Backend>,
    pub(crate) port: u16,
    pub(crate) tls: Tls,
    /// Plain HTTP is answered with a redirect to HTTPS: a certificate that visitors trust is there.
    pub(crate) redirect: bool,
    pub(crate) counters: Arc<RouteCounters>,
}

/// What is served at an address entry.
#[derive(Clone)]
pub(crate) struct AddressEntry {
    pub(crate) route: Arc<Route>,
    pub(crate) speaks: Speaks,
}

/// Counts that outlive tables.
#[derive(Default)]
struct Registry {
    replicas: BTreeMap<(EnvKey, ReplicaId), Counted>,
    services: BTreeMap<(EnvKey, String), Arc<BackendCounts>>,
    /// By [`Route::label`]: those of the table in force.
    routes: BTreeMap<String, Arc<RouteCounters>>,
}

#[derive(Default)]
struct Counted {
    counters: Arc<ReplicaCounters>,
    /// When it was first found to have left and drained.
    drained: Option<Instant>,
}

/// How long the counts of a replica are kept after it has left and drained and this has been read.
const KEEP_DRAINED: Duration = Duration::from_secs(60);

impl Live {
    fn empty() -> Self {
        Self {
            table: Arc::default(),
            domains: DomainIndex::new(),
            addresses: HashMap::new(),
            routes: HashMap::new(),
            endpoints: Vec::new(),
            files: LoadedFiles::default(),
        }
    }

    /// The route of this table that is the same way in as `route` of another.
    pub(crate) fn same_route(&self, route: &Route) -> Option<Arc<Route>> {
        self.routes.get(&route.label).cloned()
    }
}

impl State {
    pub(crate) fn new(log: Arc<AccessLog>, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            live: ArcSwap::from_pointee(Live::empty()),
            changed: Notify::new(),
            log,
            limits,
            ending: CancellationToken::new(),
            cut: CancellationToken::new(),
            connections: Arc::default(),
            ending_window_ms: AtomicU64::new(0),
            https_port: AtomicU16::new(0),
            registry: Mutex::default(),
        })
    }

    /// The port that HTTPS is served at, if it is.
    pub(crate) fn https_port(&self) -> Option<u16> {
        Some(self.https_port.load(Relaxed)).filter(|port| *port != 0)
    }

    pub(crate) fn set_https_port(&self, port: u16) {
        self.https_port.store(port, Relaxed);
    }

    /// Over how long upgraded connections close when this generation ends.
    pub(crate) fn ending_window_ms(&self) -> u64 {
        self.ending_window_ms.load(Relaxed)
    }

    /// Ends this generation; `cut` comes after `window`.
    pub(crate) fn end(&self, window: Duration) {
        self.ending_window_ms.store(window.as_millis() as u64, Relaxed);
        self.ending.cancel();
    }

    /// Serves by `table` from now on. Endpoints that stay keep their connections and their health. `trusted`
    /// endpoints are used before their first check. Returns the endpoints that are new and those that left.
    pub(crate) fn swap(
        &self,
        table: RouteTable,
        files: LoadedFiles,
        trusted: impl Fn(&EnvKey, &ReplicaId) -> bool,
    ) -> Swapped {
        let before = self.live.load_full();
        let mut registry = self.registry.lock().expect("no panic while it is held");
        let mut live = Live { files, ..Live::empty() };
        let mut by_replica: HashMap<_, Vec<&Arc<Endpoint>>> = HashMap::new();
        for endpoint in &before.endpoints {
            by_replica.entry((&endpoint.key, &endpoint.replica)).or_default().push(endpoint);
        }
        for (key, service, backend) in backends(&table) {
            let name = service_name(key, service);
            let target = match &backend.target {
                route::Target::Files { root } => Target::Files(PathBuf::from(root)),
                route::Target::Endpoints(endpoints) => {
                    let members = endpoints.iter().map(|endpoint| {
                        let trusted = trusted(key, &endpoint.replica);
                        let running = by_replica.get(&(key, &endpoint.replica)).map_or(&[][..], Vec::as_slice);
                        (registry.endpoint(running, key, endpoint, backend, trusted), endpoint.weight)
                    });
                    let endpoints = Endpoints::new(members.collect());
                    live.endpoints.extend(endpoints.all.iter().cloned());
                    Target::Endpoints(endpoints)
                }
            };
            let counts = registry.services.entry((key.clone(), service.to_string())).or_default().clone();
            let hold = backend.hold_ms.map(Duration::from_millis);
            let running = Arc::new(Backend { name, target, hold, counts });
            for entry in &backend.entries {
                live.add_entry(entry, &running, &mut registry);
            }
        }
        live.table = Arc::new(table);
        registry.routes.retain(|label, _| live.routes.contains_key(label));
        let arrived = without(&live.endpoints, &before.endpoints);
        let left = without(&before.endpoints, &live.endpoints);
        self.live.store(Arc::new(live));
        drop(registry);
        left.iter().for_each(|endpoint| endpoint.leave());
        self.changed.notify_waiters();
        Swapped { arrived, left }
    }

    /// Everything that has been counted.
    pub(crate) fn traffic(&self, now: Instant) -> EdgeTraffic {
        let live = self.live.load();
        let mut registry = self.registry.lock().expect("no panic while it is held");
        let here: HashMap<(&EnvKey, &ReplicaId), &Arc<Endpoint>> =
            live.endpoints.iter().map(|endpoint| ((&endpoint.key, &endpoint.replica), endpoint)).collect();
        let mut traffic = EdgeTraffic { table_version: live.table.version, ..Default::default() };
        registry.replicas.retain(|(key, replica), counted| {
            let endpoint = here.get(&(key, replica));
            let read = endpoint.map_or_else(|| counted.counters.read(), |endpoint| endpoint.read());
            let keep = counted.is_kept(endpoint.is_some(), &read, now);
            environment(&mut traffic, key).replicas.insert(replica.clone(), read);
            keep
        });
        for ((key, service), counts) in &registry.services {
            let environment = environment(&mut traffic, key);
            environment.unserved.insert(service.clone(), counts.unserved.load(Relaxed));
            environment.held.insert(service.clone(), counts.held.load(Relaxed));
        }
        live.read_routes(&mut traffic);
        traffic
    }

    /// Requests and connections by route, of those in force, since it first was.
    pub(crate) fn hits(&self) -> BTreeMap<String, u64> {
        let registry = self.registry.lock().expect("no panic while it is held");
        registry.routes.iter().map(|(label, counters)| (label.clone(), counters.hits.load(Relaxed))).collect()
    }

    /// Client connections that are open.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Relaxed)
    }

    /// Counts a client connection, which has a permit and a place on a worker, until it is dropped.
    pub(crate) fn count_connection(&self, permit: OwnedSemaphorePermit, seat: Seat) -> OpenConnection {
        self.connections.fetch_add(1, Relaxed);
        OpenConnection { connections: self.connections.clone(), _permit: permit, _seat: seat }
    }

    /// Everything in flight.
    pub(crate) fn in_flight(&self) -> u64 {
        let registry = self.registry.lock().expect("no panic while it is held");
        registry.replicas.values().map(|counted| counted.counters.pending()).sum()
    }
}

/// Those of `all` that are not among `others`.
fn without(all: &[Arc<Endpoint>], others: &[Arc<Endpoint>]) -> Vec<Arc<Endpoint>> {
    let others: HashSet<_> = others.iter().map(Arc::as_ptr).collect();
    all.iter().filter(|one| !others.contains(&Arc::as_ptr(one))).cloned().collect()
}

/// A client connection that is open.
pub(crate) struct OpenConnection {
    connections: Arc<AtomicU64>,
    _permit: OwnedSemaphorePermit,
    _seat: Seat,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Relaxed);
    }
}

/// What a swap changed.
pub(crate) struct Swapped {
    pub(crate) arrived: Vec<Arc<Endpoint>>,
    pub(crate) left: Vec<Arc<Endpoint>>,
}

impl Registry {
    /// The endpoint as it runs already, among those of its replica, or a new one.
    fn endpoint(
        &mut self,
        running: &[&Arc<Endpoint>],
        key: &EnvKey,
        endpoint: &route::Endpoint,
        backend: &route::Backend,
        trusted: bool,
    ) -> Arc<Endpoint> {
        if let Some(running) = running.iter().find(|running| running.is(key, endpoint) && !running.has_left()) {
            if **running.check.load() != backend.check {
                running.check.store(Arc::new(backend.check.clone()));
            }
            running.drain_ms.store(backend.drain_ms, Relaxed);
            return Arc::clone(running);
        }
        let counted = self.replicas.entry((key.clone(), endpoint.replica.clone())).or_default();
        counted.drained = None;
        Endpoint::new(key, endpoint, backend, counted.counters.clone(), trusted)
    }
}

impl Counted {
    fn is_kept(&mut self, in_table: bool, read: &ReplicaTraffic, now: Instant) -> bool {
        if in_table || read.in_flight.total() > 0 {
            self.drained = None;
            return true;
        }
        let since = *self.drained.get_or_insert(now);
        now.saturating_duration_since(since) < KEEP_DRAINED
    }
}

impl Live {
    /// What users were answered by each route.
    fn read_routes(&self, traffic: &mut EdgeTraffic) {
        for (key, service, backend) in backends(&self.table) {
            let name = service_name(key, service);
            for entry in backend.entries.iter().filter(|entry| is_for_users(entry)) {
                let place = place(entry);
                let Some(route) = self.routes.get(&label(&name, &place)) else { continue };
                let routes = environment(traffic, key).routes.entry(service.to_string()).or_default();
                routes.insert(place, route.counters.answers.read());
            }
        }
    }

    fn add_entry(&mut self, entry: &Entry, backend: &Arc<Backend>, registry: &mut Registry) {
        let (port, tls) = match entry {
            Entry::Domain { port, tls, .. } => (*port, tls.clone()),
            Entry::Address { port, .. } => (*port, Tls::Off),
        };
        let label = label(&backend.name, &place(entry));
        let counters = registry.routes.entry(label.clone()).or_default().clone();
        let redirect = matches!(tls, Tls::Files { .. });
        let route = Arc::new(Route { label: label.clone(), backend: backend.clone(), port, tls, redirect, counters });
        self.routes.insert(label, route.clone());
        match entry {
            Entry::Domain { host, path, .. } => {
                let added = self.domains.insert(host, path, route);
                debug_assert!(added.is_ok(), "the table was checked for conflicts");
            }
            Entry::Address { listen, speaks, .. } => {
                self.addresses.insert(*listen, AddressEntry { route, speaks: *speaks });
            }
        }
    }
}

/// What a person knows an entry by.
fn place(entry: &Entry) -> String {
    match entry {
        Entry::Domain { host, path, .. } => format!("{host}{path}"),
        Entry::Address { listen, .. } => listen.to_string(),
    }
}

fn label(backend: &str, place: &str) -> String {
    format!("{backend} {place}")
}

/// Whether users come in there, and not only other services.
fn is_for_users(entry: &Entry) -> bool {
    match entry {
        Entry::Domain { .. } => true,
        Entry::Address { listen, speaks, .. } => *speaks != Speaks::Tcp && !route::is_service_address(listen.ip()),
    }
}

fn environment<'a>(traffic: &'a mut EdgeTraffic, key: &EnvKey) -> &'a mut Traffic {
    traffic.environments.entry(key.clone()).or_default()
}
