//! Volumes, jobs, secrets.

use std::path::{Path, PathBuf};

use daybook_e2e::{Ended, World};

const CANARY: &str = "canary-7f3a9c51e2";

/// What Base64 makes of the middle of it behind `user:`.
const ENCODED: &str = "YW5hcnktN2YzYTlj";

#[tokio::test(flavor = "multi_thread")]
async fn r16_volumes_stay_until_they_are_named() {
    let world = World::new().await;
    world.up(1, &[]).await.expect(0);
    assert_eq!(world.order().await.status, 201);
    world.run(&["down", "--yes", "--no-input"]).await.expect(0);
    world.up(2, &[]).await.expect(0);
    assert_eq!(world.orders().await, 1, "the order outlived the environment");

    world.run(&["down", "--volumes", "orders", "--no-input"]).await.expect(64);
    assert_eq!(world.orders().await, 1, "nothing is removed without its name typed");
    world.run(&["down", "--volumes", "orders", "--confirm=shop/production", "--no-input"]).await.expect(0);
    world.up(3, &[]).await.expect(0);
    assert_eq!(world.orders().await, 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_job_runs_when_it_is_due_and_by_hand() {
    let world = World::new().await;
    world.write("daybook.yaml", &daybook_e2e::manifest().replace("0 3 * * *", "* * * * *"));
    world.up(1, &[]).await.expect(0);
    world.order().await;
    let report = world.run(&["run", "report"]).await.expect(0);
    assert!(report.out.contains("1 orders"), "{report}");
    let ran = async |world: &World| {
        let events = world.run(&["events", "-o", "jsonl"]).await.expect(0);
        events.out.lines().any(|line| line.contains("\"job_finished\""))
    };
    world.until("the job has run", ran).await;
    let status = world.status().await;
    let job = status["services"].as_array().unwrap().iter().find(|service| service["name"] == "report").unwrap();
    assert_eq!(job["last_run"]["code"], 0, "{status:#}");
    world.end().await;
}

/// A worker that prints its secret as programs do, over and over.
const TELLTALE: &str = r#"services:
  telltale:
    <<: *shop
    command:
      - sh
      - -c
      - 'while :; do echo "as it is: $$SESSION_KEY"; printf "user:%s\n" "$$SESSION_KEY" | base64; sleep 1; done'
"#;

#[tokio::test(flavor = "multi_thread")]
async fn r31_a_secret_is_in_no_output_and_no_file_of_ours() {
    let world = World::new().await;
    let text = daybook_e2e::manifest().replacen("services:\n", TELLTALE, 1);
    let text = text.replace("SHOP_DATA: data", "SESSION_KEY: {secret: session}\n    SHOP_DATA: data");
    world.write("daybook.yaml", &text);
    let mut said = vec![world.run_reading(&["secret", "set", "session"], CANARY).await.expect(0)];
    said.push(world.up(1, &[]).await.expect(0));
    let environ = |pid: u32| std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let pids = daybook_bench::process::working_beneath(&world.state());
    let has = |pid: &u32| String::from_utf8_lossy(&environ(*pid)).contains(CANARY);
    assert!(pids.iter().any(has), "the shop does get its secret");
    let tells = async |world: &World| world.run(&["logs", "telltale"]).await.out.matches("[secret]").count() >= 2;
    world.until("what the worker prints of its secret has a mark in its place", tells).await;

    said.push(world.up(2, &[("SHOP_FAULT", "crash"), ("SHOP_FAULT_AFTER", "0")]).await);
    for words in OUTPUTS {
        let shown = world.run(words).await;
        assert!(shown.code != 64 && !shown.all().is_empty(), "{words:?}: {shown}");
        said.push(shown);
    }
    // A release hook that fails tells its last lines, which the journal keeps.
    let hook = "[sh, -c, 'echo \"migrating with $$SESSION_KEY\"; exit 3']";
    world.write("daybook.yaml", &text.replace("[bin/shop, migrate]", hook));
    let failed = world.up(3, &[]).await;
    assert!(failed.code != 0 && failed.all().contains("migrating with [secret]"), "{failed}");
    said.push(failed);
    for words in [&["why", "web"][..], &["history", "-o", "json"], &["events", "-o", "jsonl"], &["journal", "verify"]] {
        said.push(world.run(words).await);
    }
    for form in [CANARY, ENCODED] {
        let shows = said.iter().find(|ended: &&Ended| ended.all().contains(form));
        assert!(shows.is_none(), "a command shows the secret: {}", shows.unwrap());
    }
    for path in ours(&world.state()) {
        let bytes = std::fs::read(&path).unwrap_or_default();
        let found = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
        assert!(!found, "{} holds the secret", path.display());
    }
    world.end().await;
}

/// Every command that shows something.
const OUTPUTS: [&[&str]; 30] = [
    &["secret", "ls"],
    &["secret", "ls", "-o", "json"],
    &["secret", "key"],
    &["validate"],
    &["validate", "-o", "json"],
    &["plan"],
    &["plan", "-o", "json"],
    &["diff"],
    &["policy"],
    &["policy", "--as", "sarif"],
    &["policy", "--as", "html"],
    &["cost", "--at", "hetzner/eu"],
    &["diagram"],
    &["diagram", "--live"],
    &["diagram", "--as", "c4"],
    &["docs"],
    &["export", "kubernetes"],
    &["status", "-o", "json"],
    &["env", "ls", "-o", "json"],
    &["target", "ls", "-o", "json"],
    &["history", "-o", "json"],
    &["events", "-o", "jsonl"],
    &["logs"],
    &["logs", "-o", "jsonl"],
    &["why", "web"],
    &["why", "telltale", "-o", "json"],
    &["doctor"],
    &["ps", "-o", "json"],
    &["rollback", "--yes", "-v"],
    &["journal", "verify"],
];

/// Files of the state directory, but for what replicas are given to run with.
fn ours(state: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![state.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && path != state.join("process") => directories.push(path),
                Ok(kind) if kind.is_file() => found.push(path),
                _ => {}
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn r33_every_change_is_in_the_journal_with_who_and_why() {
    let world = World::new().await;
    world.up(1, &[]).await.expect(0);
    world.run(&["scale", "web=1"]).await.expect(0);
    let events = world.run(&["events", "-o", "jsonl"]).await.expect(0);
    let entries: Vec<serde_json::Value> = events.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let started: Vec<_> = entries.iter().filter(|entry| entry["kind"] == "run_started").collect();
    assert!(started.len() >= 2, "{events}");
    for entry in started {
        assert_eq!(entry["actor"]["origin"], "cli", "{entry:#}");
        assert!(entry["actor"]["name"].as_str().is_some_and(|name| !name.is_empty()), "{entry:#}");
        assert!(entry["at"].is_string() && entry["event"]["reason"].is_string(), "{entry:#}");
    }
    world.run(&["journal", "verify"]).await.expect(0);
    world.end().await;
}
