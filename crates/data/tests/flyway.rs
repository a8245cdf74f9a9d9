//! The real Flyway and Daybook, in turns on one database.
#![cfg(feature = "database-tests")]
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use common::mariadb::MariaDb;
use common::postgres::Postgres;
use common::{Command_ as Command, Database, Files, flyway};
use daybook_data::migrations::run::Progress;

/// A server, as both know it.
struct Server {
    database: Database,
    jdbc: [String; 3],
    _server: Box<dyn std::any::Any + Send + Sync>,
}

impl Server {
    fn postgres() -> Self {
        let postgres = Postgres::listening();
        let url = postgres.text();
        let address = url.strip_prefix("postgres://postgres@").unwrap();
        let jdbc = [format!("jdbc:postgresql://{address}"), "postgres".to_owned(), String::new()];
        Self { database: Database::new(&url), jdbc, _server: Box::new(postgres) }
    }

    fn mariadb() -> Self {
        let mariadb = MariaDb::start();
        let jdbc = format!("jdbc:mariadb://127.0.0.1:{}/shop", mariadb.port());
        let database = Database::new(&mariadb.text());
        Self { database, jdbc: [jdbc, "shop".to_owned(), "shop".to_owned()], _server: Box::new(mariadb) }
    }

    /// Runs Flyway over some files.
    fn flyway(&self, command: &str, files: &Files, settings: &[&str]) -> Output {
        let directory = tempfile::tempdir().unwrap();
        files.write(directory.path());
        self.flyway_in(command, directory.path(), settings)
    }

    fn flyway_in(&self, command: &str, directory: &Path, settings: &[&str]) -> Output {
        flyway(command, &[&self.jdbc[0], &self.jdbc[1], &self.jdbc[2]], directory, settings)
    }

