//! What changes a protected environment is looked at by a second person first.

#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use daybook_e2e::{Ended, World};
use tokio::process::Command;

/// The login `nobody` and its group, on every Debian and Ubuntu.
const NOBODY: u32 = 65534;

/// A command of another person, who has another login and no right to the state.
async fn second(shared: &Path, arguments: &[&str]) -> Ended {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"]);
    command.arg(shared.join("daybook")).args(["--app", "shop"]).args(arguments);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("DAYBOOK_STATE", shared)
        .env("NO_COLOR", "1")
        .current_dir(shared);
    let ended = command.output().await.expect("run daybook as somebody else");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended { code: ended.status.code().unwrap_or(-1), out: text(ended.stdout), err: text(ended.stderr) }
}

fn manifest(world: &World, protected: bool, note: &str) {
    world.write(
        "daybook.yaml",
        &format!(
            "app: shop\nservices:\n  web: {{build: ./web, command: sleep 3600, environment: {{NOTE: {note}}}}}\n\
             environments: {{production: {{protected: {protected}}}}}\n"
        ),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_environment_changes_after_a_second_person_has_approved_this_very_plan() {
    let shared = tempfile::tempdir().unwrap();
    chown(shared.path(), None, Some(NOBODY)).unwrap();
    std::fs::set_permissions(shared.path(), PermissionsExt::from_mode(0o750)).unwrap();
    let world = World::sharing(shared.path()).await;
    std::fs::copy(daybook_bench::daybook::binary().unwrap(), shared.path().join("daybook")).unwrap();
    std::fs::create_dir(world.path().join("web")).unwrap();
    world.write("web/index.html", "hello\n");
    manifest(&world, true, "one");

    let planned = world.run(&["plan"]).await.expect(2);
    assert!(planned.out.contains("Approval  a second person has to approve it"), "{planned}");
    let refused = world.run(&["up", "-y"]).await.expect(3);
    assert!(refused.err.contains("is protected: a second person has to approve plan"), "{refused}");
    let own = world.run(&["approve", "-y"]).await.expect(3);
    assert!(own.err.contains("a second person"), "nobody is his own second: {own}");
    world.run(&["up", "-y"]).await.expect(3);
    let listed = world.run(&["approve", "--list", "-o", "json"]).await.expect(0).json();
    assert_eq!((listed.as_array().unwrap().len(), listed[0]["asked"].as_array().unwrap().len()), (1, 1), "{listed}");

    let approved = second(shared.path(), &["approve", "-y"]).await.expect(0);
    assert!(approved.err.contains("+ web") && approved.err.contains("asked for by root"), "{approved}");
    let listed = world.run(&["approve", "--list"]).await.expect(0);
    assert!(listed.out.contains("nobody "), "{listed}");
    // It is of what was looked at: something else is another plan.
    manifest(&world, true, "two");
    world.run(&["up", "-y"]).await.expect(3);
    manifest(&world, true, "one");
    world.run(&["up", "-y"]).await.expect(0);

    // Protection is not taken away by one person, and whoever asked may be the second of somebody else.
    manifest(&world, false, "two");
    world.run(&["up", "-y"]).await.expect(3);
    world.run(&["scale", "web=2", "-y"]).await.expect(3);
    let many = second(shared.path(), &["approve", "-y"]).await.expect(64);
    assert!(many.err.contains("which one is meant"), "{many}");
    let waiting = world.run(&["approve", "--list", "-o", "json"]).await.expect(0).json();
    let plan = waiting.as_array().unwrap().iter().find(|one| one["reason"] == "up").unwrap()["plan"].as_str().unwrap();
    second(shared.path(), &["approve", plan, "-y"]).await.expect(0);
    world.run(&["up", "-y"]).await.expect(0);
    assert!(
        world.run(&["approve", "--list"]).await.expect(0).out.contains("no plan waits"),
        "the change ended them all"
    );
    // What goes back to what was approved waits for nobody.
    world.run(&["rollback", "-y"]).await.expect(0);
    let gone = world.run(&["down", "-y"]).await.expect(3);
    assert!(gone.err.contains("a second person"), "what it goes back to is protected: {gone}");
    second(shared.path(), &["approve", "-y"]).await.expect(0);
    world.run(&["down", "-y"]).await.expect(0);
    let events = world.run(&["events"]).await.expect(0);
    assert!(events.out.contains("waits for a second person") && events.out.contains("is approved"), "{events}");
    world.end().await;
}
