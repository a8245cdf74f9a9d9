//! Databases that Daybook runs and migrates, and one that somebody else runs: real PostgreSQL, MariaDB and Redis.

#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]

#[path = "../../crates/data/tests/common/postgres.rs"]
mod postgres;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use daybook_bench::shop::HOST;
use daybook_e2e::notes::{ask, environment_of, notes, read, write};
use daybook_e2e::{Ended, World};

const KEY: &str = "shop/production";

#[track_caller]
fn expect_untold(world: &World, said: &[Ended]) {
    let password = environment_of(world, "DATABASE_URL=");
    let url = password.split('\0').find_map(|one| one.strip_prefix("DATABASE_URL=postgres://")).unwrap().to_owned();
    let password = url.split(['@', ':']).nth(1).unwrap().to_owned();
    let shows = said.iter().find(|ended| ended.all().contains(&password));
    assert!(shows.is_none(), "a command shows a password: {}", shows.unwrap());
}

/// Asks without pause until it is told to stop, and counts answers that are none.
struct Asking {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU32>,
    task: tokio::task::JoinHandle<Vec<String>>,
}

impl Asking {
    fn start(world: &World) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (url, stopped, count) = (format!("http://{}/", world.address()), stop.clone(), asked.clone());
        let task = tokio::spawn(async move {
            let mut failed = Vec::new();
            while !stopped.load(Ordering::SeqCst) {
                let mut curl = tokio::process::Command::new("curl");
                curl.args(["-sS", "-m", "20", "-w", "%{http_code}", "-H", &format!("Host: {HOST}"), &url]);
                let said = curl.output().await.unwrap();
                let text = String::from_utf8_lossy(&said.stdout).into_owned();
                if !text.ends_with("200") {
                    failed.push(format!("{text}{}", String::from_utf8_lossy(&said.stderr)));
                }
                count.fetch_add(1, Ordering::SeqCst);
            }
            failed
        });
        Self { stop, asked, task }
    }

    async fn end(self) -> (u32, Vec<String>) {
        self.stop.store(true, Ordering::SeqCst);
        let failed = self.task.await.unwrap();
        (self.asked.load(Ordering::SeqCst), failed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r22_a_database_is_made_migrated_and_used_and_nothing_goes_behind_it() {
    let world = World::new().await;
    notes(&world);
    let plan = world.run(&["plan"]).await.expect(2);
    assert!(plan.out.contains("a login of its own for web, which reads and writes rows"), "{plan}");
    let mut said = vec![plan, world.run(&["up", "-y"]).await.expect(0)];
    write(&world, "first").await;
    assert_eq!(read(&world).await, "1 first\n");
    let nothing = world.run(&["up", "-y"]).await.expect(0);
    assert!(nothing.all().contains("nothing to change"), "{nothing}");
    // The service may do no more than it has to.
    assert_eq!(ask(&world, "select has_table_privilege('web_1', 'notes', 'insert')"), "t");
    assert_eq!(ask(&world, "select has_schema_privilege('web_1', 'public', 'create')"), "f");
    assert_eq!(ask(&world, "select has_table_privilege('web_1', 'flyway_schema_history', 'delete')"), "f");
    assert_eq!(
        ask(&world, "select rolsuper or rolcreaterole or rolcreatedb from pg_roles where rolname = 'web_1'"),
        "f"
    );

    let counted = world.run(&["db", "shell", "db", "--", "-tAc", "select text from notes"]).await.expect(0);
    assert_eq!(counted.out.trim(), "first", "{counted}");
    let twice = world.run(&["scale", "db=2"]).await.expect(1);
    assert!(twice.err.contains("two servers cannot write to its files"), "{twice}");

    // A migration while people read.
    world.write("migrations/V3__author.sql", "alter table notes add column author text;\n");
    let asking = Asking::start(&world);
    said.push(world.run(&["up", "-y"]).await.expect(0));
    let (asked, failed) = asking.end().await;
    assert!(asked > 3 && failed.is_empty(), "{asked} asked: {failed:?}");
    let status = world.run(&["db", "status", "db", "-o", "json"]).await.expect(0).json();
    assert_eq!(status["version"], "3");
    let tune = world.run(&["db", "tune", "db", "-o", "json"]).await.expect(0).json();
    assert_eq!(tune["tried_indexes"], true, "its queries are counted, and indexes can be tried: {tune}");

    // One that fails leaves nothing, and the old version serves on.
    world.write("migrations/V4__broken.sql", "create table tags (id int);\ninsert into tagz values (1);\n");
    let broken = world.run(&["up", "-y"]).await.expect(4);
    assert!(broken.all().contains("V4__broken.sql:2: relation \"tagz\" does not exist"), "{broken}");
    assert_eq!(ask(&world, "select to_regclass('tags') is null"), "t");
    assert_eq!(read(&world).await, "1 first\n");
    said.push(broken);

    // What breaks the version before is told, and nobody goes back behind it.
    world.write("migrations/V4__broken.sql", "");
    std::fs::remove_file(world.path().join("migrations/V4__broken.sql")).unwrap();
    world.write("migrations/V4__writer.sql", "alter table notes rename column author to writer;\n");
    let plan = world.run(&["plan"]).await.expect(2);
    assert!(plan.out.contains("V4__writer.sql:1 the version before still calls it notes.author"), "{plan}");
    assert!(plan.out.contains("Undo      not possible"), "{plan}");
    said.extend([plan, world.run(&["up", "-y"]).await.expect(0)]);
    let refused = world.run(&["rollback", "-y"]).await.expect(1);
    assert!(refused.err.contains("P0118") && refused.err.contains("version 4 (writer)"), "{refused}");

    // A file that was changed afterwards.
    world.write("migrations/V3__author.sql", "alter table notes add column author varchar;\n");
    let changed = world.run(&["up", "-y"]).await.expect(1);
    assert!(changed.err.contains("P0117") && changed.err.contains("changed after it was run"), "{changed}");
    said.push(changed);
    said.push(world.run(&["events"]).await.expect(0));
    said.push(world.run(&["logs", "--tail", "50"]).await.expect(0));
    expect_untold(&world, &said);

    // A new password: replicas of both have a login while they are replaced.
    let asking = Asking::start(&world);
    world.run(&["secret", "rotate", "database.db.login.web", "-y"]).await.expect(0);
    let (asked, failed) = asking.end().await;
    assert!(asked > 3 && failed.is_empty(), "{asked} asked: {failed:?}");
    assert!(environment_of(&world, "DATABASE_URL=").contains("web_2"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_a_server_that_is_killed_while_it_migrates_migrates_once() {
    let mut world = World::new().await;
    notes(&world);
    world.run(&["up", "-y"]).await.expect(0);
    let slow = "create table slow (at timestamptz default clock_timestamp());\ninsert into slow default values;\n\
                select pg_sleep(2);\ninsert into slow default values;\n";
    world.write("migrations/V3__slow.sql", slow);
    for at in [200, 1_000] {
        let before: u32 = ask(&world, "select count(*) from flyway_schema_history where success").parse().unwrap();
        let mut up = world.command(&["up", "-y", "-q"]).kill_on_drop(true).spawn().unwrap();
        world
            .until("it migrates", async |world| {
                ask(
                    world,
                    "select count(*) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()",
                ) != "0"
            })
            .await;
        tokio::time::sleep(Duration::from_millis(at)).await;
        world.daybook.kill_server().await.unwrap();
        world.daybook.serve().await.unwrap();
        world.daybook.settled(KEY).await.unwrap();
        up.wait().await.unwrap();
        assert_eq!(ask(&world, "select count(*) from slow"), "2", "killed after {at} ms");
        let after: u32 = ask(&world, "select count(*) from flyway_schema_history where success").parse().unwrap();
        assert_eq!(after, before + 1);
        ask(&world, "drop table slow; delete from flyway_schema_history where version = '3'");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_somebody_else_runs_is_migrated_first() {
    let server = postgres::Postgres::listening();
    let world = World::new().await;
    notes(&world);
    let text = std::fs::read_to_string(world.path().join("daybook.yaml")).unwrap();
    let begin = text.find("    engine:").unwrap();
    let manifest =
        |url: &str| format!("{}    engine: postgres\n    url: {url}\n    migrations: ./migrations\n", &text[..begin]);
    world.write("daybook.yaml", &manifest("postgres://postgres@127.0.0.1:9/postgres"));
    let silent = world.run(&["up", "-y"]).await.expect(1);
    assert!(silent.err.contains("P0115"), "nothing moves where it cannot be asked: {silent}");
    world.write("daybook.yaml", &manifest(&server.text()));
    world.run(&["up", "-y"]).await.expect(0);
    write(&world, "elsewhere").await;
    assert_eq!(read(&world).await, "1 elsewhere\n");
    let status = world.run(&["db", "status", "db"]).await.expect(0);
    assert!(status.out.contains("version 2"), "{status}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_and_redis_run_from_the_programs_of_this_machine() {
    let world = World::new().await;
    let version = |program: &str, from: &str| {
        let said = Command::new(program).arg("--version").output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let found = said.split_once(from).unwrap().1;
        found.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect::<String>()
    };
    let (mariadb, redis) = (version("mariadbd", "Ver "), version("redis-server", "v="));
    for directory in ["migrations", "web"] {
        std::fs::create_dir(world.path().join(directory)).unwrap();
    }
    world.write("migrations/V1__orders.sql", "create table orders (id int primary key);\n");
    world.write("migrations/V2__first.sql", "insert into orders values (1);\n");
    world.write("web/index.html", "hello\n");
    let text = format!(
        "app: shop\nservices:\n  web:\n    build: ./web\n    command: sleep 3600\n    \
         environment: {{MAIN: \"${{main.url}}\", CACHE: \"${{cache.url}}\"}}\n\
         databases:\n  main: {{engine: \"mariadb:{mariadb}\", migrations: ./migrations}}\n  \
         cache: {{engine: \"redis:{redis}\"}}\n"
    );
    world.write("daybook.yaml", &text);
    world.run(&["up", "-y"]).await.expect(0);
    let environ = environment_of(&world, "MAIN=mysql://");
    let url =
        |name: &str| environ.split('\0').find_map(|one| one.strip_prefix(&format!("{name}="))).unwrap().to_owned();
    assert_eq!(said_by_redis(&url("CACHE"), &["set", "a", "1"]), "OK");
    assert!(said_by_redis(&url("CACHE").replace("default:", "default:x"), &["get", "a"]).contains("WRONGPASS"));
    let main = url("MAIN");
    let rest = main.strip_prefix("mysql://").unwrap();
    let (login, place) = rest.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let (address, database) = place.split_once('/').unwrap();
    let (host, port) = address.split_once(':').unwrap();
    let ask = |sql: &str| {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "-N", "-h", host, "-P", port, "-u", user, database, "-e", sql]);
        client.env("MYSQL_PWD", password).output().unwrap()
    };
    assert_eq!(String::from_utf8_lossy(&ask("select id from orders").stdout).trim(), "1");
    let shell = world.run(&["db", "shell", "main", "--", "-Ne", "select id from orders"]).await.expect(0);
    assert_eq!(shell.out.trim(), "1", "{shell}");
    let denied = ask("drop table orders");
    assert!(String::from_utf8_lossy(&denied.stderr).contains("denied"), "it may change tables: {denied:?}");
    world.end().await;
}

fn said_by_redis(url: &str, command: &[&str]) -> String {
    let asked = Command::new("redis-cli").args(["-u", url, "--no-auth-warning"]).args(command).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&asked.stdout), String::from_utf8_lossy(&asked.stderr)).trim().to_owned()
}

/// A worker that asks the database of its environment by a client that is in the same image, and a database.
fn in_containers(image: &str) -> String {
    format!(
        "app: shop\nservices:\n  worker:\n    image: {image}\n    entrypoint: []\n    command: [sh, -c, 'psql \
         \"$$DATABASE_URL\" -qtAXc \"insert into notes (text) values (1) returning id || current_user\" && sleep 3600']\n    \
         stop_grace_period: 1s\n    rollout: {{probation: 1s}}\n    environment: {{DATABASE_URL: \"${{db.url}}\"}}\n\
         databases:\n  db: {{engine: \"postgres:15\", image: {image}, migrations: ./migrations}}\n"
    )
}

fn copy_migrations(to: &Path) {
    let example = daybook_e2e::workspace::root().join("examples/notes/migrations");
    std::fs::create_dir_all(to.join("migrations")).unwrap();
    for file in ["V1__notes.sql", "V2__written.sql"] {
        std::fs::copy(example.join(file), to.join("migrations").join(file)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_a_container_is_migrated_from_outside() {
    let world = World::on("docker").await;
    copy_migrations(world.path());
    world.write("daybook.yaml", &in_containers("postgres:15"));
    world.run(&["up", "-y"]).await.expect(0);
    world
        .until("the worker has asked", async |world| world.run(&["logs", "worker"]).await.out.contains("1worker_1"))
        .await;
    let status = world.run(&["db", "status", "db"]).await.expect(0);
    assert!(status.out.contains("version 2"), "{status}");
    let counted = world.run(&["db", "shell", "db", "--", "-tAc", "select count(*) from notes"]).await.expect(0);
    assert_eq!(counted.out.trim(), "1", "{counted}");
    world.run(&["backup", "create"]).await.expect(0);
    let drilled = world.run(&["backup", "drill"]).await.expect(0);
    assert!(drilled.err.contains("proven"), "r21: in a container of its own: {drilled}");
    world.end().await;
}

/// Lets everybody enter the volumes of the cluster: Kubernetes' own provisioner for tests makes directories for root
/// alone, which others do not.
async fn open_volumes() {
    loop {
        for volume in std::fs::read_dir("/tmp/hostpath_pv/").into_iter().flatten().flatten() {
            // One that is gone by now needs nothing.
            let _ = std::fs::set_permissions(volume.path(), std::fs::Permissions::from_mode(0o755));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_a_cluster_is_migrated_by_way_of_its_api_server() {
    let world = World::beside_the_cluster().await;
    let opening = tokio::spawn(open_volumes());
    copy_migrations(world.path());
    let registry = std::env::var("DAYBOOK_REGISTRY").expect("DAYBOOK_REGISTRY names the registry");
    let text = in_containers(&format!("{registry}/postgres:15"));
    world.write("daybook.yaml", &format!("target: {}\n{text}", daybook_e2e::cluster::target()));
    world.run(&["up", "-y"]).await.expect(0);
    world
        .until("the worker has asked", async |world| world.run(&["logs", "worker"]).await.out.contains("1worker_1"))
        .await;
    world.run(&["backup", "create"]).await.expect(0);
    let drilled = world.run(&["backup", "drill"]).await.expect(0);
    assert!(drilled.err.contains("proven"), "r21: in a namespace of its own: {drilled}");
    opening.abort();
    world.end().await;
}
