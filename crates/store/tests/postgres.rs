//! What several servers can rely on when they share a PostgreSQL.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use common::postgres::{Postgres, key_file};
use common::{began, key, noticed, release, write};
use daybook_model::{Actor, Event, SecretName};
use daybook_store::{Error, Journal, KeySource, Query, Standings, Store};
use zeroize::Zeroizing;

#[tokio::test]
async fn r15_nobody_writes_who_does_not_lead() {
    let postgres = Postgres::start();
    let (store, name) = (postgres.store().await, "db.password".parse::<SecretName>().unwrap());
    let deposed = |result: Result<(), Error>| matches!(result, Err(Error::Deposed { .. }));
    assert!(deposed(store.append(noticed("x")).await.map(drop)));
    let value = Zeroizing::new(b"x".to_vec());
    assert!(deposed(store.set_secret(Actor::daybook("test"), &key(), &name, value).await.map(drop)));
    assert!(deposed(store.generate_secret(Actor::daybook("test"), &key(), &name).await.map(drop)));
    assert!(deposed(store.remove_secret(Actor::daybook("test"), &key(), &name).await.map(drop)));
    let event = Event::ReleaseAccepted { number: release(1).number };
    assert!(deposed(store.accept(write(began(1).run, event), &release(1)).await.map(drop)));
    assert!(deposed(store.keep_standings(standing("x")).await));
    assert_eq!(store.verify().await.unwrap().entries, 0);
}

#[tokio::test]
async fn r15_a_new_leader_fences_the_old_one_at_any_point() {
    let postgres = Postgres::start();
    let (old, new) = (postgres.store().await, postgres.store().await);
    let first = old.lead("a").await.unwrap();
    old.append(began(1)).await.unwrap();
    let second = new.lead("b").await.unwrap();
    assert!(second > first);
    let refused = old.append(noticed("late")).await.unwrap_err();
    assert_eq!(refused.to_string(), "this server does not lead: `b` does, in epoch 2");
    assert!(matches!(new.append(began(2)).await, Err(Error::Locked { .. })), "the run is the next leader's to end");
    new.append(noticed("by the new leader")).await.unwrap();
    assert_eq!(old.read(&Query::default()).await.unwrap().len(), 2, "who is deposed may still look");
    assert_eq!(old.leader().await.unwrap().unwrap().holder, "b");
    tokio::time::timeout(std::time::Duration::from_secs(60), old.fenced()).await.expect("it is told to stop");
    new.abdicate();
    assert!(matches!(new.append(noticed("after its end")).await, Err(Error::Deposed { .. })));
    assert_eq!(new.verify().await.unwrap().entries, 2);
}

fn standing(body: &str) -> Standings {
    [(("notices", key().to_string()), Some(body.to_owned()))].into()
}

#[tokio::test]
async fn r15_a_new_leader_finds_how_things_stood_and_the_old_one_changes_nothing_any_more() {
    let postgres = Postgres::start();
    let (old, new) = (postgres.store().await, postgres.store().await);
    old.lead("a").await.unwrap();
    old.keep_standings(standing("by the old leader")).await.unwrap();
    new.lead("b").await.unwrap();
    let there = async || new.standings("notices").await.unwrap()[&key().to_string()].clone();
    assert_eq!(there().await, "by the old leader");
    assert!(matches!(old.keep_standings(standing("late")).await, Err(Error::Deposed { .. })));
    assert_eq!(there().await, "by the old leader");
    new.keep_standings(standing("by the new leader")).await.unwrap();
    assert_eq!(there().await, "by the new leader");
}

