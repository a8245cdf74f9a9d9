//! Locks, as restic has them: files that say who works on a repository, and whether others may.
//!
//! Backups and prunes of this crate do not disturb each other, and so do not look at each other's locks; they take them
//! against `restic`, which must not prune while a backup is made.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::hash::Sum;
use crate::key::Key;
use crate::repository::Repository;
use crate::storage::{Failure, How, LOCKS, Listed, Storage};

/// As restic says it: a lock that was not refreshed for so long is of a program that has ended.
const STALE: Duration = Duration::from_secs(30 * 60);
/// As restic says it.
const REFRESHED_EVERY: Duration = Duration::from_secs(5 * 60);
/// How our own locks are known.
const OURS: &str = "daybook";

/// What is in the file of a lock.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    time: Timestamp,
    exclusive: bool,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    pid: i32,
}

/// A lock that is held until it is dropped.
pub(crate) struct Lock {
    end: Option<Sender<()>>,
    refresher: Option<JoinHandle<()>>,
}

impl Lock {
    /// Against those who want the repository for themselves.
    pub(crate) fn shared(repository: &Repository) -> Result<Self> {
        Self::take(repository, false)
    }

    /// Against all others.
    pub(crate) fn exclusive(repository: &Repository) -> Result<Self> {
        Self::take(repository, true)
    }

    fn take(repository: &Repository, is_exclusive: bool) -> Result<Self> {
        let (storage, key) = (&repository.storage, &repository.key);
        refuse(&**storage, key, is_exclusive)?;
        let name = write(&**storage, key, is_exclusive)?;
        // From here on it is removed, whatever happens.
        let lock = Self::refreshed(Arc::clone(storage), key.clone(), name, is_exclusive);
        // Both may have looked before either has written.
        refuse(&**storage, key, is_exclusive)?;
        Ok(lock)
    }

    fn refreshed(storage: Arc<dyn Storage>, key: Key, mut name: String, is_exclusive: bool) -> Self {
        let (end, ended) = mpsc::channel();
        let refresher = std::thread::spawn(move || {
            while ended.recv_timeout(REFRESHED_EVERY) == Err(RecvTimeoutError::Timeout) {
                match write(&*storage, &key, is_exclusive) {
                    Ok(new) => remove(&*storage, &std::mem::replace(&mut name, new)),
                    Err(failure) => tracing::warn!("a lock is not refreshed: {failure}"),
                }
            }
            remove(&*storage, &name);
        });
        Self { end: Some(end), refresher: Some(refresher) }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(refresher) = self.refresher.take() {
            // It can only fail by a panic, which has been shown.
            let _ = refresher.join();
        }
    }
}

fn write(storage: &dyn Storage, key: &Key, exclusive: bool) -> Result<String, Failure> {
    let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let content = Content { time: Timestamp::now(), exclusive, hostname, username: OURS.to_owned(), pid };
    let content: Bytes = key.seal(&serde_json::to_vec(&content).expect("a lock is JSON")).into();
    let name = format!("{LOCKS}/{}", Sum::of(&content));
    storage.write(&name, &[content], How::Passing)?;
    Ok(name)
}

/// A lock that stays is stale soon.
fn remove(storage: &dyn Storage, name: &str) {
    if let Err(failure) = storage.remove(name) {
        tracing::warn!("a lock is left behind: {failure}");
    }
}

/// Refuses to go on where another program's lock forbids it.
fn refuse(storage: &dyn Storage, key: &Key, is_exclusive: bool) -> Result<()> {
    for file in storage.list(LOCKS)? {
        let content = match storage.read(&format!("{LOCKS}/{}", file.name), None) {
            // It was removed in the meantime.
            Err(failure) if failure.kind == crate::storage::Kind::Missing => continue,
            content => content?,
        };
        let content: Option<Content> = key.open_file(&content).and_then(|text| serde_json::from_slice(&text).ok());
        if let Some((by, since)) = forbids(&file, content, is_exclusive) {
            return Err(Error::Locked { place: storage.place(), by, since: since.to_string() });
        }
    }
    Ok(())
}

/// Who forbids it and since when. Of a lock that cannot be read only the age is known.
fn forbids(file: &Listed, content: Option<Content>, is_exclusive: bool) -> Option<(String, Timestamp)> {
    let Some(content) = content else {
        let since = file.modified.unwrap_or_else(SystemTime::now);
        return is_fresh(since).then(|| ("somebody".to_owned(), Timestamp::try_from(since).unwrap_or_default()));
    };
    if content.username == OURS || !(content.exclusive || is_exclusive) || !is_fresh(content.time.into()) {
        return None;
    }
    Some((format!("process {} of {} on {}", content.pid, content.username, content.hostname), content.time))
}

fn is_fresh(since: SystemTime) -> bool {
    since.elapsed().map_or(true, |age| age < STALE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(username: &str, exclusive: bool, age: Duration) -> Option<Content> {
        let time = Timestamp::try_from(SystemTime::now() - age).unwrap();
        Some(Content { time, exclusive, hostname: "elsewhere".to_owned(), username: username.to_owned(), pid: 7 })
    }

    #[test]
    fn locks_of_others_forbid_what_they_say_as_long_as_they_are_fresh() {
        let (now, old) = (Duration::ZERO, STALE + Duration::from_secs(1));
        let listed = |age| Listed { name: String::new(), size: 0, modified: Some(SystemTime::now() - age) };
        for (age, content, is_exclusive, is_forbidden) in [
            (now, lock("ann", true, now), false, true),
            (now, lock("ann", false, now), false, false),
            (now, lock("ann", false, now), true, true),
            (now, lock("ann", true, old), true, false),
            (now, lock(OURS, true, now), true, false),
            (now, None, false, true),
            (old, None, true, false),
        ] {
            let shown = format!("{content:?}");
            assert_eq!(forbids(&listed(age), content, is_exclusive).is_some(), is_forbidden, "{shown}");
        }
    }
}
