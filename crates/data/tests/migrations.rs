//! Migrations on real servers.
#![cfg(feature = "database-tests")]
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::mariadb::MariaDb;
use common::postgres::Postgres;
use common::{Command_ as Command, Database, Files};
use daybook_data::migrations::error::Error;
use daybook_data::migrations::history::Kind;
use daybook_data::migrations::run::{Patience, Progress};
use daybook_data::migrations::standing::Wrong;

fn shop() -> Files {
    Files::of(&[
        (
            "V1__orders.sql",
            "create table orders (id int primary key, item varchar(40));\ninsert into orders values (1, 'a;b');",
        ),
        ("V2__price.sql", "-- in cents\nalter table orders add column price int;\nupdate orders set price = 100;"),
        ("R__prices.sql", "drop view if exists prices;\ncreate view prices as select id, price from orders;"),
    ])
}

fn impatient() -> Patience {
    Patience {
        for_lock: Duration::from_secs(30),
        for_tables: Duration::from_millis(300),
        tries: 20,
        pause: Duration::from_millis(50),
    }
}

#[tokio::test]
async fn migrations_run_once_and_in_order() {
    let (postgres, mariadb) = (Postgres::start(), MariaDb::start());
    for url in [postgres.text(), mariadb.text()] {
        let database = Database::new(&url);
        let report = database.migrate(&shop()).await.unwrap();
        assert_eq!(report.ran, ["version 1 (orders)", "version 2 (price)", "the repeatable migration `prices`"]);
        assert_eq!(report.version.as_deref(), Some("2"));
        assert!(database.has("prices").await);
        let history = database.history().await;
        let told: Vec<_> = history.iter().map(|row| (row.rank, row.script.as_str(), row.success)).collect();
        assert_eq!(told, [(1, "V1__orders.sql", true), (2, "V2__price.sql", true), (3, "R__prices.sql", true)]);
        assert!(history.iter().all(|row| row.kind == Kind::Sql && !row.by.is_empty() && !row.on.is_empty()));

        assert_eq!(database.migrate(&shop()).await.unwrap().ran, Vec::<String>::new());
        let more = shop()
            .with("V10__note.sql", "alter table orders add column note varchar(10);")
            .with("R__prices.sql", "drop view if exists prices;\ncreate view prices as select id from orders;");
        let ran = database.migrate(&more).await.unwrap().ran;
        assert_eq!(ran, ["version 10 (note)", "the repeatable migration `prices`"]);
    }
}

#[tokio::test]
async fn r22_a_failure_rolls_back_and_tells_the_line() {
    let postgres = Postgres::start();
    let database = Database::new(&postgres.text());
    let bad = shop().with("V3__bad.sql", "create table one (id int);\n\ninsert into one\nvalues (nonsense);");
    let error = database.migrate(&bad).await.unwrap_err().to_string();
    let expected = "version 3 (bad) failed at V3__bad.sql:4:9: column \"nonsense\" does not exist (42703): `insert into \
one…`; it was rolled back";
    assert_eq!(error, expected);
    assert!(!database.has("one").await, "the first statement stays");
    assert_eq!(database.history().await.len(), 2);
    // Nothing has to be mended but the file.
    let good = shop().with("V3__bad.sql", "create table one (id int);");
    assert_eq!(database.migrate(&good).await.unwrap().version.as_deref(), Some("3"));
}

#[tokio::test]
async fn r22_a_migration_that_is_killed_at_any_statement_is_whole_or_not_there() {
    let postgres = Postgres::start();
    let statements = ["create table a (id int)", "insert into a values (1)", "create table b (id int)", "drop table b"];
    for at in 0..=statements.len() {
        let database = Database::new(&postgres.text());
        database.execute("drop schema public cascade; create schema public").await;
        let mut all: Vec<_> = statements.to_vec();
        all.insert(at, "select pg_terminate_backend(pg_backend_pid())");
        let killed = Files::of(&[("V1__all.sql", &all.join(";\n"))]);
        let error = database.migrate(&killed).await.unwrap_err();
        assert!(matches!(error, Error::Statement(_)), "{error}");
        assert!(!database.has("a").await && database.history().await.is_empty(), "killed at {at}");
        let whole = Files::of(&[("V1__all.sql", &statements.join(";\n"))]);
        database.migrate(&whole).await.unwrap();
        assert!(database.has("a").await);
    }
}

