//! Snapshots of directories: what is in them, their digest, and copies that nothing changes any more.
//!
//! The digest of a directory covers names, permission bits, contents and the targets of symbolic
//! links; it does not cover times, owners or where the directory is. Symbolic links are recorded,
//! never followed. Sockets, pipes and devices are no content and are left out.

mod ignore;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use daybook_model::Digest;
use sha2::{Digest as _, Sha256};

pub use ignore::Ignore;

use crate::files::failed;
use crate::{Error, ErrorKind, Result};

/// The digest of what `root` holds without what `ignore` leaves out, and of `extra`: build arguments
/// and whatever else decides what is made of the directory.
///
/// `ErrorKind::NotFound` when `root` is not a directory.
pub fn digest(root: &Path, ignore: &Ignore, extra: &[u8]) -> Result<Digest> {
    let mut tree = TreeHash::new();
    for found in files(root, ignore)? {
        tree.add(&found, root).map_err(|e| failed("read", &root.join(&found.path), &e))?;
    }
    Ok(tree.finish(extra))
}

/// Everything that belongs to a snapshot of `root`, in order of the paths' bytes, so that a directory
/// comes before what it holds. `root` itself is not listed.
pub fn files(root: &Path, ignore: &Ignore) -> Result<Vec<Found>> {
    let is_directory = fs::metadata(root).map_err(|e| failed("open", root, &e))?.is_dir();
    if !is_directory {
        return Err(Error::new(ErrorKind::NotFound, format!("open {}", root.display()), "it is not a directory"));
    }
    let mut found = Vec::new();
    collect(root, Path::new(""), ignore, &mut found)?;
    found.sort_by(|a, b| a.path.as_os_str().as_bytes().cmp(b.path.as_os_str().as_bytes()));
    Ok(found)
}

/// Copies what `root` holds to `into/<64 hexadecimal digits>` and returns its digest, the same that
/// [`digest`] computes for what was copied. The copy appears whole and safe on disk, or not at all.
/// A copy that is there already is left as it is.
pub fn store(root: &Path, ignore: &Ignore, extra: &[u8], into: &Path) -> Result<Digest> {
    let found = files(root, ignore)?;
    fs::create_dir_all(into).map_err(|e| failed("make", into, &e))?;
    let copy = Unfinished::new(into)?;
    let mut tree = TreeHash::new();
    for found in &found {
        let path = root.join(&found.path);
        copy_one(found, &path, &copy.path.join(&found.path)).map_err(|e| failed("copy", &path, &e))?;
        tree.add(found, &copy.path).map_err(|e| failed("read", &path, &e))?;
    }
    let digest = tree.finish(extra);
    seal(&copy.path, &found).map_err(|e| failed("write", &copy.path, &e))?;
    copy.keep_as(&into.join(digest.hex()))?;
    Ok(digest)
}

/// Copies a directory with everything in it to `into`, which must not be there: the private working
/// copy of a snapshot. Shares blocks with the original where the file system can.
pub fn copy(root: &Path, into: &Path) -> Result<()> {
    fs::DirBuilder::new().mode(0o755).create(into).map_err(|e| failed("make", into, &e))?;
    let found = files(root, &Ignore::nothing())?;
    for found in &found {
        copy_one(found, &root.join(&found.path), &into.join(&found.path))
            .map_err(|e| failed("copy", &root.join(&found.path), &e))?;
    }
    set_directory_modes(into, &found).map_err(|e| failed("write", into, &e))
}

/// One thing that a snapshot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Path beneath the root; never absolute, never with `..`.
    pub path: PathBuf,
    /// Permission bits, `0o7777`; 0 for a symbolic link.
    pub mode: u32,
    /// What it is.
    pub kind: FoundKind,
}

/// What a snapshot can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundKind {
    /// A directory.
    Directory,
    /// A regular file of so many bytes.
    File(u64),
    /// A symbolic link with its target as written.
    Symlink(PathBuf),
}

fn collect(root: &Path, under: &Path, ignore: &Ignore, found: &mut Vec<Found>) -> Result<()> {
    let directory = root.join(under);
    let entries = fs::read_dir(&directory).map_err(|e| failed("read", &directory, &e))?;
    for entry in entries {
        let entry = entry.map_err(|e| failed("read", &directory, &e))?;
        let path = under.join(entry.file_name());
        let excluded = ignore.excludes(&path);
        if excluded && !ignore.has_exceptions() {
            continue;
        }
        let meta = fs::symlink_metadata(entry.path()).map_err(|e| failed("read", &entry.path(), &e))?;
        let mode = meta.permissions().mode() & 0o7777;
        if meta.is_dir() {
            collect_directory(root, &Found { path, mode, kind: FoundKind::Directory }, excluded, ignore, found)?;
        } else if !excluded && meta.is_file() {
            found.push(Found { path, mode, kind: FoundKind::File(meta.len()) });
        } else if !excluded && meta.is_symlink() {
            let target = fs::read_link(entry.path()).map_err(|e| failed("read", &entry.path(), &e))?;
            found.push(Found { path, mode: 0, kind: FoundKind::Symlink(target) });
        }
    }
    Ok(())
}

