//! Named volumes, anonymous ones, and paths of the machine.

use daybook_model::spec::{Mount, MountSource, Volume};
use daybook_model::{Launch, VolumeName};
use daybook_runtime::{ErrorKind, Runtime};

use crate::support::{BUSYBOX, World};

fn mount(target: &str, source: MountSource) -> Mount {
    Mount { target: target.into(), source, read_only: false }
}

fn data() -> VolumeName {
    "data".parse().unwrap()
}

async fn with_volume(world: &World, id: &str, command: &[&str]) -> Launch {
    let mut launch = world.launch(id, BUSYBOX, command).await;
    launch.container.mounts = vec![
        mount("/data", MountSource::Volume { name: data(), subpath: None, nocopy: false }),
        mount("/cache", MountSource::Anonymous),
        mount("/scratch", MountSource::Tmpfs { size: Some(1 << 20), mode: Some(0o700) }),
    ];
    launch
}

#[tokio::test]
async fn a_volume_outlives_its_replicas_until_it_is_removed() {
    let world = World::new("volume").await;
    world.runtime.create_volume(&world.key, &data(), &Volume::default()).await.unwrap();
    world.runtime.create_volume(&world.key, &data(), &Volume::default()).await.unwrap();
    let writer = with_volume(&world, "db.1", &["sh", "-c", "echo kept >/data/file; df /scratch | tail -1"]).await;
    world.runtime.start(&writer).await.unwrap();
    assert!(world.log_to_the_end("db.1").await.contains("1024"));
    let inspected = world.inspect("db.1").await;
    let mounts = inspected["Mounts"].as_array().unwrap();
    let anonymous = mounts.iter().find(|mount| mount["Destination"] == "/cache").unwrap()["Name"].as_str().unwrap();

    let in_use = world.runtime.remove_volume(&world.key, &data()).await.unwrap_err();
    assert_eq!(in_use.kind, ErrorKind::Conflict, "{in_use}");
    world.runtime.remove(&world.key, &writer.id, writer.role).await.unwrap();
    assert!(world.docker.inspect_volume(anonymous).await.is_err(), "anonymous volumes go with their replica");

    let reader = with_volume(&world, "db.2", &["cat", "/data/file"]).await;
    world.runtime.start(&reader).await.unwrap();
    assert_eq!(world.log_to_the_end("db.2").await, "kept\n");
    world.runtime.remove(&world.key, &reader.id, reader.role).await.unwrap();
    world.runtime.remove_volume(&world.key, &data()).await.unwrap();
    world.runtime.remove_volume(&world.key, &data()).await.unwrap();
    assert!(world.runtime.observe(&world.key).await.unwrap().volumes.is_empty());
}

#[tokio::test]
async fn a_volume_that_is_missing_is_not_made_by_accident() {
    let world = World::new("volume-missing").await;
    let launch = with_volume(&world, "db.1", &["true"]).await;
    assert_eq!(world.runtime.start(&launch).await.unwrap_err().kind, ErrorKind::NotFound);
    let name = format!("{}_{}_data", world.key.app, world.key.env);
    assert!(world.docker.inspect_volume(&name).await.is_err());
}

#[tokio::test]
async fn an_external_volume_is_used_and_kept() {
    let world = World::new("volume-external").await;
    let outside = "daybook-test-external".to_owned();
    let external = Volume { external: true, outside_name: Some(outside.clone()), ..Default::default() };
    let _ = world.docker.remove_volume(&outside, None::<bollard::query_parameters::RemoveVolumeOptions>).await;
    let missing = world.runtime.create_volume(&world.key, &data(), &external).await.unwrap_err();
    assert_eq!(missing.kind, ErrorKind::NotFound);

    let request = bollard::models::VolumeCreateRequest { name: Some(outside.clone()), ..Default::default() };
    world.docker.create_volume(request).await.unwrap();
    world.runtime.create_volume(&world.key, &data(), &external).await.unwrap();
    let mut launch = with_volume(&world, "db.1", &["sh", "-c", "echo x >/data/file"]).await;
    launch.outside.volumes.insert(data(), outside.clone());
    world.runtime.start(&launch).await.unwrap();
    world.log_to_the_end("db.1").await;
    assert!(world.inspect("db.1").await["Mounts"].to_string().contains(&outside));
    world.clear().await;
    world.runtime.remove_volume(&world.key, &data()).await.unwrap();
    world.docker.inspect_volume(&outside).await.unwrap();
    world.docker.remove_volume(&outside, None::<bollard::query_parameters::RemoveVolumeOptions>).await.unwrap();
}

#[tokio::test]
async fn a_path_is_made_only_where_the_manifest_says_so() {
    let world = World::new("bind").await;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("new/deep");
    let bind =
        |create| MountSource::Bind { path: path.display().to_string(), create, propagation: None, selinux: None };
    let mut launch = world.launch("web.1", BUSYBOX, &["sh", "-c", "echo here >/bound/file"]).await;
    launch.container.mounts = vec![mount("/bound", bind(false))];
    let error = world.runtime.start(&launch).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    assert!(error.message.contains("does not exist"), "{error}");

    launch.container.mounts = vec![mount("/bound", bind(true))];
    world.runtime.start(&launch).await.unwrap();
    world.log_to_the_end("web.1").await;
    assert_eq!(std::fs::read_to_string(path.join("file")).unwrap(), "here\n");
    world.clear().await;
}
