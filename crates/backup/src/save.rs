//! Makes a backup.

use std::path::{Path, PathBuf};

use rustic_core::repofile::SnapshotFile;
use rustic_core::{BackupOptions, IndexedIds, ReadSource, Repository as Library};

use crate::error::{Error, Result};
use crate::link::Link;
use crate::lock::Lock;
use crate::repository::{Repository, damaged};
use crate::snapshot::{About, Snapshot};
use crate::streams::{Entry, Streams};
use crate::tree::Directory;

/// How nice a process can be at most.
const NICEST: i32 = 19;

/// A backup of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedDirectory {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Files that were gone before they were read, as happens where a program works. They are not in the snapshot.
    pub vanished: u64,
    /// Files whose size has changed while they were read. The snapshot has what was read.
    pub changed: u64,
}

impl Repository {
    /// Saves one snapshot of several streams.
    ///
    /// Some streams are read at the same time, as many as there are processors, and the others after them: none may
    /// wait for another to be read. [`Error::Source`] where one has failed; there is no snapshot then, and the others
    /// are not read to their ends.
    pub fn save(&self, about: &About, entries: Vec<Entry>) -> Result<Snapshot> {
        let source = Streams::new(entries, about.time)?;
        let paths = source.paths.clone();
        // Streams have no state that could be compared with that of the snapshot before.
        let mut options = BackupOptions::default();
        options.parent_opts.force = true;
        self.with_archive(&options, &source, about, &paths, |link, library, archived| {
            if let Some(failure) = source.ends.failure() {
                return Err(failure);
            }
            let file = archived?;
            self.with_sizes(link, library, file, &source.ends.sizes()?)
        })
    }

    /// Saves a directory with everything in it: modes, owners, times, links of both kinds, extended attributes. What
    /// the snapshot before has with the same size and times is not read again.
    ///
    /// Files that vanish are counted. [`Error::Unreadable`] where something cannot be read; there is no snapshot then.
    pub fn save_directory(&self, about: &About, path: &Path) -> Result<SavedDirectory> {
        self.save_directory_without(about, path, &[])
    }

    /// The same, without what is at these paths beneath it, and everything in there.
    pub fn save_directory_without(&self, about: &About, path: &Path, without: &[PathBuf]) -> Result<SavedDirectory> {
        let path = directory(path)?;
        let source = Directory::new(path.clone(), without).map_err(|error| invalid(&path, &error.display_log()))?;
        let paths = [path.clone()];
        let mut options = BackupOptions::default();
        options.no_scan = true;
        let snapshot = self.with_archive(&options, &source, about, &paths, |_, _, archived| {
            let tally = source.tally.lock();
            if tally.unread > 0 {
                return Err(Error::Unreadable { path: path.clone(), files: tally.unread, first: tally.first.clone() });
            }
            let file = archived?;
            directory(&path)?;
            let saved = file.summary.as_ref().map_or(0, |summary| summary.total_files_processed);
            if saved != tally.given - tally.gone_after_all {
                return Err(Error::Incomplete { what: path.display().to_string() });
            }
            Ok(file)
        })?;
        let tally = source.tally.lock();
        Ok(SavedDirectory { snapshot, vanished: tally.vanished, changed: tally.changed })
    }

    /// Archives a source, lets `judge` say whether that is good, and only then saves the snapshot.
    fn with_archive<R>(
        &self,
        options: &BackupOptions,
        source: &R,
        about: &About,
        paths: &[PathBuf],
        judge: impl FnOnce(&Link, &Library<rustic_core::IndexedIdsStatus>, Result<SnapshotFile>) -> Result<SnapshotFile>,
    ) -> Result<Snapshot>
    where
        R: ReadSource + 'static,
        R::Open: Send,
        R::Iter: Send,
    {
        let _lock = Lock::shared(self)?;
        let session = self.session()?;
        let link = &session.link;
        let indexed = session.repository.to_indexed_ids();
        let library = indexed.map_err(|error| self.told(link, &error, "reading the index"))?;
        link.hold_snapshots();
        let archived = self.archive(link, &library, options, source, about, paths);
        let file = judge(link, &library, archived)?;
        link.let_snapshots_through();
        let saved = library.save_snapshots(vec![file.clone()]);
        saved.map_err(|error| self.told(link, &error, "saving the snapshot"))?;
        let id = link.seen().snapshot.expect("a snapshot that was saved has an id");
        Ok(Snapshot::from(SnapshotFile { id: id.into(), ..file }))
    }

    fn archive<R, S>(
        &self,
        link: &Link,
        library: &Library<S>,
        options: &BackupOptions,
        source: &R,
        about: &About,
        paths: &[PathBuf],
    ) -> Result<SnapshotFile>
    where
        R: ReadSource + 'static,
        R::Open: Send,
        R::Iter: Send,
        S: IndexedIds + Sync,
    {
        let work = || library.archive(options, source, about.file(), paths);
        let is_in_background = self.limits.is_in_background;
        // In a thread of its own: a thread cannot take back that it has become nice, and those that it starts are too.
        let archived = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                if is_in_background {
                    become_nice();
                }
                work()
            });
            thread.join()
        });
        let archived = archived.map_err(|_| damaged(&*self.storage, "saving", "a thread has ended before its time"))?;
        let file = archived.map_err(|error| self.told(link, &error, "saving"))?;
        // Where a write has failed, the library leaves out the file that it was for.
        match link.seen().failure.clone() {
            Some(failure) => Err(failure.into()),
            None => Ok(file),
        }
    }
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
