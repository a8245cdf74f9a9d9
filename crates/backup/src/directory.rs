//! A repository in a local directory.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::storage::{FOLDERS, Failure, How, Kind, Listed, Part, Storage};

/// What the names of files that are being written begin with.
const UNFINISHED: &str = ".unfinished-";
/// An unfinished file that nobody has written to for so long belongs to a process that has ended.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes the name of each unfinished file its own.
static WRITES: AtomicU64 = AtomicU64::new(0);

pub(crate) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn failure(&self, doing: String, error: &io::Error) -> Failure {
        let (kind, advice) = match error.kind() {
            ErrorKind::NotFound | ErrorKind::UnexpectedEof => (Kind::Missing, "check the backups"),
            ErrorKind::AlreadyExists => (Kind::Exists, "another process has made it"),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                (Kind::Full, "make room there, or forget old snapshots and prune")
            }
            ErrorKind::PermissionDenied => (Kind::Other, "let this user read and write there"),
            ErrorKind::ReadOnlyFilesystem => (Kind::Other, "mount it so that it can be written"),
            _ => (Kind::Other, "look at the disk"),
        };
        let why = if kind == Kind::Full { "no space is left on the disk".to_owned() } else { error.to_string() };
        Failure { place: self.place(), doing, why, advice, kind }
    }

    fn write_file(&self, name: &str, content: &[Bytes], how: How) -> io::Result<()> {
        let target = self.root.join(name);
        let folder = target.parent().expect("a file of a repository is in a directory");
        make(folder)?;
        let number = WRITES.fetch_add(1, Ordering::Relaxed);
        let unfinished = folder.join(format!("{UNFINISHED}{}-{number}", std::process::id()));
        let written = write_whole(&unfinished, content).and_then(|()| match how {
            How::First => std::fs::hard_link(&unfinished, &target),
            How::Lasting | How::Passing => std::fs::rename(&unfinished, &target),
        });
        if written.is_err() || how == How::First {
            // Whatever stops this from going away has been told already, or does no harm.
            let _ = std::fs::remove_file(&unfinished);
        }
        written?;
        File::open(folder)?.sync_all()
    }

    fn list_into(&self, folder: &Path, listed: &mut Vec<Listed>) -> io::Result<()> {
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            let meta = match entry.metadata() {
                // It was removed in the meantime.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                meta => meta?,
            };
            if meta.is_dir() {
                self.list_into(&entry.path(), listed)?;
            } else {
                listed.push(Listed { name: name.to_owned(), size: meta.len(), modified: meta.modified().ok() });
            }
        }
        Ok(())
    }

    fn tidy_in(&self, folder: &Path) -> io::Result<()> {
        let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
        for entry in entries {
            let entry = entry?;
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                self.tidy_in(&entry.path())?;
                continue;
            }
            let is_old = meta.modified()?.elapsed().is_ok_and(|age| age > ABANDONED);
            if is_old && entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Storage for Directory {
    fn place(&self) -> String {
        self.root.display().to_string()
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, Failure> {
        let mut listed = Vec::new();
        let result = self.list_into(&self.root.join(folder), &mut listed);
        result.map_err(|error| self.failure(format!("list {folder}"), &error))?;
        Ok(listed)
    }

    fn size(&self, name: &str) -> Result<Option<u64>, Failure> {
        match std::fs::metadata(self.root.join(name)) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failure(format!("look at {name}"), &error)),
        }
    }

    fn read(&self, name: &str, part: Option<Part>) -> Result<Bytes, Failure> {
        read(&self.root.join(name), part).map_err(|error| self.failure(format!("read {name}"), &error))
    }

    fn write(&self, name: &str, content: &[Bytes], how: How) -> Result<(), Failure> {
        self.write_file(name, content, how).map_err(|error| self.failure(format!("write {name}"), &error))
    }

    fn remove(&self, name: &str) -> Result<(), Failure> {
        match std::fs::remove_file(self.root.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.failure(format!("remove {name}"), &error)),
            _ => Ok(()),
        }
    }

    fn tidy(&self) -> Result<(), Failure> {
        for folder in FOLDERS {
            let tidied = self.tidy_in(&self.root.join(folder));
            tidied.map_err(|error| self.failure(format!("tidy {folder}"), &error))?;
        }
        Ok(())
    }
}

/// Backups are nobody's business but their owner's.
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn write_whole(path: &Path, content: &[Bytes]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    for bytes in content {
        file.write_all(bytes)?;
    }
    file.sync_all()
}

fn read(path: &Path, part: Option<Part>) -> io::Result<Bytes> {
    let Some(part) = part else { return std::fs::read(path).map(Bytes::from) };
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(part.offset))?;
    let length = usize::try_from(part.length).map_err(io::Error::other)?;
    // A damaged index may name any length.
    let rest = file.metadata()?.len().saturating_sub(part.offset);
    if rest < part.length {
        return Err(io::Error::new(ErrorKind::UnexpectedEof, "the file is shorter than it should be"));
    }
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok(bytes.into())
}
