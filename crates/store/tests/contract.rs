//! What holds for every journal.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::{Place, began, finished, key, noticed, planned, run, stores, write};
use daybook_model::{Event, ReleaseNumber};
use daybook_store::{Error, Journal, MemoryJournal, Query, Write};

/// Every journal; the places live as long as the stores are used.
async fn journals() -> (Vec<Place>, Vec<Arc<dyn Journal>>) {
    let mut journals: Vec<Arc<dyn Journal>> = vec![Arc::new(MemoryJournal::new())];
    let mut places = Vec::new();
    for (place, store) in stores().await {
        places.push(place);
        journals.push(Arc::new(store));
    }
    (places, journals)
}

fn of_run(n: u128, what: &str) -> Write {
    Write { run: Some(run(n)), ..noticed(what) }
}

#[tokio::test]
async fn entries_are_numbered_without_gaps_and_chained() {
    let (_dir, journals) = journals().await;
    for journal in journals {
        let first = journal.append(noticed("one")).await.unwrap();
        let second = journal.append(Write { key: None, ..noticed("two") }).await.unwrap();
        assert_eq!((first.seq, second.seq), (1, 2));
        assert_eq!(second.previous, first.hash);
        assert_eq!(journal.read(&Query::default()).await.unwrap(), [first, second]);
    }
}

#[tokio::test]
async fn r15_one_run_of_an_environment_at_a_time() {
    let (_dir, journals) = journals().await;
    for journal in journals {
        let first = began(1);
        journal.append(first.clone()).await.unwrap();
        for refused in [began(2), began(1), of_run(2, "not mine")] {
            let error = journal.append(refused).await.unwrap_err();
            assert!(matches!(error, Error::Locked { run: open, .. } if open == run(1)), "{error}");
        }
        let other = Write { key: Some("shop/staging".parse().unwrap()), ..began(3) };
        journal.append(other).await.unwrap();
        journal.append(noticed("without a run")).await.unwrap();
        journal.append(finished(&first)).await.unwrap();
        journal.append(began(2)).await.unwrap();
    }
}

#[tokio::test]
async fn r15_a_run_that_has_finished_is_fenced() {
    let (_dir, journals) = journals().await;
    for journal in journals {
        let first = began(1);
        journal.append(first.clone()).await.unwrap();
        journal.append(finished(&first)).await.unwrap();
        for refused in [of_run(1, "late"), began(1), finished(&first), of_run(9, "never began")] {
            assert!(matches!(journal.append(refused).await, Err(Error::Ended { .. })));
        }
        assert_eq!(journal.read(&Query::default()).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn r15_a_stale_writer_is_refused() {
    let (_dir, journals) = journals().await;
    for journal in journals {
        let expecting = |expected| Write { expected: Some(expected), ..noticed("x") };
        journal.append(expecting(0)).await.unwrap();
        let error = journal.append(expecting(0)).await.unwrap_err();
        assert!(matches!(error, Error::Stale { expected: 0, now: 1, .. }), "{error}");
        journal.append(Write { key: Some("shop/staging".parse().unwrap()), ..noticed("elsewhere") }).await.unwrap();
        journal.append(expecting(1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_query_selects_by_environment_run_and_place() {
    let (_dir, journals) = journals().await;
    for journal in journals {
        journal.append(noticed("1")).await.unwrap();
        journal.append(began(1)).await.unwrap();
        journal.append(of_run(1, "3")).await.unwrap();
        journal.append(Write { key: Some("shop/staging".parse().unwrap()), ..noticed("4") }).await.unwrap();
        let seqs = async |query: Query| -> Vec<u64> {
            journal.read(&query).await.unwrap().into_iter().map(|entry| entry.seq).collect()
        };
        assert_eq!(seqs(Query { key: Some(key()), ..Query::default() }).await, [1, 2, 3]);
        assert_eq!(seqs(Query { run: Some(run(1)), ..Query::default() }).await, [2, 3]);
        assert_eq!(seqs(Query { after: 1, limit: Some(2), ..Query::default() }).await, [2, 3]);
        assert_eq!(seqs(Query { limit: Some(2), newest: true, ..Query::default() }).await, [3, 4]);
        assert!(seqs(Query { after: u64::MAX, ..Query::default() }).await.is_empty());
    }
}

#[tokio::test]
async fn a_run_needs_its_id() {
    let (_dir, journals) = journals().await;
    for journal in journals {
        let nameless = Write { run: None, ..began(1) };
        assert!(matches!(journal.append(nameless).await, Err(Error::Internal { .. })));
    }
}

#[tokio::test]
async fn ordinals_and_release_numbers_only_grow() {
    for (_place, store) in stores().await {
        let memory = MemoryJournal::new();
        let web = "web".parse().unwrap();
        for entry in [began(4), planned(4, &["web.3", "web.2"]), finished(&began(4))] {
            store.append(entry.clone()).await.unwrap();
            memory.append(entry).await.unwrap();
        }
        assert_eq!(store.next_ordinals(&key()).await.unwrap(), memory.next_ordinals(&key()));
        assert_eq!(memory.next_ordinals(&key())[&web], 4);
        assert_eq!(store.next_release_number(&key()).await.unwrap(), ReleaseNumber(5));
        assert_eq!(memory.next_release_number(&key()), ReleaseNumber(5));
    }
}

#[tokio::test]
async fn r13_the_last_settled_time_of_a_job_never_goes_back() {
    for (_place, store) in stores().await {
        let service: daybook_model::ServiceName = "report".parse().unwrap();
        for due in ["2026-01-02T03:00:00Z", "2026-01-02T03:00:00.5Z", "2026-01-01T03:00:00Z"] {
            let event =
                Event::JobSkipped { service: service.clone(), due: due.parse().unwrap(), why: "missed".to_owned() };
            store.append(write(None, event)).await.unwrap();
        }
        let job = store.jobs(&key()).await.unwrap().remove(&service).unwrap();
        assert_eq!(job.settled.to_string(), "2026-01-02T03:00:00.5Z");
        assert_eq!(job.last.unwrap().skipped.as_deref(), Some("missed"));
    }
}

#[tokio::test]
async fn a_job_that_began_is_known_until_it_ends() {
    for (_place, store) in stores().await {
        let service: daybook_model::ServiceName = "report".parse().unwrap();
        let (due, replica) = ("2026-01-02T03:00:00Z".parse().unwrap(), "report.4".parse().unwrap());
        store.append(write(None, Event::JobStarted { service: service.clone(), due, replica })).await.unwrap();
        let job = store.jobs(&key()).await.unwrap().remove(&service).unwrap();
        assert_eq!(job.running, Some(("report.4".parse().unwrap(), due)));
        assert_eq!(store.next_ordinals(&key()).await.unwrap()[&service], 5);
        store.append(write(None, Event::JobFinished { service: service.clone(), due, code: 3 })).await.unwrap();
        let job = store.jobs(&key()).await.unwrap().remove(&service).unwrap();
        assert_eq!((job.running, job.last.unwrap().code), (None, Some(3)));
    }
}
