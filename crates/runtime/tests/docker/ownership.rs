//! Only what carries our labels is ours, and what is ours is found again by them.

use std::net::IpAddr;

use bollard::models::{ContainerCreateBody, VolumeCreateRequest};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptions, RemoveVolumeOptions};
use daybook_model::spec::Volume;
use daybook_runtime::docker::{Config, DockerRuntime};
use daybook_runtime::{ErrorKind, Runtime};

use crate::support::{BUSYBOX, World, on_default, socket};

const IDLE: [&str; 3] = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"];

#[tokio::test]
async fn what_is_not_ours_is_never_touched() {
    let world = World::new("foreign").await;
    let (container, volume) = ("docker-foreign-test-web-1", "docker-foreign_test_data");
    let _ = world.docker.remove_container(container, None::<RemoveContainerOptions>).await;
    let _ = world.docker.remove_volume(volume, None::<RemoveVolumeOptions>).await;
    let body = ContainerCreateBody { image: Some(BUSYBOX.into()), ..Default::default() };
    let named = CreateContainerOptionsBuilder::default().name(container).build();
    world.docker.create_container(Some(named), body).await.unwrap();
    let request = VolumeCreateRequest { name: Some(volume.into()), ..Default::default() };
    world.docker.create_volume(request).await.unwrap();

    let launch = world.launch("web.1", BUSYBOX, &IDLE).await;
    let error = world.runtime.start(&launch).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains(container) && error.message.contains("not ours"), "{error}");
    for error in [
        world.runtime.stop(&world.key, &launch.id, launch.role, &launch.stop).await.unwrap_err(),
        world.runtime.remove(&world.key, &launch.id, launch.role).await.unwrap_err(),
        world.runtime.create_volume(&world.key, &"data".parse().unwrap(), &Volume::default()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
    }
    world.runtime.remove_volume(&world.key, &"data".parse().unwrap()).await.unwrap();
    let seen = world.runtime.observe(&world.key).await.unwrap();
    assert_eq!((seen.replicas.len(), seen.volumes.len()), (0, 0));

    world.docker.remove_container(container, None::<RemoveContainerOptions>).await.unwrap();
    world.docker.remove_volume(volume, None::<RemoveVolumeOptions>).await.unwrap();
}

#[tokio::test]
async fn two_environments_with_one_name_between_them_do_not_mix() {
    let one = World::new("mix-a").await;
    let mut launch = one.launch("web.1", BUSYBOX, &IDLE).await;
    launch.key = "docker-mix/a-test".parse().unwrap();
    one.runtime.start(&launch).await.unwrap();
    // The same container name, of app `docker-mix-a` and environment `test`.
    let error = one.runtime.start(&one.launch("web.1", BUSYBOX, &IDLE).await).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Conflict);
    assert!(error.message.contains("docker-mix/a-test"), "{error}");
    one.runtime.stop(&launch.key, &launch.id, launch.role, &launch.stop).await.unwrap();
    one.runtime.remove(&launch.key, &launch.id, launch.role).await.unwrap();
}

#[tokio::test]
async fn r14_everything_is_found_again_without_our_state() {
    let world = World::new("adopt").await;
    world.network("default").await;
    world.runtime.create_volume(&world.key, &"data".parse().unwrap(), &Volume::default()).await.unwrap();
    let address: IpAddr =
        world.runtime.service_address(&world.key, &"api".parse().unwrap()).await.unwrap().expect("run as root");
    let mut launch = world.launch("web.7", BUSYBOX, &IDLE).await;
    launch.container.networks = on_default();
    launch.hosts = vec![("api".into(), address)];
    world.runtime.start(&launch).await.unwrap();
    let before = world.runtime.observe(&world.key).await.unwrap();

    let empty = tempfile::tempdir().unwrap();
    let config = Config { socket: Some(socket()), state: empty.path().to_owned() };
    let another = DockerRuntime::connect(config).await.unwrap();
    assert!(another.environments().await.unwrap().contains(&world.key));
    let after = another.observe(&world.key).await.unwrap();
    assert_eq!(after, before);
    let replica = &after.replicas[0];
    assert_eq!((&replica.id, &replica.fingerprint), (&launch.id, &launch.fingerprint));
    assert_eq!((replica.release, replica.run), (launch.release, launch.run));
    assert_eq!(replica.artifact, launch.artifact);
    assert_eq!(another.service_address(&world.key, &"api".parse().unwrap()).await.unwrap(), Some(address));
    another.start(&launch).await.unwrap();
    assert_eq!(another.observe(&world.key).await.unwrap(), before);
    another.release_addresses(&world.key).await.unwrap();
    world.clear().await;
}