#[tokio::test]
async fn r22_where_nothing_can_be_taken_back_the_history_says_so() {
    let mariadb = MariaDb::start();
    let database = Database::new(&mariadb.text());
    let bad = shop().with("V3__bad.sql", "create table one (id int);\ncreate table one (id int);");
    let error = database.migrate(&bad).await.unwrap_err().to_string();
    assert!(error.starts_with("version 3 (bad) failed at V3__bad.sql:2: Table 'one' already exists (1050)"), "{error}");
    assert!(error.ends_with("what ran before stays: mend it by hand"), "{error}");
    assert!(!database.history().await[2].success);
    let Error::Wrong(wrong) = database.migrate(&bad).await.unwrap_err() else { panic!("it goes on") };
    assert_eq!(wrong, [Wrong::Failed("version 3 (bad)".to_owned())]);

    database.execute("drop table one").await;
    let repaired = database.run(&bad, Command::Repair).await.unwrap();
    assert_eq!(repaired.ran, ["forgot version 3, which was broken off"]);
    let good = shop().with("V3__bad.sql", "create table one (id int);");
    assert_eq!(database.migrate(&good).await.unwrap().version.as_deref(), Some("3"));
    // A first statement that fails leaves nothing to mend.
    let first = good.with("V4__first.sql", "create table one (id int);\ncreate table two (id int);");
    database.migrate(&first).await.unwrap_err();
    assert_eq!(database.history().await.iter().filter(|row| !row.success).count(), 0);
}

#[tokio::test]
async fn a_table_in_use_is_waited_for_in_turns() {
    let postgres = Postgres::start();
    let mut database = Database::new(&postgres.text());
    database.patience = impatient();
    database.migrate(&shop()).await.unwrap();
    let mut other = database.server().await;
    other.execute("begin; select * from orders").await.unwrap();
    let next = shop().with("V3__note.sql", "alter table orders add column note text;");
    let free = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Whoever comes after a statement that waits would wait as well.
        let mut reader = database.server().await;
        tokio::time::timeout(Duration::from_secs(5), reader.execute("select * from orders")).await.unwrap().unwrap();
        other.execute("commit").await.unwrap();
    };
    let (migrated, ()) = tokio::join!(database.migrate(&next), free);
    migrated.unwrap();
    let heard = database.heard.lock().unwrap();
    assert!(heard.iter().any(|heard| matches!(heard, Progress::Blocked { .. })), "{heard:?}");
}

#[tokio::test]
async fn an_index_beside_its_use_needs_no_transaction_and_leaves_no_ruins() {
    let postgres = Postgres::start();
    let mut database = Database::new(&postgres.text());
    database.patience = impatient();
    let index = "create unique index concurrently by_item on orders (item);";
    let files = shop().with("V3__twice.sql", "insert into orders values (2, 'a;b', 1);").with("V4__index.sql", index);
    let error = database.migrate(&files).await.unwrap_err().to_string();
    assert!(error.contains("could not create unique index"), "{error}");
    assert!(database.history().await.iter().all(|row| row.success), "there is nothing to repair");
    let left =
        "do $$ begin if exists (select 1 from pg_class where relname = 'by_item') then raise 'a ruin'; end if; end $$";
    database.execute(left).await;
    database.execute("delete from orders where id = 2").await;
    // Somebody who reads for long keeps it from being made; it is tried again.
    let mut other = database.server().await;
    other.execute("begin isolation level repeatable read; select * from orders").await.unwrap();
    let free = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        other.execute("commit").await.unwrap();
    };
    let (migrated, ()) = tokio::join!(database.migrate(&files), free);
    migrated.unwrap();
    assert!(database.heard.lock().unwrap().iter().any(|heard| matches!(heard, Progress::Blocked { .. })));
    database.execute("insert into orders values (3, 'c', 1)").await;
    assert!(database.server().await.execute("insert into orders values (4, 'c', 1)").await.is_err(), "the index holds");

    let mixed = files.with("V5__mixed.sql", "create table x (id int);\nvacuum orders;");
    let error = database.migrate(&mixed).await.unwrap_err().to_string();
    let expected =
        "V5__mixed.sql:2: `vacuum orders` cannot run in a transaction, and other statements of the script should";
    assert_eq!(error, expected);
    assert!(!database.has("x").await);
}

#[tokio::test]
async fn r08_two_runners_at_once_run_everything_once() {
    let (postgres, mariadb) = (Postgres::start(), MariaDb::start());
    for url in [postgres.text(), mariadb.text()] {
        let (one, other) = (Database::new(&url), Database::new(&url));
        let mut files = shop();
        for number in 3..12 {
            files = files.with(&format!("V{number}__t.sql"), &format!("create table t{number} (id int);"));
        }
        let (first, second) = tokio::join!(one.migrate(&files), other.migrate(&files));
        let ran = first.unwrap().ran.len() + second.unwrap().ran.len();
        assert_eq!(ran, 12);
        assert_eq!(one.history().await.len(), 12);
    }
}

