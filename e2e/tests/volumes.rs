//! Backups of volumes: made, proven by drills, restored while others run on, and found out where they are no good.

#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]

use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use daybook_e2e::World;
use serde_json::Value;

/// The password of the repository, which a person chose so as to have it in a disaster.
const PASSWORD: &str = "a phrase that hangs in the safe";

/// An app whose `web` has the volume `uploads`, and whose `other` has not.
fn app(world: &World, backup: &str) {
    std::fs::create_dir_all(world.path().join("web")).unwrap();
    world.write("web/index.html", "hello\n");
    // What does not heed the signal that ends it takes as long as it may.
    world.write(
        "web/stubborn.py",
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(3600)\n",
    );
    world.write(
        "daybook.yaml",
        &format!(
            "app: shop\nservices:\n  web:\n    build: ./web\n    command: python3 stubborn.py\n    stop_grace_period: 3s\n    \
             volumes: [\"uploads:/data\"]\n  other:\n    build: ./web\n    command: sleep 3600\n\
             volumes:\n  uploads:\n    backup: {backup}\n"
        ),
    );
}

async fn started(world: &World, backup: &str) -> PathBuf {
    app(world, backup);
    world.run(&["up", "-y"]).await.expect(0);
    world.run_reading(&["secret", "set", "backup.password"], PASSWORD).await.expect(0);
    world.state().join("process/shop/production/volumes/uploads")
}

/// The processes of a service.
fn processes(world: &World, service: &str) -> Vec<u32> {
    let home = world.state().join("process/shop/production");
    let of_service = |pid: &u32| {
        let at = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        let replica = at.strip_prefix(&home).ok().and_then(|at| at.iter().next()?.to_str().map(str::to_owned));
        replica.is_some_and(|replica| replica.starts_with(&format!("{service}.")))
    };
    daybook_bench::process::working_beneath(&home).into_iter().filter(of_service).collect()
}

/// What `backup ls` says of the volume.
async fn listed(world: &World) -> Value {
    let said = world.run(&["backup", "ls", "uploads", "-o", "json"]).await.expect(0).json();
    said["holdings"][0].clone()
}

/// The states of the backups, the newest first.
fn states(listed: &Value) -> Vec<&str> {
    listed["backups"].as_array().into_iter().flatten().map(|one| one["state"].as_str().unwrap()).collect()
}

fn repository(world: &World) -> PathBuf {
    world.state().join("backups/shop/production")
}

