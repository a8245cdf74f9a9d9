//! What goes wrong: each error says what failed, why, and what to do.

use std::io;
use std::path::PathBuf;

use crate::storage::Failure;

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something about backups failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is a repository, and the password is not its own.
    #[error("the password does not open the backups in {place}: give the one that they were made with")]
    WrongPassword {
        /// Where the repository is.
        place: String,
    },
    /// The directory or the server did not do what was asked of it.
    #[error(transparent)]
    Storage(#[from] Failure),
    /// A stream that was to be saved ended with an error. There is no snapshot.
    #[error("`{entry}` was not saved, because its source failed: {why}; put the source right and back up again")]
    Source {
        /// The entry's name.
        entry: String,
        /// The source's own error.
        #[source]
        why: io::Error,
    },
    /// Files of a directory could not be read. There is no snapshot.
    #[error("{} was not saved, because {} could not be read{}: let the backup read them, or move them away",
        path.display(), count(*files), first.as_ref().map(|first| format!(", the first {first}")).unwrap_or_default())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// How many files.
        files: u64,
        /// One of them.
        first: Option<Unread>,
    },
    /// What is saved is not what was sent. There is no snapshot.
    #[error("{what} was not saved whole, and so not at all; back up again, and report it when that does not help")]
    Incomplete {
        /// What was to be saved.
        what: String,
    },
    /// An argument that cannot be.
    #[error("{what}: {why}")]
    Invalid {
        /// What was given.
        what: String,
        /// Why it cannot be, and what can.
        why: String,
    },
    /// No snapshot of that id.
    #[error("{place} has no snapshot `{id}`: list the snapshots for those that it has")]
    NoSnapshot {
        /// Where the repository is.
        place: String,
        /// The id that was asked for.
        id: String,
    },
    /// The snapshot has nothing of that name.
    #[error("snapshot {snapshot} has no `{entry}`: list the snapshots for what they hold")]
    NoEntry {
        /// The snapshot.
        snapshot: String,
        /// What was asked for.
        entry: String,
    },
    /// Bytes of the repository are missing or wrong.
    #[error("the backups in {place} are damaged, found while {doing}: {why}; check all of them, and back up afresh")]
    Damaged {
        /// Where the repository is.
        place: String,
        /// What was being done.
        doing: &'static str,
        /// What was found.
        why: String,
    },
    /// Another program works on the repository in a way that forbids this.
    #[error(
        "{place} is locked by {by} since {since}: wait until that is done; if it was ended, run `restic unlock`, or \
         wait 30 minutes"
    )]
    Locked {
        /// Where the repository is.
        place: String,
        /// Who has the lock.
        by: String,
        /// Since when.
        since: String,
    },
    /// What is restored cannot be written where it should go.
    #[error("cannot write what is restored: {why}; see that there is room and that it may be written there")]
    Destination {
        /// The destination's error.
        #[source]
        why: io::Error,
    },
}

/// A file that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.path.display(), self.why)
    }
}

fn count(files: u64) -> String {
    if files == 1 { "one file".to_owned() } else { format!("{files} files") }
}
