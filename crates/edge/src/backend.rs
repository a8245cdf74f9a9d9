//! Services and their endpoints as they live in the running edge.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use daybook_model::route;
use daybook_model::spec::Check;
use daybook_model::traffic::ReplicaTraffic;
use daybook_model::{EnvKey, ReplicaId};
use tokio_util::sync::CancellationToken;

use crate::counters::{Class, Flight, ReplicaCounters};
use crate::routing::balance::Chooser;
use crate::routing::health::Health;
use crate::upstream::pool::Pool;

/// A service that the edge stands in front of, as one table describes it.
pub(crate) struct Backend {
    /// `app/environment/service`.
    pub(crate) name: String,
    pub(crate) target: Target,
    pub(crate) hold: Option<Duration>,
    /// Shared by the backends of one service across tables.
    pub(crate) counts: Arc<BackendCounts>,
}

/// Who answers.
pub(crate) enum Target {
    Endpoints(Endpoints),
    Files(PathBuf),
}

/// Counts of one service.
#[derive(Debug, Default)]
pub(crate) struct BackendCounts {
    pub(crate) unserved: AtomicU64,
    pub(crate) held: AtomicU64,
    /// Whose turn it is.
    turn: AtomicUsize,
}

/// The endpoints of a service and the order of their turns.
pub(crate) struct Endpoints {
    pub(crate) all: Vec<Arc<Endpoint>>,
    chooser: Chooser,
}

/// What the search for an endpoint came to.
pub(crate) enum Choice {
    /// This one; the request is counted as in flight from now on.
    Use(Taken),
    /// The endpoint whose turn it was has just left: choose again by the table in force.
    Left,
    /// None can be used now; wait this long at most for one.
    Hold(Duration),
    /// None can be used.
    Nobody,
}

/// An endpoint, and the request that is in flight at it.
pub(crate) struct Taken {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) flight: Arc<Flight>,
}

/// How long requests wait for the first answer of a check after the edge has started.
const HOLD_AT_START: Duration = Duration::from_secs(30);

impl Backend {
    /// Chooses an endpoint that is not among `tried` for something of this class.
    pub(crate) fn choose(&self, endpoints: &Endpoints, tried: &[Arc<Endpoint>], class: Class) -> Choice {
        let turn = self.counts.turn.fetch_add(1, Relaxed);
        let all = &endpoints.all;
        let usable = |i: usize| all[i].usable.load(Relaxed) && !tried.iter().any(|other| Arc::ptr_eq(other, &all[i]));
        match endpoints.chooser.choose(turn, usable, |i| all[i].counters.pending()) {
            Some(i) => match all[i].begin(class) {
                Some(flight) => Choice::Use(Taken { endpoint: all[i].clone(), flight: Arc::new(flight) }),
                None => Choice::Left,
            },
            None => match self.hold_time(endpoints) {
                Some(time) => Choice::Hold(time),
                None => Choice::Nobody,
            },
        }
    }

    fn hold_time(&self, endpoints: &Endpoints) -> Option<Duration> {
        let awaited = || endpoints.all.iter().any(|endpoint| endpoint.awaited.load(Relaxed));
        self.hold.or_else(|| awaited().then_some(HOLD_AT_START))
    }
}

impl Endpoints {
    /// Endpoints with their weights.
    pub(crate) fn new(members: Vec<(Arc<Endpoint>, u32)>) -> Self {
        let weights: Vec<u32> = members.iter().map(|(_, weight)| *weight).collect();
        Self { all: members.into_iter().map(|(endpoint, _)| endpoint).collect(), chooser: Chooser::new(&weights) }
    }
}

/// One replica as long as it stays in the table with the same addresses.
pub(crate) struct Endpoint {
    pub(crate) key: EnvKey,
    pub(crate) replica: ReplicaId,
    lanes: Vec<(u16, Arc<Lane>)>,
    pub(crate) check: ArcSwap<Check>,
    pub(crate) counters: Arc<ReplicaCounters>,
    health: Mutex<Health>,
    usable: AtomicBool,
    awaited: AtomicBool,
    /// Wakes its check before its time.
    pub(crate) ask_now: tokio::sync::Notify,
    /// It has left the table and takes nothing new.
    gone: AtomicBool,
    /// It has left the table: upgraded connections begin to close, spread over the drain window.
    pub(crate) leaving: CancellationToken,
    /// The drain bound has come: what may be cut, is.
    pub(crate) cut: CancellationToken,
    /// How long it may drain, milliseconds.
    pub(crate) drain_ms: AtomicU64,
}