fn restic(world: &World, arguments: &[&str]) -> String {
    let mut restic = Command::new("restic");
    restic.arg("--no-cache").arg("-r").arg(repository(world)).args(arguments).env("RESTIC_PASSWORD", PASSWORD);
    let said = restic.output().expect("restic is installed: run scripts/setup");
    assert!(said.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8_lossy(&said.stdout).into_owned()
}

/// Bytes that nothing compresses, the same each time.
fn noise(count: usize) -> Vec<u8> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn r21_a_volume_is_backed_up_proven_and_brought_back_while_others_run_on() {
    let world = World::new().await;
    let uploads = started(&world, "{keep: {last: 5}}").await;
    std::fs::create_dir_all(uploads.join("album/empty")).unwrap();
    std::fs::write(uploads.join("album/picture"), noise(300_000)).unwrap();
    std::fs::write(uploads.join("note"), "not to be lost\n").unwrap();
    std::fs::set_permissions(uploads.join("note"), std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("album/picture", uploads.join("newest")).unwrap();

    let created = world.run(&["backup", "create"]).await.expect(0);
    assert!(created.err.contains("backup of volume:uploads"), "{created}");
    assert!(created.err.contains("2 files, 3 directories, 1 link"), "{created}");
    assert_eq!(states(&listed(&world).await), ["unproven"]);
    let drilled = world.run(&["backup", "drill"]).await.expect(0);
    assert!(drilled.err.contains("proven: back in") && drilled.err.contains("every byte of them"), "{drilled}");
    let proven = listed(&world).await;
    assert_eq!(states(&proven), ["proven"]);
    assert_eq!(proven["backups"][0]["files"], 2, "{proven}");
    assert!(proven["backups"][0]["drill"]["rto_ms"].is_u64(), "{proven}");
    assert_eq!(std::fs::read_dir(world.state().join("drills")).unwrap().count(), 0, "the scratch directory is gone");
    let shown = world.run(&["backup", "ls"]).await.expect(0);
    assert!(shown.out.contains("volume:uploads  proven as of") && shown.out.contains("FILES"), "{shown}");

    // Another program reads it, and what has not changed takes no room again.
    assert!(restic(&world, &["ls", "latest"]).contains("/album/picture"));
    restic(&world, &["check", "--read-data"]);
    world.run(&["backup", "create", "volume:uploads", "-q"]).await.expect(0);
    let again = listed(&world).await;
    assert!(again["backups"][0]["added_bytes"].as_u64().unwrap() < 10_000, "{again}");

    // The disaster, and the way back, while the other service runs on.
    std::fs::remove_dir_all(uploads.join("album")).unwrap();
    std::fs::write(uploads.join("note"), "lost\n").unwrap();
    std::fs::write(uploads.join("written since"), "").unwrap();
    let refused = world.run(&["backup", "restore", "uploads", "--no-input"]).await.expect(64);
    assert!(refused.err.contains("--confirm=uploads") && refused.err.contains("stop web"), "{refused}");
    let (web, other) = (processes(&world, "web"), processes(&world, "other"));
    assert!(web.len() == 1 && other.len() == 1, "{web:?} {other:?}");
    let restored = world.run(&["backup", "restore", "uploads", "--confirm=uploads"]).await.expect(0);
    assert!(restored.err.contains("web started again"), "{restored}");
    assert_eq!(text(&uploads.join("note")), "not to be lost\n");
    assert_eq!(std::fs::read(uploads.join("newest")).unwrap(), noise(300_000));
    assert_eq!(std::fs::metadata(uploads.join("note")).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(uploads.join("album/empty").is_dir() && !uploads.join("written since").exists());
    assert_eq!(text(&uploads.with_file_name(".uploads.before").join("note")), "lost\n");
    world.until("web runs again", async |world| processes(world, "web").len() == 1).await;
    assert_ne!(processes(&world, "web"), web);
    assert_eq!(processes(&world, "other"), other, "who has not the volume runs on");
    let nothing = world.run(&["up", "-y"]).await.expect(0);
    assert!(nothing.all().contains("nothing to change"), "{nothing}");
    let after = listed(&world).await;
    assert_eq!(after["backups"][0]["why"], "before a restore", "{after}");
    let whole = world.run(&["backup", "restore", "--all", "--confirm=uploads"]).await.expect(64);
    assert!(whole.err.contains("is not the environment"), "{whole}");
    std::fs::write(uploads.join("note"), "lost again\n").unwrap();
    world.run(&["backup", "restore", "--all", "--confirm=production"]).await.expect(0);
    assert_eq!(text(&uploads.join("note")), "not to be lost\n");
    let events = world.run(&["events"]).await.expect(0);
    for told in ["about to be restored", "about to stop web, to restore volume:uploads", "volume uploads, backup"] {
        assert!(events.out.contains(told), "{told}: {events}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_a_damaged_file_is_found_by_the_next_drill() {
    let world = World::new().await;
    let uploads = started(&world, "{keep: {last: 5}}").await;
    std::fs::write(uploads.join("picture"), noise(3_000_000)).unwrap();
    world.run(&["backup", "create", "-q"]).await.expect(0);
    let packs = std::fs::read_dir(repository(&world).join("data")).unwrap().flatten().map(|entry| entry.path());
    let packs = packs.filter(|path| path.is_dir()).flat_map(|path| std::fs::read_dir(path).unwrap().flatten());
    let pack = packs.max_by_key(|pack| pack.metadata().unwrap().len()).unwrap().path();
    let whole = std::fs::read(&pack).unwrap();
    std::fs::set_permissions(&pack, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 1;
    for content in [Some(&flipped[..]), Some(&whole[..whole.len() / 2]), None] {
        match content {
            Some(content) => std::fs::write(&pack, content).unwrap(),
            None => std::fs::remove_file(&pack).unwrap(),
        }
        let drilled = world.run(&["backup", "drill", "uploads", "-q"]).await.expect(1);
        assert_eq!(states(&listed(&world).await), ["refuted"], "{drilled}");
        // What is no good is not put in the place of what is there.
        let restore = ["backup", "restore", "uploads", "--confirm=uploads", "--without-backup"];
        let refused = world.run(&restore).await.expect(1);
        assert!(refused.err.contains("the volume is as it was"), "{refused}");
        assert_eq!(std::fs::read(uploads.join("picture")).unwrap(), noise(3_000_000));
        std::fs::write(&pack, &whole).unwrap();
    }
    world.run(&["backup", "drill", "uploads", "-q"]).await.expect(0);
    assert_eq!(states(&listed(&world).await), ["proven"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_commands_before_and_after_a_backup_hold_a_volume_still() {
    let world = World::new().await;
    let uploads = started(&world, "{before: cp data/live data/still, after: mv data/still data/went-on}").await;
    std::fs::write(uploads.join("live"), "1\n").unwrap();
    world.run(&["backup", "create"]).await.expect(0);
    assert!(restic(&world, &["ls", "latest"]).contains("/uploads/still"), "it was there while the volume was read");
    assert_eq!(text(&uploads.join("went-on")), "1\n", "and was gone again afterwards");

    // Where the first fails there is no backup; the second is run all the same.
    std::fs::remove_file(uploads.join("live")).unwrap();
    std::fs::write(uploads.join("still"), "2\n").unwrap();
    let failed = world.run(&["backup", "create"]).await.expect(1);
    assert!(failed.err.contains("`before` failed in web") && failed.err.contains("cp"), "{failed}");
    assert_eq!(states(&listed(&world).await), ["failed", "unproven"]);
    assert_eq!(text(&uploads.join("went-on")), "2\n");

    // A second that fails is told, and the backup is one.
    std::fs::write(uploads.join("live"), "3\n").unwrap();
    app(&world, "{after: rm data/nothing}");
    let plan = world.run(&["plan"]).await.expect(2);
    assert!(plan.out.contains("volume uploads") && plan.out.contains("rm data/nothing after it"), "{plan}");
    world.run(&["up", "-y"]).await.expect(0);
    let told = world.run(&["backup", "create"]).await.expect(0);
    assert!(told.err.contains("`after` failed in web"), "{told}");
    app(&world, "{expect: select 1}");
    let refused = world.run(&["plan"]).await.expect(1);
    assert!(refused.err.contains("a volume answers no questions in SQL"), "{refused}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_a_file_that_changes_while_it_is_read_is_told() {
    let world = World::new().await;
    let uploads = started(&world, "{keep: {last: 5}}").await;
    let busy = uploads.join("busy");
    std::fs::write(&busy, noise(4_000_000)).unwrap();
    std::fs::write(uploads.join("quiet"), "quiet\n").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let writing = std::thread::spawn(move || {
        let file = std::fs::File::options().write(true).open(&busy).unwrap();
        let mut at = 0;
        while !stopped.load(Ordering::SeqCst) {
            at = (at + 1_654_321) % 4_000_000;
            file.write_all_at(b"x", at).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let created = world.run(&["backup", "create"]).await.expect(0);
    stop.store(true, Ordering::SeqCst);
    writing.join().unwrap();
    assert!(created.err.contains("1 file changed while it was read, busy first"), "{created}");
    let shown = world.run(&["backup", "ls"]).await.expect(0);
    assert!(shown.out.contains("1 file changed while it was read"), "{shown}");
    assert_eq!(restic(&world, &["snapshots", "--json"]).matches("\"tree\"").count(), 1, "other readings are gone");
    let quiet = world.run(&["backup", "create"]).await.expect(0);
    assert!(!quiet.err.contains("changed"), "{quiet}");
    world.run(&["backup", "drill"]).await.expect(0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_a_server_that_is_killed_in_a_restore_leaves_one_whole_state_and_everything_running() {
    let mut world = World::new().await;
    let uploads = started(&world, "{keep: {last: 9}}").await;
    std::fs::write(uploads.join("note"), "backed up\n").unwrap();
    std::fs::write(uploads.join("picture"), noise(200_000)).unwrap();
    world.run(&["backup", "create", "-q"]).await.expect(0);
    let mut ended = Vec::new();
    for wait in [0, 1_500, 3_000, 3_500] {
        world.until("web runs", async |world| processes(world, "web").len() == 1).await;
        std::fs::write(uploads.join("note"), "as it was\n").unwrap();
        let stops =
            async |world: &World| world.run(&["events"]).await.expect(0).out.matches("about to stop web").count();
        let before = stops(&world).await;
        let restore = ["backup", "restore", "uploads", "--confirm=uploads", "-q"];
        let mut restore = world.command(&restore).kill_on_drop(true).spawn().unwrap();
        world.until("web is about to be stopped", async |world| stops(world).await > before).await;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        world.daybook.kill_server().await.unwrap();
        world.daybook.serve().await.unwrap();
        restore.kill().await.unwrap();
        let settled = async |world: &World| {
            let events = world.run(&["events"]).await.expect(0).out;
            let last = events.lines().rfind(|line| line.contains("volume uploads, backup"));
            last.is_some_and(|line| line.contains("restored") && !line.contains("about to be")).then_some(events)
        };
        world.until("it is settled", async |world| settled(world).await.is_some()).await;
        world.until("web runs again", async |world| processes(world, "web").len() == 1).await;
        assert!(!uploads.with_file_name(".uploads.restored").exists(), "nothing is left over");
        assert_eq!(std::fs::read(uploads.join("picture")).unwrap(), noise(200_000), "after {wait} ms");
        ended.push(text(&uploads.join("note")));
        let nothing = world.run(&["up", "-y"]).await.expect(0);
        assert!(nothing.all().contains("nothing to change"), "after {wait} ms: {nothing}");
    }
    assert_eq!(ended[0], "as it was\n", "{ended:?}");
    assert!(ended.iter().all(|note| note == "as it was\n" || note == "backed up\n"), "{ended:?}");
    world.run(&["backup", "restore", "uploads", "--confirm=uploads", "-q"]).await.expect(0);
    world.end().await;
}
