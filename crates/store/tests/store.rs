//! What the store on disk keeps, and what it refuses.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{began, finished, key, noticed, release, stores, write};
use daybook_model::{Actor, Event, Release, ReleaseNumber, SecretName};
use daybook_store::{Error, Journal, Query, Store};
use zeroize::Zeroizing;

async fn accept(store: &Store, release: &Release) {
    let start = began(release.number.0.into());
    store.append(start.clone()).await.unwrap();
    let event = Event::ReleaseAccepted { number: release.number };
    store.accept(write(start.run, event), release).await.unwrap();
    store.append(finished(&start)).await.unwrap();
}

fn secret(text: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.as_bytes().to_vec())
}

#[tokio::test]
async fn r10_everything_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    accept(&store, &release(1)).await;
    store.append(began(7)).await.unwrap();
    let written = store.read(&Query::default()).await.unwrap();
    store.close().await;

    let store = Store::open(dir.path()).await.unwrap();
    assert_eq!(store.read(&Query::default()).await.unwrap(), written);
    assert_eq!(store.current_release(&key()).await.unwrap().as_deref(), Some(&release(1)));
    assert!(matches!(store.append(began(8)).await, Err(Error::Locked { .. })));
    let known = store.environment(&key()).await.unwrap().unwrap();
    assert_eq!((known.release, known.open_run), (Some(ReleaseNumber(1)), began(7).run));
    assert_eq!(store.verify().await.unwrap().entries, 4);
}