/// One address of an endpoint and the open connections to it.
pub(crate) struct Lane {
    pub(crate) address: SocketAddr,
    pub(crate) pool: Pool,
}

impl Endpoint {
    /// Takes an endpoint up. See [`Health::new`] for `trusted`.
    pub(crate) fn new(
        key: &EnvKey,
        endpoint: &route::Endpoint,
        backend: &route::Backend,
        counters: Arc<ReplicaCounters>,
        trusted: bool,
    ) -> Arc<Self> {
        let health = Health::new(trusted);
        let lane =
            |(port, address): (&u16, &SocketAddr)| (*port, Arc::new(Lane { address: *address, pool: Pool::new() }));
        Arc::new(Self {
            key: key.clone(),
            replica: endpoint.replica.clone(),
            lanes: endpoint.ports.iter().map(lane).collect(),
            check: ArcSwap::from_pointee(backend.check.clone()),
            counters,
            usable: AtomicBool::new(health.is_usable()),
            awaited: AtomicBool::new(health.is_awaited()),
            health: Mutex::new(health),
            ask_now: tokio::sync::Notify::new(),
            gone: AtomicBool::new(false),
            leaving: CancellationToken::new(),
            cut: CancellationToken::new(),
            drain_ms: AtomicU64::new(backend.drain_ms),
        })
    }

    /// Counts something new as in flight, unless the endpoint has left. Whoever calls [`Endpoint::leave`] and
    /// reads the counts afterwards sees everything that will ever be in flight.
    fn begin(&self, class: Class) -> Option<Flight> {
        let flight = Flight::begin(self.counters.clone(), class);
        (!self.gone.load(SeqCst)).then_some(flight)
    }

    /// Takes it out of service.
    pub(crate) fn leave(&self) {
        self.gone.store(true, SeqCst);
        self.leaving.cancel();
        self.lanes().for_each(|lane| lane.pool.close());
    }

    /// Whether requests may be sent to it.
    pub(crate) fn is_usable(&self) -> bool {
        self.usable.load(Relaxed)
    }

    /// Whether it has left.
    pub(crate) fn has_left(&self) -> bool {
        self.gone.load(SeqCst)
    }

    /// Whether `endpoint` of a new table is this one.
    pub(crate) fn is(&self, key: &EnvKey, endpoint: &route::Endpoint) -> bool {
        let same_lane = |(port, lane): &(u16, Arc<Lane>)| endpoint.ports.get(port) == Some(&lane.address);
        self.key == *key
            && self.replica == endpoint.replica
            && self.lanes.len() == endpoint.ports.len()
            && self.lanes.iter().all(same_lane)
    }

    /// The lane to a container port.
    pub(crate) fn lane(&self, port: u16) -> Option<&Arc<Lane>> {
        self.lanes.iter().find(|(there, _)| *there == port).map(|(_, lane)| lane)
    }

    /// All lanes.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.lanes.iter().map(|(_, lane)| lane)
    }

    /// Tells the health what happened. Returns whether the endpoint came into or fell out of use.
    pub(crate) fn learn(&self, what: impl FnOnce(&mut Health, &Check)) -> bool {
        let mut health = self.health.lock().expect("no panic while it is held");
        what(&mut health, &self.check.load());
        self.awaited.store(health.is_awaited(), Relaxed);
        self.usable.swap(health.is_usable(), Relaxed) != health.is_usable()
    }

    /// Ejects it, because an attempt was refused or reset.
    pub(crate) fn attempt_failed(&self, why: &str) {
        self.counters.failed();
        self.learn(|health, _| health.attempt_failed(why.to_owned()));
        self.ask_now.notify_one();
    }

    /// An answer did not begin in time. One request may be slow where others are not, so that it stays in use until its
    /// check says otherwise.
    pub(crate) fn answer_was_late(&self, why: &str) {
        self.counters.failed();
        self.learn(|health, _| health.answer_was_late(why.to_owned()));
    }

    /// How long until it is to be asked again.
    pub(crate) fn next_check_after(&self) -> Duration {
        self.health.lock().expect("no panic while it is held").next_check_after(&self.check.load())
    }

    /// Its counts and its health.
    pub(crate) fn read(&self) -> ReplicaTraffic {
        let health = self.health.lock().expect("no panic while it is held");
        let last_failure = health.last_failure().map(str::to_owned);
        ReplicaTraffic { healthy: health.reported(), last_failure, ..self.counters.read() }
    }
}
