//! Makes a backup of a state, beside a server that works with it.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use daybook_backup::About;
use daybook_decide::state_backups::stays;
use daybook_model::Timestamp;
use daybook_model::backup::Keep;
use rustix::fs::{FlockOperation, flock};

use super::{
    COPY, Destination, EDGE, Facts, KEY, KeyKept, LABEL, Listed, Record, SAVED, SAVED_OF_EDGE, Scratch, StateError,
    list,
};

/// Whether the master key of the state directory is in its backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyCopy {
    /// It is: the repository is encrypted, and a state without its key opens no secret.
    Included,
    /// It is not.
    LeftOut,
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The backup.
    pub listed: Listed,
    /// What it says of itself.
    pub facts: Facts,
}

/// Backs a state directory up. A server may work with it meanwhile.
///
/// # Errors
/// There is no state of its own in the directory, another backup of it is under way, or the repository cannot be
/// written. No snapshot is there then.
pub async fn save(state: &Path, destination: &Destination, key: KeyCopy, now: Timestamp) -> Result<Saved, StateError> {
    let state = state.canonicalize().map_err(StateError::io("find the state directory", state))?;
    refuse(&state, destination)?;
    let _alone = alone(&state)?;
    let copy = Scratch::make(state.join(COPY))?;
    let held = daybook_store::copy(&state, &copy.0.join(daybook_store::FILE)).await?;
    let key = match (state.join(KEY).exists(), key) {
        (false, _) => KeyKept::Elsewhere,
        (true, KeyCopy::Included) => KeyKept::Included,
        (true, KeyCopy::LeftOut) => KeyKept::LeftOut,
    };
    let facts = Facts { held, key, daybook: env!("CARGO_PKG_VERSION").to_owned() };
    let about = About {
        host: host(),
        label: LABEL.to_owned(),
        tags: vec!["daybook".to_owned(), "state".to_owned()],
        time: now,
        description: Some(serde_json::to_string(&facts).expect("it is plain data")),
    };
    let (without, root) = (left_out(&state, key)?, state.clone());
    let made = destination.make(move |repository| Ok(repository.save_directory_without(&about, &root, &without)?));
    let listed = Listed::of(&made.await?.snapshot);
    let proven = Record::of(&state).filter(|record| record.to == destination.to_string()).and_then(|it| it.proven);
    let record = Record { to: destination.to_string(), snapshot: listed.snapshot.clone(), at: listed.at, proven };
    record.keep(&state)?;
    Ok(Saved { listed, facts })
}

/// Removes the backups of a state directory that no rule keeps. Says how many.
pub(super) async fn tidy(
    state: &Path,
    destination: &Destination,
    keep: &Keep,
    now: Timestamp,
) -> Result<usize, StateError> {
    let (state, host) = (state.canonicalize().map_err(StateError::io("find", state))?, host());
    let all = list(destination).await?;
    let ours: Vec<_> = all.iter().rev().filter(|one| one.host == host && one.state == state).collect();
    let times: Vec<_> = ours.iter().map(|one| one.at).collect();
    let stay = stays(keep, &times, now);
    let gone: Vec<_> = ours.iter().zip(stay).filter(|(_, stays)| !stays).map(|(one, _)| one.snapshot.clone()).collect();
    let count = gone.len();
    if count > 0 {
        let tidied = destination.with(move |repository| {
            repository.forget(&gone)?;
            Ok(repository.prune()?)
        });
        tidied.await?;
    }
    Ok(count)
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn refuse(state: &Path, destination: &Destination) -> Result<(), StateError> {
    if state.join("shared").exists() {
        return Err(StateError::Refused(format!(
            "the state of {} is in a PostgreSQL that servers share: back that up, `pg_dump --format=custom`, and keep the \
             file of the master key that the servers were given",
            state.display()
        )));
    }
    if !state.join(daybook_store::FILE).exists() {
        let why = format!("{} holds no state: give the directory of the server, `--state DIR`", state.display());
        return Err(StateError::Refused(why));
    }
    if destination.directory().is_some_and(|place| place.starts_with(state)) {
        return Err(StateError::Refused(format!(
            "{destination} is in the state directory, and would be lost with it: choose a place elsewhere"
        )));
    }
    Ok(())
}

/// Held while a backup of a state directory is made.
fn alone(state: &Path) -> Result<File, StateError> {
    let path = state.join("state-backup.lock");
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let file = opened.map_err(StateError::io("open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(StateError::Refused("another backup of this state is under way: wait until it has ended".to_owned()))
        }
        Err(error) => Err(StateError::io("lock", &path)(error.into())),
    }
}

/// What is there and is not saved. The names that a database has beside its own come and go.
fn left_out(state: &Path, key: KeyKept) -> Result<Vec<PathBuf>, StateError> {
    let beside = ["", "-wal", "-shm"].map(|end| PathBuf::from(format!("{}{end}", daybook_store::FILE)));
    let mut out: BTreeSet<PathBuf> = beside.into();
    out.extend(others(state, &SAVED)?);
    out.extend(others(&state.join(EDGE), &SAVED_OF_EDGE)?.into_iter().map(|name| Path::new(EDGE).join(name)));
    // Artifacts that are about to be.
    let half = names(&state.join("artifacts"))?.into_iter().filter(|name| name.to_string_lossy().starts_with('.'));
    out.extend(half.map(|name| Path::new("artifacts").join(name)));
    if key == KeyKept::LeftOut {
        out.insert(PathBuf::from(KEY));
    }
    Ok(out.into_iter().collect())
}

fn others(directory: &Path, saved: &[&str]) -> Result<Vec<PathBuf>, StateError> {
    let names = names(directory)?;
    Ok(names.into_iter().filter(|name| !saved.iter().any(|saved| Path::new(saved) == name)).collect())
}

fn names(directory: &Path) -> Result<Vec<PathBuf>, StateError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StateError::io("look into", directory)(error)),
    };
    let names = entries.map(|entry| entry.map(|entry| PathBuf::from(entry.file_name())));
    names.collect::<std::io::Result<_>>().map_err(StateError::io("look into", directory))
}
