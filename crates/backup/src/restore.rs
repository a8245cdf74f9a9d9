//! Reads backups.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustic_core::repofile::{Node, SnapshotFile};
use rustic_core::{LocalDestination, LsOptions, RestoreOptions};

use crate::error::{Error, Result};
use crate::repository::{Repository, damaged};

/// What was restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Files and whatever else is no directory.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Bytes in files.
    pub bytes: u64,
    /// What has another mode, owner, time or size than was saved: mostly owners, where this process may not set them.
    pub not_as_saved: Vec<PathBuf>,
}

impl Repository {
    /// Reads one stream of a snapshot. `entry` is its name, or the path of a file in a directory that was saved.
    ///
    /// Every byte was checked before it is written; after an error `to` may have some of them.
    pub fn read(&self, snapshot: &str, entry: &str, to: &mut dyn Write) -> Result<u64> {
        let session = self.session()?;
        let file = self.snapshot(&session, snapshot)?;
        let link = &session.link;
        let indexed = session.repository.to_indexed();
        let library = indexed.map_err(|error| self.told(link, &error, "reading the index"))?;
        // Where the tree can be read, the entry is not in it.
        library.get_tree(&file.tree).map_err(|error| self.told(link, &error, "reading a tree"))?;
        let path = Path::new(entry).strip_prefix("/").unwrap_or(Path::new(entry));
        let no_entry = || Error::NoEntry { snapshot: snapshot.to_owned(), entry: entry.to_owned() };
        let node = library.node_from_path(file.tree, path).map_err(|error| match link.seen().failure.clone() {
            Some(failure) => Error::from(failure),
            None if error.display_log().contains("decrypt") => self.told(link, &error, "reading a tree"),
            None => no_entry(),
        })?;
        if !node.is_file() {
            return Err(no_entry());
        }
        let mut counted = Counted { to, bytes: 0, failure: None };
        let dumped = library.dump(&node, &mut counted);
        if let Some(why) = counted.failure {
            return Err(Error::Destination { why });
        }
        dumped.map_err(|error| self.told(link, &error, "reading"))?;
        Ok(counted.bytes)
    }

    /// Reads streams of several snapshots, one after the other: the id of a snapshot and the name of a stream each. `begin`
    /// is told the name and the size of each before it comes.
    ///
    /// Every byte was checked before it is written; after an error `to` may have some of them.
    pub fn read_each(
        &self,
        wanted: &[(String, String)],
        to: &mut dyn Write,
        begin: &mut dyn FnMut(&str, u64, &mut dyn Write) -> io::Result<()>,
    ) -> Result<u64> {
        let session = self.session()?;
        let mut roots = BTreeMap::new();
        for (id, _) in wanted {
            if !roots.contains_key(id) {
                roots.insert(id, self.snapshot(&session, id)?.tree);
            }
        }
        let link = &session.link;
        let told = |error: &_, doing| self.told(link, error, doing);
        let library = session.repository.to_indexed().map_err(|error| told(&error, "reading the index"))?;
        let mut trees = BTreeMap::new();
        for (id, root) in roots {
            trees.insert(id, library.get_tree(&root).map_err(|error| told(&error, "reading a tree"))?);
        }
        let mut counted = Counted { to, bytes: 0, failure: None };
        for (id, name) in wanted {
            let no_entry = || Error::NoEntry { snapshot: id.clone(), entry: name.clone() };
            let node = trees[id].nodes.iter().find(|node| &*node.name() == name.as_str()).ok_or_else(no_entry)?;
            begin(name, node.meta.size, &mut counted).map_err(|why| Error::Destination { why })?;
            let begun = counted.bytes;
            let dumped = library.dump(node, &mut counted);
            if let Some(why) = counted.failure {
                return Err(Error::Destination { why });
            }
            dumped.map_err(|error| told(&error, "reading"))?;
            if counted.bytes - begun != node.meta.size {
                return Err(Error::Incomplete { what: format!("`{name}`") });
            }
        }
        Ok(counted.bytes)
    }

