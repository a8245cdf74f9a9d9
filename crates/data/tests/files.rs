//! Files of a real PostgreSQL that are copied while it writes.
#![cfg(feature = "database-tests")]
#![allow(clippy::unwrap_used)]

mod common;

use common::Database;
use common::postgres::Postgres;
use daybook_data::files::{Held, why_not};

#[tokio::test]
async fn what_copied_files_need_is_kept_until_they_are_whole() {
    let postgres = Postgres::start();
    let database = Database::new(&postgres.text());
    let keeps = async |count: u32| {
        let asked = format!("do $$ begin assert (select count(*) from pg_replication_slots) = {count}; end $$");
        database.server().await.execute(&asked).await.is_ok()
    };
    let mut held = Held::new(&postgres.text()).await.unwrap();
    assert!(keeps(1).await);
    held.begin("a clone").await.unwrap();
    database.execute("create table notes as select n from generate_series(1, 1000) n").await;
    let label = held.end().await.unwrap();
    assert!(label.starts_with("START WAL LOCATION: ") && label.contains("LABEL: a clone\n"), "{label}");
    held.let_go().await.unwrap();
    // The server sees the end of a connection when it sees it.
    while !keeps(0).await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_copied_files_would_not_have_is_told() {
    let postgres = Postgres::start();
    let database = Database::new(&postgres.text());
    assert_eq!(why_not(&postgres.text()).await.unwrap(), None);
    database.execute("create unlogged table drafts (n int)").await;
    let why = why_not(&postgres.text()).await.unwrap().unwrap();
    assert!(why.contains("unlogged"), "{why}");
    database.execute("drop table drafts").await;
    let subscribe = "create subscription other connection 'host=nowhere' publication one with (connect = false)";
    database.execute(subscribe).await;
    let why = why_not(&postgres.text()).await.unwrap().unwrap();
    assert!(why.contains("subscriptions"), "{why}");
    database.execute("alter subscription other set (slot_name = none); drop subscription other").await;
    assert_eq!(why_not(&postgres.text()).await.unwrap(), None);
}
