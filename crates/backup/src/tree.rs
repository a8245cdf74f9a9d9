//! A directory as the source of a backup.

use std::error::Error as StdError;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rustic_core::repofile::{Metadata, Node, NodeType};
use rustic_core::{
    Excludes, LocalSource, LocalSourceFilterOptions, LocalSourceSaveOptions, ReadSource, ReadSourceEntry,
    ReadSourceOpen, RusticError, RusticResult,
};

use crate::error::Unread;

/// How Go, and so restic, marks a directory in a mode.
const GO_DIRECTORY: u32 = 1 << 31;
/// The bits of a mode that set user, group and stickiness: the system's, and Go's.
const SPECIAL_BITS: [(u32, u32); 3] = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];

/// What happened to files of a directory.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Given to the archiver: everything but directories.
    pub(crate) given: u64,
    /// Of those, gone before they were opened.
    pub(crate) gone_after_all: u64,
    /// Gone before they were read, in all.
    pub(crate) vanished: u64,
    /// Were changed by others while they were read.
    pub(crate) changed: u64,
    pub(crate) first_changed: Option<PathBuf>,
    /// Of those, have become shorter.
    pub(crate) shortened: u64,
    /// Could not be read.
    pub(crate) unread: u64,
    pub(crate) first: Option<Unread>,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct SharedTally(Arc<Mutex<Tally>>);

impl SharedTally {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what could not be read. Tells whether it has only vanished, as files of a living directory do.
    fn failed(&self, path: &Path, error: &(dyn StdError + 'static)) -> bool {
        let mut tally = self.lock();
        if vanished(error) {
            tally.vanished += 1;
            return true;
        }
        tally.unread += 1;
        tally.first.get_or_insert_with(|| Unread { path: path.to_owned(), why: innermost(error) });
        false
    }
}

/// A directory, as the archiver takes it.
pub(crate) struct Directory {
    root: PathBuf,
    inner: LocalSource,
    pub(crate) tally: SharedTally,
}

impl Directory {
    /// What is at the paths `without` beneath the root is left out.
    pub(crate) fn new(root: PathBuf, without: &[PathBuf]) -> RusticResult<Self> {
        let (save, mut excludes) = (LocalSourceSaveOptions::default(), Excludes::default());
        excludes.globs = without.iter().map(|path| format!("!{}", escaped(&root.join(path)))).collect();
        let inner = LocalSource::new(save, &excludes, &LocalSourceFilterOptions::default(), &[&root])?;
        Ok(Self { root, inner, tally: SharedTally::default() })
    }
}

/// A path as a pattern that matches nothing else.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().chars().fold(String::new(), |mut out, one| {
        if "\\*?[]{}!".contains(one) {
            out.push('\\');
        }
        out.push(one);
        out
    })
}

impl ReadSource for Directory {
    type Open = Open;
    type Iter = Entries;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Entries {
        Entries { root: Some(self.root.clone()), inner: self.inner.entries(), tally: self.tally.clone() }
    }
}

type Inner = <LocalSource as ReadSource>::Iter;
type InnerOpen = <LocalSource as ReadSource>::Open;

/// The entries of a directory: the directory itself, which the library leaves out, and then what is in it.
pub(crate) struct Entries {
    root: Option<PathBuf>,
    inner: Inner,
    tally: SharedTally,
}

impl Iterator for Entries {
    type Item = RusticResult<ReadSourceEntry<Open>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(path) = self.root.take() {
            match node(&path) {
                Ok(node) => return Some(Ok(ReadSourceEntry { path, node, open: None })),
                Err(error) => _ = self.tally.failed(&path, &error),
            }
        }
        loop {
            match self.inner.next()? {
                Ok(entry) => return Some(Ok(self.watch(entry))),
                Err(error) => _ = self.tally.failed(Path::new("a directory in it"), &*error),
            }
        }
    }
}

impl Entries {
    fn watch(&self, entry: ReadSourceEntry<InnerOpen>) -> ReadSourceEntry<Open> {
        let ReadSourceEntry { path, node, open } = entry;
        if !node.is_dir() {
            self.tally.lock().given += 1;
        }
        let was = Was { size: node.meta.size, mtime: node.meta.mtime, ctime: node.meta.ctime };
        let tally = self.tally.clone();
        let open = open.map(|inner| Open { inner, path: path.clone(), was, tally });
        ReadSourceEntry { path, node, open }
    }
}

