//! Clones have the files that they should, and a drill starts what uses a database on what it has restored.

#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]

use daybook_e2e::World;
use daybook_e2e::notes::{notes, write};

#[tokio::test(flavor = "multi_thread")]
async fn r23_a_full_clone_has_the_files_of_volumes_and_a_masked_one_has_none() {
    let world = World::new().await;
    std::fs::create_dir(world.path().join("web")).unwrap();
    world.write("web/index.html", "hello\n");
    world.write(
        "daybook.yaml",
        "app: shop\nservices:\n  web: {build: ./web, command: sleep 3600, volumes: [\"uploads:/data\"]}\n\
         volumes: {uploads: {}}\n",
    );
    world.run(&["up", "-y"]).await.expect(0);
    let volume = |env: &str| world.state().join(format!("process/shop/{env}/volumes/uploads"));
    std::fs::create_dir(volume("production").join("album")).unwrap();
    std::fs::write(volume("production").join("album/picture"), "a picture\n").unwrap();

    let full = world.run(&["env", "clone", "production", "copy", "--data", "full"]).await.expect(0);
    assert!(full.err.contains("volumes with what they hold: uploads"), "{full}");
    let copied = volume("copy").join("album/picture");
    assert_eq!(std::fs::read_to_string(&copied).unwrap(), "a picture\n");
    std::fs::write(&copied, "another\n").unwrap();
    let original = volume("production").join("album/picture");
    assert_eq!(std::fs::read_to_string(original).unwrap(), "a picture\n", "what the clone writes is its own");

    let masked = world.run(&["env", "clone", "production", "masked"]).await.expect(0);
    assert!(masked.err.contains("volumes that are empty: uploads"), "{masked}");
    assert_eq!(std::fs::read_dir(volume("masked")).unwrap().count(), 0);
    for env in ["copy", "masked"] {
        let confirm = format!("--confirm=shop/{env}");
        world.run(&["down", "-e", env, "--volumes=uploads", &confirm, "-y"]).await.expect(0);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r23_a_clone_of_an_earlier_time_has_the_release_the_rows_and_the_files_of_then() {
    let world = World::new().await;
    notes(&world);
    let text = std::fs::read_to_string(world.path().join("daybook.yaml")).unwrap();
    let text = text.replace("    environment:\n", "    volumes: [\"uploads:/uploads\"]\n    environment:\n");
    let manifest = |masking: &str| {
        format!(
            "{text}    backup: {{keep: 30d}}\n    masking: {masking}\nvolumes: {{uploads: {{backup: {{keep: 30d}}}}}}\n"
        )
    };
    world.write("daybook.yaml", &manifest("{notes.text: keep}"));
    world.run(&["up", "-y"]).await.expect(0);
    let picture = |env: &str| world.state().join(format!("process/shop/{env}/volumes/uploads/picture"));
    write(&world, "milk").await;
    std::fs::write(picture("production"), "of then").unwrap();
    world.run(&["backup", "create", "-q"]).await.expect(0);
    let clock =
        ["db", "shell", "db", "--", "-qtAc", "select to_char(now() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"];
    let then = world.run(&clock).await.expect(0).out.trim().to_owned();

    // Since then: a column, a rule for it, a stricter one for another, and another row.
    let since = "alter table notes add phone text; insert into notes (text, phone) values ('bread', '0')";
    world.run(&["db", "shell", "db", "--", "-qc", since]).await.expect(0);
    std::fs::write(picture("production"), "of now").unwrap();
    world.write("daybook.yaml", &manifest("{notes.text: hash, notes.phone: hash}"));
    world.run(&["up", "-y"]).await.expect(0);

    let none = world.run(&["env", "clone", "production", "old", "--at", "2001-01-01"]).await.expect(1);
    assert!(none.err.contains("had no release at 2001-01-01"), "{none}");
    world.run(&["env", "clone", "production", "old", "--at", "2100-01-01"]).await.expect(64);

    let masked = world.run(&["env", "clone", "production", "masked", "--at", &then]).await.expect(0);
    assert!(masked.err.contains("release 1") && masked.err.contains("from backup"), "{masked}");
    assert!(masked.err.contains("there was no notes.phone then"), "{masked}");
    let texts = |env: &'static str| ["db", "shell", "db", "-e", env, "--", "-qtAc", "select text from notes"];
    let shown = world.run(&texts("masked")).await.expect(0).out;
    assert!(shown.trim().len() == 32 && !shown.contains("milk"), "masked by the rule of today: {shown}");
    let full = world.run(&["env", "clone", "production", "full", "--data", "full", "--at", &then]).await.expect(0);
    assert_eq!(world.run(&texts("full")).await.expect(0).out.trim(), "milk", "{full}");
    assert_eq!(std::fs::read_to_string(picture("full")).unwrap(), "of then");
    assert!(!picture("masked").exists());
    assert_eq!(std::fs::read_to_string(picture("production")).unwrap(), "of now");
    let listed = world.run(&["env", "ls"]).await.expect(0);
    assert!(listed.out.contains("clone of production as it was at 20") && !listed.out.contains("drill-"), "{listed}");
    for env in ["masked", "full"] {
        let confirm = format!("--confirm=shop/{env}");
        world.run(&["down", "-e", env, "--volumes=uploads,db-data", &confirm, "-y"]).await.expect(0);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r21_a_drill_starts_what_uses_the_database_on_what_it_has_restored() {
    let world = World::new().await;
    notes(&world);
    let text = std::fs::read_to_string(world.path().join("daybook.yaml")).unwrap();
    // One of its secrets is known to people only: the scratch copy gets another value.
    let text = text.replace("      DATABASE_URL:", "      PAYMENT_KEY: {secret: payment-key}\n      DATABASE_URL:");
    let policy = |start: &str| format!("{text}    backup: {{keep: 30d, start: {start}}}\n");
    world.write("daybook.yaml", &policy("wep"));
    let refused = world.run(&["validate"]).await.expect(1);
    assert!(refused.err.contains("did you mean `web`?"), "{refused}");
    world.write("daybook.yaml", &policy("web"));
    world.run(&["env", "create", "production"]).await.expect(0);
    world.run_reading(&["secret", "set", "payment-key"], "leads to real money").await.expect(0);
    world.run(&["up", "-y"]).await.expect(0);
    write(&world, "milk").await;
    world.run(&["backup", "create", "-q"]).await.expect(0);
    let drilled = world.run(&["backup", "drill"]).await.expect(0);
    assert!(drilled.err.contains("started on it, and healthy: web"), "{drilled}");

    // A version that does not get healthy is told by the drill. It is what runs, so the manifest has to let it.
    let app = std::fs::read_to_string(world.path().join("web/app.py")).unwrap();
    let in_a_drill =
        "import os\nif os.environ[\"DAYBOOK_ENV\"].startswith(\"drill-\"):\n    raise SystemExit(\"no\")\n";
    world.write("web/app.py", &format!("{in_a_drill}{app}"));
    world.run(&["up", "-y"]).await.expect(0);
    let drilled = world.run(&["backup", "drill"]).await.expect(1);
    assert!(drilled.err.contains("web does not start on it"), "{drilled}");
    let left = world.run(&["env", "ls", "-o", "json"]).await.expect(0);
    assert!(!left.out.contains("drill-"), "the scratch copies are gone: {left}");
    world.end().await;
}
