//! What real servers say of themselves, and of who follows them.
#![cfg(feature = "database-tests")]
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::Database;
use common::mariadb::MariaDb;
use common::postgres::Postgres;
use daybook_data::Dialect;
use daybook_data::vitals::{ITSELF, Standby, look};

/// The one that follows, as soon as it is as it should be.
async fn until(url: &str, holds: impl Fn(&Standby) -> bool) -> Standby {
    let began = Instant::now();
    loop {
        let standbys = look(Dialect::PostgreSql, url).await.unwrap().standbys;
        match standbys.as_slice() {
            [one] if holds(one) => return one.clone(),
            _ => assert!(began.elapsed() < Duration::from_secs(60), "{standbys:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_primary_and_its_standby_say_how_far_that_is_behind() {
    let primary = Postgres::listening();
    assert_eq!(look(Dialect::PostgreSql, &primary.text()).await.unwrap().standbys, []);
    let standby = primary.standby();
    let written = Database::new(&primary.text());
    written.execute("create table notes (text text)").await;
    let has_all = |one: &Standby| one.is_running && one.behind_seconds == Some(0.0);
    let seen = until(&primary.text(), has_all).await;
    assert_eq!((seen.name.as_str(), seen.behind_bytes), ("walreceiver@127.0.0.1", Some(0.0)));
    assert_eq!(until(&standby.text(), has_all).await.name, ITSELF);

    // It takes in what it does not show yet.
    Database::new(&standby.text()).execute("select pg_wal_replay_pause()").await;
    written.execute("insert into notes select repeat('x', 100) from generate_series(1, 10000)").await;
    let behind = |one: &Standby| one.is_running && one.behind_seconds.is_some_and(|seconds| seconds > 0.0);
    let seen = until(&primary.text(), |one| one.behind_bytes.is_some_and(|bytes| bytes > 1e5)).await;
    assert!(seen.is_running, "{seen:?}");
    until(&standby.text(), behind).await;

    // One that is away is known by what is kept for it.
    drop(standby);
    written.execute("select pg_create_physical_replication_slot('reports', true)").await;
    let seen = until(&primary.text(), |one| one.name == "reports").await;
    assert!(!seen.is_running && seen.behind_bytes.is_some() && seen.behind_seconds.is_none(), "{seen:?}");
}

#[tokio::test]
async fn a_mariadb_says_that_it_takes_nothing_in() {
    let mariadb = MariaDb::start();
    assert_eq!(look(Dialect::MySql, &mariadb.text()).await.unwrap().standbys, [], "this login may not see it");
    let admin = format!("mysql://root@127.0.0.1:{}/shop", mariadb.port());
    assert_eq!(look(Dialect::MySql, &admin).await.unwrap().standbys, []);
    Database::new(&admin)
        .execute("change master to master_host='127.0.0.1', master_port=1, master_user='nobody'")
        .await;
    let stopped = Standby { name: ITSELF.to_owned(), is_running: false, behind_seconds: None, behind_bytes: None };
    assert_eq!(look(Dialect::MySql, &admin).await.unwrap().standbys, [stopped]);
}
