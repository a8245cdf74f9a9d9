//! Volumes of clones: copied while they are in use, without copying what the file system can share.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use daybook_model::{Spec, VolumeName};

use super::volume::on_disk;
use crate::App;
use crate::error::ApiError;

/// Files may vanish while they are copied: then all is copied again, so often at most.
const TRIES: u32 = 5;

impl App {
    /// Copies what a volume holds into that of a clone, which nobody uses yet. Gives what was done, in words.
    pub(super) async fn copy_volume(&self, from: &Spec, to: &Spec, name: &VolumeName) -> Result<String, ApiError> {
        let source = self.volume_directory(from, name).await?;
        let target = self.volume_directory(to, name).await?;
        on_disk("copy what a volume holds", move || copy_tree(&source, &target)).await?;
        Ok(format!("{name}: its files as they are"))
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

fn empty(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};

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
}
