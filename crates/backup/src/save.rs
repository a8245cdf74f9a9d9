//! Makes a backup.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use daybook_cdc::{Cutter, Sizes};
use jiff::Zoned;
use rustic_core::TreeId;
use rustic_core::repofile::{SnapshotFile, SnapshotSummary, Tree};

use crate::coder::Coder;
use crate::contents::{self, Contents, incomplete};
use crate::error::{Error, Result};
use crate::index::{BlobKind, Index};
use crate::lock::Lock;
use crate::pack::{Added, Packer};
use crate::repository::{Repository, damaged};
use crate::snapshot::{About, Snapshot};
use crate::streams::{Entry, Streams};
use crate::tree::Directory;
use crate::walk::{Before, Walked, walk};

/// How nice a process can be at most.
const NICEST: i32 = 19;

/// A backup of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedDirectory {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Files that were gone before they were read, as happens where a program works. They are not in the snapshot.
    pub vanished: u64,
    /// Files and links that are as they were in the snapshot before, and were not read again.
    pub unchanged: u64,
    /// Files that others changed while they were read, also when they were read again. The snapshot has of each what
    /// was read, which may be of no one moment.
    pub changed: u64,
    /// One of them.
    pub first_changed: Option<PathBuf>,
}

/// How often what has changed meanwhile is read in all.
const READINGS: usize = 3;
/// The tag of a snapshot that is replaced by the next reading.
const UNFINISHED: &str = "unfinished";

/// What is in a snapshot.
struct Content {
    tree: TreeId,
    summary: SnapshotSummary,
    tags: Tags,
}

/// The tags of a snapshot.
enum Tags {
    /// Those that were asked for, and these.
    And(Vec<String>),
    /// This alone.
    Only(&'static str),
}

impl Repository {
    /// Saves one snapshot of several streams.
    ///
    /// Some streams are read at the same time, as many as there are processors, and the others after them: none may
    /// wait for another to be read. [`Error::Source`] where one has failed; there is no snapshot then, and the others
    /// are not read to their ends.
    pub fn save(&self, about: &About, entries: Vec<Entry>) -> Result<Snapshot> {
        self.save_saying(about, entries, Vec::new)
    }

    /// The same; `more` is asked for tags beside those of `about` once all streams have ended well.
    pub fn save_saying(
        &self,
        about: &About,
        entries: Vec<Entry>,
        more: impl FnOnce() -> Vec<String> + Send,
    ) -> Result<Snapshot> {
        let streams = Streams::new(entries)?;
        let paths = streams.paths();
        self.archive(about, &paths, |_, packer, contents| {
            let nodes = streams.read(contents, about.time)?;
            if nodes.len() != paths.len() {
                return Err(incomplete("one of several streams"));
            }
            let mut summary = SnapshotSummary::default();
            summary.files_new = nodes.len() as u64;
            summary.total_files_processed = summary.files_new;
            summary.total_bytes_processed = nodes.iter().map(|node| node.meta.size).sum();
            let tree = save_tree(packer, &mut None, &Tree { nodes })?;
            Ok(Content { tree, summary, tags: Tags::And(more()) })
        })
    }

    /// Saves a directory with everything in it: modes, owners, times, links of both kinds, extended attributes. What
    /// the snapshot before has with the same size and times is not read again; what changes while it is read is, a few
    /// times.
    ///
    /// Files that vanish are counted. [`Error::Unreadable`] where something cannot be read; there is no snapshot then.
    pub fn save_directory(&self, about: &About, path: &Path) -> Result<SavedDirectory> {
        self.save_directory_without(about, path, &[])
    }

