//! Clones have the files that they should, and a drill starts what uses a database on what it has restored.

#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]

use std::process::Command;
use std::time::Duration;

use daybook_e2e::World;
use daybook_e2e::notes::{environment_with, notes, write};

/// Who gets in to a server, and where.
struct Login {
    port: String,
    user: String,
    password: String,
}

impl Login {
    fn gets_in(&self) -> bool {
        let mut psql = Command::new("psql");
        psql.args(["-qtAX", "-h", "127.0.0.1", "-p", &self.port, "-U", &self.user, "-c", "select 1", "db"]);
        let asked = psql.env("PGPASSWORD", &self.password).stdin(std::process::Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&asked.stderr);
        assert!(asked.status.success() || said.contains("password authentication failed"), "{said}");
        asked.status.success()
    }

    /// The same, of another server.
    fn at(&self, port: &str) -> Self {
        Self { port: port.to_owned(), user: self.user.clone(), password: self.password.clone() }
    }
}

/// Who may do everything in the database of an environment, and its web.
fn logins(world: &World, env: &str) -> [Login; 2] {
    let of_env = format!("DAYBOOK_ENV={env}\0");
    let value = |environ: &str, name: &str| {
        let found = environ.split('\0').find_map(|one| one.strip_prefix(&format!("{name}=")));
        found.unwrap_or_else(|| panic!("there is no {name} in {env}")).to_owned()
    };
    let server = environment_with(world, &[&of_env, "POSTGRES_PASSWORD="]);
    let web = environment_with(world, &[&of_env, "DATABASE_URL="]);
    let port = value(&server, "PORT");
    let url = value(&web, "DATABASE_URL");
    let (user, rest) = url.split_once("://").unwrap().1.split_once(':').unwrap();
    let password = rest.rsplit_once('@').unwrap().0.to_owned();
    let admin =
        Login { port: port.clone(), user: "postgres".to_owned(), password: value(&server, "POSTGRES_PASSWORD") };
    [admin, Login { port, user: user.to_owned(), password }]
}

/// What a statement says in the database of an environment.
async fn said(world: &World, env: &str, sql: &str) -> String {
    world.run(&["db", "shell", "db", "-e", env, "--", "-qtAc", sql]).await.expect(0).out.trim().to_owned()
}

/// Rows, a sequence, indexes, an extension, a role of somebody's own and a database that is none of ours.
async fn fill(world: &World) {
    let rows = "insert into notes (text) select 'note ' || md5(n::text) from generate_series(1, 20000) n; \
                create extension pg_trgm; create index by_text on notes using gin (text gin_trgm_ops); \
                create sequence tickets start 41; select nextval('tickets'); \
                create role ann login password 'known to ann'; grant connect on database db to ann";
    said(world, "production", rows).await;
    said(world, "production", "create database another").await;
}

/// What a database holds, in one line.
async fn holds(world: &World, env: &str) -> String {
    let text = "select (select count(*) || ' ' || md5(string_agg(n::text, ',' order by id)) from notes n), \
                (select string_agg(indexname, ' ' order by indexname) from pg_indexes where schemaname = 'public'), \
                (select last_value from tickets), (select count(*) from notes where text like '%note c4ca4238a0%'), \
                (select string_agg(extname, ' ' order by extname) from pg_extension), \
                (select count(*) from pg_index where not indisvalid)";
    said(world, env, text).await
}

