//! Configs and secrets as files.

use daybook_model::launch::LaunchFile;
use daybook_model::spec::{FileContent, FileMount, SecretRef};
use daybook_runtime::Runtime;

use crate::support::{BUSYBOX, World};

const SECRET: &str = "canary-5b1f0e";

/// A launch with one config and one secret.
async fn launch(world: &World, id: &str) -> daybook_model::Launch {
    let mut launch = world.launch(id, BUSYBOX, &["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]).await;
    let secret = SecretRef { name: "token".parse().unwrap(), version: Some(1), generate: false };
    for (target, content, text, mode) in [
        ("/etc/app/config.yml", FileContent::Text("level: info".into()), "level: info", 0o444),
        ("/run/secrets/token", FileContent::Secret(secret), SECRET, 0o400),
    ] {
        let (target, uid, gid) = (target.to_owned(), Some(1000), Some(1001));
        launch.container.files.push(FileMount { target: target.clone(), content, uid, gid, mode });
        launch.files.push(LaunchFile { target, content: text.into(), uid, gid, mode });
    }
    launch
}

#[tokio::test]
async fn r31_a_secret_is_readable_inside_and_nowhere_else() {
    let world = World::new("secret").await;
    let launch = launch(&world, "web.1").await;
    world.runtime.start(&launch).await.unwrap();

    assert_eq!(world.run("web.1", &["cat", "/run/secrets/token"]).await, (SECRET.to_owned(), 0));
    assert_eq!(world.run("web.1", &["stat", "-c", "%a %u %g", "/run/secrets/token"]).await.0, "400 1000 1001\n");
    assert_ne!(world.run("web.1", &["sh", "-c", "echo x >/run/secrets/token"]).await.1, 0, "it is read-only");
    assert_eq!(world.run("web.1", &["cat", "/etc/app/config.yml"]).await.0, "level: info");
    assert_eq!(world.run("web.1", &["stat", "-c", "%a %u %g", "/etc/app/config.yml"]).await.0, "444 1000 1001\n");

    let inspected = world.inspect("web.1").await;
    assert!(!inspected.to_string().contains(SECRET));
    let mounts = inspected["HostConfig"]["Mounts"].as_array().unwrap();
    let kept = mounts.iter().find(|mount| mount["Target"] == "/run/secrets/token").unwrap();
    let kept = std::path::PathBuf::from(kept["Source"].as_str().unwrap());
    assert!(kept.starts_with("/dev/shm") || kept.starts_with("/run"), "{kept:?}");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), SECRET);

    // What a reboot takes away is there again when the replica is started.
    world.runtime.stop(&launch.key, &launch.id, launch.role, &launch.stop).await.unwrap();
    std::fs::remove_dir_all(kept.parent().unwrap()).unwrap();
    world.runtime.start(&launch).await.unwrap();
    assert_eq!(world.run("web.1", &["cat", "/run/secrets/token"]).await.0, SECRET);
    world.clear().await;
    assert!(!kept.exists());
}

#[tokio::test]
async fn a_read_only_container_has_its_files_too() {
    let world = World::new("read-only").await;
    let mut launch = launch(&world, "web.1").await;
    launch.container.options.read_only = true;
    world.runtime.start(&launch).await.unwrap();
    assert_eq!(world.run("web.1", &["cat", "/etc/app/config.yml"]).await.0, "level: info");
    assert_eq!(world.run("web.1", &["cat", "/run/secrets/token"]).await.0, SECRET);
    assert_ne!(world.run("web.1", &["touch", "/new"]).await.1, 0);
    world.clear().await;
}
