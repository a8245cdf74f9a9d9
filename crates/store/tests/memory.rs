//! The journal in memory crashes where it is told to.
#![allow(clippy::unwrap_used)]

mod common;

use common::{began, finished, noticed};
use daybook_store::{Error, Journal, MemoryJournal, Query, When};

fn crashed<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Unavailable { message, .. }) if message == "crashed")
}

#[tokio::test]
async fn r02_a_crash_before_the_commit_loses_the_entry_and_one_after_keeps_it() {
    for (when, kept) in [(When::Before, 1), (When::After, 2)] {
        let journal = MemoryJournal::new();
        journal.crash_at(2, when);
        journal.append(noticed("one")).await.unwrap();
        assert!(crashed(journal.append(noticed("two")).await));
        assert!(crashed(journal.append(noticed("three")).await));
        assert!(crashed(journal.read(&Query::default()).await));
        assert!(journal.has_crashed());
        assert_eq!(journal.entries().len(), kept);
        journal.revive();
        assert_eq!(journal.append(noticed("four")).await.unwrap().seq, kept as u64 + 1);
    }
}

#[tokio::test]
async fn a_refused_write_does_not_count_towards_a_crash() {
    let journal = MemoryJournal::new();
    let first = began(1);
    journal.append(first.clone()).await.unwrap();
    journal.crash_at(2, When::After);
    assert!(matches!(journal.append(began(2)).await, Err(Error::Locked { .. })));
    journal.append(noticed("one")).await.unwrap();
    assert!(crashed(journal.append(finished(&first)).await));
    assert_eq!(journal.len(), 3);
}
