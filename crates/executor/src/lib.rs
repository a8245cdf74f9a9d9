//! Drives a run: journal, act, journal, observe.
//!
//! The executor carries no decision: [`daybook_decide::plan()`] says what to do,
//! [`daybook_decide::run::Run`] says what is next, and the modules here do it, one driver call for each
//! action. Nothing is done before the journal has the intent, and nothing counts before it has the
//! outcome.

mod act;
mod aside;
pub mod authority;
mod await_steps;
mod backlog;
mod chart;
pub mod databases;
mod drive;
mod evidence;
mod hindrance;
mod hook;
mod launch;
mod leave;
pub mod ledger;
mod look;
pub mod note;
mod patience;
mod resolve;
mod routing;
pub mod simulation;
mod start;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use daybook_model::Timestamp;
use daybook_runtime::{Places, Router, Runtime};
use tokio::sync::broadcast;

pub use aside::{Aside, AsideState};
pub use databases::{Databases, NoDatabases};
pub use drive::Ending;
pub use ledger::{Ledger, SecretValues};
pub use note::Note;
pub use resolve::{Resolved, Unresolved};
pub use start::{RunStart, able};

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Carries runs out. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Executor {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) router: Arc<dyn Router>,
    pub(crate) places: Arc<dyn Places>,
    pub(crate) secrets: Arc<dyn SecretValues>,
    pub(crate) databases: Arc<dyn Databases>,
    pub(crate) clock: Clock,
    pub(crate) artifacts: PathBuf,
    pub(crate) pages: PathBuf,
    pub(crate) notes: broadcast::Sender<Note>,
    pub(crate) routing: routing::Routing,
    pub(crate) looks: look::Looks,
}

/// What an executor works with.
pub struct Parts {
    /// The journal, and what is derived from it.
    pub ledger: Arc<dyn Ledger>,
    /// What runs replicas.
    pub runtime: Arc<dyn Runtime>,
    /// What sends requests to them.
    pub router: Arc<dyn Router>,
    /// Where environments can be.
    pub places: Arc<dyn Places>,
    /// Who knows the values of secrets.
    pub secrets: Arc<dyn SecretValues>,
    /// Who knows the engines of databases.
    pub databases: Arc<dyn Databases>,
    /// The time.
    pub clock: Clock,
    /// Directory of snapshots: a static site is served from `<artifacts>/<hex digest>`.
    pub artifacts: PathBuf,
    /// Directory of status pages, which somebody else writes.
    pub pages: PathBuf,
}

impl Executor {
    /// An executor over these parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { ledger, runtime, router, places, secrets, databases, clock, artifacts, pages } = parts;
        let (notes, _) = broadcast::channel(1024);
        let routing = routing::Routing::default();
        let looks = look::Looks::default();
        let inner = Inner {
            ledger,
            runtime,
            router,
            places,
            secrets,
            databases,
            clock,
            artifacts,
            pages,
            notes,
            routing,
            looks,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Notes on the progress of steps, from now on. They are not journaled.
    pub fn notes(&self) -> broadcast::Receiver<Note> {
        self.inner.notes.subscribe()
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.inner.clock)()
    }
}

/// A result of the executor.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the executor cannot go on. The run stays as the journal has it and can be driven again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal refuses, or cannot be written.
    #[error(transparent)]
    Journal(#[from] daybook_store::Error),
    /// The runtime or the edge does not answer.
    #[error(transparent)]
    Runtime(#[from] daybook_runtime::Error),
    /// The journal holds what cannot be.
    #[error("the journal of run {run} cannot be followed: {why}")]
    Illegal {
        /// The run.
        run: daybook_model::RunId,
        /// What does not fit.
        why: String,
    },
    /// The value of a secret cannot be had.
    #[error("secret {name}: {why}")]
    Secret {
        /// Its name.
        name: String,
        /// What was said.
        why: String,
    },
}
