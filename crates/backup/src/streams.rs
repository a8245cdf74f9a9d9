//! Streams as the source of a backup.

use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rustic_core::repofile::{Metadata, Node, NodeType};
use rustic_core::{ReadSource, ReadSourceEntry, RusticResult};

use crate::error::{Error, Result};

/// A stream that is to be saved under a name.
pub struct Entry {
    /// The name: one part of a path.
    pub name: String,
    /// What is saved. It has ended well when it returns no more bytes, and failed when it returns an error; a stream
    /// from a process must return an error where the process has failed.
    pub content: Box<dyn Read + Send>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The archiver reads less at once than is good for a pipe.
const READ_AT_ONCE: usize = 256 * 1024;

type Buffered = BufReader<Watched>;

/// How a stream has ended.
#[derive(Debug)]
enum End {
    NotYet,
    Well { bytes: u64 },
    Failed(io::Error),
}

/// How all streams have ended, in their order.
#[derive(Debug, Default)]
pub(crate) struct Ends(Mutex<Vec<(String, End)>>);

impl Ends {
    fn lock(&self) -> MutexGuard<'_, Vec<(String, End)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, number: usize, end: End) {
        self.lock()[number].1 = end;
    }

    fn any_failed(&self) -> bool {
        self.lock().iter().any(|(_, end)| matches!(end, End::Failed(_)))
    }

    /// The source's error, if one has failed.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.lock().iter_mut().find_map(|(entry, end)| match std::mem::replace(end, End::NotYet) {
            End::Failed(why) => Some(Error::Source { entry: entry.clone(), why }),
            other => {
                *end = other;
                None
            }
        })
    }

    /// Name and size of each, if all have ended well.
    pub(crate) fn sizes(&self) -> Result<Vec<(String, u64)>> {
        let ends = self.lock();
        let size = |(name, end): &(String, End)| match end {
            End::Well { bytes } => Ok((name.clone(), *bytes)),
            End::NotYet | End::Failed(_) => Err(Error::Incomplete { what: format!("`{name}`") }),
        };
        ends.iter().map(size).collect()
    }
}

/// Streams, as the archiver takes them.
pub(crate) struct Streams {
    entries: Mutex<Vec<RusticResult<ReadSourceEntry<Buffered>>>>,
    /// Where they lie in the snapshot.
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) ends: Arc<Ends>,
}

impl Streams {
    pub(crate) fn new(mut entries: Vec<Entry>, time: Timestamp) -> Result<Self> {
        // A tree has its nodes in the order of their names.
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        valid(&entries)?;
        let ends = Arc::new(Ends::default());
        *ends.lock() = entries.iter().map(|entry| (entry.name.clone(), End::NotYet)).collect();
        let paths = entries.iter().map(|entry| Path::new("/").join(&entry.name)).collect();
        let watch = |(number, entry): (usize, Entry)| {
            let meta = Metadata { mode: Some(0o600), mtime: Some(time), ctime: Some(time), ..Metadata::default() };
            let node = Node::new_node(entry.name.as_ref(), NodeType::File, meta);
            let path = Path::new("/").join(&entry.name);
            let watched = Watched { content: entry.content, number, bytes: 0, ends: Arc::clone(&ends) };
            Ok(ReadSourceEntry { path, node, open: Some(BufReader::with_capacity(READ_AT_ONCE, watched)) })
        };
        let entries = Mutex::new(entries.into_iter().enumerate().map(watch).collect());
        Ok(Self { entries, paths, ends })
    }
}

fn valid(entries: &[Entry]) -> Result<()> {
    let invalid = |what: &str, why: &str| Error::Invalid { what: what.to_owned(), why: why.to_owned() };
    if entries.is_empty() {
        return Err(invalid("a backup of nothing", "give at least one stream"));
    }
    for entry in entries {
        let name = entry.name.as_str();
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(invalid(&format!("`{name}`"), "a stream is named as a file is, without a directory"));
        }
    }
    match entries.windows(2).find(|pair| pair[0].name == pair[1].name) {
        Some(pair) => Err(invalid(&format!("`{}`", pair[0].name), "two streams have this name; give each its own")),
        None => Ok(()),
    }
}

impl ReadSource for Streams {
    type Open = Buffered;
    type Iter = std::vec::IntoIter<RusticResult<ReadSourceEntry<Buffered>>>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Self::Iter {
        std::mem::take(&mut *self.entries.lock().unwrap_or_else(PoisonError::into_inner)).into_iter()
    }
}

/// A stream whose end is written down.
pub(crate) struct Watched {
    content: Box<dyn Read + Send>,
    number: usize,
    bytes: u64,
    ends: Arc<Ends>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        debug_assert!(!buffer.is_empty(), "a buffer around this reads nothing else");
        if self.ends.any_failed() {
            return Err(io::Error::other("another stream of this backup has failed"));
        }
        match self.content.read(buffer) {
            Ok(0) => self.ends.set(self.number, End::Well { bytes: self.bytes }),
            Ok(bytes) => {
                self.bytes += bytes as u64;
                return Ok(bytes);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                let copy = io::Error::new(error.kind(), error.to_string());
                self.ends.set(self.number, End::Failed(error));
                return Err(copy);
            }
        }
        Ok(0)
    }
}
