//! What every handler and timer shares.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use daybook_executor::{Clock, Executor, Parts as ExecutorParts};
use daybook_model::traffic::Traffic;
use daybook_model::{EnvKey, RunId, StepId, Timestamp};
use daybook_runtime::{Places, Router, Runtime};
use daybook_store::Store;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

#[cfg(feature = "databases")]
use crate::backups::Operations;
use crate::databases::Handle;
use crate::drivers::Drivers;
use crate::edge::Edge;
use crate::observe::Observatory;
use crate::secrets::SealedSecrets;
use crate::vault::Vaults;
use crate::view::run::Folding;

/// The control plane. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct App {
    pub(crate) inner: Arc<Inner>,
}

/// What a control plane works with.
pub struct Parts {
    /// Our state.
    pub store: Store,
    /// What runs replicas.
    pub runtime: Arc<dyn Runtime>,
    /// What sends requests to them.
    pub router: Arc<dyn Router>,
    /// Where environments can be.
    pub places: Arc<dyn Places>,
    /// The edge process, where there is one.
    pub edge: Option<Edge>,
    /// The time.
    pub clock: Clock,
    /// The state directory.
    pub state: PathBuf,
    /// The file of what an organisation asks of all its apps.
    pub landing_zone: Option<PathBuf>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) executor: Executor,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) router: Arc<dyn Router>,
    pub(crate) places: Arc<dyn Places>,
    pub(crate) edge: Option<Edge>,
    pub(crate) clock: Clock,
    pub(crate) state: PathBuf,
    pub(crate) landing_zone: Option<PathBuf>,
    pub(crate) started_at: Timestamp,
    /// Cancelled when the server stops: streams end, timers end, runs stay as the journal has them.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) drivers: Drivers,
    #[cfg(feature = "databases")]
    pub(crate) operations: Operations,
    pub(crate) vaults: Vaults,
    pub(crate) observatory: Observatory,
    #[cfg(feature = "observe")]
    pub(crate) incidents: crate::incidents::Known,
    #[cfg(feature = "observe")]
    pub(crate) silences: crate::silences::Silences,
    #[cfg(feature = "observe")]
    pub(crate) made: crate::oncall::Made,
    pub(crate) status_pages: crate::status_pages::Writing,
    planning: Mutex<BTreeMap<EnvKey, Arc<tokio::sync::Mutex<()>>>>,
    pub(crate) live: Mutex<Live>,
}

/// What is known of runs beside the journal; lost with the process.
#[derive(Default)]
pub(crate) struct Live {
    /// The last progress note of each step under way.
    pub(crate) notes: HashMap<(RunId, StepId), String>,
    /// What the journal tells of open runs that somebody looks at.
    pub(crate) foldings: HashMap<RunId, Folding>,
    /// What the edge had counted when a run began.
    pub(crate) baselines: BTreeMap<RunId, Traffic>,
    /// What was counted during a run, once it was over.
    pub(crate) totals: BTreeMap<RunId, daybook_api::run::RunTraffic>,
}

impl App {
    /// A control plane over these parts. Nothing happens before [`App::start`].
    pub fn new(parts: Parts) -> Self {
        let Parts { store, runtime, router, places, edge, clock, state, landing_zone } = parts;
        let handle = Handle::default();
        let executor = Executor::new(ExecutorParts {
            ledger: Arc::new(store.clone()),
            runtime: runtime.clone(),
            router: router.clone(),
            places: places.clone(),
            secrets: Arc::new(SealedSecrets::new(store.clone())),
            databases: databases(&state, handle.clone()),
            clock: clock.clone(),
            artifacts: state.join("artifacts"),
            pages: state.join(crate::status_pages::DIRECTORY),
        });
        let started_at = clock();
        let inner = Inner {
            store,
            executor,
            runtime,
            router,
            places,
            edge,
            clock,
            state,
            landing_zone,
            started_at,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            drivers: Drivers::default(),
            #[cfg(feature = "databases")]
            operations: Operations::default(),
            vaults: Vaults::default(),
            observatory: Observatory::default(),
            #[cfg(feature = "observe")]
            incidents: crate::incidents::Known::default(),
            #[cfg(feature = "observe")]
            silences: crate::silences::Silences::default(),
            #[cfg(feature = "observe")]
            made: crate::oncall::Made::default(),
            status_pages: crate::status_pages::Writing::default(),
            planning: Mutex::default(),
            live: Mutex::default(),
        };
        let inner = Arc::new(inner);
        let is_first = handle.set(Arc::downgrade(&inner)).is_ok();
        debug_assert!(is_first, "nobody else has it");
        Self { inner }
    }

    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        (self.inner.clock)()
    }

    /// Held while a change of an environment is planned and begun, so that what was planned is what
    /// begins.
    pub(crate) fn planning(&self, key: &EnvKey) -> Arc<tokio::sync::Mutex<()>> {
        let mut planning = self.inner.planning.lock().expect("no holder of this lock panics");
        planning.entry(key.clone()).or_default().clone()
    }

    pub(crate) fn live(&self) -> MutexGuard<'_, Live> {
        self.inner.live.lock().expect("no holder of this lock panics")
    }

    /// Runs `task` until it ends or the server stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.inner.stop.clone();
        self.inner.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Ends every task. Runs stay as the journal has them and go on with the next server; replicas and
    /// the edge are not touched.
    pub async fn stop(&self) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        self.inner.store.close().await;
    }
}

#[cfg(feature = "databases")]
fn databases(state: &std::path::Path, app: Handle) -> Arc<dyn daybook_executor::Databases> {
    Arc::new(crate::databases::Reached::making_backups(state, app))
}

#[cfg(not(feature = "databases"))]
fn databases(_: &std::path::Path, _: Handle) -> Arc<dyn daybook_executor::Databases> {
    Arc::new(daybook_executor::NoDatabases)
}
