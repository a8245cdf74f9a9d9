//! Tests that damage the database in every way that a byte can be wrong.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use daybook_model::{Actor, Event};
use sqlx::{AnyConnection, Connection as _, Row as _};

use crate::sqlite::Options;
use crate::verify::verify;
use crate::{Error, Journal, Query, Store, Write};

fn noticed(what: &str) -> Write {
    let event = Event::Noticed { replica: "web.1".parse().unwrap(), what: what.to_owned() };
    let key = Some("shop/production".parse().unwrap());
    Write { key, run: None, actor: Actor::daybook("test"), event, expected: None }
}

/// A store of a few entries, closed, so that everything is in `daybook.db`.
async fn small_store() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    for what in ["crashed", "came back", "crashed again"] {
        store.append(noticed(what)).await.unwrap();
    }
    store.close().await;
    dir
}

async fn raw(file: &Path) -> AnyConnection {
    AnyConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap()
}

#[tokio::test]
async fn r11_every_flipped_byte_of_every_field_is_found_and_named() {
    let dir = small_store().await;
    let mut connection = raw(&dir.path().join("daybook.db")).await;
    sqlx::raw_sql("DROP TRIGGER journal_is_not_updated").execute(&mut connection).await.unwrap();
    let mut flips = 0;
    for seq in 1..=3_i64 {
        for column in ["at", "key", "actor", "origin", "event", "previous", "hash"] {
            let read = format!("SELECT CAST({column} AS BLOB) FROM journal WHERE seq = {seq}");
            let read = sqlx::query_scalar(sqlx::AssertSqlSafe(read));
            let content: Vec<u8> = read.fetch_one(&mut connection).await.unwrap();
            for at in 0..content.len() {
                let mut altered = content.clone();
                altered[at] ^= 0x41;
                expect_damage(&mut connection, seq, column, altered).await;
                flips += 1;
            }
        }
    }
    assert!(flips > 500, "only {flips} bytes were flipped");
    assert_eq!(verify(&mut connection).await.unwrap().entries, 3);
}

async fn expect_damage(connection: &mut AnyConnection, seq: i64, column: &str, content: Vec<u8>) {
    let mut transaction = connection.begin().await.unwrap();
    let kind = if matches!(column, "previous" | "hash") { "BLOB" } else { "TEXT" };
    let alter = format!("UPDATE journal SET {column} = CAST($1 AS {kind}) WHERE seq = $2");
    let alter = sqlx::query(sqlx::AssertSqlSafe(alter)).bind(&content).bind(seq);
    alter.execute(&mut *transaction).await.unwrap();
    let found = verify(&mut transaction).await;
    let named = matches!(found, Err(Error::Damaged { seq: named, .. }) if named == seq.cast_unsigned());
    assert!(named, "entry {seq}, {column}: {found:?}");
    transaction.rollback().await.unwrap();
}

#[tokio::test]
async fn r11_dropped_moved_and_inserted_entries_are_found() {
    let dir = small_store().await;
    let mut connection = raw(&dir.path().join("daybook.db")).await;
    let disarm = "DROP TRIGGER journal_is_not_updated; DROP TRIGGER journal_is_not_deleted";
    sqlx::raw_sql(disarm).execute(&mut connection).await.unwrap();
    for (attack, named) in [
        ("DELETE FROM journal WHERE seq = 1", 1),
        ("DELETE FROM journal WHERE seq = 2", 2),
        ("DELETE FROM journal WHERE seq = 3", 3),
        ("DELETE FROM journal", 1),
        ("UPDATE journal SET seq = 9 WHERE seq = 3", 9),
        (
            "INSERT INTO journal SELECT 4, at, key, run, actor, origin, event, previous, hash FROM journal WHERE seq = 3",
            4,
        ),
        ("UPDATE journal_head SET seq = 2", 3),
        ("DELETE FROM journal_head", 1),
    ] {
        let mut transaction = connection.begin().await.unwrap();
        sqlx::raw_sql(attack).execute(&mut *transaction).await.unwrap();
        let found = verify(&mut transaction).await;
        assert!(matches!(found, Err(Error::Damaged { seq, .. }) if seq == named), "{attack}: {found:?}");
        transaction.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn r11_the_journal_refuses_updates_and_deletions() {
    let dir = small_store().await;
    let mut connection = raw(&dir.path().join("daybook.db")).await;
    for attack in ["UPDATE journal SET actor = 'x'", "DELETE FROM journal", "UPDATE journal SET seq = 9 WHERE seq = 3"]
    {
        let error = sqlx::raw_sql(attack).execute(&mut connection).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{attack}: {error}");
    }
}

/// The file itself: after any one byte of the journal's page was flipped, what is read is what was
/// written, or an error; and what was altered is never counted as verified.
#[tokio::test]
async fn r11_a_flipped_byte_of_the_file_is_never_read_as_an_entry() {
    let dir = small_store().await;
    let file = dir.path().join("daybook.db");
    let store = Store::open(dir.path()).await.unwrap();
    let (written, verified) = (store.read(&Query::default()).await.unwrap(), store.verify().await.unwrap());
    store.close().await;
    let (size, page) = page_of_the_journal(&file).await;
    let original = std::fs::read(&file).unwrap();
    let (mut refused, mut unharmed) = (0, 0);
    let start = size * (page - 1);
    // The page's header and cell pointers are at its start, the cells at its end; between is nothing.
    for at in (start..start + 60).chain(start + size - 760..start + size) {
        let mut bytes = original.clone();
        bytes[at] ^= 0xff;
        let copy = tempfile::tempdir().unwrap();
        std::fs::write(copy.path().join("daybook.db"), bytes).unwrap();
        std::fs::copy(dir.path().join("master.key"), copy.path().join("master.key")).unwrap();
        let Ok(store) = Store::open(copy.path()).await else {
            refused += 1;
            continue;
        };
        match (store.verify().await, store.read(&Query::default()).await) {
            (Ok(found), entries) => {
                assert_eq!(found, verified, "byte {at}");
                assert_eq!(entries.unwrap(), written, "byte {at}");
                unharmed += 1;
            }
            (Err(_), Ok(entries)) => {
                assert!(entries.iter().all(|entry| written.contains(entry)), "byte {at} was read as an entry");
                refused += 1;
            }
            (Err(_), Err(_)) => refused += 1,
        }
        store.close().await;
    }
    assert!(refused > 600, "{refused} refused, {unharmed} unharmed");
}

async fn page_of_the_journal(file: &Path) -> (usize, usize) {
    let mut connection = raw(file).await;
    let row = sqlx::query(
        "SELECT rootpage, (SELECT page_size FROM pragma_page_size) FROM sqlite_schema WHERE name = 'journal'",
    );
    let row = row.fetch_one(&mut connection).await.unwrap();
    let (page, size): (i64, i64) = (row.get(0), row.get(1));
    connection.close().await.unwrap();
    (usize::try_from(size).unwrap(), usize::try_from(page).unwrap())
}

#[tokio::test]
async fn r12_a_database_that_another_process_holds_refuses_writes_clearly_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { busy_timeout: Duration::from_millis(50) };
    let store = Store::open_with(dir.path(), options, &crate::KeySource::Own, None).await.unwrap();
    store.append(noticed("before")).await.unwrap();
    let mut holder = raw(&dir.path().join("daybook.db")).await;
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut holder).await.unwrap();
    let refused = store.append(noticed("meanwhile")).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    assert_eq!(store.read(&Query::default()).await.unwrap().len(), 1, "reads go on");
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    assert_eq!(store.append(noticed("after")).await.unwrap().seq, 2);
}
