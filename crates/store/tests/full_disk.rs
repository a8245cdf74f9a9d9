//! A disk that is full. Needs the right to mount a small file system in memory.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::noticed;
use daybook_store::{Error, Journal, Query, Store};

struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Self {
        std::fs::create_dir(at).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "daybook-test"]).arg(at).status();
        assert!(mount.unwrap().success(), "this test mounts a tmpfs");
        Self(at.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn r12_a_full_disk_refuses_writes_clearly_and_recovery_needs_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(&dir.path().join("disk"));
    let state = disk.0.join("state");
    let store = Store::open(&state).await.unwrap();
    store.append(noticed("before")).await.unwrap();
    let ballast = disk.0.join("ballast");
    let _ = std::fs::write(&ballast, vec![0; 4 << 20]);

    let mut written = 1;
    let refusal = loop {
        match store.append(noticed(&"x".repeat(10_000))).await {
            Ok(entry) => written = entry.seq,
            Err(error) => break error,
        }
    };
    assert!(matches!(refusal, Error::Unavailable { .. }), "{refusal:?}");
    assert!(store.append(noticed(&"y".repeat(10_000))).await.is_err());
    assert_eq!(store.read(&Query::default()).await.unwrap().len() as u64, written, "what was acknowledged is there");

    std::fs::remove_file(&ballast).unwrap();
    assert_eq!(store.append(noticed("after")).await.unwrap().seq, written + 1);
    assert_eq!(store.verify().await.unwrap().entries, written + 1);
    store.close().await;
}
