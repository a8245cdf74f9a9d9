//! A repository: opened, made, and listed.

use std::sync::Arc;

use rustic_core::repofile::{SnapshotFile, SnapshotId};
use rustic_core::{
    ConfigOptions, Credentials, KeyOptions, OpenStatus, RepositoryBackends, RepositoryOptions, RusticError,
};

use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::link::Link;
use crate::place::{Limits, Place};
use crate::s3::Bucket;
use crate::snapshot::Snapshot;
use crate::storage::{CONFIG, FOLDERS, KEYS, Kind, Storage};

/// Backups in one place, opened with a password.
pub struct Repository {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) key: Key,
    pub(crate) limits: Limits,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("place", &self.storage.place()).finish_non_exhaustive()
    }
}

impl Repository {
    /// Opens the repository in a place; none where there is none.
    ///
    /// [`Error::WrongPassword`] where the password is not its own.
    pub fn open(place: &Place, password: &str) -> Result<Option<Self>> {
        Self::open_storage(storage(place)?, password)
    }

    /// Opens the repository in a place, or makes it: also where another process makes it at the same time.
    pub fn open_or_create(place: &Place, password: &str) -> Result<Self> {
        let storage = storage(place)?;
        if let Some(repository) = Self::open_storage(Arc::clone(&storage), password)? {
            return Ok(repository);
        }
        create(&storage, password)?;
        let opened = Self::open_storage(Arc::clone(&storage), password)?;
        opened.ok_or_else(|| damaged(&*storage, "making a repository", "it is gone again"))
    }

    /// The same, with limits on what backups take from others.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Lets another password open the repository as well. Those that open it now go on doing so.
    pub fn add_password(&self, password: &str) -> Result<()> {
        let session = self.session()?;
        let added = session.repository.add_key(password, &KeyOptions::default());
        added.map(drop).map_err(|error| self.told(&session.link, &error, "adding a password"))
    }

    /// All snapshots, the oldest first.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let session = self.session()?;
        let files = session.repository.get_all_snapshots();
        let files = files.map_err(|error| self.told(&session.link, &error, "reading the snapshots"))?;
        let mut snapshots: Vec<Snapshot> = files.into_iter().map(Snapshot::from).collect();
        snapshots.sort_by(|one, other| (one.time, &one.id).cmp(&(other.time, &other.id)));
        Ok(snapshots)
    }

    /// Forgets snapshots. What only they needed stays until [`Repository::prune`].
    ///
    /// Each is given by its whole id. Where one is unknown, none is forgotten.
    pub fn forget(&self, ids: &[String]) -> Result<()> {
        let known = self.snapshots()?;
        if let Some(id) = ids.iter().find(|id| !known.iter().any(|snapshot| snapshot.id == **id)) {
            return Err(self.no_snapshot(id));
        }
        let ids: Option<Vec<SnapshotId>> = ids.iter().map(|id| id.parse().ok()).collect();
        let ids = ids.expect("an id of a snapshot that was listed is an id");
        let session = self.session()?;
        let forgotten = session.repository.delete_snapshots(&ids);
        forgotten.map_err(|error| self.told(&session.link, &error, "forgetting snapshots"))
    }

    fn open_storage(storage: Arc<dyn Storage>, password: &str) -> Result<Option<Self>> {
        if storage.size(CONFIG)?.is_none() {
            return match holds_something(&*storage)? {
                true => Err(damaged(&*storage, "opening them", "the file `config` is missing")),
                false => Ok(None),
            };
        }
        let key = find_key(&*storage, password)?;
        let repository = Self { storage, key, limits: Limits::default() };
        repository.session()?;
        Ok(Some(repository))
    }

    /// A link of its own to the storage, and the library on top of it.
    pub(crate) fn session(&self) -> Result<Session> {
        let link = Arc::new(Link::new(Arc::clone(&self.storage), self.limits.bytes_per_second));
        let opened = unopened(&link).and_then(|closed| closed.open(&Credentials::Masterkey(self.key.master())));
        let repository = opened.map_err(|error| self.told(&link, &error, "opening them"))?;
        Ok(Session { link, repository })
    }

    /// An error of the library as one of ours: the storage's own where it has failed, and else what was found.
    pub(crate) fn told(&self, link: &Link, error: &RusticError, doing: &'static str) -> Error {
        if let Some(failure) = link.seen().failure.clone() {
            return failure.into();
        }
        damaged(&*self.storage, doing, &error.display_log())
    }

    /// The snapshot of an id, or of the beginning of one.
    pub(crate) fn snapshot(&self, session: &Session, id: &str) -> Result<SnapshotFile> {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(self.no_snapshot(id));
        }
        let found = self.storage.list("snapshots")?.into_iter().filter(|file| file.name.starts_with(id));
        let [file] = &found.collect::<Vec<_>>()[..] else { return Err(self.no_snapshot(id)) };
        let read = session.repository.get_snapshots(&[&file.name]);
        let read = read.map_err(|error| self.told(&session.link, &error, "reading a snapshot"))?;
        read.into_iter().next().ok_or_else(|| self.no_snapshot(id))
    }

    fn no_snapshot(&self, id: &str) -> Error {
        Error::NoSnapshot { place: self.storage.place(), id: id.to_owned() }
    }
}

