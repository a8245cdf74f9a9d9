//! Databases that are spoken to by TLS only: real PostgreSQL, MariaDB and Redis, as plain processes and in containers.

#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use daybook_bench::shop::HOST;
use daybook_e2e::notes::{environment_of, notes, read, write};
use daybook_e2e::{Ended, World};

/// How a client is told to get in, and what it said.
struct Client {
    program: &'static str,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
}

impl Client {
    /// What it says to `words`: all of it, and whether it was let in.
    fn says(&self, words: &[&str]) -> (bool, String) {
        let mut command = Command::new(self.program);
        command.args(&self.arguments).args(words).envs(self.environment.iter().map(|(name, value)| (name, value)));
        let said = command.output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        (said.status.success(), text.trim().to_owned())
    }
}

/// A variable of the service `web`.
fn told(world: &World, name: &str) -> String {
    let environ = environment_of(world, "DAYBOOK_SERVICE=web\0");
    let value = environ.split('\0').find_map(|one| one.strip_prefix(&format!("{name}=")));
    value.unwrap_or_else(|| panic!("web has no {name}")).to_owned()
}

/// An authority that signed nothing of ours.
fn another_authority(world: &World) -> PathBuf {
    let path = world.path().join("other.pem");
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=other", "-keyout"]);
    let made = openssl.arg("/dev/null").arg("-out").arg(&path).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    path
}

fn psql(url: &str) -> Client {
    Client { program: "psql", arguments: vec![url.to_owned(), "-qtAX".to_owned()], environment: Vec::new() }
}

fn with_tls(world: &World) {
    let text = std::fs::read_to_string(world.path().join("daybook.yaml")).unwrap();
    let text = text.replace("    migrations: ./migrations\n", "    migrations: ./migrations\n    tls: true\n");
    assert!(text.contains("tls: true"), "{text}");
    world.write("daybook.yaml", &text);
}

