//! What the tests of backups share.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use daybook_backup::{About, Entry, Place, Repository};
use tempfile::TempDir;

pub(crate) const PASSWORD: &str = "correct horse";

/// A directory with a repository in it, and room for others.
pub(crate) struct World {
    pub(crate) directory: TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn place(&self) -> Place {
        Place::Directory(self.path("repository"))
    }

    pub(crate) fn repository(&self) -> Repository {
        Repository::open_or_create(&self.place(), PASSWORD).unwrap()
    }

    /// Runs `restic` on the repository; it must succeed.
    pub(crate) fn restic(&self, arguments: &[&str]) -> String {
        let output = restic(&self.path("repository"), arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }
}

pub(crate) fn restic(repository: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("restic");
    command.args(["--no-cache", "-r"]).arg(repository).args(arguments).env("RESTIC_PASSWORD", PASSWORD);
    command.output().expect("the tests need `restic`: run scripts/setup")
}

pub(crate) fn about(label: &str, second: i64) -> About {
    About {
        host: "one".to_owned(),
        label: label.to_owned(),
        tags: vec!["nightly".to_owned()],
        time: jiff::Timestamp::from_second(1_800_000_000 + second).unwrap(),
        description: Some("before the rollout".to_owned()),
    }
}

/// Bytes that do not compress, and are the same for a seed.
pub(crate) fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..bytes.div_ceil(8)).flat_map(|_| next().to_le_bytes()).take(bytes).collect()
}

pub(crate) fn entry(name: &str, content: impl Into<Vec<u8>>) -> Entry {
    Entry { name: name.to_owned(), content: Box::new(io::Cursor::new(content.into())) }
}

/// A stream that fails after so many bytes.
pub(crate) fn failing(name: &str, bytes: usize) -> Entry {
    let content = io::Cursor::new(noise(9, bytes)).chain(Broken);
    Entry { name: name.to_owned(), content: Box::new(content) }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("pg_dump has ended with 1"))
    }
}

pub(crate) fn read(repository: &Repository, snapshot: &str, entry: &str) -> daybook_backup::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    repository.read(snapshot, entry, &mut bytes).map(|_| bytes)
}

/// All files beneath a directory, in their order.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
