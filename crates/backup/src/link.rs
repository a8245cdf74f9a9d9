//! What the library sees of a storage, and what goes there at a pace.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};

use crate::storage::{self, Failure, How, Kind, Part, Storage};

pub(crate) struct Link {
    storage: Arc<dyn Storage>,
    pace: Option<Pace>,
    seen: Mutex<Seen>,
}

/// What went through.
#[derive(Default)]
pub(crate) struct Seen {
    /// The first failure of the storage. The library wraps it, or forgets it.
    pub(crate) failure: Option<Failure>,
    /// Keys that were written.
    pub(crate) keys: Vec<String>,
}

impl Link {
    pub(crate) fn new(storage: Arc<dyn Storage>, bytes_per_second: Option<u64>) -> Self {
        let pace = bytes_per_second.map(Pace::new);
        Self { storage, pace, seen: Mutex::default() }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a file of our own making.
    pub(crate) fn write(&self, name: &str, content: &[Bytes], how: How) -> Result<(), Failure> {
        if let Some(pace) = &self.pace {
            pace.wait(content.iter().map(Bytes::len).sum());
        }
        self.storage.write(name, content, how)
    }

    /// Remembers a failure, and wraps it. A file that is missing is damage, and no failure of the storage.
    fn wrap<T>(&self, result: Result<T, Failure>) -> RusticResult<T> {
        result.map_err(|failure| {
            let kind = failure.kind;
            let text = failure.to_string();
            if kind != Kind::Missing {
                self.seen().failure.get_or_insert(failure);
            }
            RusticError::new(ErrorKind::Backend, text)
        })
    }
}

impl ReadBackend for Link {
    fn location(&self) -> String {
        self.storage.place()
    }

    fn list_with_size(&self, tpe: FileType) -> RusticResult<Vec<(Id, u32)>> {
        let size = |size| u32::try_from(size).unwrap_or(u32::MAX);
        if tpe == FileType::Config {
            let found = self.wrap(self.storage.size(storage::CONFIG))?;
            return Ok(found.map(|bytes| (Id::default(), size(bytes))).into_iter().collect());
        }
        let listed = self.wrap(self.storage.list(tpe.dirname()))?;
        Ok(listed.iter().filter_map(|file| Some((file.name.parse().ok()?, size(file.size)))).collect())
    }

    fn read_full(&self, tpe: FileType, id: &Id) -> RusticResult<Bytes> {
        self.wrap(self.storage.read(&storage::name(tpe, id), None))
    }

    fn read_partial(&self, tpe: FileType, id: &Id, _: bool, offset: u32, length: u32) -> RusticResult<Bytes> {
        let part = Part { offset: offset.into(), length: length.into() };
        self.wrap(self.storage.read(&storage::name(tpe, id), Some(part)))
    }

    fn warmup_path(&self, tpe: FileType, id: &Id) -> String {
        storage::name(tpe, id)
    }
}

impl WriteBackend for Link {
    fn write_bytes(&self, tpe: FileType, id: &Id, _: bool, content: BytesList) -> RusticResult<()> {
        let content = content.into_vec();
        let how = if tpe == FileType::Config { How::First } else { How::Lasting };
        self.wrap(self.write(&storage::name(tpe, id), &content, how))?;
        if tpe == FileType::Key {
            self.seen().keys.push(storage::name(tpe, id));
        }
        Ok(())
    }

    fn remove(&self, tpe: FileType, id: &Id, _: bool) -> RusticResult<()> {
        self.wrap(self.storage.remove(&storage::name(tpe, id)))
    }
}

/// Spreads bytes over time.
struct Pace {
    bytes_per_second: u64,
    /// When all that was let through so far is paid for.
    free_at: Mutex<Instant>,
}

impl Pace {
    fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), free_at: Mutex::new(Instant::now()) }
    }

    /// Waits until so many bytes may go, and takes them. Threads that come meanwhile wait behind.
    fn wait(&self, bytes: usize) {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let until = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            *free_at = (*free_at).max(Instant::now()) + takes;
            *free_at
        };
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}