#[tokio::test]
async fn data_roles_and_settings_of_a_script_end_with_it() {
    let postgres = Postgres::start();
    let mut database = Database::new(&postgres.text());
    database.options.placeholders.set("owner", "clerk");
    database.execute("create role clerk").await;
    let files = Files::of(&[
        (
            "V1__data.sql",
            "create table t (id int, word text);\ncopy t from stdin;\n1\tone\n2\t\\N\n\\.\nupdate t set id = 3 where id = 2;",
        ),
        (
            "V2__role.sql",
            "grant create on schema public to ${owner};\nset role ${OWNER};\nset search_path = pg_catalog;\ncreate table public.u (id int);",
        ),
        ("V3__own.sql", "alter table t add column more int;"),
        ("afterMigrate__grant.sql", "grant select on all tables in schema public to ${owner};"),
        (
            "beforeEachMigrate.sql",
            "create table if not exists marks (script text); insert into marks values ('${flyway:filename}');",
        ),
    ]);
    let error = Database::new(&postgres.text()).migrate(&files).await.unwrap_err().to_string();
    assert_eq!(error, "V2__role.sql:1: placeholder `${owner}` has no value");
    let report = database.migrate(&files).await.unwrap();
    assert_eq!(report.ran.len(), 2, "the first ran before: {report:?}");
    database.execute("set role clerk; select * from t, u").await;
    let check = "do $$ begin if (select count(*) from marks) <> 3 then raise 'marks'; end if;
if (select owner.rolname from pg_class c join pg_roles owner on owner.oid = c.relowner where relname = 'u') <> 'clerk'
then raise 'owner'; end if; end $$";
    database.execute(check).await;
}

#[tokio::test]
async fn a_history_begins_at_a_baseline_and_is_repaired() {
    let (postgres, mariadb) = (Postgres::start(), MariaDb::start());
    for url in [postgres.text(), mariadb.text()] {
        let database = Database::new(&url);
        database.execute("create table orders (id int primary key, item varchar(40))").await;
        let error = database.migrate(&shop()).await.unwrap_err();
        assert!(matches!(error, Error::NotEmpty { .. }), "{error}");
        database.run(&shop(), Command::Baseline("1")).await.unwrap();
        database.run(&shop(), Command::Baseline("1")).await.unwrap();
        let error = database.run(&shop(), Command::Baseline("2")).await.unwrap_err();
        assert!(matches!(error, Error::HasHistory(_)), "{error}");
        assert_eq!(database.migrate(&shop()).await.unwrap().ran.len(), 2);

        let changed = shop().with("V2__cost.sql", "select 1;").without("V2__price.sql").without("R__prices.sql");
        let Error::Wrong(wrong) = database.migrate(&changed).await.unwrap_err() else { panic!("it goes on") };
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        let repaired = database.run(&changed, Command::Repair).await.unwrap();
        assert_eq!(
            repaired.ran,
            [
                "accepted version 2 as V2__cost.sql has it",
                "forgot the repeatable migration `prices`, whose file is gone"
            ]
        );
        database.migrate(&changed).await.unwrap();
    }
}

#[tokio::test]
async fn versions_are_taken_back() {
    let postgres = Postgres::start();
    let database = Database::new(&postgres.text());
    let files = shop().with("U2__price.sql", "drop view prices; alter table orders drop column price;");
    database.migrate(&files).await.unwrap();
    let error = database.run(&files, Command::Undo(Some("0"))).await.unwrap_err();
    assert!(matches!(&error, Error::NoUndo(version) if version == "1"), "{error}");
    assert!(database.has("prices").await, "all can be taken back, or nothing is");
    let report = database.run(&files, Command::Undo(None)).await.unwrap();
    assert_eq!((report.ran, report.version.as_deref()), (vec!["the undo of version 2".to_owned()], Some("1")));
    assert!(!database.has("prices").await);
    assert_eq!(database.history().await.last().unwrap().kind, Kind::Delete);
    assert_eq!(database.migrate(&files).await.unwrap().ran, ["version 2 (price)"]);
}

#[tokio::test]
async fn what_a_script_says_of_its_database_is_no_change() {
    let (postgres, mariadb) = (Postgres::start(), MariaDb::start());
    for url in [postgres.text(), mariadb.text()] {
        let database = Database::new(&url);
        let view =
            "drop view if exists here;\ncreate view here as select '${flyway:database}.${flyway:table}' as place;";
        let files = shop().with("R__here.sql", view);
        assert_eq!(database.migrate(&files).await.unwrap().ran.len(), 4);
        assert_eq!(database.migrate(&files).await.unwrap().ran, Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_extension_is_nothing_that_was_there_before() {
    let postgres = Postgres::start();
    let database = Database::new(&postgres.text());
    database.execute("create extension pg_stat_statements").await;
    database.migrate(&shop()).await.unwrap();
    database.execute("drop schema public cascade; create schema public; create type mood as enum ('ok')").await;
    let error = database.migrate(&shop()).await.unwrap_err();
    assert!(matches!(error, Error::NotEmpty { .. }), "a type of somebody's own is: {error}");
}
