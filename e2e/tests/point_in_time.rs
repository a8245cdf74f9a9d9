//! A real PostgreSQL is brought back to any moment, by a base backup and what it has written since.

#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]

use std::process::Command;
use std::time::Duration;

use daybook_e2e::World;
use daybook_e2e::notes::{ask, notes, read, write};
use serde_json::Value;

/// The password of the repository.
const PASSWORD: &str = "a phrase that hangs in the safe";

/// The notes, whose database keeps what it writes. A segment is laid down every few seconds.
async fn kept_notes(world: &World) {
    notes(world);
    let text = std::fs::read_to_string(world.path().join("daybook.yaml")).unwrap();
    let policy = "    backup: {keep: 30d, point_in_time: true}\n    settings: {archive_timeout: 2s}\n";
    world.write("daybook.yaml", &format!("{text}{policy}"));
    world.run(&["up", "-y"]).await.expect(0);
}

/// What `backup ls` says of how far back any moment can be had.
async fn moments(world: &World) -> Value {
    // Each look opens the repository, which is meant to take its time.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let said = world.run(&["backup", "ls", "-o", "json"]).await.expect(0).json();
    said["holdings"][0]["point_in_time"].clone()
}

async fn until_a_base_backup(world: &World) {
    world.until("a base backup leads somewhere", async |world| moments(world).await["from"].is_string()).await;
}