/// The library at work, and what it does to the storage.
pub(crate) struct Session {
    pub(crate) link: Arc<Link>,
    pub(crate) repository: rustic_core::Repository<OpenStatus>,
}

pub(crate) fn damaged(storage: &dyn Storage, doing: &'static str, why: &str) -> Error {
    Error::Damaged { place: storage.place(), doing, why: why.to_owned() }
}

fn storage(place: &Place) -> Result<Arc<dyn Storage>> {
    Ok(match place {
        Place::Directory(root) => Arc::new(Directory::new(root.clone())),
        Place::S3(s3) => Arc::new(Bucket::new(s3)?),
    })
}

fn unopened(link: &Arc<Link>) -> Result<rustic_core::Repository<()>, Box<RusticError>> {
    let mut options = RepositoryOptions::default();
    // Users find nothing of ours in their home.
    options.no_cache = true;
    rustic_core::Repository::new(&options, &RepositoryBackends::new(Arc::clone(link) as _, None))
}

/// Whether there is more than a repository that is being made has.
fn holds_something(storage: &dyn Storage) -> Result<bool> {
    for folder in FOLDERS.into_iter().filter(|folder| *folder != KEYS && *folder != crate::storage::LOCKS) {
        if !storage.list(folder)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The key that the password opens, and that opens the repository: a key of somebody who was about to make the
/// repository at the same time as another does not.
fn find_key(storage: &dyn Storage, password: &str) -> Result<Key> {
    let config = storage.read(CONFIG, None)?;
    let listed = storage.list(KEYS)?;
    let mut why = listed.is_empty().then(|| "there is no key".to_owned());
    for file in listed {
        let content = storage.read(&format!("{KEYS}/{}", file.name), None)?;
        match Key::from_file(&content, password) {
            Ok(Some(key)) if key.open_file(&config).is_some() => return Ok(key),
            Ok(Some(_)) => why = Some("the file `config` is not what was written".to_owned()),
            Ok(None) => {}
            Err(wrong) => _ = why.get_or_insert(format!("the key {} is not what was written: {wrong}", file.name)),
        }
    }
    match why {
        Some(why) => Err(damaged(storage, "opening them", &why)),
        None => Err(Error::WrongPassword { place: storage.place() }),
    }
}

/// How hard a repository is compressed, as zstd's levels go. `restic` asks its own zstd for the level 3, which makes a
/// dump of a database a hundredth smaller than the level 3 of libzstd.
const COMPRESSION: i32 = 5;

fn create(storage: &Arc<dyn Storage>, password: &str) -> Result<()> {
    let link = Arc::new(Link::new(Arc::clone(storage), None));
    let made = unopened(&link).and_then(|closed| {
        let config = ConfigOptions::default().set_compression(COMPRESSION);
        closed.init(&Credentials::password(password), &KeyOptions::default(), &config)
    });
    let Err(error) = made else { return Ok(()) };
    // Somebody else was first. The key that was made here opens nothing; it only would confuse `restic`.
    for key in &link.seen().keys {
        storage.remove(key)?;
    }
    let failure = link.seen().failure.clone();
    match failure {
        Some(failure) if failure.kind == Kind::Exists => Ok(()),
        Some(failure) => Err(failure.into()),
        None if storage.size(CONFIG)?.is_some() => Ok(()),
        None => Err(damaged(&**storage, "making a repository", &error.display_log())),
    }
}
