//! Looks whether a restored directory is what a snapshot has, file by file and byte by byte.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustic_core::repofile::{Node, NodeType};
use rustic_core::{IndexedFullStatus, LsOptions, Repository as Library};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::hash::Sum;
use crate::link::Link;
use crate::repository::Repository;
use crate::restore::{OWNER, differs, root_of};

/// Differences that are told one by one; what is beyond is counted.
const MOST_TOLD: usize = 10;

/// What a snapshot of a directory holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Files.
    pub files: u64,
    /// Directories, the directory itself among them.
    pub directories: u64,
    /// Symbolic links and whatever else there is.
    pub others: u64,
    /// Bytes in files.
    pub bytes: u64,
    /// A sum over the path, kind, mode, owner, size and content of each, in their order.
    pub sum: String,
}

/// How a directory is, beside what a snapshot has of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// What the snapshot has.
    pub tree: Tree,
    /// What is not as it was saved, the first few in words. Empty: everything is.
    pub differences: Vec<String>,
}

impl Repository {
    /// What a snapshot of a directory holds. Reads its trees, and none of its files.
    pub fn tree_of(&self, snapshot: &str) -> Result<Tree> {
        let mut counting = Counting::default();
        self.walk(snapshot, |_, path, node| {
            counting.count(path, node);
            Ok(())
        })?;
        Ok(counting.end())
    }

    /// Compares a directory with what a snapshot has: every path, mode, owner, time and size, where links lead, and
    /// every byte, by the hash that it was saved under. Only root can give files away: owners count where this is root.
    pub fn compare_directory(&self, snapshot: &str, with: &Path) -> Result<Compared> {
        let (mut counting, mut differences, mut beyond) = (Counting::default(), Vec::new(), 0_u64);
        self.walk(snapshot, |look, path, node| {
            counting.count(path, node);
            if let Some(difference) = look.difference(&with.join(path), node)? {
                match differences.len() < MOST_TOLD {
                    true => differences.push(format!("{}: {difference}", shown(path))),
                    false => beyond += 1,
                }
            }
            Ok(())
        })?;
        let tree = counting.end();
        let there = entries(with).map_err(|why| Error::Destination { why })?;
        let had = tree.files + tree.directories + tree.others;
        if there > had {
            differences.push(format!("{} more things are there than were saved", there - had));
        }
        if beyond > 0 {
            differences.push(format!("… and {beyond} more"));
        }
        Ok(Compared { tree, differences })
    }

    /// Shows everything that a snapshot of a directory has, the directory itself first: by its path within.
    fn walk(&self, snapshot: &str, mut see: impl FnMut(&Look<'_>, &Path, &Node) -> Result<()>) -> Result<()> {
        let session = self.session()?;
        let file = self.snapshot(&session, snapshot)?;
        let link = &session.link;
        let told = |error: &_| self.told(link, error, "reading a tree");
        let library = session.repository.to_indexed().map_err(|error| told(&error))?;
        let root = library.node_from_path(file.tree, &root_of(&file)).map_err(|error| told(&error))?;
        let look = Look { repository: self, link, library: &library };
        see(&look, Path::new(""), &root)?;
        for entry in library.ls(&root, &LsOptions::default()).map_err(|error| told(&error))? {
            let (path, node) = entry.map_err(|error| told(&error))?;
            see(&look, &path, &node)?;
        }
        Ok(())
    }
}

/// Counts as it goes.
#[derive(Default)]
struct Counting {
    tree: Tree,
    sum: Sha256,
}

impl Counting {
    fn count(&mut self, path: &Path, node: &Node) {
        match node.node_type {
            NodeType::File => {
                self.tree.files += 1;
                self.tree.bytes += node.meta.size;
            }
            NodeType::Dir => self.tree.directories += 1,
            _ => self.tree.others += 1,
        }
        let target = if node.is_symlink() { node.node_type.to_link().display().to_string() } else { String::new() };
        let (kind, meta) = (kind(node), &node.meta);
        let head = format!("{kind} {:?} {:?} {:?} {} {target}\0", meta.mode, meta.uid, meta.gid, meta.size);
        self.sum.update(path.as_os_str().as_encoded_bytes());
        self.sum.update([0]);
        self.sum.update(head);
        for blob in node.content.iter().flatten() {
            self.sum.update(blob.to_hex().as_str());
        }
        self.sum.update([0]);
    }

