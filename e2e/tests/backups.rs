//! Backups of real databases: made, proven by drills, restored, and found out where they are no good.

#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]

#[path = "../../crates/backup/tests/backup/servers.rs"]
#[allow(dead_code, reason = "its proxy is for the tests of the repository")]
mod servers;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use daybook_bench::daybook::Daybook;
use daybook_e2e::World;
use daybook_e2e::notes::{ask, environment_of, notes, read, write};
use serde_json::Value;

/// The password of the repository, which a person chose so as to have it in a disaster.
const PASSWORD: &str = "a phrase that hangs in the safe";

/// What `backup ls` says of the only database.
async fn listed(world: &World) -> Value {
    let said = world.run(&["backup", "ls", "-o", "json"]).await.expect(0).json();
    said["holdings"][0].clone()
}

/// The states of the backups, the newest first.
fn states(listed: &Value) -> Vec<&str> {
    listed["backups"].as_array().into_iter().flatten().map(|one| one["state"].as_str().unwrap()).collect()
}

/// The id of a backup, as a person types it.
fn short(backup: &Value) -> String {
    let id = backup["id"].as_str().unwrap();
    id[id.len() - 8..].to_owned()
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

/// Environments that are there beside the scenario's own.
async fn others(world: &World) -> Vec<String> {
    let known = world.run(&["env", "ls", "-o", "json"]).await.expect(0).json();
    let keys = known.as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap().to_owned());
    keys.filter(|key| key != daybook_e2e::KEY).collect()
}

/// Takes a clone down before its time, with what it holds.
async fn take_down(world: &World, clone: &str) {
    let confirm = format!("--confirm=shop/{clone}");
    world.run(&["down", "-e", clone, "--volumes=db-data", &confirm, "-y"]).await.expect(0);
    world.until("it is gone", async |world| others(world).await.is_empty()).await;
}

/// Whether no clone is half there: each that is listed is whole.
async fn is_settled(world: &World) -> bool {
    let known = world.run(&["env", "ls", "-o", "json"]).await.expect(0).json();
    known.as_array().unwrap().iter().all(|one| one["clone"]["under_way"] != true)
}

#[tokio::test(flavor = "multi_thread")]
async fn r21_a_backup_is_made_proven_and_brings_a_database_back() {
    let world = World::new().await;
    notes(&world);
    world.run(&["up", "-y"]).await.expect(0);
    world.run_reading(&["secret", "set", "backup.password"], PASSWORD).await.expect(0);
    ask(&world, "insert into notes (text) select 'note ' || n from generate_series(1, 4999) n");
    write(&world, "the last").await;

    let none = world.run(&["backup", "restore", "db", "--confirm=db"]).await.expect(1);
    assert!(none.err.contains("has no backup"), "{none}");
    let created = world.run(&["backup", "create"]).await.expect(0);
    assert!(created.err.contains("2 tables with 5002 rows"), "{created}");
    let before = listed(&world).await;
    assert_eq!(states(&before), ["unproven"]);
    assert!(before["unproven_since"].is_string() && before["proven"].is_null(), "{before}");

    let drilled = world.run(&["backup", "drill"]).await.expect(0);
    assert!(drilled.err.contains("proven: back in"), "{drilled}");
    assert!(drilled.err.contains("5002 rows, 2 tables"), "{drilled}");
    let proven = listed(&world).await;
    assert_eq!(states(&proven), ["proven"]);
    assert!(proven["backups"][0]["drill"]["rto_ms"].as_u64().unwrap() > 0, "{proven}");
    assert_eq!(others(&world).await, Vec::<String>::new(), "the scratch copy is gone");
    let shown = world.run(&["backup", "ls"]).await.expect(0);
    assert!(shown.out.contains("proven as of"), "{shown}");

    // Another program reads it, with the password that the person chose.
    assert!(restic(&world, &["snapshots"]).contains("shop/production"));
    restic(&world, &["check", "--read-data"]);
    let dump = restic(&world, &["dump", "latest", "/facts.json"]);
    assert!(dump.contains("\"rows\": 5000"), "{dump}");

    // The disaster, and the way back, while people read.
    write(&world, "after the backup").await;
    ask(&world, "delete from notes where id % 2 = 0; drop table flyway_schema_history");
    let refused = world.run(&["backup", "restore", "db", "--no-input"]).await.expect(64);
    assert!(refused.err.contains("--confirm=db"), "{refused}");
    let restored = world.run(&["backup", "restore", "db", "--confirm=db"]).await.expect(0);
    assert!(restored.err.contains("is as it was at"), "{restored}");
    assert_eq!(ask(&world, "select count(*), max(text) from notes where text = 'the last'"), "1|the last");
    assert_eq!(ask(&world, "select count(*) from notes"), "5000");
    assert_eq!(ask(&world, "select has_table_privilege('web_1', 'flyway_schema_history', 'delete')"), "f");
    world.until("the notes are served again", async |world| read(world).await.contains("the last")).await;
    write(&world, "life goes on").await;
    world.run(&["up", "-y"]).await.expect(0);
    // What was there before the restore is a backup as well.
    let after = listed(&world).await;
    assert_eq!(states(&after), ["unproven", "proven"]);
    assert_eq!(after["backups"][0]["why"], "before a restore");

    let events = world.run(&["events"]).await.expect(0);
    for told in ["backup of db began", "is proven: back in", "about to be restored", "restored"] {
        assert!(events.out.contains(told), "{told}: {events}");
    }
    let all = [&created, &drilled, &shown, &restored, &events];
    assert!(all.iter().all(|said| !said.all().contains(PASSWORD)), "the password is never shown");
    let verified = world.run(&["backup", "verify", "--everything"]).await.expect(0);
    assert!(verified.err.contains("no damage in 2 backups"), "{verified}");
    world.end().await;
}

