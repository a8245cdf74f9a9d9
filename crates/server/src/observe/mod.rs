//! What environments do over time: measured, kept, and asked about in PromQL.
//!
//! - `tend` measures again and again, and keeps what came of it.
//! - `gather` makes samples of what the edge counted, of what runs and of what it uses; `host` of the machine. Pure, but for
//!   reading `/proc`.
//! - `records` makes samples of what the journal says: jobs, backups; and asks databases.
//! - `scrape` asks services for measurements of their own.
//! - `rules` collects the rules that hold now, `alerts` evaluates them, and makes incidents of what fires, `replay` says what they
//!   would have done; `suspect` finds what may have caused them, in the journal and by what `seen` measured; `turns` says of which
//!   incident next, beside the evaluation of rules.
//! - `anomalies` watches what is recorded of services, and keeps what is usual of it as series.
//! - `escalate` wakes whoever is on call, `notices` tells people what happens to incidents.
//! - `remedies` mends what rules of the manifest say.
//! - `ask` answers questions, within bounds.
//! - `pictures` draws answers, `pages` makes pages of them.
//! - `inflow` takes in what others send.
//! - `forward` sends out what is measured and printed to where a team has it already.
//! - `standing` keeps in the store how notices and that stand.
//! - `prometheus` speaks the HTTP API of Prometheus, so that what can ask one can ask us.

mod alerts;
mod anomalies;
mod ask;
mod escalate;
mod forward;
mod gather;
mod host;
mod inflow;
mod lines;
mod notices;
mod pages;
mod pictures;
mod prometheus;
mod records;
mod remedies;
mod replay;
mod rules;
mod samples;
mod scrape;
mod seen;
mod standing;
mod suspect;
mod tend;
mod turns;

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Debug, Display};
use std::fs::Permissions;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use daybook_api::ErrorCode;
use daybook_metrics::store::{Options, Store};
use daybook_model::{EnvKey, Observed};
use tokio::sync::Semaphore;

use crate::App;
use crate::error::ApiError;
use samples::Told;

pub(crate) use alerts::Fired;
pub(crate) use notices::Trouble;
pub(crate) use rules::wishes;

pub(crate) use notices::routes as receiving;
pub(crate) use prometheus::routes;

/// Questions that are answered at once. Each may take a core and much memory.
const AT_ONCE: usize = 4;
/// Between two looks at what a store has to put in order.
const TEND_EVERY: Duration = Duration::from_secs(10);

/// Where measurements are kept, and what is remembered between two.
pub(crate) struct Observatory {
    store: OnceLock<Result<Arc<Store>, String>>,
    lines: OnceLock<Result<Arc<daybook_logs::store::Store>, String>>,
    questions: Semaphore,
    /// What the last look at each environment saw: whoever looks anyway leaves it here.
    seen: Mutex<HashMap<EnvKey, Arc<Observed>>>,
    /// The last samples of our own, by what they are of.
    told: Mutex<BTreeMap<String, Told>>,
    /// What fires, is about to, or ended not long ago.
    fired: Mutex<Vec<Fired>>,
    /// The rules, and how they stood when they were last evaluated.
    evaluated: Mutex<Arc<alerts::Evaluated>>,
    /// Why rules leave incidents alone.
    left: Mutex<remedies::Left>,
    /// What services say of their metrics.
    metadata: Mutex<scrape::Metadata>,
    /// What others send.
    inflow: inflow::Inflow,
    /// What goes elsewhere as well.
    forward: forward::Forwarding,
    /// What is to be told.
    pub(crate) notices: notices::Notices,
}

impl Default for Observatory {
    fn default() -> Self {
        Self {
            store: OnceLock::new(),
            lines: OnceLock::new(),
            questions: Semaphore::new(AT_ONCE),
            seen: Mutex::default(),
            told: Mutex::default(),
            fired: Mutex::default(),
            evaluated: Mutex::default(),
            left: Mutex::default(),
            metadata: Mutex::default(),
            inflow: inflow::Inflow::default(),
            forward: forward::Forwarding::default(),
            notices: notices::Notices::default(),
        }
    }
}

