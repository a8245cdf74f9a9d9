//! Volumes of clones: copied while they are in use, without copying what the file system can share.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use daybook_model::{Spec, VolumeName};

use super::operations::Operation;
use super::place::Place;
use super::volume::on_disk;
use crate::App;
use crate::error::ApiError;

/// Files may vanish while they are copied: then all is copied again, so often at most.
const TRIES: u32 = 5;

impl App {
    /// Copies what a volume holds into that of a clone, which nobody uses yet. Gives what was done, in words.
    pub(super) async fn copy_volume(
        &self,
        from: &Spec,
        to: &Spec,
        name: &VolumeName,
        operation: &Operation,
    ) -> Result<String, ApiError> {
        let source = self.place_of(from, name, operation.id).await?;
        let target = self.place_of(to, name, operation.id).await?;
        let copied = self.copy_between(&source, &target, operation).await;
        self.clear_far(&source).await;
        self.clear_far(&target).await;
        copied.map(|()| format!("{name}: its files as they are"))
    }

    async fn copy_between(
        &self,
        source: &Place<'_>,
        target: &Place<'_>,
        operation: &Operation,
    ) -> Result<(), ApiError> {
        if let Some(far) = source.far() {
            self.take_far(far, operation).await?;
        }
        let files = source.read().to_owned();
        if let Place::Here(beside) = target {
            let into = beside.directory.clone();
            return on_disk("copy what a volume holds", move || copy_tree(&files, &into)).await;
        }
        self.lay(target, &files, operation).await?;
        self.exchange(target).await
    }
}

/// Copies a tree with owners, times, links and attributes. Blocks of file systems that can are shared, not copied.
fn copy_tree(source: &Path, target: &Path) -> io::Result<()> {
    let mut tried = 0;
    loop {
        tried += 1;
        let mut copy = Command::new("cp");
        copy.args(["--archive", "--reflink=auto", "--"]).arg(source.join(".")).arg(target);
        let copied = copy.stdin(Stdio::null()).stdout(Stdio::null()).output()?;
        if copied.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&copied.stderr);
        let vanished = said.contains("No such file or directory") && source.is_dir() && target.is_dir();
        if !vanished || tried == TRIES {
            let first = said.lines().next().unwrap_or("cp does not say why");
            return Err(io::Error::other(format!("{} to {}: {first}", source.display(), target.display())));
        }
        empty(target)?;
    }
}

/// Whether files of one directory can be shared with those that will be at `target`; an error says why not.
pub(super) fn can_share(source: &Path, target: &Path) -> io::Result<()> {
    let mut probe = target.as_os_str().to_owned();
    probe.push(".shared");
    let shared = File::open(source.join("PG_VERSION")).and_then(|one| {
        let other = File::create(&probe)?;
        Ok(rustix::fs::ioctl_ficlone(&other, &one)?)
    });
    shared.and(fs::remove_file(&probe))
}

/// Shares the files of a PostgreSQL that writes meanwhile and was told so: all but what it writes ahead.
pub(super) fn share(source: &Path, target: &Path) -> io::Result<()> {
    share_tree(source, target)?;
    for gone in ["postmaster.pid", "postmaster.opts"] {
        match fs::remove_file(target.join(gone)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    empty(&target.join("pg_replslot"))?;
    // Taken afterwards, when all that the others need is in it.
    fs::remove_dir_all(target.join("pg_wal"))
}

/// Shares what it has written ahead up to the end of that, and puts down what says where that begins. Gives the bytes of all.
pub(super) fn share_rest(source: &Path, target: &Path, label: &str) -> io::Result<u64> {
    let ahead = target.join("pg_wal");
    share_tree(&source.join("pg_wal"), &ahead)?;
    // Nothing of it is archived anew.
    for archived in ["archive_status", "daybook"].map(|name| ahead.join(name)) {
        if archived.exists() {
            empty(&archived)?;
        }
    }
    let path = target.join("backup_label");
    fs::write(&path, label)?;
    let owner = fs::metadata(target.join("PG_VERSION"))?;
    chown(&path, Some(owner.uid()), Some(owner.gid()))?;
    bytes(target)
}

/// Shares a tree of files. Those that vanish meanwhile are none that a server misses afterwards.
fn share_tree(source: &Path, target: &Path) -> io::Result<()> {
    let mut copy = Command::new("cp");
    copy.args(["--archive", "--no-target-directory", "--reflink=always", "--"]).arg(source).arg(target);
    let copied = copy.env("LC_ALL", "C").stdin(Stdio::null()).stdout(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&copied.stderr);
    let first = said.lines().find(|line| !line.ends_with("No such file or directory"));
    match first {
        None if copied.status.success() || !said.is_empty() && target.is_dir() => Ok(()),
        None => Err(io::Error::other(format!("cp ended with {}", copied.status))),
        Some(first) => Err(io::Error::other(format!("{} to {}: {first}", source.display(), target.display()))),
    }
}

fn bytes(directory: &Path) -> io::Result<u64> {
    let mut all = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        all += if metadata.is_dir() { bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(all)
}

fn empty(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_copy_has_everything_and_what_is_not_there_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let (source, target) = (directory.path().join("a"), directory.path().join("b"));
        std::fs::create_dir_all(source.join("deep/er")).unwrap();
        std::fs::create_dir(&target).unwrap();
        std::fs::write(source.join("deep/er/.hidden"), "text").unwrap();
        std::fs::set_permissions(source.join("deep/er/.hidden"), PermissionsExt::from_mode(0o640)).unwrap();
        std::fs::hard_link(source.join("deep/er/.hidden"), source.join("again")).unwrap();
        symlink("deep/er", source.join("link")).unwrap();
        copy_tree(&source, &target).unwrap();
        assert_eq!(std::fs::read_to_string(target.join("link/.hidden")).unwrap(), "text");
        let copied = std::fs::metadata(target.join("again")).unwrap();
        assert_eq!((copied.mode() & 0o777, copied.nlink()), (0o640, 2));

        let error = copy_tree(&directory.path().join("nowhere"), &target).unwrap_err().to_string();
        assert!(error.contains("nowhere") && error.contains("No such file"), "{error}");
        empty(&target).unwrap();
        assert_eq!(std::fs::read_dir(&target).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_shared_is_told_and_nothing_is_left_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let (source, target) = (directory.path().join("a"), directory.path().join("b"));
        fs::create_dir_all(source.join("pg_wal")).unwrap();
        let error = can_share(&source, &target).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "it is no PostgreSQL: {error}");
        fs::write(source.join("PG_VERSION"), "15\n").unwrap();
        // Whether blocks can be shared here is for the file system to say: a memory's own cannot.
        let shared = tempfile::tempdir_in("/dev/shm").unwrap();
        assert!(can_share(&source, &shared.path().join("b")).is_err());
        assert_eq!(fs::read_dir(shared.path()).unwrap().count(), 0);
        let error = share(&source, &shared.path().join("b")).unwrap_err().to_string();
        assert!(error.contains("PG_VERSION"), "{error}");
    }
}
