//! A release that goes bad after its probation: it is told of, its cause is named, and a killed server changes nothing.

use std::time::{Duration, Instant};

use daybook_bench::load::Load;
use daybook_bench::shop;
use daybook_e2e::World;
use daybook_e2e::notes::{notes, psql};
use serde_json::Value;

/// An alert waits minutes before it fires, so that it does not wake people for nothing.
const PATIENCE: Duration = Duration::from_secs(8 * 60);

const LOCKS: &str = r#"
groups:
  - name: notes
    interval: 15s
    rules:
      - alert: NotesWaitForLocks
        expr: daybook_database_waiting_statements > 1
        labels: {severity: ticket}
        annotations: {summary: notes wait for one another}
"#;

async fn incidents(world: &World) -> Vec<Value> {
    let listed = world.run(&["incident", "ls", "-o", "json"]).await.expect(0).json();
    listed.as_array().cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_goes_bad_is_the_suspected_cause() {
    let mut world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let load = Load::start(world.load());
    let bad = [("SHOP_FAULT", "errors"), ("SHOP_FAULT_AFTER", "20"), ("SHOP_PROBATION", "2s")];
    world.up(2, &bad).await.expect(0);

    let began = Instant::now();
    let incident = loop {
        assert!(began.elapsed() < PATIENCE, "nothing was told: {}", world.run(&["alert", "--all"]).await);
        let has_suspects = |incident: &Value| incident["suspects"].as_array().is_some_and(|all| !all.is_empty());
        match incidents(&world).await.into_iter().find(has_suspects) {
            Some(incident) => break incident,
            None => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    };
    assert_eq!(incident["alerts"][0]["name"], "HighErrorRate", "{incident}");
    // The release differs from the one before in its variables alone.
    assert_eq!(incident["suspects"][0]["kind"], "configuration", "{incident}");
    assert_eq!(incident["suspects"][0]["command"], "daybook rollback 1", "{incident}");
    assert!(incident["impact"]["failed"].as_u64() > Some(9), "{incident}");
    assert!(incident["impact"]["routes"][0]["failed"].as_u64() > Some(9), "{incident}");
    assert_eq!(incident["impact"]["routes"][0]["route"], format!("{}/", shop::HOST), "{incident}");
    let shown = world.run(&["incident", "show"]).await.expect(0);
    assert!(shown.out.contains(&format!(" at {}/", shop::HOST)), "{shown}");

    // The next server goes on with the same incident, and tells nobody again.
    world.daybook.kill_server().await.expect("the server is killed");
    world.daybook.serve().await.expect("the server starts again");
    tokio::time::sleep(Duration::from_secs(20)).await;
    let after = incidents(&world).await;
    assert_eq!(after.len(), 1, "{after:?}");
    assert_eq!(after[0]["id"], incident["id"]);
    let alerts = |incident: &Value| incident["alerts"].as_array().map_or(0, Vec::len);
    assert_eq!(alerts(&after[0]), alerts(&incident), "nothing fired twice: {after:?}");

    world.run(&["incident", "ack"]).await.expect(0);
    world.run(&["rollback", "1", "--yes"]).await.expect(0);
    load.stop().await;
    world.run(&["incident", "resolve", "--note", "went back"]).await.expect(0);
    assert!(incidents(&world).await.is_empty());
    let refused = world.run(&["incident", "resolve", incident["id"].as_str().unwrap_or_default()]).await;
    assert_ne!(refused.code, 0, "what is over is over: {refused}");
    let draft = world.run(&["incident", "postmortem"]).await.expect(0);
    assert!(draft.out.contains("release 2") && draft.out.contains("went back"), "{draft}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_holds_a_lock_that_others_want_is_named() {
    let world = World::new().await;
    notes(&world);
    let manifest = std::fs::read_to_string(world.path().join("daybook.yaml")).expect("the notes have a manifest");
    world.write("daybook.yaml", &format!("{manifest}\nrules: [locks.rules.yaml]\n"));
    world.write("locks.rules.yaml", LOCKS);
    world.run(&["up", "-y"]).await.expect(0);
    let session = |sql: &str| psql(&world).args(["-c", sql]).spawn().expect("run psql");
    let mut sessions = vec![session("begin; lock table notes; select pg_sleep(600)")];
    let is_locked = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and relation = 'notes'::regclass";
    let holds = async |world: &World| daybook_e2e::notes::ask(world, is_locked) == "1";
    world.until("the lock is held", holds).await;
    sessions.extend([0, 1].map(|_| session("select count(*) from notes")));

    let began = Instant::now();
    let suspect = loop {
        let open = incidents(&world).await;
        let mut suspects = open.iter().filter_map(|incident| incident["suspects"].as_array()).flatten();
        match suspects.find(|suspect| suspect["kind"] == "database") {
            Some(suspect) => break suspect.clone(),
            None => tokio::time::sleep(Duration::from_secs(1)).await,
        }
        assert!(began.elapsed() < PATIENCE, "no lock is suspected: {open:?}");
    };
    assert!(suspect["title"].as_str().is_some_and(|title| title.contains("wait for one lock")), "{suspect}");
    assert!(suspect["evidence"].to_string().contains("the lock is held by postgres"), "{suspect}");
    for mut session in sessions {
        session.kill().expect("a session is ended");
        session.wait().expect("a session ends");
    }
    world.end().await;
}
