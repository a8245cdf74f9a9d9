//! Brings a state back into a directory that has none.

use std::path::{Path, PathBuf};

use super::{COPY, Destination, EDGE, Facts, KEY, KeyKept, Listed, SAVED, Scratch, StateError, find};
use crate::lock::StateLock;

/// Numbers of releases that a state which was brought back leaves out: those that were given out after the backup.
const SKIPPED: u32 = 100;

/// What may be in the directory: what does not belong to a backup, and what outlived the loss of the rest.
const MAY_BE: [&str; 9] = [
    "process",
    "backups",
    "servers",
    "server.lock",
    "server.log",
    "serve.out",
    "daybook.sock",
    "state-backup.json",
    RESTORING,
];

/// Where a snapshot is unpacked first.
const RESTORING: &str = "restoring";

/// A state that was brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// By which backup.
    pub listed: Listed,
    /// What that says of itself.
    pub facts: Facts,
    /// What was there, and stays.
    pub stayed: Vec<String>,
    /// Whether the directory has a master key now.
    pub has_key: bool,
}

/// Brings a state back into a directory, by the backup whose name begins with `wanted` or by the newest. It is looked
/// through before anything is put in its place; the database, with which the directory becomes a state, is put there last.
///
/// # Errors
/// The directory has a state or something that is no Daybook's, a server works with it, or the backup is no good.
pub async fn restore(destination: &Destination, wanted: Option<&str>, into: &Path) -> Result<Restored, StateError> {
    let listed = find(destination, wanted).await?;
    refuse(into)?;
    make(into)?;
    let into = into.canonicalize().map_err(StateError::io("find", into))?;
    let _lock = StateLock::take(&into).map_err(|error| StateError::Refused(error.to_string()))?;
    let restoring = Scratch::make(into.join(RESTORING))?;
    let facts = unpack(destination, &listed, &restoring.0).await?;
    let held = daybook_store::examine(&restoring.0, None, None).await?;
    compare(&facts, &held)?;
    daybook_store::use_no_number_again(&restoring.0, SKIPPED).await?;
    let stayed = put(&restoring.0, &into)?;
    Ok(Restored { has_key: into.join(KEY).exists(), listed, facts, stayed })
}

/// Unpacks a backup into an empty directory, which then is a state directory.
pub(super) async fn unpack(destination: &Destination, listed: &Listed, into: &Path) -> Result<Facts, StateError> {
    let Some(facts) = listed.facts.clone() else {
        let why =
            format!("backup {} was made by a Daybook that this one does not know: use a newer one", listed.short());
        return Err(StateError::Refused(why));
    };
    let (snapshot, to) = (listed.snapshot.clone(), into.to_owned());
    destination.with(move |repository| Ok(repository.restore_directory(&snapshot, &to)?)).await?;
    let (copy, place) = (into.join(COPY).join(daybook_store::FILE), into.join(daybook_store::FILE));
    std::fs::rename(&copy, &place)
        .map_err(|error| StateError::Differs(format!("the backup has no database ({}: {error})", copy.display())))?;
    std::fs::remove_dir(into.join(COPY)).map_err(StateError::io("remove", &into.join(COPY)))?;
    if facts.key == KeyKept::Included && !into.join(KEY).exists() {
        return Err(StateError::Differs("the backup has no master key, and had one when it was made".to_owned()));
    }
    Ok(facts)
}

/// Refuses what is not what was saved.
pub(super) fn compare(facts: &Facts, held: &daybook_store::Holdings) -> Result<(), StateError> {
    if facts.held == *held {
        return Ok(());
    }
    let differs = [
        ("entries of the journal", facts.held.entries, held.entries),
        ("releases", facts.held.releases, held.releases),
        ("sealed secrets", facts.held.secrets, held.secrets),
    ];
    let told = differs.iter().filter(|(_, had, has)| had != has);
    let told: Vec<_> = told.map(|(what, had, has)| format!("{has} {what}, not {had}")).collect();
    let what = if told.is_empty() { "another last entry of the journal".to_owned() } else { told.join(", ") };
    Err(StateError::Differs(format!("the backup has {what}")))
}

fn refuse(into: &Path) -> Result<(), StateError> {
    let Ok(entries) = std::fs::read_dir(into) else { return Ok(()) };
    for entry in entries {
        let name = entry.map_err(StateError::io("look into", into))?.file_name().to_string_lossy().into_owned();
        let why = if name.starts_with(daybook_store::FILE) {
            "has a state: stop its server, and move the directory away"
        } else if SAVED.contains(&name.as_str()) || MAY_BE.contains(&name.as_str()) {
            continue;
        } else {
            "is neither empty nor what is left of a state directory: give another"
        };
        return Err(StateError::Refused(format!("{} {why} (`{name}` is there)", into.display())));
    }
    Ok(())
}

fn make(into: &Path) -> Result<(), StateError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(into);
    made.map_err(StateError::io("make", into))
}

/// Puts everything in its place, and the database last. Says what was there, and stays.
fn put(from: &Path, into: &Path) -> Result<Vec<String>, StateError> {
    let mut stayed = Vec::new();
    for name in SAVED.iter().filter(|name| from.join(name).exists()) {
        let (source, target) = (from.join(name), into.join(name));
        match target.is_dir() && source.is_dir() {
            false if target.exists() => stayed.push((*name).to_owned()),
            false => rename(&source, &target)?,
            true => {
                // What an edge that lives has done since is newer than the backup; artifacts never change.
                if *name == EDGE {
                    stayed.push((*name).to_owned());
                }
                put_missing(&source, &target)?;
            }
        }
    }
    sync(into)?;
    rename(&from.join(daybook_store::FILE), &into.join(daybook_store::FILE))?;
    sync(into)?;
    Ok(stayed)
}

fn put_missing(from: &Path, into: &Path) -> Result<(), StateError> {
    let entries = std::fs::read_dir(from).map_err(StateError::io("look into", from))?;
    for entry in entries {
        let entry = entry.map_err(StateError::io("look into", from))?;
        let target: PathBuf = into.join(entry.file_name());
        if !target.exists() {
            rename(&entry.path(), &target)?;
        }
    }
    sync(into)
}

fn rename(from: &Path, to: &Path) -> Result<(), StateError> {
    std::fs::rename(from, to).map_err(StateError::io("put in its place", to))
}

fn sync(directory: &Path) -> Result<(), StateError> {
    let synced = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(StateError::io("sync", directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_with_a_state_or_with_something_else_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        refuse(&dir.path().join("not there")).unwrap();
        for left in ["process", "edge", "server.log", KEY] {
            std::fs::write(dir.path().join(left), "").unwrap();
        }
        refuse(dir.path()).unwrap();
        std::fs::write(dir.path().join("thesis.txt"), "").unwrap();
        assert!(refuse(dir.path()).unwrap_err().to_string().contains("thesis.txt"));
        std::fs::remove_file(dir.path().join("thesis.txt")).unwrap();
        std::fs::write(dir.path().join("daybook.db-wal"), "").unwrap();
        assert!(refuse(dir.path()).unwrap_err().to_string().contains("has a state"));
    }
}