#[tokio::test]
async fn releases_are_all_kept_and_the_accepted_one_is_in_force() {
    for (_place, store) in stores().await {
        for number in 1..=3 {
            accept(&store, &release(number)).await;
        }
        assert_eq!(store.releases(&key(), 2).await.unwrap(), [release(3), release(2)]);
        assert_eq!(store.release(&key(), ReleaseNumber(1)).await.unwrap(), Some(release(1)));
        assert_eq!(store.release(&key(), ReleaseNumber(9)).await.unwrap(), None);
        assert_eq!(store.current_release(&key()).await.unwrap().as_deref(), Some(&release(3)));
        store.append(write(None, Event::EnvironmentRetired)).await.unwrap();
        assert_eq!(store.current_release(&key()).await.unwrap(), None);
        let known = store.environments().await.unwrap();
        assert_eq!((known.len(), known[0].retired, known[0].release), (1, true, None));
        assert_eq!(store.releases(&key(), 9).await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_refused_acceptance_keeps_no_release() {
    for (_place, store) in stores().await {
        let event = Event::ReleaseAccepted { number: ReleaseNumber(1) };
        let late = store.accept(write(began(1).run, event), &release(1)).await;
        assert!(matches!(late, Err(Error::Ended { .. })));
        assert_eq!(store.current_release(&key()).await.unwrap(), None);
        assert_eq!(store.verify().await.unwrap().entries, 0);
    }
}

#[tokio::test]
async fn runs_are_listed_newest_first_with_their_ends() {
    for (_place, store) in stores().await {
        accept(&store, &release(1)).await;
        store.append(began(2)).await.unwrap();
        let runs = store.runs(Some(&key()), 9).await.unwrap();
        let seqs: Vec<_> =
            runs.iter().map(|run| (run.started.seq, run.finished.as_ref().map(|entry| entry.seq))).collect();
        assert_eq!(seqs, [(4, None), (1, Some(3))]);
        assert_eq!(store.runs(None, 1).await.unwrap().len(), 1);
        assert_eq!(store.run(began(1).run.unwrap()).await.unwrap().as_ref(), Some(&runs[1]));
        assert_eq!(store.run(began(9).run.unwrap()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_version_can_be_foreseen_without_writing() {
    for (_place, store) in stores().await {
        let name = "db.password".parse::<SecretName>().unwrap();
        let foresee = async |value: Option<&'static [u8]>| store.foresee_secret(&key(), &name, value).await.unwrap();
        assert_eq!((foresee(None).await, foresee(Some(b"a")).await), (1, 1));
        store.set_secret(Actor::daybook("test"), &key(), &name, secret("a")).await.unwrap();
        assert_eq!((foresee(None).await, foresee(Some(b"a")).await, foresee(Some(b"b")).await), (2, 1, 2));
    }
}

#[tokio::test]
async fn how_things_stand_is_replaced_by_where() {
    for (_place, store) in stores().await {
        let row = |what, place: &str, body: Option<&str>| ((what, place.to_owned()), body.map(ToOwned::to_owned));
        let all = [row("notices", "", Some("1")), row("notices", "a/b", Some("2")), row("forward", "a/b", Some("3"))];
        store.keep_standings(all.into()).await.unwrap();
        let changed = [row("notices", "", Some("4")), row("notices", "a/b", None), row("notices", "c/d", None)];
        store.keep_standings(changed.into()).await.unwrap();
        store.keep_standings(BTreeMap::new()).await.unwrap();
        let standings = async |what: &str| store.standings(what).await.unwrap();
        assert_eq!(standings("notices").await, BTreeMap::from([(String::new(), "4".to_owned())]));
        assert_eq!(standings("forward").await, BTreeMap::from([("a/b".to_owned(), "3".to_owned())]));
        assert!(standings("received").await.is_empty());
    }
}

#[tokio::test]
async fn subscribers_hear_of_entries_in_order() {
    for (_place, store) in stores().await {
        let mut entries = store.subscribe();
        let writers = (0..20).map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.append(noticed(&n.to_string())).await.unwrap() })
        });
        futures::future::join_all(writers).await;
        for seq in 1..=20 {
            assert_eq!(entries.recv().await.unwrap().seq, seq);
        }
    }
}

#[tokio::test]
async fn secrets_have_versions_that_are_never_used_again() {
    for (_place, store) in stores().await {
        let (actor, name) = (Actor::daybook("test"), "db.password".parse::<SecretName>().unwrap());
        let set = async |value: &str| store.set_secret(actor.clone(), &key(), &name, secret(value)).await.unwrap();
        assert_eq!((set("a").await, set("a").await, set("b").await, set("a").await), (1, 1, 2, 3));
        assert_eq!(store.open_secret(&key(), &name, 1).await.unwrap(), Some(secret("a")));
        assert_eq!(store.secrets(&key()).await.unwrap()[0].version, 3);
        assert!(store.remove_secret(actor.clone(), &key(), &name).await.unwrap());
        assert!(!store.remove_secret(actor.clone(), &key(), &name).await.unwrap());
        assert_eq!(store.open_secret(&key(), &name, 1).await.unwrap(), None);
        assert!(store.secrets(&key()).await.unwrap().is_empty());
        assert_eq!(store.generate_secret(actor.clone(), &key(), &name).await.unwrap(), 4);
        assert_eq!(store.secret_version(&key(), &name).await.unwrap(), Some(4));
        assert_eq!(store.verify().await.unwrap().entries, 5, "every change of a secret is journaled");
    }
}

#[tokio::test]
async fn r31_no_file_of_the_state_holds_a_secret_in_clear() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let (actor, name) = (Actor::daybook("test"), "canary".parse::<SecretName>().unwrap());
    let value = "canary-7c1f0b6e-and-then-some";
    store.set_secret(actor.clone(), &key(), &name, secret(value)).await.unwrap();
    store.remove_secret(actor.clone(), &key(), &name).await.unwrap();
    let version = store.set_secret(actor, &key(), &name, secret(value)).await.unwrap();
    assert_eq!(store.open_secret(&key(), &name, version).await.unwrap(), Some(secret(value)));
    assert!(files(dir.path()).iter().any(|name| name.ends_with("-wal")), "the write-ahead log was searched too");
    for path in files(dir.path()) {
        let content = std::fs::read(dir.path().join(&path)).unwrap();
        let found = content.windows(value.len()).any(|window| window == value.as_bytes());
        assert!(!found, "{path} holds the secret");
    }
}

#[tokio::test]
async fn only_the_owner_may_read_the_state() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let store = Store::open(&state).await.unwrap();
    store.append(noticed("x")).await.unwrap();
    assert_eq!(std::fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(files(&state).len() >= 4);
    for path in files(&state) {
        let mode = std::fs::metadata(state.join(&path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{path}");
    }
    store.close().await;
    std::fs::set_permissions(state.join("master.key"), PermissionsExt::from_mode(0o644)).unwrap();
    assert!(Store::open(&state).await.is_err_and(|error| error.to_string().contains("chmod")));
}

fn files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
