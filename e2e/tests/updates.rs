//! Other versions of database servers: a backup first, and no start on files that they cannot read.

#![allow(clippy::unwrap_used, reason = "a scenario fails by panicking")]

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use daybook_e2e::World;
use daybook_e2e::notes::environment_of;

/// Where a program is, and the version that it tells after a word.
fn installed(program: &str, word: &str) -> (std::path::PathBuf, String) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|directory| directory.join(program));
    let place =
        found.find(|place| place.is_file()).unwrap_or_else(|| panic!("{program} is missing: run scripts/setup"));
    let said = Command::new(&place).arg("--version").output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let after = said.split_once(word).unwrap().1;
    (place, after.chars().take_while(|one| one.is_ascii_digit() || *one == '.').collect())
}

fn manifest(version: &str) -> String {
    format!(
        "app: shop\nservices:\n  web:\n    build: ./web\n    command: sleep 3600\n    environment: {{MAIN: \"${{main.url}}\"}}\n\
         databases:\n  main: {{engine: \"mariadb:{version}\"}}\n"
    )
}

/// Runs a statement as the service does.
fn sql(world: &World, statement: &str) -> String {
    let environ = environment_of(world, "MAIN=mysql://");
    let url = environ.split('\0').find_map(|one| one.strip_prefix("MAIN=mysql://")).unwrap();
    let (login, place) = url.split_once('@').unwrap();
    let ((user, password), (address, database)) = (login.split_once(':').unwrap(), place.split_once('/').unwrap());
    let (host, port) = address.split_once(':').unwrap();
    let mut client = Command::new("mariadb");
    client.args(["--no-defaults", "-N", "-h", host, "-P", port, "-u", user, database, "-e", statement]);
    let said = client.env("MYSQL_PWD", password).output().unwrap();
    assert!(said.status.success(), "{statement}: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8_lossy(&said.stdout).trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn r22_a_database_without_a_policy_is_backed_up_before_another_server_opens_its_files() {
    let programs = tempfile::tempdir().unwrap();
    std::fs::set_permissions(programs.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (place, version) = installed("mariadbd", "Ver ");
    let world = World::finding_programs_in(programs.path()).await;
    std::fs::create_dir(world.path().join("web")).unwrap();
    world.write("web/index.html", "hello\n");
    world.write("daybook.yaml", &manifest(&version));
    world.run(&["up", "-y"]).await.expect(0);
    sql(&world, "create table orders (id int primary key); insert into orders values (7)");
    world.run(&["plan"]).await.expect(0);

    // The same version in another place is another server, as another image of it would be.
    symlink(place, programs.path().join("mariadbd")).unwrap();
    let plan = world.run(&["plan"]).await.expect(2);
    assert!(plan.out.contains("a backup first"), "{plan}");
    world.run(&["up", "-y"]).await.expect(0);
    let listed = world.run(&["backup", "ls", "-o", "json"]).await.expect(0).json();
    let backups = listed["holdings"][0]["backups"].as_array().unwrap().clone();
    assert_eq!(backups.len(), 1, "{listed:#}");
    assert_eq!(backups[0]["why"], "before a rollout changes it", "{listed:#}");
    assert_eq!(sql(&world, "select id from orders"), "7");
    world.run(&["backup", "drill", "-q"]).await.expect(0);
    world.run(&["plan"]).await.expect(0);

    world.write("daybook.yaml", &manifest("99.1"));
    let refused = world.run(&["plan"]).await;
    assert!(refused.code != 0 && refused.all().contains("a newer series changes the files for good"), "{refused}");
    assert_eq!(sql(&world, "select id from orders"), "7");
    world.end().await;
}