/// Nothing that is said holds a line of a key.
#[track_caller]
fn expect_untold(said: &[Ended]) {
    let shows = said.iter().find(|ended| ended.all().contains("PRIVATE KEY"));
    assert!(shows.is_none(), "a command shows a key: {}", shows.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn r31_a_postgresql_is_spoken_to_by_tls_only() {
    let world = World::new().await;
    notes(&world);
    with_tls(&world);
    let plan = world.run(&["plan"]).await.expect(2);
    assert!(plan.out.contains("TLS: connections without it are refused"), "{plan}");
    let mut said = vec![plan, world.run(&["up", "-y"]).await.expect(0)];
    let nothing = world.run(&["up", "-y"]).await.expect(0);
    assert!(nothing.all().contains("nothing to change"), "{nothing}");
    write(&world, "in secret").await;
    assert_eq!(read(&world).await, "1 in secret\n", "a driver verifies by the URL that it was given");

    let url = told(&world, "DATABASE_URL");
    let (bare, query) = url.split_once('?').unwrap();
    assert!(query.starts_with("sslmode=verify-full&sslrootcert=/"), "{query}");
    let proven = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    assert_eq!(psql(&url).says(&["-c", proven]), (true, "t".to_owned()));
    let (is_in, why) = psql(&format!("{bare}?sslmode=disable")).says(&["-c", "select 1"]);
    assert!(!is_in && why.contains("no encryption"), "{why}");
    let other = another_authority(&world);
    let wrong = format!("{bare}?sslmode=verify-full&sslrootcert={}", other.display());
    let (is_in, why) = psql(&wrong).says(&["-c", "select 1"]);
    assert!(!is_in && why.contains("certificate verify failed"), "{why}");

    // What Daybook does beside the server goes on.
    let shown = world.run(&["db", "shell", "db", "--", "-tAc", proven]).await.expect(0);
    assert_eq!(shown.out.trim(), "t", "{shown}");
    said.push(world.run(&["db", "status", "db"]).await.expect(0));
    said.push(world.run(&["db", "tune", "db"]).await.expect(0));
    said.push(world.run(&["backup", "create"]).await.expect(0));
    let drilled = world.run(&["backup", "drill"]).await.expect(0);
    assert!(drilled.err.contains("proven"), "a scratch copy has an authority of its own: {drilled}");
    said.push(world.run(&["backup", "restore", "db", "--confirm=db"]).await.expect(0));
    assert_eq!(read(&world).await, "1 in secret\n");

    // Another authority: who trusts the one before gets in until it is replaced.
    let before = std::fs::read(ca_of(query)).unwrap();
    let kept = world.path().join("before.pem");
    std::fs::write(&kept, &before).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let asking = tokio::spawn(failures(format!("http://{}/", world.address()), Arc::clone(&stop)));
    said.push(world.run(&["secret", "rotate", "database.db.authority", "-y"]).await.expect(0));
    stop.store(true, Ordering::SeqCst);
    let (asked, failed) = asking.await.unwrap();
    assert!(asked > 3 && failed.is_empty(), "{asked} asked: {failed:?}");
    let url = told(&world, "DATABASE_URL");
    let (bare, query) = url.split_once('?').unwrap();
    assert_ne!(std::fs::read(ca_of(query)).unwrap(), before);
    assert_eq!(psql(&url).says(&["-c", proven]), (true, "t".to_owned()));
    let trusting = format!("{bare}?sslmode=verify-full&sslrootcert={}", kept.display());
    assert_eq!(psql(&trusting).says(&["-c", proven]), (true, "t".to_owned()), "the one before vouches for it");

    said.push(world.run(&["events"]).await.expect(0));
    said.push(world.run(&["logs", "--tail", "50"]).await.expect(0));
    expect_untold(&said);
    world.end().await;
}

/// Asks until it is told to stop: how often, and what answers were none.
async fn failures(url: String, stop: Arc<AtomicBool>) -> (u32, Vec<String>) {
    let (mut asked, mut failed) = (0, Vec::new());
    while !stop.load(Ordering::SeqCst) {
        let mut curl = tokio::process::Command::new("curl");
        curl.args(["-sS", "-m", "20", "-w", "%{http_code}", "-H", &format!("Host: {HOST}"), &url]);
        let said = curl.output().await.unwrap();
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        if !text.ends_with("200") {
            failed.push(format!("{text}{}", String::from_utf8_lossy(&said.stderr)));
        }
        asked += 1;
    }
    (asked, failed)
}

/// The path that a URL names its authority by.
fn ca_of(query: &str) -> &Path {
    Path::new(query.split_once("sslrootcert=").unwrap().1)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_turned_on_for_what_runs_and_off_again() {
    let world = World::new().await;
    notes(&world);
    world.run(&["up", "-y"]).await.expect(0);
    write(&world, "in clear").await;
    let plain = std::fs::read_to_string(world.path().join("daybook.yaml")).unwrap();
    with_tls(&world);
    let plan = world.run(&["plan"]).await.expect(2);
    assert!(plan.out.contains("those of what runs now as well"), "{plan}");
    world.run(&["up", "-y"]).await.expect(0);
    assert_eq!(read(&world).await, "1 in clear\n");
    assert!(told(&world, "DATABASE_URL").contains("verify-full"));
    world.write("daybook.yaml", &plain);
    let plan = world.run(&["plan"]).await.expect(2);
    assert!(plan.out.contains("no TLS: what is said to it can be read on the way"), "{plan}");
    world.run(&["up", "-y"]).await.expect(0);
    assert_eq!(read(&world).await, "1 in clear\n");
    world.end().await;
}

fn version(program: &str, from: &str) -> String {
    let said = Command::new(program).arg("--version").output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let found = said.split_once(from).unwrap().1;
    found.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect()
}

/// User, password, host, port and the database of a URL.
fn parts(url: &str) -> [String; 5] {
    let rest = url.split_once("://").unwrap().1.split('?').next().unwrap();
    let (login, place) = rest.split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let (address, database) = place.split_once('/').unwrap();
    let (host, port) = address.split_once(':').unwrap();
    [user, password, host, port, database].map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_and_redis_are_spoken_to_by_tls_only() {
    let world = World::new().await;
    for directory in ["migrations", "web"] {
        std::fs::create_dir(world.path().join(directory)).unwrap();
    }
    world.write(
        "migrations/V1__orders.sql",
        "create table orders (id int primary key);\ninsert into orders values (1);\n",
    );
    world.write("web/index.html", "hello\n");
    let text = format!(
        "app: shop\nservices:\n  web:\n    build: ./web\n    command: sleep 3600\n    \
         environment: {{MAIN: \"${{main.url}}\", MAIN_CA: \"${{main.ca}}\", CACHE: \"${{cache.url}}\", CACHE_CA: \"${{cache.ca}}\"}}\n\
         databases:\n  main: {{engine: \"mariadb:{}\", migrations: ./migrations, tls: true}}\n  \
         cache: {{engine: \"redis:{}\", tls: true}}\n",
        version("mariadbd", "Ver "),
        version("redis-server", "v=")
    );
    world.write("daybook.yaml", &text);
    world.run(&["up", "-y"]).await.expect(0);
    let other = another_authority(&world).display().to_string();

    let (main, ca) = (told(&world, "MAIN"), told(&world, "MAIN_CA"));
    assert!(main.ends_with(&format!("?ssl-mode=VERIFY_IDENTITY&ssl-ca={ca}")), "{main}");
    let [user, password, host, port, database] = parts(&main);
    let mariadb = |tls: &[&str]| {
        let arguments = ["--no-defaults", "-N", "-h", &host, "-P", &port, "-u", &user, &database];
        let arguments = arguments.iter().chain(tls).map(|word| (*word).to_owned()).collect();
        Client { program: "mariadb", arguments, environment: vec![("MYSQL_PWD", password.clone())] }
    };
    let verifying = |ca: &str| mariadb(&[&format!("--ssl-ca={ca}"), "--ssl-verify-server-cert"]);
    assert_eq!(verifying(&ca).says(&["-e", "select id from orders"]), (true, "1".to_owned()));
    let (is_in, why) = mariadb(&["--skip-ssl"]).says(&["-e", "select 1"]);
    // MariaDB tells nobody that only the transport is wrong.
    assert!(!is_in && why.contains("denied"), "{why}");
    let (is_in, why) = verifying(&other).says(&["-e", "select 1"]);
    assert!(!is_in && why.contains("TLS/SSL error"), "{why}");

    let (cache, ca) = (told(&world, "CACHE"), told(&world, "CACHE_CA"));
    assert!(cache.starts_with("rediss://"), "{cache}");
    let redis = |url: &str, ca: &[&str]| {
        let arguments = ["-u", url, "--no-auth-warning"].iter().chain(ca).map(|word| (*word).to_owned()).collect();
        Client { program: "redis-cli", arguments, environment: Vec::new() }
    };
    let verifying = |ca: &str| redis(&cache, &["--tls", "--cacert", ca]);
    assert_eq!(verifying(&ca).says(&["set", "a", "1"]).1, "OK");
    let plain = redis(&cache.replace("rediss:", "redis:"), &[]).says(&["get", "a"]).1;
    assert!(!plain.contains('1') && !plain.is_empty(), "{plain}");
    let why = verifying(&other).says(&["get", "a"]).1;
    assert!(why.contains("certificate verify failed"), "{why}");

    let shell = world.run(&["db", "shell", "main", "--", "-Ne", "select id from orders"]).await.expect(0);
    assert_eq!(shell.out.trim(), "1", "{shell}");
    world.run(&["backup", "create"]).await.expect(0);
    let drilled = world.run(&["backup", "drill"]).await.expect(0);
    assert_eq!(drilled.err.matches("proven").count(), 2, "{drilled}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_in_a_container_is_spoken_to_by_tls_only() {
    let world = World::on("docker").await;
    std::fs::create_dir(world.path().join("migrations")).unwrap();
    world.write("migrations/V1__notes.sql", "create table notes (id serial primary key, text text);\n");
    // The URL makes psql verify; without TLS it is not let in.
    let script = "psql \"$$DATABASE_URL\" -qtAXc \"insert into notes (text) values (1) returning 'in by TLS'\" && \
                  psql \"$${DATABASE_URL%%\\?*}?sslmode=disable\" -c 'select 1'; sleep 3600";
    let text = format!(
        "app: shop\nservices:\n  worker:\n    image: postgres:15\n    entrypoint: []\n    command: [sh, -c, {script:?}]\n    \
         stop_grace_period: 1s\n    rollout: {{probation: 1s}}\n    environment: {{DATABASE_URL: \"${{db.url}}\"}}\n\
         databases:\n  db: {{engine: \"postgres:15\", migrations: ./migrations, tls: true}}\n"
    );
    world.write("daybook.yaml", &text);
    world.run(&["up", "-y"]).await.expect(0);
    world
        .until("the worker is let in, and then is not", async |world| {
            let logs = world.run(&["logs", "worker"]).await.out;
            logs.contains("in by TLS") && logs.contains("no encryption")
        })
        .await;
    let counted = world.run(&["db", "shell", "db", "--", "-tAc", "select count(*) from notes"]).await.expect(0);
    assert_eq!(counted.out.trim(), "1", "{counted}");
    world.run(&["backup", "create"]).await.expect(0);
    let drilled = world.run(&["backup", "drill"]).await.expect(0);
    assert!(drilled.err.contains("proven"), "{drilled}");
    world.end().await;
}
