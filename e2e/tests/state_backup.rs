//! Backups of Daybook's own state: made while it is written, proven, and all that is left of a machine.

#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use daybook_bench::process::{self, signal};
use daybook_e2e::{KEY, World};
use rustix::process::Signal;
use serde_json::Value;

/// The password, which hangs in the safe.
const PASSWORD: &str = "a phrase that hangs in the safe";

/// What a secret holds that is to be had back.
const SWORDFISH: &str = "swordfish-5c1f";

/// A place for backups that is not the machine's, and the file of its password.
struct Safe {
    directory: tempfile::TempDir,
}

impl Safe {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("password"), format!("{PASSWORD}\n")).unwrap();
        Self { directory }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The variables by which commands and servers find it.
    fn variables(&self, name: &str) -> [(&'static str, String); 2] {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        [
            ("DAYBOOK_STATE_BACKUP", text(self.place(name))),
            ("DAYBOOK_STATE_BACKUP_PASSWORD_FILE", text(self.place("password"))),
        ]
    }
}

/// Runs `daybook state …` with a place.
async fn state(world: &World, safe: &Safe, name: &str, arguments: &[&str]) -> daybook_e2e::Ended {
    let variables = safe.variables(name);
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    world.run_with(&[&["state"], arguments].concat(), &variables).await
}

fn ids(replicas: &[Value]) -> BTreeSet<String> {
    replicas.iter().map(|replica| replica["id"].to_string()).collect()
}

async fn releases(world: &World) -> Vec<u64> {
    let history = world.run(&["history", "-o", "json"]).await.expect(0).json();
    let all = history["releases"].as_array().or(history.as_array()).cloned().unwrap_or_default();
    all.iter().filter_map(|release| release["number"].as_u64()).collect()
}

/// Whether the environment has the secret still, and can open it: the same value is no new version.
async fn has_its_secret(world: &World) -> bool {
    let set = world.run_reading(&["secret", "set", "session"], SWORDFISH).await.expect(0);
    set.all().contains("is at version 1")
}

/// The shop with a secret, at release 2.
async fn shop() -> World {
    let world = World::new().await;
    let text =
        daybook_e2e::manifest().replace("SHOP_DATA: data", "SESSION_KEY: {secret: session}\n    SHOP_DATA: data");
    world.write("daybook.yaml", &text);
    world.run_reading(&["secret", "set", "session"], SWORDFISH).await.expect(0);
    world.up(1, &[]).await.expect(0);
    world.up(2, &[]).await.expect(0);
    world
}