/// Now, by the clock of the server.
fn now(world: &World) -> String {
    ask(world, "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
}

fn restic(world: &World, arguments: &[&str]) -> String {
    let repository = world.state().join("backups/shop/production");
    let mut restic = Command::new("restic");
    restic.arg("--no-cache").arg("-r").arg(repository).args(arguments).env("RESTIC_PASSWORD", PASSWORD);
    let said = restic.output().expect("restic is installed: run scripts/setup");
    assert!(said.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8_lossy(&said.stdout).into_owned()
}

async fn restore(world: &World, at: &str) -> daybook_e2e::Ended {
    world.run(&["backup", "restore", "db", "--confirm=db", "--at", at]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn r21_a_database_is_brought_back_to_the_moment_before_the_mistake() {
    let world = World::new().await;
    kept_notes(&world).await;
    until_a_base_backup(&world).await;
    ask(&world, "insert into notes (text) select 'note ' || n from generate_series(1, 5000) n");
    write(&world, "the last").await;
    let before = now(&world);
    ask(&world, "delete from notes");
    write(&world, "after the mistake").await;
    let after = now(&world);
    ask(&world, "insert into notes (text) select 'more ' || n from generate_series(1, 100) n");

    let future = restore(&world, "2100-01-01").await.expect(64);
    assert!(future.err.contains("yet to come"), "{future}");
    let none = restore(&world, "2001-01-01 12:00").await.expect(1);
    assert!(none.err.contains("has no backup from"), "{none}");

    let restored = restore(&world, &before).await.expect(0);
    assert!(restored.err.contains("by base backup") && restored.err.contains("db is as it was at"), "{restored}");
    assert_eq!(ask(&world, "select count(*), max(text) filter (where text = 'the last') from notes"), "5001|the last");
    world.until("the notes are served again", async |world| read(world).await.contains("the last")).await;
    // Forward again: what was written after the mistake is in the archive as well.
    let restored = restore(&world, &after).await.expect(0);
    assert_eq!(ask(&world, "select text from notes"), "after the mistake", "{restored}");
    let environments = world.run(&["env", "ls", "-o", "json"]).await.expect(0).json();
    assert_eq!(environments.as_array().unwrap().len(), 1, "the scratch copy is gone: {environments}");
    world.run(&["up", "-y"]).await.expect(0);

    // The drill comes to the last moment of all, and what would be lost is seconds.
    world.run(&["backup", "create"]).await.expect(0);
    write(&world, "after the backup").await;
    let drilled = world.run(&["backup", "drill"]).await.expect(0);
    assert!(drilled.err.contains("brought to the last moment from base backup"), "{drilled}");
    let listed = world.run(&["backup", "ls"]).await.expect(0);
    assert!(listed.out.contains("any moment from") && listed.out.contains("would be lost"), "{listed}");
    assert!(moments(&world).await["lost_ms"].as_u64().unwrap() < 60_000, "{listed}");
    let events = world.run(&["events"]).await.expect(0);
    assert!(events.out.contains("base backup") && events.out.contains("brought back to"), "{events}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_has_the_data_of_the_moment_before_the_mistake() {
    let world = World::new().await;
    kept_notes(&world).await;
    until_a_base_backup(&world).await;
    ask(&world, "insert into notes (text) select 'note ' || n from generate_series(1, 500) n");
    let before = now(&world);
    ask(&world, "delete from notes");
    let cloned = world.run(&["env", "clone", "production", "then", "--data", "full", "--at", &before]).await.expect(0);
    assert!(cloned.err.contains("from base backup"), "{cloned}");
    let count = ["db", "shell", "db", "-e", "then", "--", "-qtAc", "select count(*) from notes"];
    assert_eq!(world.run(&count).await.expect(0).out.trim(), "500");
    assert_eq!(ask(&world, "select count(*) from notes"), "0", "the first is as it was");
    world.run(&["down", "-e", "then", "--volumes=db-data", "--confirm=shop/then", "-y"]).await.expect(0);
    let environments = world.run(&["env", "ls", "-o", "json"]).await.expect(0).json();
    assert!(!environments.to_string().contains("drill-"), "the scratch copy is gone: {environments}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_a_server_that_is_killed_while_it_takes_what_is_written_loses_none_of_it() {
    let mut world = World::new().await;
    kept_notes(&world).await;
    until_a_base_backup(&world).await;
    let mut moments_of = Vec::new();
    for round in 0..4 {
        for _ in 0..3 {
            ask(&world, "insert into notes (text) select repeat(md5(n::text), 40) from generate_series(1, 4000) n");
            ask(&world, "select pg_switch_wal()");
        }
        moments_of.push((now(&world), ask(&world, "select count(*) from notes")));
        // Somewhere between two looks.
        tokio::time::sleep(Duration::from_millis(2_700 * (round + 1))).await;
        world.daybook.kill_server().await.unwrap();
        ask(&world, "insert into notes (text) values ('while nobody takes it')");
        ask(&world, "select pg_switch_wal()");
        world.daybook.serve().await.unwrap();
    }
    let (at, rows) = moments_of[2].clone();
    restore(&world, &at).await.expect(0);
    assert_eq!(ask(&world, "select count(*) from notes"), rows);
    let seen = moments(&world).await;
    assert!(seen["gaps"].is_null(), "{seen}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_a_segment_that_is_missing_is_told_and_no_moment_beyond_it_is_promised() {
    let world = World::new().await;
    kept_notes(&world).await;
    world.run_reading(&["secret", "set", "backup.password"], PASSWORD).await.expect(0);
    until_a_base_backup(&world).await;
    write(&world, "before the gap").await;
    let early = now(&world);
    let saved = async |world: &World| moments(world).await["until"].as_str().unwrap_or("").to_owned();
    let mut last = saved(&world).await;
    for text in ["one", "two", "three"] {
        write(&world, text).await;
        ask(&world, "select pg_switch_wal()");
        let before = last.clone();
        world.until("it is saved", async |world| saved(world).await > before).await;
        last = saved(&world).await;
    }
    let late = now(&world);
    // Somebody removes a piece of it that is neither the first nor the last.
    let snapshots: Value = serde_json::from_str(&restic(&world, &["snapshots", "--json"])).unwrap();
    let is_wal =
        |one: &&Value| one["tags"].as_array().unwrap().iter().any(|tag| tag.as_str().unwrap().starts_with("wal:"));
    let mut wal: Vec<_> = snapshots.as_array().unwrap().iter().filter(is_wal).collect();
    wal.sort_by_key(|one| one["time"].as_str().unwrap().to_owned());
    let lost = wal[wal.len() - 2]["id"].as_str().unwrap();
    restic(&world, &["forget", lost]);

    let listed = world.run(&["backup", "ls"]).await.expect(0);
    assert!(listed.out.contains("gap: no moment from"), "{listed}");
    let refused = restore(&world, &late).await.expect(1);
    assert!(refused.err.contains("has a gap") && refused.err.contains("is missing"), "{refused}");
    assert_eq!(ask(&world, "select count(*) from notes"), "4", "nothing was touched");
    restore(&world, &early).await.expect(0);
    assert_eq!(ask(&world, "select text from notes"), "before the gap");
    // The gap is told in the journal, and a new base backup leads on from there.
    world.until("it is mended", async |world| moments(world).await["gaps"][0]["before"].is_string()).await;
    let events = world.run(&["events"]).await.expect(0);
    assert!(events.out.contains("gap in its archive"), "{events}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_postgresql_that_daybook_runs_is_brought_back_to_any_moment() {
    let world = World::new().await;
    world.write(
        "daybook.yaml",
        "app: shop\nservices:\n  web: {image: nginx}\ndatabases:\n  db: {engine: \"mariadb:11\", backup: {point_in_time: true}}\n",
    );
    let refused = world.run(&["validate"]).await;
    assert!(refused.code != 0 && refused.all().contains("MariaDB cannot be brought back to any moment"), "{refused}");
    assert!(refused.all().contains("daybook.yaml:5"), "{refused}");
    world.end().await;
}