/// An excluded directory is there all the same if an exception keeps something in it.
fn collect_directory(
    root: &Path,
    directory: &Found,
    excluded: bool,
    ignore: &Ignore,
    found: &mut Vec<Found>,
) -> Result<()> {
    let before = found.len();
    collect(root, &directory.path, ignore, found)?;
    if !excluded || found.len() > before {
        found.push(directory.clone());
    }
    Ok(())
}

fn copy_one(found: &Found, from: &Path, to: &Path) -> io::Result<()> {
    match &found.kind {
        FoundKind::Directory => fs::DirBuilder::new().mode(0o700).create(to),
        FoundKind::Symlink(target) => symlink(target, to),
        FoundKind::File(_) => copy_file(from, to, found.mode),
    }
}

/// Opened without following a link, so that a file that was swapped for one meanwhile is an error.
fn copy_file(from: &Path, to: &Path, mode: u32) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut source = File::from(rustix::fs::open(from, flags, Mode::empty())?);
    let mut target = File::create_new(to)?;
    if rustix::fs::ioctl_ficlone(&target, &source).is_err() {
        // `io::copy` between files uses copy_file_range.
        io::copy(&mut source, &mut target)?;
    }
    target.set_permissions(fs::Permissions::from_mode(mode))
}

/// Makes a copy durable and gives its directories their modes.
fn seal(root: &Path, found: &[Found]) -> io::Result<()> {
    for file in found.iter().filter(|found| matches!(found.kind, FoundKind::File(_))) {
        File::open(root.join(&file.path))?.sync_all()?;
    }
    for directory in found.iter().rev().filter(|found| found.kind == FoundKind::Directory) {
        File::open(root.join(&directory.path))?.sync_all()?;
    }
    set_directory_modes(root, found)?;
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
    File::open(root)?.sync_all()
}

/// Deepest first: a directory that may not be written can still be filled before.
fn set_directory_modes(root: &Path, found: &[Found]) -> io::Result<()> {
    for directory in found.iter().rev().filter(|found| found.kind == FoundKind::Directory) {
        fs::set_permissions(root.join(&directory.path), fs::Permissions::from_mode(directory.mode))?;
    }
    Ok(())
}

/// A copy that is removed again unless it is kept.
struct Unfinished {
    path: PathBuf,
}

static COPIES: AtomicU64 = AtomicU64::new(0);

impl Unfinished {
    fn new(into: &Path) -> Result<Self> {
        let number = COPIES.fetch_add(1, Ordering::Relaxed);
        let path = into.join(format!(".unfinished-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(|e| failed("make", &path, &e))?;
        Ok(Self { path })
    }

    fn keep_as(self, name: &Path) -> Result<()> {
        match fs::rename(&self.path, name) {
            Err(_) if name.is_dir() => Ok(()),
            Err(e) => Err(failed("write", name, &e)),
            Ok(()) => {
                let parent = name.parent().expect("a copy is beneath the directory of copies");
                File::open(parent).and_then(|dir| dir.sync_all()).map_err(|e| failed("write", parent, &e))
            }
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Hashes entries one after the other. Every variable part is preceded by its length, so that two
/// different trees never feed the same bytes.
struct TreeHash {
    hash: Sha256,
    buffer: Vec<u8>,
}

impl TreeHash {
    fn new() -> Self {
        let mut hash = Sha256::new();
        hash.update(b"daybook tree 1\n");
        Self { hash, buffer: vec![0; 64 << 10] }
    }

    fn add(&mut self, found: &Found, root: &Path) -> io::Result<()> {
        self.part(found.path.as_os_str().as_bytes());
        self.hash.update(found.mode.to_be_bytes());
        match &found.kind {
            FoundKind::Directory => self.hash.update(b"d"),
            FoundKind::Symlink(target) => {
                self.hash.update(b"l");
                self.part(target.as_os_str().as_bytes());
            }
            FoundKind::File(_) => {
                self.hash.update(b"f");
                let content = self.hash_file(&root.join(&found.path))?;
                self.hash.update(content);
            }
        }
        Ok(())
    }

    fn part(&mut self, bytes: &[u8]) {
        self.hash.update((bytes.len() as u64).to_be_bytes());
        self.hash.update(bytes);
    }

    fn hash_file(&mut self, path: &Path) -> io::Result<[u8; 32]> {
        let mut file = File::open(path)?;
        let mut hash = Sha256::new();
        loop {
            match file.read(&mut self.buffer)? {
                0 => return Ok(hash.finalize().into()),
                count => hash.update(&self.buffer[..count]),
            }
        }
    }

    fn finish(mut self, extra: &[u8]) -> Digest {
        self.hash.update(b"extra");
        self.part(extra);
        Digest::from_hash(&self.hash.finalize().into())
    }
}

#[cfg(test)]
mod tests;
