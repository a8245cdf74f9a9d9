//! The notes of `examples/notes`: an app with a database that Daybook runs and migrates.

use std::process::Command;

use daybook_bench::shop::HOST;

use crate::World;
use crate::workspace::root;

/// Puts the notes into a world, as the app that scenarios take down.
pub fn notes(world: &World) {
    let example = root().join("examples/notes");
    for file in ["web/app.py", "migrations/V1__notes.sql", "migrations/V2__written.sql"] {
        let path = world.path().join(file);
        std::fs::create_dir_all(path.parent().expect("it is in a directory")).expect("make a directory");
        std::fs::copy(example.join(file), path).expect("copy the example");
    }
    let text = std::fs::read_to_string(example.join("daybook.yaml")).expect("read the example");
    let text = text.replace("app: notes", "app: shop").replace("notes.localhost", HOST);
    let text = text.replace("healthcheck: /healthz", "healthcheck: /healthz\n    rollout: {probation: 1s}");
    world.write("daybook.yaml", &text);
}

/// Runs a statement as who may do everything, and gives what it returns.
#[track_caller]
pub fn ask(world: &World, sql: &str) -> String {
    let asked = psql(world).args(["-c", sql]).output().expect("run psql");
    assert!(asked.status.success(), "{sql}: {}", String::from_utf8_lossy(&asked.stderr));
    String::from_utf8_lossy(&asked.stdout).trim().to_owned()
}

/// The client of who may do everything.
#[track_caller]
pub fn psql(world: &World) -> Command {
    let environ = environment_of(world, "POSTGRES_PASSWORD=");
    let value = |name: &str| {
        let found = environ.split('\0').find_map(|one| one.strip_prefix(&format!("{name}=")));
        found.unwrap_or_else(|| panic!("the server has no {name}")).to_owned()
    };
    let mut psql = Command::new("psql");
    psql.args(["-qtAX", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", &value("PORT"), "-U", "postgres", "db"]);
    psql.env("PGPASSWORD", value("POSTGRES_PASSWORD"));
    psql
}

/// The environment of a process of the scenario that has this in it.
#[track_caller]
pub fn environment_of(world: &World, wanted: &str) -> String {
    environment_with(world, &[wanted])
}

/// The environment of a process of the scenario that has all of these in it.
#[track_caller]
pub fn environment_with(world: &World, wanted: &[&str]) -> String {
    let pids = daybook_bench::process::working_beneath(&world.state());
    let mut environs = pids.iter().map(|pid| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        String::from_utf8_lossy(&environ).into_owned()
    });
    let found = environs.find(|environ| wanted.iter().all(|wanted| environ.contains(wanted)));
    found.unwrap_or_else(|| panic!("no process has {wanted:?}"))
}

/// Writes a note through the edge.
pub async fn write(world: &World, text: &str) {
    let client = format!("http://{}/", world.address());
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["-sf", "-H", &format!("Host: {HOST}"), "-d", text, &client]);
    assert!(curl.status().await.expect("run curl").success(), "the note {text} was not taken");
}

/// Reads the notes through the edge.
pub async fn read(world: &World) -> String {
    let reply = world.get("/").await.expect("the notes answer");
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    String::from_utf8_lossy(&reply.body).into_owned()
}