/// A clone that has the files of the first is the same, and nobody gets in who knows the first.
async fn is_a_clone_with_files(world: &World, how: &str) {
    fill(world).await;
    let firsts = logins(world, "production");
    let ann = Login { user: "ann".to_owned(), password: "known to ann".to_owned(), ..firsts[0].at(&firsts[0].port) };
    let held = holds(world, "production").await;
    let cloned = world.run(&["env", "clone", "production", "copy", "--data", "full"]).await.expect(0);
    assert!(cloned.err.contains("db with every row as it is, by copies of its files"), "{cloned}");
    assert!(cloned.err.contains("of files as they are") && cloned.err.contains(how), "{cloned}");
    assert_eq!(holds(world, "copy").await, held);
    assert!(held.contains("by_text") && held.contains("pg_trgm") && held.starts_with("20001 "), "{held}");

    let copies = logins(world, "copy");
    for (first, copy) in firsts.iter().zip(&copies) {
        assert!(first.gets_in() && copy.gets_in(), "{} gets in where it belongs", first.user);
        assert!(!first.at(&copy.port).gets_in(), "r23: the password of the first {} opens the clone", first.user);
        assert!(!copy.at(&first.port).gets_in(), "the password of the clone's {} opens the first", first.user);
    }
    assert!(ann.gets_in() && !ann.at(&copies[0].port).gets_in(), "r23: a password of somebody's own opens the clone");
    let passwords = "select string_agg(rolname, ' ' order by rolname) from pg_authid where rolpassword is not null";
    assert_eq!(said(world, "copy", passwords).await, "postgres web_1");
    let databases = "select string_agg(datname, ' ' order by datname) from pg_database where not datistemplate";
    assert_eq!(said(world, "copy", databases).await, "db postgres");
    let files = std::fs::read_dir(world.state().join("process/shop/copy/volumes/db-data")).unwrap();
    let files: Vec<_> = files.flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(files, ["15"], "nothing is left beside them");

    // Each goes its own way.
    said(world, "copy", "delete from notes").await;
    assert_eq!(holds(world, "production").await, held);
    let kept = "select count(*) from pg_replication_slots";
    assert_eq!(said(world, "production", kept).await, "0", "the first keeps nothing for it any more");
    world.run(&["down", "-e", "copy", "--volumes=db-data", "--confirm=shop/copy", "-y"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn r23_a_full_clone_takes_the_files_of_a_database_and_none_of_its_passwords() {
    let mut world = World::new().await;
    notes(&world);
    world.run(&["up", "-y"]).await.expect(0);
    write(&world, "milk").await;
    is_a_clone_with_files(&world, "by a base backup").await;

    // Killed at any moment, there is no clone, and nothing of it.
    let volumes = world.state().join("process/shop/copy/volumes/db-data");
    let there = async |world: &World| world.run(&["env", "ls", "-o", "json"]).await.out.contains("\"shop/copy\"");
    for wait in [0, 700, 1_500, 2_500] {
        let mut clone = world.command(&["env", "clone", "production", "copy", "--data", "full", "-q"]);
        let mut clone = clone.kill_on_drop(true).spawn().unwrap();
        world.until("it has begun", there).await;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        world.daybook.kill_server().await.unwrap();
        clone.kill().await.unwrap();
        world.daybook.serve().await.unwrap();
        world.until("it is settled", async |world| !there(world).await).await;
        assert!(!volumes.exists(), "its files are gone");
        assert_eq!(said(&world, "production", "select count(*) from pg_replication_slots").await, "0");
    }

    // What files would not have is carried over by a dump.
    said(&world, "production", "create unlogged table drafts as select 7 as n").await;
    let cloned = world.run(&["env", "clone", "production", "copy", "--data", "full"]).await.expect(0);
    assert!(cloned.err.contains("by a dump: it has unlogged tables"), "{cloned}");
    assert_eq!(said(&world, "copy", "select n from drafts").await, "7");
    world.run(&["down", "-e", "copy", "--volumes=db-data", "--confirm=shop/copy", "-y"]).await.expect(0);

    // So is everything of a server that lets nobody copy its files; the clone says why.
    let lets_in = world.state().join("process/shop/production/volumes/db-data/15/pg_hba.conf");
    let text = std::fs::read_to_string(&lets_in).unwrap();
    let others: Vec<_> = text.lines().filter(|line| !line.contains("replication")).collect();
    std::fs::write(&lets_in, others.join("\n")).unwrap();
    said(&world, "production", "drop table drafts; select pg_reload_conf()").await;
    let cloned = world.run(&["env", "clone", "production", "copy", "--data", "full"]).await.expect(0);
    assert!(cloned.err.contains("by a dump, since its files could not be taken: pg_basebackup ended"), "{cloned}");
    assert_eq!(holds(&world, "copy").await, holds(&world, "production").await);
    world.run(&["down", "-e", "copy", "--volumes=db-data", "--confirm=shop/copy", "-y"]).await.expect(0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r23_where_files_can_share_their_blocks_a_full_clone_copies_none() {
    let world = World::on_a_disk_that_shares(1_536).await;
    notes(&world);
    world.run(&["up", "-y"]).await.expect(0);
    write(&world, "milk").await;
    is_a_clone_with_files(&world, "shared with production").await;
    world.end().await;
}

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
