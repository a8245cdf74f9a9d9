//! A state directory that cannot be written: its disk is full, or somebody else holds the database.

use daybook_bench::daybook::Daybook;
use daybook_bench::load::Load;
use daybook_e2e::{KEY, World};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection};

/// Room for the shop, twice the reserve that changes need, and no more.
const DISK: u64 = 128;

#[tokio::test(flavor = "multi_thread")]
async fn r12_on_a_full_disk_changes_are_refused_and_traffic_goes_on() {
    let world = World::on_a_small_disk(DISK).await;
    let disk = world.disk.as_ref().unwrap();
    world.up(1, &[]).await.expect(0);
    let load = Load::start(world.load());
    let before = events(&world).await;
    disk.fill();

    let state = world.state().display().to_string();
    for words in
        [&["up", "--yes", "--no-input"][..], &["scale", "web=1"], &["restart", "web"], &["down", "--yes", "--no-input"]]
    {
        let refused = world.run_with(words, &[("SHOP_BUILD", "2")]).await.expect(1);
        for said in [state.as_str(), "is full", "free space", "nothing was changed"] {
            assert!(refused.err.contains(said), "{words:?} does not say `{said}`: {refused}");
        }
    }
    for words in
        [&["status"][..], &["history"], &["why", "web"], &["ps"], &["events", "-o", "jsonl"], &["logs"], &["plan"]]
    {
        let read = world.run(words).await;
        assert!([0, 2].contains(&read.code), "{words:?}: {read}");
    }
    assert!(world.run(&["doctor"]).await.all().contains("free disk space"));
    assert_eq!(world.build().await, "1");
    world.run(&["journal", "verify"]).await.expect(0);
    let since = events(&world).await.split_off(before.len());
    assert!(since.iter().all(|event| event["kind"] != "run_started"), "a refused change began: {since:#?}");

    disk.free();
    world.up(2, &[]).await.expect(0);
    assert_eq!(world.build().await, "2");
    world.expect_no_failure(&load.stop().await);
    world.run(&["journal", "verify"]).await.expect(0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r33_a_run_does_nothing_that_the_journal_cannot_hold_and_goes_on_by_itself() {
    let world = World::on_a_small_disk(DISK).await;
    let disk = world.disk.as_ref().unwrap();
    world.up(1, &[]).await.expect(0);
    let load = Load::start(world.load());
    let mut up = world.command(&["up", "--yes", "--no-input"]);
    let mut up = world.daybook.spawn(up.env("SHOP_BUILD", "2")).unwrap();
    world.until_steps(2).await;
    disk.fill();
    world.until("the run waits", async |_| server_log(&world).contains("the run waits")).await;
    world.run(&["scale", "web=1"]).await.expect(1);
    world.run(&["status"]).await.expect(0);
    world.run(&["journal", "verify"]).await.expect(0);

    disk.free();
    assert!(up.wait().await.unwrap().success());
    assert_eq!(world.build().await, "2");
    world.expect_no_failure(&load.stop().await);
    steps_are_intended_before_they_end(&events(&world).await);
    world.run(&["journal", "verify"]).await.expect(0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_a_log_that_takes_no_line_stops_nothing() {
    let state = tempfile::tempdir().unwrap();
    // Every write to it fails as on a full disk.
    std::os::unix::fs::symlink("/dev/full", state.path().join("serve.out")).unwrap();
    let daybook = Daybook::start(state.path(), "process").await.unwrap();
    daybook.succeed(&mut daybook.command(&["doctor"])).await.unwrap();
    assert!(daybook.get("/v1/version").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_while_another_process_holds_the_database_changes_are_refused_and_traffic_goes_on() {
    let world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let load = Load::start(world.load());
    let file = world.state().join("daybook.db");
    let mut holder = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut holder).await.unwrap();

    let refused = world.up(2, &[]).await.expect(1);
    for said in ["another process holds the database", "daybook.db", "nothing was changed"] {
        assert!(refused.err.contains(said), "`{said}` is not said: {refused}");
    }
    for words in [&["status"][..], &["history"], &["why", "web"]] {
        world.run(words).await.expect(0);
    }
    assert_eq!(world.build().await, "1");

    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    holder.close().await.unwrap();
    world.up(2, &[]).await.expect(0);
    assert_eq!(world.build().await, "2");
    world.expect_no_failure(&load.stop().await);
    world.run(&["journal", "verify"]).await.expect(0);
    world.end().await;
}

async fn events(world: &World) -> Vec<Value> {
    let all = world.run(&["events", "-o", "jsonl"]).await.expect(0);
    all.out.lines().map(|line| serde_json::from_str(line).expect("an event is JSON")).collect()
}

fn server_log(world: &World) -> String {
    let names = ["serve.out", "server.log"].map(|name| world.state().join(name));
    names.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect()
}

/// Whatever was done was written down before.
fn steps_are_intended_before_they_end(events: &[Value]) {
    let place = |kind: &str, step: &Value, run: &Value| {
        events.iter().position(|event| event["kind"] == kind && event["event"]["step"] == *step && event["run"] == *run)
    };
    let finished: Vec<&Value> = events.iter().filter(|event| event["kind"] == "step_finished").collect();
    assert!(!finished.is_empty(), "no step of {KEY} has finished");
    for event in finished {
        let (step, run) = (&event["event"]["step"], &event["run"]);
        let begun = place("step_started", step, run);
        assert!(begun.is_some() && begun < place("step_finished", step, run), "{event:#}");
    }
}
