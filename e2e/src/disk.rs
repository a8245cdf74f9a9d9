//! A disk of a scenario's own, in a file: one that can be full, or one whose files can share blocks. Needs the right to mount.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is on a disk.
#[derive(Debug, Clone, Copy)]
pub enum FileSystem {
    /// Each file has its own blocks.
    Ext4,
    /// Files can share theirs.
    Btrfs,
}

/// A small disk, mounted until it is dropped.
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Makes a disk of so many mebibytes in the file `image`, and mounts it at the directory `at`.
    pub fn mount(image: &Path, at: &Path, (system, mebibytes): (FileSystem, u64)) -> Self {
        let file = File::create(image).expect("make the file of a disk");
        file.set_len(mebibytes << 20).expect("give the disk its size");
        match system {
            FileSystem::Ext4 => run(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(image)),
            FileSystem::Btrfs => run(Command::new("mkfs.btrfs").arg("-q").arg(image)),
        }
        run(Command::new("mount").args(["-o", "loop"]).args([image, at]));
        Self { at: at.to_owned() }
    }

    /// Fills the disk to its last block.
    pub fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("make the ballast");
        for piece in [1 << 20, 4096, 1] {
            let piece = vec![7; piece];
            while ballast.write_all(&piece).and_then(|()| ballast.sync_data()).is_ok() {}
        }
    }

    /// Takes away what [`SmallDisk::fill`] wrote.
    pub fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("remove the ballast");
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is being killed may still have a file open.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
