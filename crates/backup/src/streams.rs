//! Streams as the source of a backup.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use jiff::Timestamp;
use rustic_core::repofile::{Metadata, Node, NodeType};

use crate::contents::{Contents, Stopped, collect, incomplete};
use crate::error::{Error, Result};
use crate::threads::{in_threads, lock, threads};

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

/// Streams that can be saved together, in the order of their names, as a tree has them.
pub(crate) struct Streams(Vec<Entry>);

impl Streams {
    pub(crate) fn new(mut entries: Vec<Entry>) -> Result<Self> {
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        valid(&entries)?;
        Ok(Self(entries))
    }

    /// Where they lie in the snapshot.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        self.0.iter().map(|entry| Path::new("/").join(&entry.name)).collect()
    }

    /// Reads all, some at the same time, and returns a node for each. The first that fails ends all.
    pub(crate) fn read(self, contents: &Contents<'_>, time: Timestamp) -> Result<Vec<Node>> {
        let at_once = threads().min(self.0.len());
        let (left, has_failed) = (Mutex::new(self.0.into_iter()), AtomicBool::new(false));
        let nodes = Mutex::new(Vec::new());
        let read_some = || -> Result<()> {
            let mut coder = None;
            loop {
                let next = lock(&left).next();
                let Some(Entry { name, content }) = next else { return Ok(()) };
                let (sender, pieces) = mpsc::channel();
                let watched = Watched { content, has_failed: &has_failed };
                // Nobody knows how long it is.
                let read = contents.read(&mut coder, watched, u64::MAX, &sender);
                drop(sender);
                match read {
                    Ok(bytes) => lock(&nodes).push((name, bytes, pieces)),
                    Err(Stopped::Elsewhere) => return Ok(()),
                    Err(Stopped::Source(why)) if is_of_another(&why) => return Ok(()),
                    Err(Stopped::Source(why)) => {
                        has_failed.store(true, Ordering::SeqCst);
                        return Err(Error::Source { entry: name, why });
                    }
                }
            }
        };
        in_threads(at_once, read_some)?;
        let mut nodes = std::mem::take(&mut *lock(&nodes));
        nodes.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        let node = |(name, bytes, pieces): (String, _, _)| node(&name, bytes, collect(pieces), time);
        nodes.into_iter().map(node).collect()
    }
}

fn node(name: &str, bytes: u64, content: Option<(Vec<rustic_core::DataId>, u64)>, time: Timestamp) -> Result<Node> {
    let (content, _) = content.filter(|(_, size)| *size == bytes).ok_or_else(|| incomplete(&format!("`{name}`")))?;
    let meta = Metadata { mode: Some(0o600), mtime: Some(time), ctime: Some(time), size: bytes, ..Metadata::default() };
    let mut node = Node::new_node(name.as_ref(), NodeType::File, meta);
    node.content = Some(content);
    Ok(node)
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

/// A stream that is not read on once another has failed.
struct Watched<'a> {
    content: Box<dyn Read + Send>,
    has_failed: &'a AtomicBool,
}

#[derive(Debug, thiserror::Error)]
#[error("another stream of this backup has failed")]
struct AnotherFailed;

fn is_of_another(why: &io::Error) -> bool {
    why.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<AnotherFailed>)
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.has_failed.load(Ordering::SeqCst) {
            return Err(io::Error::other(AnotherFailed));
        }
        self.content.read(buffer)
    }
}