impl Observatory {
    /// Opens what is kept. Where that cannot be opened nothing is measured, and everything else goes on.
    fn open(&self, state: &Path) {
        for name in ["metrics", "logs"] {
            own(&state.join(name));
        }
        // Whoever opened it first has it.
        let _ = self.store.set(open_series(&state.join("metrics")));
        let _ = self.lines.set(lines::open(&state.join("logs")));
    }

    /// What is measured; nothing before the server has started.
    pub(crate) fn store(&self) -> Result<Arc<Store>, String> {
        opened(&self.store, "measurements")
    }

    /// What replicas printed.
    fn lines(&self) -> Result<Arc<daybook_logs::store::Store>, String> {
        opened(&self.lines, "lines")
    }

    /// Leaves here what a look at an environment saw.
    pub(crate) fn saw(&self, seen: Observed) {
        lock(&self.seen).insert(seen.key.clone(), Arc::new(seen));
    }

    fn last_seen(&self, key: &EnvKey) -> Option<Arc<Observed>> {
        lock(&self.seen).get(key).cloned()
    }
}

impl App {
    /// Reads how notices stand, and how far others were sent what is measured and printed: this server goes on from there. Once,
    /// after what was printed is open and before anything else is.
    pub(crate) async fn read_standings(&self) -> Result<(), daybook_store::Error> {
        self.read_notices().await?;
        self.read_received().await?;
        self.read_places().await
    }

    /// Opens what was measured and printed before.
    pub(crate) async fn open_metrics(&self) {
        let app = self.clone();
        // Where it panics there is no store, as if it could not be opened.
        let _ = tokio::task::spawn_blocking(move || app.inner.observatory.open(&app.inner.state)).await;
    }
}

/// Makes a directory that nobody else may look into: lines are of users. Where that fails, opening what is in it tells why.
fn own(directory: &Path) {
    let _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    let _ = std::fs::set_permissions(directory, Permissions::from_mode(0o700));
}

fn open_series(directory: &Path) -> Result<Arc<Store>, String> {
    let (store, report) = Store::open(directory, Options::default()).map_err(|error| {
        tracing::error!(%error, directory = %directory.display(), "nothing is measured");
        error.to_string()
    })?;
    for aside in &report.aside {
        tracing::warn!(?aside, "measurements that cannot be read were set aside");
    }
    Ok(Arc::new(store))
}

fn opened<T>(store: &OnceLock<Result<Arc<T>, String>>, what: &str) -> Result<Arc<T>, String> {
    match store.get() {
        Some(Ok(store)) => Ok(store.clone()),
        Some(Err(why)) => Err(format!("{what} cannot be read: {why}")),
        None => Err("the server has just begun".to_owned()),
    }
}

/// Puts a store in order until the server stops. `step` does one thing that is due, if something is, and blocks.
async fn keep_in_order<D, E>(what: &'static str, step: impl Fn() -> Result<Option<D>, E> + Send + Sync + 'static)
where
    D: Debug + Send + 'static,
    E: Display + Send + 'static,
{
    let step = Arc::new(step);
    loop {
        tokio::time::sleep(TEND_EVERY).await;
        loop {
            let step = step.clone();
            match tokio::task::spawn_blocking(move || step()).await {
                Ok(Ok(Some(done))) => tracing::debug!(?done, what, "a store is tended"),
                Ok(Ok(None)) => break,
                Ok(Err(error)) => {
                    tracing::warn!(%error, "{what} cannot be put in order now");
                    break;
                }
                Err(error) => {
                    tracing::error!(%error, "putting {what} in order broke off");
                    break;
                }
            }
        }
    }
}

fn unavailable(message: String) -> ApiError {
    ApiError::new(ErrorCode::Unavailable, message)
}

/// A thread that panicked left nothing half done in these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