    fn end(self) -> Tree {
        let sum = self.sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Tree { sum, ..self.tree }
    }
}

/// What it takes to look at what was saved.
struct Look<'a> {
    repository: &'a Repository,
    link: &'a Link,
    library: &'a Library<IndexedFullStatus>,
}

impl Look<'_> {
    /// How what is at `path` differs from what was saved, if it does.
    fn difference(&self, path: &Path, node: &Node) -> Result<Option<String>> {
        let found = match std::fs::symlink_metadata(path) {
            Ok(found) => found,
            // Whoever listens at a socket makes it.
            Err(_) if matches!(node.node_type, NodeType::Socket) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some("it is missing".to_owned())),
            Err(error) => return Ok(Some(format!("it cannot be looked at: {error}"))),
        };
        if !is_of_kind(&found, node) {
            return Ok(Some(format!("it is no {}", kind(node))));
        }
        if node.is_symlink() {
            let leads = std::fs::read_link(path).unwrap_or_default();
            let led = node.node_type.to_link();
            return Ok((leads != led).then(|| format!("it leads to {}, not to {}", leads.display(), led.display())));
        }
        let is_root = rustix::process::geteuid().is_root();
        if let Some(what) = differs(&found, node).filter(|what| *what != OWNER || is_root) {
            return Ok(Some(format!("it has another {what}")));
        }
        if !node.is_file() {
            return Ok(None);
        }
        match self.has_content(path, node)? {
            Ok(true) => Ok(None),
            Ok(false) => Ok(Some("it has other content".to_owned())),
            Err(error) => Ok(Some(format!("it cannot be read: {error}"))),
        }
    }

    /// Whether a file has the pieces that were saved, each with the hash that it was saved under.
    fn has_content(&self, path: &Path, node: &Node) -> Result<io::Result<bool>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) => return Ok(Err(error)),
        };
        let mut piece = Vec::new();
        for blob in node.content.iter().flatten() {
            let known = self.library.get_index_entry(blob);
            let known = known.map_err(|error| self.repository.told(self.link, &error, "reading the index"))?;
            piece.resize(usize::try_from(known.location.data_length()).unwrap_or(usize::MAX), 0);
            match file.read_exact(&mut piece) {
                Ok(()) if Sum::of(&piece) == Sum::from(**blob) => {}
                Ok(()) => return Ok(Ok(false)),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Ok(false)),
                Err(error) => return Ok(Err(error)),
            }
        }
        Ok(file.read(&mut [0]).map(|more| more == 0))
    }
}

fn shown(path: &Path) -> String {
    if path.as_os_str().is_empty() { "the directory itself".to_owned() } else { path.display().to_string() }
}

fn kind(node: &Node) -> &'static str {
    match node.node_type {
        NodeType::File => "file",
        NodeType::Dir => "directory",
        NodeType::Symlink { .. } => "symbolic link",
        NodeType::Fifo => "pipe",
        NodeType::Socket => "socket",
        NodeType::Dev { .. } => "block device",
        NodeType::Chardev { .. } => "character device",
    }
}

fn is_of_kind(found: &Metadata, node: &Node) -> bool {
    let kind = found.file_type();
    match node.node_type {
        NodeType::File => kind.is_file(),
        NodeType::Dir => kind.is_dir(),
        NodeType::Symlink { .. } => kind.is_symlink(),
        NodeType::Fifo => kind.is_fifo(),
        NodeType::Socket => kind.is_socket(),
        NodeType::Dev { device } => kind.is_block_device() && found.rdev() == device,
        NodeType::Chardev { device } => kind.is_char_device() && found.rdev() == device,
    }
}

/// How many things there are in a directory, itself among them.
fn entries(directory: &Path) -> io::Result<u64> {
    let mut count = 1;
    let mut left: Vec<PathBuf> = vec![directory.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true => left.push(entry.path()),
                false => count += 1,
            }
        }
        count += 1;
    }
    Ok(count - 1)
}