    /// Restores the directory of a snapshot into a directory, which is made where it is missing. What is in there
    /// already stays, except where the snapshot has something of that name.
    pub fn restore_directory(&self, snapshot: &str, to: &Path) -> Result<Restored> {
        let session = self.session()?;
        let file = self.snapshot(&session, snapshot)?;
        let link = &session.link;
        let told = |error: &_| self.told(link, error, "restoring");
        let library = session.repository.to_indexed().map_err(|error| told(&error))?;
        let root = library.node_from_path(file.tree, &root_of(&file)).map_err(|error| told(&error))?;
        std::fs::create_dir_all(to).map_err(|why| Error::Destination { why })?;
        let text = to.to_str().ok_or_else(|| not_text(to))?;
        let destination = LocalDestination::new(text, true, false).map_err(|error| told(&error))?;
        let nodes = library.ls(&root, &LsOptions::default()).map_err(|error| told(&error))?;
        let mut options = RestoreOptions::default();
        options.numeric_id = true;
        // The library panics where it reads damaged bytes, or cannot write.
        let work = AssertUnwindSafe(|| {
            let plan = library.prepare_restore(&options, nodes.clone(), &destination, false)?;
            library.restore(plan, &options, nodes.clone(), &destination)
        });
        match catch_unwind(work) {
            Ok(restored) => restored.map_err(|error| told(&error))?,
            Err(panic) => {
                let why = text_of(&*panic);
                let failure = link.seen().failure.clone();
                return Err(failure.map_or_else(|| damaged(&*self.storage, "restoring", &why), Error::from));
            }
        }
        set_root(to, &root).map_err(|why| Error::Destination { why })?;
        let mut restored = Restored::default();
        if !is_as_saved(to, &root) {
            restored.not_as_saved.push(to.to_owned());
        }
        for entry in nodes {
            let (path, node) = entry.map_err(|error| told(&error))?;
            restored.count(to.join(path), &node);
        }
        Ok(restored)
    }
}

impl Restored {
    fn count(&mut self, path: PathBuf, node: &Node) {
        match node.is_dir() {
            true => self.directories += 1,
            false => self.files += 1,
        }
        if node.is_file() {
            self.bytes += node.meta.size;
        }
        if !is_as_saved(&path, node) {
            self.not_as_saved.push(path);
        }
    }
}

/// The library restores what is in a directory, and leaves the directory itself.
fn set_root(to: &Path, node: &Node) -> io::Result<()> {
    if lchown(to, node.meta.uid, node.meta.gid).is_err() {
        tracing::debug!("the owner of {} is left as it is", to.display());
    }
    if let Some(mode) = node.meta.mode {
        std::fs::set_permissions(to, std::fs::Permissions::from_mode(system_mode(mode)))?;
    }
    match node.meta.mtime {
        Some(time) => std::fs::File::open(to)?.set_modified(SystemTime::from(time)),
        None => Ok(()),
    }
}

/// A mode as Go, and so restic, writes it, as the system has it.
fn system_mode(mode: u32) -> u32 {
    let special = [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)];
    special.iter().filter(|(go, _)| mode & go != 0).fold(mode & 0o777, |mode, (_, system)| mode | system)
}

fn is_as_saved(path: &Path, node: &Node) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| differs(&found, node).is_none())
}

/// Where the directory of a snapshot is in its tree.
pub(crate) fn root_of(file: &SnapshotFile) -> PathBuf {
    let path = file.paths.iter().next().map(PathBuf::from).unwrap_or_default();
    path.strip_prefix("/").map(Path::to_owned).unwrap_or(path)
}

/// What only root can set.
pub(crate) const OWNER: &str = "owner";

/// In what something that was found differs from what was saved. The owner is looked at last.
pub(crate) fn differs(found: &Metadata, node: &Node) -> Option<&'static str> {
    let meta = &node.meta;
    let mode = meta.mode.is_some_and(|mode| !node.is_symlink() && system_mode(mode) != found.mode() & 0o7777);
    let owner = meta.uid.is_some_and(|uid| uid != found.uid()) || meta.gid.is_some_and(|gid| gid != found.gid());
    let time = meta.mtime.is_some_and(|time| (time.as_second(), time.subsec_nanosecond()) != modified(found));
    let size = node.is_file() && meta.size != found.len();
    let all = [(mode, "mode"), (size, "size"), (time, "time of change"), (owner, OWNER)];
    all.into_iter().find_map(|(differs, what)| differs.then_some(what))
}

fn modified(found: &Metadata) -> (i64, i32) {
    (found.mtime(), i32::try_from(found.mtime_nsec()).unwrap_or_default())
}

fn not_text(path: &Path) -> Error {
    Error::Invalid { what: path.display().to_string(), why: "give a path that is UTF-8".to_owned() }
}

pub(crate) fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

/// Counts what is written, and keeps the error of the destination.
struct Counted<'a> {
    to: &'a mut dyn Write,
    bytes: u64,
    failure: Option<io::Error>,
}

impl Write for Counted<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self.to.write(buffer) {
            Ok(written) => {
                self.bytes += written as u64;
                Ok(written)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let copy = io::Error::new(error.kind(), error.to_string());
                self.failure = Some(error);
                Err(copy)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
