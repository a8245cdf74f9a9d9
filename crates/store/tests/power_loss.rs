//! The power fails at every moment of a store's life; what it had acknowledged is there. Needs strace.
#![allow(clippy::unwrap_used)]

mod common;
mod power;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::{key, noticed};
use daybook_model::{Entry, Event};
use daybook_store::{Journal, Query, Store};
use power::{Change, Image, Loss, Node, Record};
use tokio::runtime::Runtime;

/// SQLite maps it into memory and does not need it after a crash.
const LEFT_OUT: &[&str] = &["-shm"];

/// What a write-ahead log of SQLite begins with, <https://www.sqlite.org/fileformat2.html#walformat>.
const LOG: [u8; 3] = [0x37, 0x7f, 0x06];

/// The example, which `cargo test` builds beside the tests.
fn writer() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path = path.join("examples").join("power_loss_writer");
    assert!(path.exists(), "{} is missing: run `cargo build -p daybook-store --examples`", path.display());
    path
}

#[test]
fn r10_what_was_acknowledged_survives_power_loss_at_any_moment() {
    let root = tempfile::tempdir().unwrap();
    let record = power::record(&writer(), root.path(), LEFT_OUT);
    assert!(logs_begun(&record) > 1, "write more, for the log to be used from its start again");
    let written = runtime().block_on(entries(root.path()));
    assert!(record.changes.contains(&Change::Acknowledged(written.len() as u64)), "the last entry was acknowledged");

    let checked = record.check(|image| runtime().block_on(check(image, &written)));
    println!("{} entries, {checked} images of what a loss of power could leave", written.len());
}

/// The images above do lose what is not synced.
#[test]
fn a_name_and_bytes_are_lost_unless_each_is_synced() {
    let (file, names) = (1, power::ROOT);
    let named = Change::Link { directory: names, name: "file".into(), node: file };
    let start = [Change::MakeFile { node: file }, named, Change::Write { node: file, at: 0, bytes: vec![1; 1_024] }];
    let left = |synced: &[Node]| {
        let synced = synced.iter().map(|node| Change::Sync { node: *node });
        let record = Record { changes: start.iter().cloned().chain(synced).chain([Change::Acknowledged(1)]).collect() };
        let mut left = Vec::new();
        record.images(|image| {
            if image.loss == Loss::Everything && image.acknowledged == 1 {
                left.extend(image.files().iter().map(|(_, content)| content.len()));
            }
        });
        left
    };
    assert!(left(&[]).is_empty());
    assert!(left(&[file]).is_empty(), "its name is not sure");
    assert_eq!(left(&[names]), [0], "its bytes are not sure");
    assert_eq!(left(&[file, names]), [1_024]);
}

/// How often a file was begun anew that had been begun as a log.
fn logs_begun(record: &Record) -> usize {
    let mut begun = BTreeMap::new();
    for change in &record.changes {
        if let Change::Write { node, at: 0, bytes } = change
            && bytes.starts_with(&LOG)
        {
            *begun.entry(node).or_default() += 1;
        }
    }
    begun.into_values().max().unwrap_or(0)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

async fn entries(directory: &Path) -> Vec<Entry> {
    let store = Store::open(&directory.join("state")).await.unwrap();
    let entries = store.read(&Query::default()).await.unwrap();
    store.close().await;
    entries
}

/// Opens what the power left: it holds what was acknowledged and nothing that was not written, and can be gone on with.
async fn check(image: &Image, written: &[Entry]) {
    let said = image.said();
    let directory = tempfile::tempdir().unwrap();
    image.write_to(directory.path());
    let store = Store::open(&directory.path().join("state")).await.unwrap_or_else(|error| panic!("{said}: {error}"));
    let entries = store.read(&Query::default()).await.unwrap_or_else(|error| panic!("{said}: {error}"));
    let there = entries.len() as u64;
    assert!(there >= image.acknowledged, "{said}: {there} of {} entries are there", image.acknowledged);
    assert!(written.starts_with(&entries), "{said}: there are entries that nobody wrote");
    let (mut secrets, mut release) = (0, None);
    for entry in &entries {
        match &entry.event {
            Event::Noticed { what, .. } => assert!(what.starts_with(&format!("entry {}", entry.seq)), "{said}: {what}"),
            Event::SecretSet { name, version } => {
                let value = store.open_secret(&key(), name, *version).await.unwrap();
                assert_eq!(value.unwrap().as_slice(), format!("value {version}").as_bytes(), "{said}");
                secrets += 1;
            }
            Event::ReleaseAccepted { number } => release = Some(*number),
            _ => {}
        }
    }
    assert_eq!(store.secrets(&key()).await.unwrap().first().map_or(0, |secret| secret.version), secrets, "{said}");
    assert_eq!(store.current_release(&key()).await.unwrap().map(|release| release.number), release, "{said}");
    let next = store.append(noticed("afterwards")).await.unwrap_or_else(|error| panic!("{said}: {error}"));
    assert_eq!(next.seq, there + 1, "{said}");
    assert_eq!(store.verify().await.unwrap().entries, next.seq, "{said}");
    store.close().await;
}