/// Writes to the journal until it is told to stop.
fn write_on(world: &World, stop: &Arc<AtomicBool>, written: &Arc<AtomicU64>) -> tokio::task::JoinHandle<()> {
    let (stop, written) = (Arc::clone(stop), Arc::clone(written));
    let binary = world.command(&[]).as_std().get_program().to_owned();
    let state = world.state();
    tokio::task::spawn_blocking(move || {
        while !stop.load(Ordering::SeqCst) {
            let mut set = Command::new(&binary);
            set.args(["secret", "set", "noise", "--generate", "--app", "shop", "-q"]).env("DAYBOOK_STATE", &state);
            assert!(set.output().unwrap().status.success(), "a backup stands in nobody's way");
            written.fetch_add(1, Ordering::SeqCst);
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_what_runs_goes_on_under_a_state_that_was_brought_back() {
    let (safe, mut world) = (Safe::new(), shop().await);
    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers = [write_on(&world, &stop, &written), write_on(&world, &stop, &written)];
    for count in 1..=3 {
        let before = written.load(Ordering::SeqCst);
        world.until("others write", async |_| written.load(Ordering::SeqCst) > before + 2).await;
        let saved = state(&world, &safe, "backups", &["backup", "-o", "json"]).await.expect(0).json();
        assert!(saved["entries"].as_u64().unwrap() > 20 && saved["key"] == "included", "{saved:#}");
        let listed = state(&world, &safe, "backups", &["ls", "-o", "json"]).await.expect(0).json();
        assert_eq!(listed.as_array().unwrap().len(), count, "{listed:#}");
    }
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    let saved = state(&world, &safe, "backups", &["backup"]).await.expect(0);
    assert!(saved.err.contains("2 releases"), "{saved}");
    let drilled = state(&world, &safe, "backups", &["drill"]).await.expect(0);
    assert!(drilled.err.contains("is proven") && drilled.err.contains("opened with the key"), "{drilled}");
    let verified = world.run(&["journal", "verify"]).await.expect(0).all();
    let before = world.replicas("web").await;

    world.daybook.kill_server().await.unwrap();
    for entry in std::fs::read_dir(world.state()).unwrap().flatten() {
        let name = entry.file_name();
        if name == "process" || name == "edge" {
            continue; // They are the processes that run, and the edge that serves.
        }
        match entry.file_type().unwrap().is_dir() {
            true => std::fs::remove_dir_all(entry.path()).unwrap(),
            false => std::fs::remove_file(entry.path()).unwrap(),
        }
    }
    let into = world.state();
    let restored = state(&world, &safe, "backups", &["restore", "--into", into.to_str().unwrap()]).await.expect(0);
    assert!(restored.err.contains("was there, and stays: edge"), "{restored}");
    let again = state(&world, &safe, "backups", &["restore", "--into", into.to_str().unwrap()]).await.expect(1);
    assert!(again.err.contains("has a state"), "{again}");

    world.daybook.serve().await.unwrap();
    let status = world.daybook.settled(KEY).await.unwrap();
    assert!(status["release"].to_string().contains('2') && status["adopted"] != true, "{status:#}");
    assert_eq!(ids(&before), ids(&world.replicas("web").await), "nothing was stopped or started");
    assert_eq!(world.run(&["journal", "verify"]).await.expect(0).all(), verified, "no entry is missing");
    assert!(has_its_secret(&world).await);
    let plan = world.run_with(&["plan"], &[("SHOP_BUILD", "2")]).await;
    assert_eq!(plan.code, 0, "there is nothing to do: {plan}");
    world.run_with(&["up", "-y", "--no-input"], &[("SHOP_BUILD", "3")]).await.expect(0);
    assert_eq!(world.build().await, "3");
    assert!(releases(&world).await.contains(&103), "numbers that a lost release may have used are left out");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_a_machine_that_burnt_is_brought_back_by_its_backup_alone() {
    let (safe, mut world) = (Safe::new(), shop().await);
    state(&world, &safe, "backups", &["backup", "-q"]).await.expect(0);
    let authority = std::fs::read(world.state().join("edge/certs/ca.pem")).unwrap();
    let restic = |arguments: &[&str]| {
        let mut restic = Command::new("restic");
        restic.arg("--no-cache").arg("-r").arg(safe.place("backups")).args(arguments).env("RESTIC_PASSWORD", PASSWORD);
        let said = restic.output().expect("restic is installed: run scripts/setup");
        assert!(said.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    restic(&["check", "--read-data"]);
    let listed = restic(&["ls", "latest"]);
    for name in ["copy/daybook.db", "master.key", "edge/certs/ca.key", "edge/table.json", "artifacts/"] {
        assert!(listed.contains(name), "{name} is not in it:\n{listed}");
    }
    for name in ["process", "daybook.db-wal", "server.lock", "access.log", "serve.out"] {
        assert!(!listed.contains(name), "{name} is in it:\n{listed}");
    }

    let (server, edge) = world.daybook.pids().await.unwrap();
    world.daybook.kill_server().await.unwrap();
    for pid in process::of_state(&world.state()).into_iter().chain([server, edge]) {
        signal(pid, Signal::KILL);
    }
    world.until("everything has ended", async |world| process::of_state(&world.state()).is_empty()).await;
    std::fs::remove_dir_all(world.state()).unwrap();
    let into = world.state();
    state(&world, &safe, "backups", &["restore", "--into", into.to_str().unwrap()]).await.expect(0);
    world.daybook.serve().await.unwrap();
    let both = async |world: &World| {
        let replicas = world.replicas("web").await;
        replicas.len() == 2 && replicas.iter().all(|replica| replica["routed"] == true)
    };
    world.until("both replicas are back", both).await;
    world.until("the edge answers", async |world| world.get("/api/about").await.is_ok_and(|it| it.status == 200)).await;
    assert_eq!(world.build().await, "2");
    assert!(has_its_secret(&world).await);
    assert_eq!(std::fs::read(world.state().join("edge/certs/ca.pem")).unwrap(), authority, "clients trust it still");
    world.run(&["journal", "verify"]).await.expect(0);
    // What is not as it should be on the new machine is healed first.
    let rolled_back = async |world: &World| world.run_with(&["rollback", "--yes", "--no-input"], &[]).await.code == 0;
    world.until("it is rolled back", rolled_back).await;
    assert_eq!(world.build().await, "1", "the artifacts of the release before are there as well");
    world.end().await;
}

fn largest_pack(repository: &Path) -> PathBuf {
    let mut open = vec![repository.join("data")];
    let mut packs = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => open.push(entry.path()),
                false => packs.push((entry.metadata().unwrap().len(), entry.path())),
            }
        }
    }
    packs.into_iter().max().unwrap().1
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_a_drill_of_the_state_finds_a_flipped_bit_and_a_missing_key() {
    let (safe, world) = (Safe::new(), shop().await);
    let missing = world.run(&["state", "backup", "--to", safe.place("backups").to_str().unwrap()]).await.expect(64);
    assert!(missing.err.contains("--password-file"), "{missing}");
    let inside = world.state().join("mine");
    let password = safe.place("password");
    let (inside, password) = (inside.to_str().unwrap(), password.to_str().unwrap());
    let refused = world.run(&["state", "backup", "--to", inside, "--password-file", password]).await.expect(1);
    assert!(refused.err.contains("would be lost with it"), "{refused}");

    state(&world, &safe, "backups", &["backup", "-q"]).await.expect(0);
    state(&world, &safe, "backups", &["drill", "-q"]).await.expect(0);
    let pack = largest_pack(&safe.place("backups"));
    let whole = std::fs::read(&pack).unwrap();
    std::fs::set_permissions(&pack, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 1;
    std::fs::write(&pack, &flipped).unwrap();
    let found = state(&world, &safe, "backups", &["drill", "-q"]).await.expect(1);
    assert!(found.err.contains("is no good"), "{found}");
    let into = world.path().join("elsewhere");
    state(&world, &safe, "backups", &["restore", "--into", into.to_str().unwrap()]).await.expect(1);
    assert!(!into.join("daybook.db").exists(), "what is damaged becomes no state");
    std::fs::write(&pack, &whole).unwrap();
    state(&world, &safe, "backups", &["drill", "-q"]).await.expect(0);

    std::fs::write(safe.place("password"), "another\n").unwrap();
    let closed = state(&world, &safe, "backups", &["drill", "-q"]).await.expect(1);
    assert!(closed.err.contains("the password does not open"), "{closed}");
    std::fs::write(safe.place("password"), PASSWORD).unwrap();

    let saved = state(&world, &safe, "without", &["backup", "--without-key"]).await.expect(0);
    assert!(saved.err.contains("the master key is not in it"), "{saved}");
    let found = state(&world, &safe, "without", &["drill", "-q"]).await.expect(1);
    assert!(found.err.contains("nothing opens its") && found.err.contains("--key-file"), "{found}");
    let key = world.state().join("master.key");
    state(&world, &safe, "without", &["drill", "-q", "--key-file", key.to_str().unwrap()]).await.expect(0);
    let other = safe.place("other.key");
    std::fs::write(&other, [7; 32]).unwrap();
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o600)).unwrap();
    let found =
        state(&world, &safe, "without", &["drill", "-q", "--key-file", other.to_str().unwrap()]).await.expect(1);
    assert!(found.err.contains("is no good"), "{found}");
    let restored = state(&world, &safe, "without", &["restore", "--into", into.to_str().unwrap()]).await.expect(0);
    assert!(restored.err.contains("no secret opens") && !into.join("master.key").exists(), "{restored}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r21_a_server_backs_its_own_state_up_and_proves_it() {
    let (safe, mut world) = (Safe::new(), shop().await);
    let doctor = world.run(&["doctor"]).await.expect(0);
    assert!(doctor.out.contains("daybook state backup"), "that there is none is said: {doctor}");
    world.daybook.variables.extend(safe.variables("backups"));
    world.daybook.variables.push(("DAYBOOK_STATE_BACKUP_EVERY", "20s".to_owned()));
    world.daybook.kill_server().await.unwrap();
    world.daybook.serve().await.unwrap();
    let tells = async |world: &World, what: &str| {
        let events = world.run(&["events", "--all", "-o", "jsonl"]).await.expect(0);
        events.out.lines().filter(|line| line.contains("state_backup") && line.contains(what)).count()
    };
    world.until("a backup is proven", async |world| tells(world, "is proven: back in").await > 0).await;
    world.until("backups go on", async |world| tells(world, " made in ").await > 1).await;
    let listed = state(&world, &safe, "backups", &["ls", "-o", "json"]).await.expect(0).json();
    assert!(!listed.as_array().unwrap().is_empty(), "{listed:#}");
    let doctor = world.run(&["doctor", "-o", "json"]).await.expect(0).json();
    let check = doctor.as_array().unwrap().iter().find(|check| check["check"] == "backup of the state").unwrap();
    assert_eq!(check["result"], "ok", "{check:#}");

    // The place is gone, and something else is there.
    std::fs::rename(safe.place("backups"), safe.place("taken away")).unwrap();
    std::fs::write(safe.place("backups"), "").unwrap();
    world.until("that it is overdue is told", async |world| tells(world, "as new as it should be").await > 0).await;
    assert!(tells(&world, "backup failed").await > 0);
    std::fs::remove_file(safe.place("backups")).unwrap();
    std::fs::rename(safe.place("taken away"), safe.place("backups")).unwrap();
    let before = tells(&world, " made in ").await;
    world.until("it is good again", async |world| tells(world, " made in ").await > before).await;
    world.end().await;
}