fn time(seconds: i64, nanoseconds: i64) -> Option<Timestamp> {
    Timestamp::new(seconds, i32::try_from(nanoseconds).ok()?).ok()
}

/// What is said about the directory itself.
fn node(path: &Path) -> io::Result<Node> {
    let meta = std::fs::symlink_metadata(path)?;
    let special = SPECIAL_BITS.iter().filter(|(system, _)| meta.mode() & system != 0).map(|(_, go)| go);
    let mode = special.fold(meta.mode() & 0o777 | GO_DIRECTORY, |mode, bit| mode | bit);
    let mtime = time(meta.mtime(), meta.mtime_nsec());
    let said = Metadata {
        mode: Some(mode),
        mtime,
        atime: mtime,
        ctime: time(meta.ctime(), meta.ctime_nsec()),
        uid: Some(meta.uid()),
        gid: Some(meta.gid()),
        inode: meta.ino(),
        ..Metadata::default()
    };
    Ok(Node::new_node(path.file_name().unwrap_or_default(), NodeType::Dir, said))
}

/// A file before it was read: as its snapshot says that it is.
#[derive(Clone, Copy)]
struct Was {
    size: u64,
    mtime: Option<Timestamp>,
    ctime: Option<Timestamp>,
}

impl Was {
    fn is_still(&self, file: &File) -> bool {
        file.metadata().is_ok_and(|now| {
            let same = |was: Option<Timestamp>, now| was.is_none() || was == now;
            now.len() == self.size
                && same(self.mtime, time(now.mtime(), now.mtime_nsec()))
                && same(self.ctime, time(now.ctime(), now.ctime_nsec()))
        })
    }
}

/// A file that is to be read.
pub(crate) struct Open {
    inner: InnerOpen,
    path: PathBuf,
    was: Was,
    tally: SharedTally,
}

impl ReadSourceOpen for Open {
    type Reader = Watched;

    fn open(self) -> RusticResult<Watched> {
        let Self { inner, path, was, tally } = self;
        match inner.open() {
            Ok(file) => Ok(Watched { file, path, was, bytes: 0, has_ended: false, tally }),
            Err(error) => {
                if tally.failed(&path, &*error) {
                    tally.lock().gone_after_all += 1;
                }
                Err(error)
            }
        }
    }
}

/// A file that is being read: as much of it as its snapshot says that it has, whatever is added meanwhile.
pub(crate) struct Watched {
    file: File,
    path: PathBuf,
    was: Was,
    bytes: u64,
    has_ended: bool,
    tally: SharedTally,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.was.size - self.bytes).unwrap_or(usize::MAX);
        // At its end it is read once more: whether that can be done is to be known of an empty file as well.
        let room = buffer.len().min(left.max(1));
        match self.file.read(&mut buffer[..room]) {
            Ok(bytes) if bytes == 0 || left == 0 => {
                if !buffer.is_empty() {
                    self.end();
                }
                Ok(0)
            }
            Ok(bytes) => {
                self.bytes += bytes as u64;
                Ok(bytes)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Err(error) => {
                // A file that was open and cannot be read any more has not vanished, whatever the system calls it.
                let mut tally = self.tally.lock();
                tally.unread += 1;
                let unread = || Unread { path: self.path.clone(), why: error.to_string() };
                tally.first.get_or_insert_with(unread);
                Err(error)
            }
        }
    }
}

impl Watched {
    /// Has it told if others have changed the file meanwhile.
    fn end(&mut self) {
        if std::mem::replace(&mut self.has_ended, true) || self.was.is_still(&self.file) {
            return;
        }
        let mut tally = self.tally.lock();
        tally.changed += 1;
        tally.first_changed.get_or_insert_with(|| self.path.clone());
        if self.bytes < self.was.size {
            tally.shortened += 1;
            let why = "it became shorter while it was read".to_owned();
            tally.first.get_or_insert_with(|| Unread { path: self.path.clone(), why });
        }
    }
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}

/// Whether the reason is that there is no such file any more.
fn vanished(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(|error| {
        let of_walk = error.downcast_ref::<ignore::Error>().and_then(ignore::Error::io_error);
        let found = of_walk.or_else(|| error.downcast_ref::<io::Error>());
        found.is_some_and(|error| error.kind() == ErrorKind::NotFound)
    })
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    let last = chain(error).last().unwrap_or(error);
    last.downcast_ref::<RusticError>().map_or_else(|| last.to_string(), RusticError::display_log)
}
