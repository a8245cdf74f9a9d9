//! What real servers say of themselves, of who waits for whom, and of who follows them.
#![cfg(feature = "database-tests")]
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::Database;
use common::mariadb::MariaDb;
use common::postgres::Postgres;
use daybook_data::Dialect;
use daybook_data::tune::most_time;
use daybook_data::vitals::{ITSELF, Standby, holder, look};

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

#[tokio::test]
async fn whoever_holds_a_lock_that_others_want_is_named() {
    let postgres = Postgres::start();
    let url = postgres.text();
    let (first, second) = (Database::new(&url), Database::new(&url));
    first.execute("create table orders (id int primary key); create extension pg_stat_statements").await;
    assert_eq!(holder(&url).await.unwrap(), None, "nobody waits");
    let holds = first.execute("\nbegin\n; lock table orders; select pg_sleep(3); commit");
    let wants = second.execute("select pg_sleep(0.5); insert into orders values (1)");
    let asks = async {
        let began = Instant::now();
        loop {
            if let Some(found) = holder(&url).await.unwrap() {
                break (found, look(Dialect::PostgreSql, &url).await.unwrap());
            }
            assert!(began.elapsed() < Duration::from_secs(10), "nobody is named");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (_, _, (found, vitals)) = tokio::join!(holds, wants, asks);
    assert_eq!((found.state.as_str(), vitals.waiting), ("active", 1), "{found}");
    assert!(!found.statement.is_empty() && found.statement.chars().all(char::is_alphabetic), "{found}");
    assert!(vitals.longest_ms > 100, "{vitals:?}");
    let counted = most_time(&url).await.unwrap().unwrap();
    assert!(counted.iter().any(|query| query.text.contains("pg_sleep($1)")), "{counted:?}");
}