    /// The same, without what is at these paths beneath it, and everything in there.
    pub fn save_directory_without(&self, about: &About, path: &Path, without: &[PathBuf]) -> Result<SavedDirectory> {
        let path = directory(path)?;
        let mut before = self.before(about, &path)?;
        for reading in 1.. {
            let is_last = reading == READINGS;
            let saved = self.read_directory(about, &path, without, before.as_ref(), is_last)?;
            if saved.changed > 0 && !is_last {
                before = Some(self.snapshot(&self.session()?, &saved.snapshot.id)?);
                continue;
            }
            if reading > 1
                && let Err(error) = self.forget_unfinished(&about.label)
            {
                tracing::warn!(%error, "snapshots that were replaced by later readings stay");
            }
            return Ok(saved);
        }
        Err(incomplete(&path.display().to_string()))
    }

    /// Reads a directory once. What `before` has, and has not changed since, is not read.
    fn read_directory(
        &self,
        about: &About,
        path: &Path,
        without: &[PathBuf],
        before: Option<&SnapshotFile>,
        is_last: bool,
    ) -> Result<SavedDirectory> {
        let source = Directory::new(path.to_owned(), without).map_err(|error| invalid(path, &error.display_log()))?;
        let identified = identity(path)?;
        let mut unchanged = 0;
        let snapshot = self.archive(about, &[path.to_owned()], |index, packer, contents| {
            let before = before.map(|snapshot| Before::new(self, index, snapshot));
            let Walked { tree, summary } = walk(&source, before, packer, contents)?;
            let tally = source.tally.lock();
            // A file that became shorter has less than its size says: it could not be restored.
            let unread = tally.unread + if is_last { tally.shortened } else { 0 };
            if unread > 0 {
                return Err(Error::Unreadable { path: path.to_owned(), files: unread, first: tally.first.clone() });
            }
            // Another directory under its name: what was read is of both.
            if identity(path)? != identified {
                return Err(incomplete(&path.display().to_string()));
            }
            unchanged = summary.files_unmodified;
            if summary.total_files_processed != tally.given - tally.gone_after_all {
                return Err(incomplete(&path.display().to_string()));
            }
            let is_final = tally.changed == 0 || is_last;
            let tags = if is_final { Tags::And(Vec::new()) } else { Tags::Only(UNFINISHED) };
            Ok(Content { tree, summary, tags })
        })?;
        let tally = source.tally.lock();
        let first_changed = tally.first_changed.clone();
        Ok(SavedDirectory { snapshot, vanished: tally.vanished, unchanged, changed: tally.changed, first_changed })
    }

    /// Forgets what was read before it was read again: now, or by a process that has ended.
    fn forget_unfinished(&self, label: &str) -> Result<()> {
        let all = self.snapshots()?;
        let unfinished = all.into_iter().filter(|one| one.label == label && one.tags == [UNFINISHED]);
        self.forget(&unfinished.map(|one| one.id).collect::<Vec<_>>())
    }

    /// The newest snapshot of the same directory.
    fn before(&self, about: &About, path: &Path) -> Result<Option<SnapshotFile>> {
        let session = self.session()?;
        let files = session.repository.get_all_snapshots();
        let files = files.map_err(|error| self.told(&session.link, &error, "reading the snapshots"))?;
        let is_same = |file: &SnapshotFile| {
            let mut paths = file.paths.iter().map(Path::new);
            let is_path = paths.next() == Some(path) && paths.next().is_none();
            is_path && file.hostname == about.host && file.label == about.label
        };
        Ok(files.into_iter().filter(is_same).max_by(|one, other| one.time.cmp(&other.time)))
    }