/// Many servers take the leadership from one another while all of them write. What was acknowledged is there once, in
/// one chain; epochs never repeat; and no entry of a term is later than the first entry of the next.
#[tokio::test(flavor = "multi_thread")]
async fn r15_servers_that_fight_for_the_leadership_leave_one_chain() {
    let postgres = Arc::new(Postgres::start());
    let servers = (0..4).map(|server| {
        let postgres = Arc::clone(&postgres);
        tokio::spawn(async move {
            let store = postgres.store().await;
            let (mut epochs, mut written) = (Vec::new(), Vec::new());
            for round in 0..10 {
                let epoch = store.lead(&format!("server-{server}")).await.unwrap();
                epochs.push(epoch);
                for n in 0..6 {
                    let what = format!("{} {server} {round} {n}", epoch.0);
                    match store.append(noticed(&what)).await {
                        Ok(entry) => written.push((entry.seq, what)),
                        Err(Error::Deposed { .. }) => break,
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            (epochs, written)
        })
    });
    let ended: Vec<_> = futures::future::join_all(servers).await.into_iter().map(Result::unwrap).collect();
    let mut epochs: Vec<_> = ended.iter().flat_map(|(epochs, _)| epochs.clone()).collect();
    epochs.sort();
    assert_eq!(epochs.iter().map(|epoch| epoch.0).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    let mut acknowledged: Vec<_> = ended.into_iter().flat_map(|(_, written)| written).collect();
    acknowledged.sort();
    let store = postgres.store().await;
    let there: Vec<_> =
        store.read(&Query::default()).await.unwrap().into_iter().map(|entry| (entry.seq, what(entry.event))).collect();
    assert_eq!(there, acknowledged);
    let terms: Vec<u64> = there.iter().map(|(_, what)| what.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(terms.is_sorted(), "{terms:?}");
    assert_eq!(store.verify().await.unwrap().entries, there.len() as u64);
}

fn what(event: Event) -> String {
    match event {
        Event::Noticed { what, .. } => what,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn r12_a_database_that_crashes_loses_nothing_that_was_acknowledged() {
    let mut postgres = Postgres::start();
    let store = postgres.store().await;
    store.lead("a").await.unwrap();
    let mut acknowledged = 0;
    for round in 0..3 {
        for n in 0..20 {
            acknowledged = store.append(noticed(&format!("{round} {n}"))).await.unwrap().seq;
        }
        postgres.crash();
    }
    // Connections that died are noticed when they are used next, and replaced.
    let next = store.append(noticed("after")).await.unwrap();
    assert_eq!(next.seq, acknowledged + 1);
    assert_eq!(store.verify().await.unwrap().entries, acknowledged + 1);
}

#[tokio::test]
async fn r12_a_database_that_is_gone_is_unavailable_and_its_password_is_not_told() {
    let wrong = "postgres://book:canary@127.0.0.1:1/state".parse().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let refused =
        Store::connect(&wrong, &KeySource::File(key_file(dir.path(), 1)), dir.path(), None).await.err().unwrap();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused:?}");
    assert!(!format!("{refused} {refused:?}").contains("canary"));
}

#[tokio::test]
async fn r31_another_master_key_is_refused() {
    let postgres = Postgres::start();
    let _first = postgres.store().await;
    let dir = tempfile::tempdir().unwrap();
    let refused = Store::connect(&postgres.url(), &KeySource::File(key_file(dir.path(), 8)), dir.path(), None)
        .await
        .err()
        .unwrap();
    assert!(refused.to_string().contains("give every server the same file"), "{refused}");
}

#[tokio::test]
async fn r11_the_journal_refuses_updates_deletions_and_truncation() {
    let postgres = Postgres::start();
    let store = postgres.store().await;
    store.lead("a").await.unwrap();
    store.append(noticed("x")).await.unwrap();
    sqlx::any::install_default_drivers();
    let mut raw = <sqlx::AnyConnection as sqlx::Connection>::connect(&postgres.text()).await.unwrap();
    for attack in ["UPDATE journal SET actor = 'x'", "DELETE FROM journal", "TRUNCATE journal CASCADE"] {
        let error = sqlx::raw_sql(attack).execute(&mut raw).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{attack}: {error}");
    }
    sqlx::raw_sql("ALTER TABLE journal DISABLE TRIGGER ALL; UPDATE journal SET actor = 'x'")
        .execute(&mut raw)
        .await
        .unwrap();
    assert!(matches!(store.verify().await, Err(Error::Damaged { seq: 1, .. })));
}

#[tokio::test]
async fn r08_a_ballot_is_changed_by_whoever_knows_its_version() {
    let postgres = Postgres::start();
    let (a, b) = (postgres.store().await, postgres.store().await);
    assert_eq!(a.ballot().await.unwrap(), (0, None));
    assert_eq!(a.cast(0, Some("a")).await.unwrap(), Some(1));
    assert_eq!(b.cast(0, Some("b")).await.unwrap(), None);
    assert_eq!(b.ballot().await.unwrap(), (1, Some("a".to_owned())));
    assert_eq!(a.cast(1, None).await.unwrap(), Some(2));
    assert_eq!(a.identity().await.unwrap(), b.identity().await.unwrap());
}
