//! What a real PostgreSQL says of who waits for whom.
#![cfg(feature = "database-tests")]
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::Database;
use common::postgres::Postgres;
use daybook_data::Dialect;
use daybook_data::tune::most_time;
use daybook_data::vitals::{holder, look};

#[tokio::test]
async fn whoever_holds_a_lock_that_others_want_is_named() {
    let postgres = Postgres::start();
    let url = postgres.text();
    let (first, second) = (Database::new(&url), Database::new(&url));
    first.execute("create table orders (id int primary key); create extension pg_stat_statements").await;
    assert_eq!(holder(&url).await.unwrap(), None, "nobody waits");
    let holds = first.execute("begin; lock table orders; select pg_sleep(3); commit");
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
    assert!(vitals.longest_ms > 100, "{vitals:?}");
    let counted = most_time(&url).await.unwrap().unwrap();
    assert!(counted.iter().any(|query| query.text.contains("pg_sleep($1)")), "{counted:?}");
}
