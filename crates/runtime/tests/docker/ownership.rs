//! Only what carries our labels is ours, and what is ours is found again by them.

use std::net::IpAddr;
use std::path::Path;

use bollard::models::{ContainerCreateBody, VolumeCreateRequest};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptions, RemoveVolumeOptions};
use daybook_model::spec::{Network, Volume};
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

    let lost = world.state.path().to_owned();
    std::fs::remove_dir_all(&lost).unwrap();
    let empty = tempfile::tempdir().unwrap();
    let another = connect(empty.path()).await;
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
    another.release(&world.key).await.unwrap();

    // Made anew at its place, the directory is the owner again, and nobody else.
    std::fs::create_dir(&lost).unwrap();
    let again = connect(&lost).await;
    assert_eq!(again.observe(&world.key).await.unwrap(), before);
    assert_eq!(another.observe(&world.key).await.unwrap_err().kind, ErrorKind::Conflict);
    world.clear().await;
}

#[tokio::test]
async fn r15_what_another_living_daybook_owns_is_left_alone_until_it_is_taken_over_by_name() {
    let owner = World::new("two-owners").await;
    let key = &owner.key;
    owner.network("default").await;
    owner.runtime.create_volume(key, &"data".parse().unwrap(), &Volume::default()).await.unwrap();
    let launch = owner.launch("web.1", BUSYBOX, &IDLE).await;
    owner.runtime.start(&launch).await.unwrap();
    let before = owner.runtime.observe(key).await.unwrap();

    let state = tempfile::tempdir().unwrap();
    let other = connect(state.path()).await;
    assert!(!other.environments().await.unwrap().contains(key));
    let known = other.others().await.unwrap().remove(key).expect("it is another's");
    assert_eq!(known.state, owner.state.path().canonicalize().unwrap());
    let second = owner.launch("web.2", BUSYBOX, &IDLE).await;
    let (network, volume) = ("default".parse().unwrap(), "data".parse().unwrap());
    for error in [
        other.observe(key).await.unwrap_err(),
        other.create_network(key, &network, &Network::default()).await.unwrap_err(),
        other.create_volume(key, &volume, &Volume::default()).await.unwrap_err(),
        other.start(&launch).await.unwrap_err(),
        other.stop(key, &launch.id, launch.role, &launch.stop).await.unwrap_err(),
        other.remove(key, &launch.id, launch.role).await.unwrap_err(),
        other.remove_network(key, &network).await.unwrap_err(),
        other.remove_volume(key, &volume).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, ErrorKind::Conflict, "{error}");
        assert!(error.message.contains(&known.state.display().to_string()), "{error}");
        assert!(error.hint.as_ref().unwrap().contains("daybook env adopt"), "{error:?}");
    }
    assert_eq!(owner.runtime.observe(key).await.unwrap(), before);

    // Its server would go on with it.
    let socket = std::os::unix::net::UnixListener::bind(owner.state.path().join("daybook.sock")).unwrap();
    assert_eq!(other.take_over(key).await.unwrap_err().kind, ErrorKind::Conflict);
    drop(socket);
    other.take_over(key).await.unwrap();
    assert!(!other.others().await.unwrap().contains_key(key));
    assert_eq!(other.observe(key).await.unwrap(), before);
    assert_eq!(other.take_over(key).await.unwrap_err().kind, ErrorKind::NotFound);
    // What the new owner makes is not the old one's any more.
    other.start(&second).await.unwrap();
    assert_eq!(owner.runtime.observe(key).await.unwrap_err().kind, ErrorKind::Conflict);
    let taken = World { runtime: other, state, key: key.clone(), docker: owner.docker };
    taken.clear().await;
}

async fn connect(state: &Path) -> DockerRuntime {
    DockerRuntime::connect(Config { socket: Some(socket()), state: state.to_owned(), logins: None }).await.unwrap()
}
