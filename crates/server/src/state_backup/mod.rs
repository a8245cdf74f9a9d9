//! Backups of Daybook's own state: what cannot be made again of a state directory, in one snapshot.
//!
//! That is the database, copied at one moment while a server writes to it, the master key unless it is kept elsewhere, the
//! authority and the table of the edge, and the artifacts of releases. Logs and sockets, what replicas hold and what is
//! backed up by itself is not in it. What is saved is a directory as it lies there, but for the copy of the database,
//! which is in `copy/`: so `restic` alone brings it back too.

mod destination;
mod drill;
mod record;
mod restore;
mod save;
mod tend;

use std::path::{Path, PathBuf};

use daybook_backup::Snapshot;
use daybook_model::Timestamp;
use daybook_store::Holdings;
use serde::{Deserialize, Serialize};

pub use destination::{Bucket, Destination};
pub use drill::{Drilled, KeyForDrill, drill};
pub use record::Record;
pub use restore::{Restored, restore};
pub use save::{KeyCopy, Saved, save};
pub use tend::Schedule;
pub(crate) use tend::tend;

/// What the snapshots of states are labelled.
const LABEL: &str = "daybook-state";

/// Where the copy of the database is in a snapshot.
const COPY: &str = "copy";

/// The file of a state directory's own key.
const KEY: &str = "master.key";

/// What is saved of a state directory beside the copy of its database.
const SAVED: [&str; 6] = [COPY, KEY, "owner.json", "runtime", "artifacts", EDGE];

/// The directory of the edge, and what is saved of it.
const EDGE: &str = "edge";
const SAVED_OF_EDGE: [&str; 3] = ["certs", "table.json", "table.previous.json"];

/// What is said of a state when it is saved. It stands in its snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What the copy of the database holds.
    #[serde(flatten)]
    pub held: Holdings,
    /// Where the master key is.
    pub key: KeyKept,
    /// The Daybook that made it.
    pub daybook: String,
}

/// Where the master key is that opens the secrets of a saved state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKept {
    /// In the snapshot.
    Included,
    /// In the state directory: somebody asked to leave it out.
    LeftOut,
    /// Where the server was told to take it from; it never was in the state directory.
    Elsewhere,
}

/// A backup of a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// What it is called in the repository.
    pub snapshot: String,
    /// When it was made.
    pub at: Timestamp,
    /// The machine that it is of.
    pub host: String,
    /// The state directory that it is of.
    pub state: PathBuf,
    /// Bytes that it has.
    pub size_bytes: Option<u64>,
    /// Bytes by which the repository grew.
    pub added_bytes: Option<u64>,
    /// What was said of it. `None`: by a Daybook that this one does not understand.
    #[serde(flatten)]
    pub facts: Option<Facts>,
}

impl Listed {
    fn of(snapshot: &Snapshot) -> Self {
        let facts = snapshot.description.as_deref().and_then(|text| serde_json::from_str(text).ok());
        Self {
            snapshot: snapshot.id.clone(),
            at: snapshot.time,
            host: snapshot.host.clone(),
            state: snapshot.paths.first().cloned().unwrap_or_default(),
            size_bytes: snapshot.size_bytes,
            added_bytes: snapshot.added_bytes,
            facts,
        }
    }

    /// Enough of its name for people.
    pub fn short(&self) -> &str {
        self.snapshot.get(..8).unwrap_or(&self.snapshot)
    }
}

/// Why a backup of a state was not made, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The repository.
    #[error(transparent)]
    Repository(#[from] daybook_backup::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] daybook_store::Error),
    /// It cannot be, and why.
    #[error("{0}")]
    Refused(String),
    /// What was brought back is not what was saved.
    #[error("{0}")]
    Differs(String),
    /// The system refused.
    #[error("{operation} {}: {source}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl StateError {
    fn io(operation: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::Io { operation, path: path.to_owned(), source }
    }

    /// Whether the backup is to blame, and not who looks at it.
    fn is_of_the_backup(&self) -> bool {
        match self {
            Self::Repository(error) => matches!(error, daybook_backup::Error::Damaged { .. }),
            Self::Store(error) => !matches!(error, daybook_store::Error::Unavailable { .. }),
            Self::Differs(_) => true,
            Self::Refused(_) | Self::Io { .. } => false,
        }
    }
}

/// The backups of states in a repository, the oldest first.
///
/// # Errors
/// The repository cannot be opened, or is not there.
pub async fn list(destination: &Destination) -> Result<Vec<Listed>, StateError> {
    destination.with(|repository| Ok(repository.snapshots()?)).await.map(|all| {
        let of_states = all.iter().filter(|snapshot| snapshot.label == LABEL);
        of_states.map(Listed::of).collect()
    })
}

/// The backup whose name begins so, or the newest.
async fn find(destination: &Destination, wanted: Option<&str>) -> Result<Listed, StateError> {
    let mut all = list(destination).await?;
    if let Some(wanted) = wanted {
        all.retain(|one| one.snapshot.starts_with(wanted));
        if all.len() > 1 {
            return Err(StateError::Refused(format!("several backups begin with `{wanted}`: give more of the name")));
        }
    }
    all.pop().ok_or_else(|| {
        let which =
            wanted.map_or("no backup of a state".to_owned(), |wanted| format!("no backup `{wanted}` of a state"));
        StateError::Refused(format!("{destination} has {which}: `daybook state ls` lists those that it has"))
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StateError> + Send + 'static,
) -> Result<T, StateError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(StateError::Refused(format!("work with the backups: {error}"))),
    }
}

/// Removes a directory with everything in it, whatever its directories allow.
fn remove(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if !path.exists() {
        return Ok(());
    }
    let mut open = vec![path.to_owned()];
    while let Some(directory) = open.pop() {
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700))?;
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    std::fs::remove_dir_all(path)
}

/// A directory of its own that goes with this value.
struct Scratch(PathBuf);

impl Scratch {
    /// Makes it anew: what somebody before left there goes.
    fn make(path: PathBuf) -> Result<Self, StateError> {
        use std::os::unix::fs::DirBuilderExt as _;
        remove(&path).map_err(StateError::io("remove", &path))?;
        std::fs::DirBuilder::new().mode(0o700).create(&path).map_err(StateError::io("make", &path))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "what a backup of the state needed for a while stays");
        }
    }
}
