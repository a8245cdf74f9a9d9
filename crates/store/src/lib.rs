//! The journal, releases and sealed secrets: the only SQL of our own state.
//!
//! [`Journal`] is a seam: [`MemoryJournal`] keeps entries in memory and can be made to crash
//! at any write; the store keeps them for good, in SQLite or PostgreSQL. All run the same contract tests.

mod append;
mod chain;
mod copy;
#[cfg(test)]
mod damage;
mod database;
mod derived;
mod environments;
mod fence;
mod key;
mod leadership;
pub mod memory;
mod postgres;
mod releases;
mod runs;
mod seal;
mod secrets;
mod sqlite;
mod standings;
mod store;
mod targets;
mod verify;

use async_trait::async_trait;
use daybook_model::{Actor, Entry, EnvKey, Event, RunId};

pub use copy::{Holdings, copy, examine, use_no_number_again};
pub use environments::{Environment, Job, LastRun};
pub use key::{KeyForm, KeySource, SHORTEST_PASSPHRASE, key_form, passphrase_in, seal_key};
pub use leadership::{Epoch, Leader};
pub use memory::{MemoryJournal, When};
pub use postgres::DatabaseUrl;
pub use runs::RunRecord;
pub use secrets::Secret;
pub use sqlite::FILE;
pub use standings::{DELIVERIES, RECEIVED, Standings};
pub use store::Store;
pub use verify::Verified;

/// The append-only record of everything that happens.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Writes an entry and returns it when it would survive power loss.
    ///
    /// This is also the fence. While a run of an environment is open (started and not finished),
    /// `RunStarted` of another run, and any event that carries another run's id, is refused with
    /// [`Error::Locked`]; an event of a run that has finished or never started is refused with
    /// [`Error::Ended`]. An `expected` sequence number, where
    /// given, must be that of the environment's latest entry, or the write is refused with
    /// [`Error::Stale`].
    async fn append(&self, write: Write) -> Result<Entry>;

    /// Entries in order.
    async fn read(&self, query: &Query) -> Result<Vec<Entry>>;
}

/// An entry to be written.
#[derive(Debug, Clone)]
pub struct Write {
    /// The environment it is about.
    pub key: Option<EnvKey>,
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// Who caused it.
    pub actor: Actor,
    /// What happened.
    pub event: Event,
    /// Sequence number of the environment's latest entry as the writer knows it (0: none yet).
    pub expected: Option<u64>,
}

/// Which entries.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Only of this environment.
    pub key: Option<EnvKey>,
    /// Only of this run.
    pub run: Option<RunId>,
    /// Only after this sequence number.
    pub after: u64,
    /// At most so many; the last ones if `newest` is set, else the first ones.
    pub limit: Option<usize>,
    /// Take the last ones. They still come oldest first.
    pub newest: bool,
}

/// A result of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another run of the environment is open: it must finish, be resumed or be abandoned.
    #[error("run {run} of {key} is not finished")]
    Locked {
        /// The environment.
        key: EnvKey,
        /// The run that holds it.
        run: RunId,
    },
    /// The run has finished, or was given up by someone else: nothing may be done in its name.
    #[error("run {run} of {key} is not open")]
    Ended {
        /// The environment.
        key: EnvKey,
        /// The run that is not open.
        run: RunId,
    },
    /// The environment changed since the writer looked.
    #[error("{key} changed meanwhile: its journal is at entry {now}, not {expected}")]
    Stale {
        /// The environment.
        key: EnvKey,
        /// What the writer knew.
        expected: u64,
        /// What it is.
        now: u64,
    },
    /// Another process leads by now, or this one never did: nothing may be written, and nothing done, in its name.
    #[error("this server does not lead: {leader}")]
    Deposed {
        /// Who does.
        leader: Leader,
    },
    /// The database did not say whether the entry was written, and could not be asked again. Whoever wrote it must
    /// stop, and begin again from what the journal says.
    #[error("{operation}: the database did not say whether entry {seq} was written")]
    InDoubt {
        /// What was tried.
        operation: &'static str,
        /// The entry's number, if it was.
        seq: u64,
    },
    /// An entry was altered, dropped or torn.
    #[error("journal entry {seq} is damaged: {why}")]
    Damaged {
        /// The first bad entry; 0 when it is the database as a whole.
        seq: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The disk is full or failing. Nothing was written.
    #[error("{operation}: {message}")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        message: String,
    },
    /// Anything else.
    #[error("{operation}: {message}")]
    Internal {
        /// What was tried.
        operation: &'static str,
        /// What was said.
        message: String,
    },
}

pub(crate) fn internal(operation: &'static str, message: impl std::fmt::Display) -> Error {
    Error::Internal { operation, message: message.to_string() }
}