    /// The same, which must succeed: what it printed.
    fn flyway_well(&self, command: &str, files: &Files) -> String {
        let output = self.flyway(command, files, &[]);
        assert!(output.status.success(), "flyway {command}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn files() -> Files {
    Files::of(&[
        ("V1__orders.sql", "create table orders (id int primary key, item varchar(40));\r\n-- é\r\n"),
        ("sub/V1_1__price.sql", "alter table orders add column price int;\n"),
        ("V2.0.1__Rows.sql", "insert into orders values (1, '${flyway:filename}', 3);"),
        ("R__prices.sql", "drop view if exists prices;\ncreate view prices as select price from orders;"),
    ])
}

fn more() -> Files {
    files()
        .with("V3__note.sql", "alter table orders add column note varchar(10);")
        .with("R__notes.sql", "drop view if exists notes;\ncreate view notes as select note from orders;")
}

#[tokio::test]
async fn each_continues_the_database_of_the_other() {
    for server in [Server::postgres(), Server::mariadb()] {
        assert_eq!(server.flyway_well("migrate", &files()).trim(), "4");
        assert_eq!(server.database.migrate(&files()).await.unwrap().ran, Vec::<String>::new());
        assert_eq!(server.database.migrate(&more()).await.unwrap().ran.len(), 2);
        server.flyway_well("validate", &more());
        assert_eq!(server.flyway_well("migrate", &more()).trim(), "0");
        let last = more().with("V4__last.sql", "create table last (id int);");
        assert_eq!(server.flyway_well("migrate", &last).trim(), "1");
        assert_eq!(server.database.migrate(&last).await.unwrap().version.as_deref(), Some("4"));
    }
}

#[tokio::test]
async fn each_begins_where_the_other_goes_on() {
    for server in [Server::postgres(), Server::mariadb()] {
        server.database.migrate(&files()).await.unwrap();
        server.flyway_well("validate", &files());
        let info = server.flyway_well("info", &more());
        let states: Vec<_> = info.lines().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(states, ["SUCCESS", "SUCCESS", "SUCCESS", "SUCCESS", "PENDING", "PENDING"], "{info}");
        assert_eq!(server.flyway_well("migrate", &more()).trim(), "2");
        assert_eq!(server.database.migrate(&more()).await.unwrap().ran, Vec::<String>::new());
    }
}

#[tokio::test]
async fn both_notice_what_was_changed_and_repair_it_for_each_other() {
    for server in [Server::postgres(), Server::mariadb()] {
        server.database.migrate(&files()).await.unwrap();
        let changed = files().with("V1__orders.sql", "select 1;").without("V2.0.1__Rows.sql");
        assert!(!server.flyway("validate", &changed, &[]).status.success());
        server.database.migrate(&changed).await.unwrap_err();
        server.database.run(&changed, Command::Repair).await.unwrap();
        server.flyway_well("validate", &changed);

        let again = changed.with("V1__orders.sql", "select 2;");
        server.database.migrate(&again).await.unwrap_err();
        server.flyway_well("repair", &again);
        server.database.migrate(&again).await.unwrap();
    }
}

#[tokio::test]
async fn both_begin_at_a_baseline() {
    for server in [Server::postgres(), Server::mariadb()] {
        server.database.execute("create table orders (id int primary key, item varchar(40))").await;
        server.database.run(&files(), Command::Baseline("1")).await.unwrap();
        assert_eq!(server.flyway_well("migrate", &files()).trim(), "3");
        server.database.migrate(&files()).await.unwrap();
    }
}

#[tokio::test]
async fn what_one_broke_off_the_other_does_not_pass_over() {
    let server = Server::mariadb();
    let bad = files().with("V3__bad.sql", "create table one (id int);\nnonsense;");
    server.database.migrate(&bad).await.unwrap_err();
    let said = server.flyway("migrate", &bad, &[]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("failed migration to version 3"), "{said:?}");
    server.database.execute("drop table one").await;
    server.flyway_well("repair", &bad);
    server.flyway("migrate", &bad, &[]);
    server.database.migrate(&bad).await.unwrap_err();
    server.database.run(&bad, Command::Repair).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_each_waits_for_the_lock_of_the_other() {
    for (server, sleep) in [(Server::postgres(), "select pg_sleep(4);"), (Server::mariadb(), "select sleep(4);")] {
        server.database.migrate(&files()).await.unwrap();
        let slow = files().with("V5__slow.sql", sleep);
        let directory = tempfile::tempdir().unwrap();
        slow.write(directory.path());

        // Flyway first: it needs a moment to come, and then sleeps with the lock.
        let ran = std::thread::scope(|scope| {
            let other = scope.spawn(|| server.flyway_in("migrate", directory.path(), &[]));
            let handle = tokio::runtime::Handle::current();
            while !is_sleeping(&handle, &server) {
                std::thread::sleep(Duration::from_millis(50));
            }
            let ours = tokio::task::block_in_place(|| handle.block_on(server.database.migrate(&slow)));
            let theirs = other.join().unwrap();
            assert!(theirs.status.success(), "{}", String::from_utf8_lossy(&theirs.stderr));
            ours.unwrap().ran
        });
        assert_eq!(ran, Vec::<String>::new(), "it was run by the other");
        assert!(server.database.heard.lock().unwrap().contains(&Progress::Waits));

        // Then Daybook.
        let slow = slow.with("V6__slow.sql", sleep);
        slow.write(directory.path());
        let theirs = std::thread::scope(|scope| {
            let handle = tokio::runtime::Handle::current();
            let (ours, runs) = (&server.database, handle.clone());
            let slow = &slow;
            let ours = scope.spawn(move || runs.block_on(ours.migrate(slow)));
            while !is_sleeping(&handle, &server) {
                std::thread::sleep(Duration::from_millis(50));
            }
            let theirs = server.flyway_in("migrate", directory.path(), &[]);
            assert_eq!(ours.join().unwrap().unwrap().ran, ["version 6 (slow)"]);
            theirs
        });
        assert!(theirs.status.success(), "{}", String::from_utf8_lossy(&theirs.stderr));
        assert_eq!(String::from_utf8_lossy(&theirs.stdout).trim(), "0");
    }
}

/// Whether somebody runs the slow migration now.
fn is_sleeping(handle: &tokio::runtime::Handle, server: &Server) -> bool {
    let question = if server.jdbc[0].contains("postgresql") {
        "do $$ begin if not exists (select 1 from pg_stat_activity where query like 'select pg_sleep%' and state = 'active') \
then raise 'nobody'; end if; end $$"
    } else {
        "begin not atomic if not exists (select 1 from information_schema.processlist where info like 'select sleep%') \
then signal sqlstate '45000'; end if; end"
    };
    tokio::task::block_in_place(|| {
        handle.block_on(async { server.database.server().await.execute(question).await.is_ok() })
    })
}