    /// Lets `work` make a tree of what it reads, and only when that has gone well saves a snapshot of it.
    fn archive(
        &self,
        about: &About,
        paths: &[PathBuf],
        work: impl FnOnce(&Index, &Packer<'_>, &Contents<'_>) -> Result<Content> + Send,
    ) -> Result<Snapshot> {
        let (mut file, started) = (about.file(), Zoned::now());
        for path in paths {
            let text = path.to_str().ok_or_else(|| invalid(path, "give a path that is UTF-8"))?;
            file.paths.add(text.to_owned());
        }
        let _lock = Lock::shared(self)?;
        let session = self.session()?;
        let mut index = self.index()?;
        let config = session.repository.config();
        let told = |error: &_| self.told(&session.link, error, "reading the file `config`");
        let level = config.zstd().map_err(|error| told(&error))?;
        let polynomial = config.poly().map_err(|error| told(&error))?;
        let sizes =
            Sizes { least: config.chunk_min_size(), average: config.chunk_size(), most: config.chunk_max_size() };
        let cutter = Cutter::new(polynomial, sizes)
            .ok_or_else(|| damaged(&*self.storage, "reading the file `config`", "nothing can be cut as it says"))?;
        let mut packer = Packer::new(&session.link, &self.key, config, level, &mut index);
        let worked = self.apart(|| {
            let worked = contents::pack(&packer, &cutter, |contents| work(&index, &packer, contents));
            worked.and_then(|worked| Ok((worked, packer.finish()?)))
        });
        // What else went wrong has followed from it.
        if let Some(failure) = packer.failure() {
            return Err(failure);
        }
        let (Content { tree, mut summary, tags }, added) = worked?;
        count(&mut summary, added, started);
        match tags {
            Tags::And(more) => more.into_iter().for_each(|tag| file.tags.add(tag)),
            Tags::Only(tag) => {
                file.tags = Default::default();
                file.tags.add(tag.to_owned());
            }
        }
        (file.tree, file.summary) = (tree, Some(summary));
        let text = serde_json::to_vec(&file).expect("a snapshot is JSON");
        let id = packer.write_file("snapshots", &text)?;
        Ok(Snapshot::from(SnapshotFile { id: rustic_core::Id::from(id).into(), ..file }))
    }

    /// Works in a thread of its own: a thread cannot take back that it has become nice, and those that it starts are
    /// too.
    fn apart<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let is_in_background = self.limits.is_in_background;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                if is_in_background {
                    become_nice();
                }
                work()
            });
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err(damaged(&*self.storage, "saving", "a thread has ended before its time")))
        })
    }
}

/// Saves a tree, as JSON with a line's end.
pub(crate) fn save_tree(packer: &Packer<'_>, coder: &mut Option<Coder>, tree: &Tree) -> Result<TreeId> {
    let mut text = serde_json::to_vec(tree).expect("a tree is JSON");
    text.push(b'\n');
    let id = packer.add(packer.coder(coder)?, BlobKind::Tree, text)?;
    Ok(rustic_core::Id::from(id).into())
}

fn count(summary: &mut SnapshotSummary, (data, trees): (Added, Added), started: Zoned) {
    summary.data_blobs = data.blobs;
    summary.tree_blobs = trees.blobs;
    (summary.data_added_files, summary.data_added_files_packed) = (data.bytes, data.packed);
    (summary.data_added_trees, summary.data_added_trees_packed) = (trees.bytes, trees.packed);
    (summary.data_added, summary.data_added_packed) = (data.bytes + trees.bytes, data.packed + trees.packed);
    summary.backup_end = Zoned::now();
    summary.backup_duration = started.duration_until(&summary.backup_end).as_secs_f64();
    (summary.total_duration, summary.backup_start) = (summary.backup_duration, started);
}

/// Which directory a path leads to.
fn identity(path: &Path) -> Result<(u64, u64)> {
    let found = directory(path)?.metadata().map_err(|error| invalid(path, &error.to_string()))?;
    Ok((found.dev(), found.ino()))
}

fn become_nice() {
    if let Err(error) = rustix::process::setpriority_process(None, NICEST) {
        tracing::debug!("a backup runs with the usual priority: {error}");
    }
}

fn invalid(path: &Path, why: &str) -> Error {
    Error::Invalid { what: path.display().to_string(), why: why.to_owned() }
}

/// The absolute path of a directory that is there, and not by way of a link.
fn directory(path: &Path) -> Result<PathBuf> {
    let path = path.canonicalize().map_err(|error| invalid(path, &format!("{error}; give a directory")))?;
    if !path.is_dir() || path.file_name().is_none() {
        return Err(invalid(&path, "give a directory that is not `/`"));
    }
    Ok(path)
}