/// The largest pack of a repository: it has the rows.
fn largest_pack(repository: &Path) -> PathBuf {
    let mut packs: Vec<_> = std::fs::read_dir(repository.join("data")).unwrap().flatten().collect::<Vec<_>>();
    packs.retain(|entry| entry.path().is_dir());
    let files = packs.iter().flat_map(|directory| std::fs::read_dir(directory.path()).unwrap().flatten());
    files.max_by_key(|file| file.metadata().unwrap().len()).unwrap().path()
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_what_is_damaged_is_found_by_the_next_drill() {
    let world = World::new().await;
    notes(&world);
    world.run(&["up", "-y"]).await.expect(0);
    world.run_reading(&["secret", "set", "backup.password"], PASSWORD).await.expect(0);
    ask(&world, "insert into notes (text) select md5(n::text) from generate_series(1, 20000) n");
    world.run(&["backup", "create", "-q"]).await.expect(0);
    world.run(&["backup", "drill", "-q"]).await.expect(0);
    let pack = largest_pack(&repository(&world));
    let whole = std::fs::read(&pack).unwrap();
    std::fs::set_permissions(&pack, std::fs::Permissions::from_mode(0o600)).unwrap();

    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 1;
    let kinds: [(&str, Option<&[u8]>); 4] = [
        ("one bit of a pack is wrong", Some(&flipped)),
        ("half of a pack is gone", Some(&whole[..whole.len() / 2])),
        ("a pack is empty", Some(&[])),
        ("a pack is gone", None),
    ];
    let mut found = 0;
    for (kind, content) in kinds {
        match content {
            Some(content) => std::fs::write(&pack, content).unwrap(),
            None => std::fs::remove_file(&pack).unwrap(),
        }
        let drilled = world.run(&["backup", "drill", "-q"]).await.expect(1);
        let after = listed(&world).await;
        assert_eq!(states(&after), ["refuted"], "{kind}: {drilled}");
        assert!(after["proven"].is_null(), "{kind}: {after}");
        found += 1;
        std::fs::write(&pack, &whole).unwrap();
    }
    // The wrong key.
    world.run(&["secret", "rm", "backup.password", "-y"]).await.expect(0);
    world.run_reading(&["secret", "set", "backup.password"], "another").await.expect(0);
    let drilled = world.run(&["backup", "drill", "-q"]).await;
    assert!(drilled.code == 1 && drilled.err.contains("password"), "{drilled}");
    world.run(&["secret", "rm", "backup.password", "-y"]).await.expect(0);
    world.run_reading(&["secret", "set", "backup.password"], PASSWORD).await.expect(0);
    found += 1;
    // A password that a person sets later opens what an older one has made.
    world.run_reading(&["secret", "set", "backup.password"], "a new phrase").await.expect(0);
    world.run(&["backup", "drill", "-q"]).await.expect(0);
    println!("damage found by drills: {found} of {found} kinds");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_after_a_repair_the_next_backup_stores_again_what_was_damaged() {
    let world = World::new().await;
    notes(&world);
    world.run(&["up", "-y"]).await.expect(0);
    world.run_reading(&["secret", "set", "backup.password"], PASSWORD).await.expect(0);
    ask(&world, "insert into notes (text) select md5(n::text) from generate_series(1, 100000) n");
    world.run(&["backup", "create", "-q"]).await.expect(0);
    let damaged = listed(&world).await["backups"][0]["snapshot"].as_str().unwrap().to_owned();
    let pack = largest_pack(&repository(&world));
    let mut bytes = std::fs::read(&pack).unwrap();
    let third = bytes.len() / 3;
    bytes[third] ^= 1;
    std::fs::write(&pack, bytes).unwrap();

    world.run(&["backup", "verify"]).await.expect(0);
    let found = world.run(&["backup", "verify", "--everything"]).await.expect(1);
    assert!(found.err.contains("is damaged") && found.err.contains("is not what was written"), "{found}");
    assert!(found.err.contains("daybook backup verify --everything --repair"), "{found}");
    assert!(!found.all().contains("panicked") && !found.all().contains("rustic"), "{found}");
    let lacks = world.run(&["backup", "verify", "--everything", "--repair"]).await.expect(1);
    assert!(lacks.err.contains("1 damaged pack") && lacks.err.contains("lacks 1 of its"), "{lacks}");
    assert!(lacks.err.contains("daybook backup create"), "{lacks}");
    world.run(&["backup", "create", "-q"]).await.expect(0);
    world.run(&["backup", "drill", "-q"]).await.expect(0);
    // The head of a dump tells its time: where that was damaged, the backup before can never be whole again.
    restic(&world, &["forget", &damaged]);
    let whole = world.run(&["backup", "verify", "--everything"]).await.expect(0);
    assert!(whole.err.contains("no damage in 1 backup"), "{whole}");
    let nothing = world.run(&["backup", "verify", "--everything", "--repair"]).await.expect(0);
    assert!(nothing.err.contains("nothing to repair"), "{nothing}");
    restic(&world, &["check", "--read-data"]);
    world.end().await;
}

/// A tool that does as the real one does, and then something else.
fn put_tool(directory: &Path, name: &str, script: &str) {
    let path = directory.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn version_of(program: &str, from: &str) -> String {
    let said = Command::new(program).arg("--version").output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let found = said.split_once(from).unwrap().1;
    found.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect()
}

fn where_is(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|found| found.exists()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn r20_mariadb_and_redis_come_back_and_a_tool_that_lies_makes_no_backup() {
    let tools = tempfile::tempdir().unwrap();
    std::fs::set_permissions(tools.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(where_is("mariadbd"), tools.path().join("mariadbd")).unwrap();
    let world = World::finding_programs_in(tools.path()).await;
    std::fs::create_dir(world.path().join("web")).unwrap();
    world.write("web/index.html", "hello\n");
    let (mariadb, redis) = (version_of("mariadbd", "Ver "), version_of("redis-server", "v="));
    let text = format!(
        "app: shop\nservices:\n  web:\n    build: ./web\n    command: sleep 3600\n    \
         environment: {{MAIN: \"${{main.url}}\", CACHE: \"${{cache.url}}\"}}\n\
         databases:\n  main: {{engine: \"mariadb:{mariadb}\", backup: {{expect: \"select count(*) = 500 from orders\"}}}}\n  \
         cache: {{engine: \"redis:{redis}\"}}\n"
    );
    world.write("daybook.yaml", &text);
    world.run(&["up", "-y"]).await.expect(0);
    let environ = environment_of(&world, "MAIN=mysql://");
    let url =
        |name: &str| environ.split('\0').find_map(|one| one.strip_prefix(&format!("{name}="))).unwrap().to_owned();
    let main = url("MAIN");
    let (login, place) = main.strip_prefix("mysql://").unwrap().split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let (address, database) = place.split_once('/').unwrap();
    let (host, port) = address.split_once(':').unwrap();
    let sql = |sql: &str| {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "-N", "-h", host, "-P", port, "-u", user, database, "-e", sql]);
        let said = client.env("MYSQL_PWD", password).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr)).trim().to_owned()
    };
    let redis = |command: &[&str]| {
        let mut client = Command::new("redis-cli");
        let said = client.args(["-u", &url("CACHE"), "--no-auth-warning"]).args(command).output().unwrap();
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    };
    assert_eq!(
        sql(
            "create table orders (id int primary key auto_increment, note varchar(99), price decimal(9,2), raw blob, at datetime(6)); \
             insert into orders (note, price, raw, at) select concat('é', seq), seq / 3, unhex(md5(seq)), now(6) from seq_1_to_500; \
             create view cheap as select * from orders where price < 10"
        ),
        ""
    );
    assert_eq!(redis(&["set", "greeting", "hello"]), "OK");
    assert_eq!(redis(&["rpush", "list", "a", "b", "c"]), "3");

    world.run(&["backup", "create"]).await.expect(0);
    let drilled = world.run(&["backup", "drill"]).await.expect(0);
    assert_eq!(drilled.err.matches("proven: back in").count(), 2, "{drilled}");
    assert!(drilled.err.contains("yes: select count(*) = 500 from orders"), "{drilled}");

    sql("delete from orders where id > 10; drop view cheap");
    redis(&["flushall"]);
    world.run(&["backup", "restore", "main", "--confirm=main"]).await.expect(0);
    let id =
        short(&world.run(&["backup", "ls", "cache", "-o", "json"]).await.expect(0).json()["holdings"][0]["backups"][0]);
    world.run(&["backup", "restore", "cache", "--confirm=cache", "--backup", &id]).await.expect(0);
    assert_eq!(sql("select count(*), sum(price) from orders"), "500\t41750.00");
    assert_eq!(sql("select count(*) > 0 from cheap"), "1");
    assert_eq!(redis(&["get", "greeting"]), "hello");
    assert_eq!(redis(&["lrange", "list", "0", "-1"]), "a\nb\nc");
    assert_eq!(redis(&["set", "greeting", "again"]), "OK", "it is nobody's replica");

    // Tools that fail, or say that all is well over half a dump, or over none.
    let real = where_is("mariadb-dump").display().to_string();
    let lies = [
        (format!("{real} \"$@\"; echo 'disk on fire' >&2; exit 3"), "disk on fire"),
        (format!("{real} \"$@\" | head -c 3000"), "the dump has no end"),
        ("exit 0".to_owned(), "the dump is empty"),
    ];
    let before = world.run(&["backup", "ls", "main", "-o", "json"]).await.expect(0).json();
    let made = |view: &Value| states(&view["holdings"][0]).iter().filter(|state| **state != "failed").count();
    for (script, why) in &lies {
        put_tool(tools.path(), "mariadb-dump", script);
        let failed = world.run(&["backup", "create", "main"]).await.expect(1);
        assert!(failed.err.contains(why), "{why}: {failed}");
    }
    let after = world.run(&["backup", "ls", "main", "-o", "json"]).await.expect(0).json();
    assert_eq!(made(&after), made(&before), "{after}");
    assert_eq!(states(&after["holdings"][0])[..3], ["failed", "failed", "failed"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r21_a_policy_makes_and_proves_backups_by_itself() {
    let world = World::new().await;
    notes(&world);
    world.run(&["up", "-y"]).await.expect(0);
    let text = std::fs::read_to_string(world.path().join("daybook.yaml")).unwrap();
    world.write("daybook.yaml", &format!("{text}    backup: {{every: 6h, keep: 30d, drill: weekly}}\n"));
    let plan = world.run(&["plan"]).await.expect(2);
    assert!(plan.out.contains("backup every 6 h, all of the last 30 days kept, proven every week"), "{plan}");
    world.run(&["up", "-y"]).await.expect(0);
    world.until("a backup is proven", async |world| states(&listed(world).await) == ["proven"]).await;
    let nothing = world.run(&["up", "-y"]).await.expect(0);
    assert!(nothing.all().contains("nothing to change"), "{nothing}");
    let shown = world.run(&["backup", "ls"]).await.expect(0);
    assert!(shown.out.contains("every 6 h"), "{shown}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r22_what_has_a_policy_is_backed_up_before_it_is_migrated() {
    let world = World::new().await;
    notes(&world);
    let text = std::fs::read_to_string(world.path().join("daybook.yaml")).unwrap();
    world.write("daybook.yaml", &format!("{text}    backup: {{keep: {{last: 5}}}}\n"));
    let first = world.run(&["up", "-y"]).await.expect(0);
    assert!(!first.err.contains("back db up"), "there is nothing to lose in a new one: {first}");
    write(&world, "not to be lost").await;
    world.write("migrations/V3__gone.sql", "alter table notes drop column text;\n");
    let plan = world.run(&["plan"]).await.expect(2);
    assert!(plan.out.contains("a backup first") && plan.out.contains("backup db → migrate db"), "{plan}");
    world.run(&["up", "-y"]).await.expect(0);
    let after = listed(&world).await;
    assert_eq!(after["backups"][0]["why"], "before a rollout changes it", "{after}");
    assert_eq!(ask(&world, "select count(*) from information_schema.columns where table_name = 'notes'"), "2");
    world.run(&["backup", "restore", "db", "--confirm=db"]).await.expect(0);
    assert_eq!(ask(&world, "select text from notes"), "not to be lost");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_a_server_that_is_killed_leaves_no_backup_and_no_drill_half_done() {
    let mut world = World::new().await;
    notes(&world);
    world.run(&["up", "-y"]).await.expect(0);
    ask(&world, "create table slow (id int); insert into slow values (1)");
    // Whoever reads this table waits.
    let hold = |world: &World| {
        let environ = environment_of(world, "POSTGRES_PASSWORD=");
        let value =
            |name: &str| environ.split('\0').find_map(|one| one.strip_prefix(&format!("{name}="))).unwrap().to_owned();
        let mut psql = Command::new("psql");
        psql.args(["-qX", "-h", "127.0.0.1", "-p", &value("PORT"), "-U", "postgres", "db", "-c"]);
        psql.arg("begin; lock table slow; select pg_sleep(60)").env("PGPASSWORD", value("POSTGRES_PASSWORD"));
        psql.spawn().unwrap()
    };
    let mut holding = hold(&world);
    world
        .until("it is held", async |world| {
            ask(world, "select count(*) from pg_locks where relation = 'slow'::regclass") != "0"
        })
        .await;
    let mut create = world.command(&["backup", "create", "-q"]).kill_on_drop(true).spawn().unwrap();
    world.until("a backup is under way", async |world| states(&listed(world).await) == ["under_way"]).await;
    kill_and_serve(&mut world.daybook).await;
    create.kill().await.unwrap();
    holding.kill().unwrap();
    holding.wait().unwrap();
    world.until("it is settled", async |world| states(&listed(world).await) == ["failed"]).await;

    world.run(&["backup", "create", "-q"]).await.expect(0);
    let mut drill = world.command(&["backup", "drill", "-q"]).kill_on_drop(true).spawn().unwrap();
    world.until("a scratch copy is there", async |world| !others(world).await.is_empty()).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    kill_and_serve(&mut world.daybook).await;
    drill.kill().await.unwrap();
    world.until("it is settled", async |world| states(&listed(world).await)[0] == "unproven").await;
    world.until("the scratch copy is gone", async |world| others(world).await.is_empty()).await;
    world.run(&["backup", "drill", "-q"]).await.expect(0);
    assert_eq!(states(&listed(&world).await), ["proven", "failed"]);
    world.end().await;
}

async fn kill_and_serve(daybook: &mut Daybook) {
    daybook.kill_server().await.unwrap();
    daybook.serve().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn r21_what_is_left_of_a_daybook_that_is_gone_brings_its_database_back() {
    let elsewhere = tempfile::tempdir().unwrap();
    let place = format!("backups: {{to: {}}}\n", elsewhere.path().display());
    let world = World::new().await;
    notes(&world);
    let text = std::fs::read_to_string(world.path().join("daybook.yaml")).unwrap();
    world.write("daybook.yaml", &format!("{text}{place}"));
    world.run(&["up", "-y"]).await.expect(0);
    world.run_reading(&["secret", "set", "backup.password"], PASSWORD).await.expect(0);
    write(&world, "what must not be lost").await;
    world.run(&["backup", "create", "-q"]).await.expect(0);
    world.end().await;

    // Another machine: the manifest, the repository and its password are all there is.
    let world = World::new().await;
    notes(&world);
    world.write("daybook.yaml", &format!("{text}{place}"));
    world.run(&["up", "-y"]).await.expect(0);
    world.run_reading(&["secret", "set", "backup.password"], PASSWORD).await.expect(0);
    let found = listed(&world).await;
    assert_eq!(found["backups"][0]["why"], "found in the repository", "{found}");
    let which = world.run(&["backup", "restore", "db", "--confirm=db"]).await.expect(64);
    assert!(which.err.contains("another Daybook has made backups"), "{which}");
    let id = short(&found["backups"][0]);
    world.run(&["backup", "drill", "db", "--backup", &id]).await.expect(0);
    assert_eq!(states(&listed(&world).await), ["proven"], "what was found is known from then on");
    let restore = ["backup", "restore", "db", "--confirm=db", "--without-backup", "--backup", &id];
    world.run(&restore).await.expect(0);
    world.until("the notes are there", async |world| read(world).await == "1 what must not be lost\n").await;
    world.end().await;
}

/// Notes with people in them, and rules for what is personal.
fn people(world: &World) {
    notes(world);
    let text = std::fs::read_to_string(world.path().join("daybook.yaml")).unwrap();
    let rules = "    masking:\n      people.name: fake name\n      people.email: fake email\n      people.id: hash\n      \
                 notes.text: hash\n";
    world.write("daybook.yaml", &format!("{text}{rules}"));
    world.write(
        "migrations/V3__people.sql",
        "create table people (id int primary key, name text not null, email text unique, born date);\n\
         create table visits (person int references people, at timestamptz default now());\n",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn r23_a_clone_has_masked_data_names_and_secrets_of_its_own_and_goes_by_itself() {
    let mut world = World::new().await;
    people(&world);
    world.run(&["up", "-y"]).await.expect(0);
    write(&world, "canary-note").await;
    ask(
        &world,
        "insert into people select n, 'canary-name ' || n, 'canary-' || n || '@real.invalid', date '1980-01-01' + n \
         from generate_series(1, 2000) n; insert into visits select n % 2000 + 1 from generate_series(1, 5000) n",
    );
    // What looks personal and has no rule is not copied by oversight.
    let refused = world.run(&["env", "clone", "production", "staging"]).await.expect(3);
    assert!(refused.err.contains("people.born") && refused.err.contains("shift"), "{refused}");
    let text = std::fs::read_to_string(world.path().join("daybook.yaml")).unwrap();
    world.write("daybook.yaml", &format!("{text}      people.bron: shift 30d\n"));
    world.run(&["up", "-y"]).await.expect(0);
    let wrong = world.run(&["env", "clone", "production", "staging"]).await.expect(1);
    assert!(wrong.err.contains("people.bron") && wrong.err.contains("did you mean `people.born`?"), "{wrong}");
    assert_eq!(others(&world).await, Vec::<String>::new());
    world.write("daybook.yaml", &format!("{text}      people.born: shift 30d\n"));
    world.run(&["up", "-y"]).await.expect(0);

    let cloned = world.run(&["env", "clone", "production", "staging", "--ttl", "30m"]).await.expect(0);
    assert!(cloned.err.contains("columns masked"), "{cloned}");
    let dump = world
        .run(&[
            "db",
            "shell",
            "db",
            "-e",
            "staging",
            "--",
            "-tAc",
            "select count(*), count(distinct person) from visits join people on people.id = person",
        ])
        .await
        .expect(0);
    assert_eq!(dump.out.trim(), "5000|2000", "what belongs together still does: {dump}");
    let all = "select string_agg(p::text, '') || (select string_agg(n::text, '') from notes n) from people p";
    let text = world.run(&["db", "shell", "db", "-e", "staging", "--", "-tAc", all]).await.expect(0);
    assert!(text.out.len() > 50_000 && !text.out.contains("canary") && !text.out.contains("real.invalid"), "r23");
    let shown = world.run(&["env", "ls"]).await.expect(0);
    assert!(shown.out.contains("clone of production, data: masked; goes in"), "{shown}");
    let status = world.run(&["db", "status", "db", "-e", "staging"]).await.expect(0);
    assert!(status.out.contains("version 3"), "{status}");
    let again = world.run(&["env", "clone", "production", "staging"]).await.expect(64);
    assert!(again.err.contains("is there already"), "{again}");
    let secrets = world.run(&["secret", "ls", "-e", "staging", "-o", "json"]).await.expect(0);
    assert!(secrets.out.contains("database.db.admin") && !secrets.out.contains("masking"), "{secrets}");
    take_down(&world, "staging").await;

    // Killed at any moment, there is no clone, or a whole one.
    for wait in [0, 400, 1_500, 3_000] {
        let mut clone =
            world.command(&["env", "clone", "production", "preview", "-q"]).kill_on_drop(true).spawn().unwrap();
        world.until("it has begun", async |world| !others(world).await.is_empty()).await;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        kill_and_serve(&mut world.daybook).await;
        clone.kill().await.unwrap();
        world.until("it is settled", is_settled).await;
        // Where it was made before the kill, it is whole, and stays.
        if !others(&world).await.is_empty() {
            let rows = "select count(*) from visits";
            let copied = world.run(&["db", "shell", "db", "-e", "preview", "--", "-tAc", rows]).await.expect(0);
            assert_eq!(copied.out.trim(), "5000", "{copied}");
            take_down(&world, "preview").await;
        }
    }
    let brief = world.run(&["env", "clone", "production", "brief", "--data", "full", "--ttl", "1s"]).await.expect(0);
    assert!(brief.err.contains("as they are"), "{brief}");
    world.until("its time has come", async |world| others(world).await.is_empty()).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r21_backups_go_to_a_bucket_and_come_back_from_it() {
    let moto = servers::Moto::start();
    moto.bucket("backups", false);
    let world = World::new().await;
    notes(&world);
    let text = std::fs::read_to_string(world.path().join("daybook.yaml")).unwrap();
    let place = format!(
        "backups:\n  to: s3://backups/daybook\n  endpoint: http://{}\n  access_key: {{secret: bucket-id}}\n  \
         secret_key: {{secret: bucket-key}}\n",
        moto.address
    );
    world.write("daybook.yaml", &format!("{text}{place}"));
    let refused = world.run(&["up", "-y"]).await.expect(1);
    assert!(refused.err.contains("bucket-id") && refused.err.contains("daybook secret set"), "{refused}");
    world.run(&["env", "create", "production"]).await.expect(0);
    world.run_reading(&["secret", "set", "bucket-id"], "an-id").await.expect(0);
    world.run_reading(&["secret", "set", "bucket-key"], "the-key-of-the-bucket").await.expect(0);
    world.run(&["up", "-y"]).await.expect(0);
    write(&world, "kept elsewhere").await;
    let created = world.run(&["backup", "create"]).await.expect(0);
    let drilled = world.run(&["backup", "drill"]).await.expect(0);
    let shown = world.run(&["backup", "ls"]).await.expect(0);
    assert!(shown.out.contains("in s3://backups/daybook/shop/production"), "{shown}");
    ask(&world, "delete from notes");
    world.run(&["backup", "restore", "db", "--confirm=db"]).await.expect(0);
    world.until("the note is back", async |world| read(world).await.contains("kept elsewhere")).await;
    assert!(!repository(&world).exists(), "nothing is on this machine");
    // The bucket does not answer: what is known is told, and what is wrong.
    drop(moto);
    let away = world.run(&["backup", "ls"]).await.expect(0);
    assert!(away.out.contains("cannot be looked at") && away.out.contains("proven"), "{away}");
    let all = [&created, &drilled, &shown, &away];
    assert!(all.iter().all(|said| !said.all().contains("the-key-of-the-bucket")), "the key is never shown");
    world.end().await;
}
