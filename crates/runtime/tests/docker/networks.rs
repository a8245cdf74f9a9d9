//! Names and addresses between containers.

use std::net::{IpAddr, Ipv4Addr};

use daybook_model::launch::Role;
use daybook_model::spec::{Attachment, CheckTest, Network};
use daybook_runtime::Runtime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{APP, BUSYBOX, World, check, on_default};

const IDLE: [&str; 3] = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"];

#[tokio::test]
async fn services_reach_each_other_by_name() {
    let world = World::new("alias").await;
    world.network("default").await;
    let mut web = world.app("web.1").await;
    let attachment = Attachment { aliases: vec!["www".into()], ..Default::default() };
    web.container.networks = [("default".parse().unwrap(), attachment)].into_iter().collect();
    web.environment = vec![("MESSAGE".into(), "from web".into())];
    world.runtime.start(&web).await.unwrap();
    world.ready("web.1", &web.check).await;
    let mut client = world.launch("client.1", BUSYBOX, &IDLE).await;
    client.container.networks = on_default();
    world.runtime.start(&client).await.unwrap();
    for name in ["web", "www"] {
        let (text, code) = world.run("client.1", &["wget", "-qO-", &format!("http://{name}:8080/")]).await;
        assert_eq!((text.as_str(), code), ("from web", 0), "{name}");
    }

    // A hook has no name: nobody should reach it.
    let mut hook = world.app("web.2").await;
    (hook.role, hook.container.networks) = (Role::Hook, on_default());
    world.runtime.start(&hook).await.unwrap();
    let (addresses, _) = world.run("client.1", &["nslookup", "web"]).await;
    assert!(addresses.contains(&world.replica("web.1").await.address.unwrap().to_string()), "{addresses}");
    assert!(!addresses.contains(&world.replica("web.2").await.address.unwrap().to_string()), "{addresses}");
    world.clear().await;
}

#[tokio::test]
async fn a_service_is_reached_at_its_address_and_by_no_other_name() {
    let world = World::new("address").await;
    world.network("default").await;
    let service = "web".parse().unwrap();
    let address = world.runtime.service_address(&world.key, &service).await.unwrap();
    let Some(address) = address else {
        panic!("the tests must be run by root, so that services can have addresses");
    };
    assert_eq!(world.runtime.service_address(&world.key, &service).await.unwrap(), Some(address));
    let other = world.runtime.service_address(&world.key, &"api".parse().unwrap()).await.unwrap();
    assert_ne!(other, Some(address));

    // Something that stands for the edge.
    let edge = tokio::net::TcpListener::bind((address, 8080)).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = edge.accept().await {
            // Closing before the request was read would reset the connection.
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                assert_ne!(connection.read_buf(&mut request).await.unwrap(), 0);
            }
            connection.write_all(b"HTTP/1.0 200 OK\r\n\r\nfrom the edge").await.unwrap();
        }
    });
    let mut web = world.app("web.1").await;
    web.container.networks = on_default();
    world.runtime.start(&web).await.unwrap();
    let mut client = world.launch("client.1", BUSYBOX, &IDLE).await;
    client.container.networks = on_default();
    client.hosts = vec![("web".into(), address)];
    world.runtime.start(&client).await.unwrap();
    let (text, _) = world.run("client.1", &["wget", "-qO-", "http://web:8080/"]).await;
    assert_eq!(text, "from the edge");
    // The daemon's own names must not lead past the edge.
    let (found, _) = world.run("client.1", &["nslookup", "web", "127.0.0.11"]).await;
    assert!(!found.contains(&world.replica("web.1").await.address.unwrap().to_string()), "{found}");

    world.clear().await;
    assert!(std::net::UdpSocket::bind((address, 0)).is_err(), "the address is given back");
}

#[tokio::test]
async fn in_an_internal_network_names_lead_to_replicas() {
    let world = World::new("internal").await;
    let internal = Network { internal: true, ..Default::default() };
    world.runtime.create_network(&world.key, &"default".parse().unwrap(), &internal).await.unwrap();
    let nobody = IpAddr::V4(Ipv4Addr::new(198, 18, 255, 1));
    for id in ["web.1", "client.1"] {
        let mut launch = world.launch(id, if id == "web.1" { APP } else { BUSYBOX }, &[]).await;
        launch.container.command = (id != "web.1").then(|| IDLE.map(str::to_owned).to_vec());
        launch.container.networks = on_default();
        launch.hosts = vec![("web".into(), nobody)];
        world.runtime.start(&launch).await.unwrap();
    }
    world.ready("web.1", &check(CheckTest::Tcp { port: 8080 })).await;
    assert_eq!(world.run("client.1", &["wget", "-qO-", "http://web:8080/"]).await, ("hello\n".into(), 0));
    world.clear().await;
}

#[tokio::test]
async fn a_container_is_on_all_its_networks_or_in_anothers() {
    let world = World::new("networks").await;
    world.network("front").await;
    let subnet = Network { subnets: vec![("10.231.77.0/24".into(), None)], ..Default::default() };
    world.runtime.create_network(&world.key, &"back".parse().unwrap(), &subnet).await.unwrap();
    world.runtime.create_network(&world.key, &"back".parse().unwrap(), &subnet).await.unwrap();
    let mut web = world.app("web.1").await;
    let fixed = Attachment { ipv4: Some("10.231.77.7".into()), priority: 5, ..Default::default() };
    web.container.networks =
        [("front".parse().unwrap(), Attachment::default()), ("back".parse().unwrap(), fixed)].into_iter().collect();
    world.runtime.start(&web).await.unwrap();
    let networks = world.inspect("web.1").await["NetworkSettings"]["Networks"].clone();
    let prefix = format!("{}_{}", world.key.app, world.key.env);
    assert_eq!(networks[format!("{prefix}_back")]["IPAddress"], "10.231.77.7");
    assert_ne!(networks[format!("{prefix}_front")]["IPAddress"], "");

    let mut sidecar = world.launch("sidecar.1", BUSYBOX, &IDLE).await;
    sidecar.container.options.network_mode = Some("service:web".into());
    sidecar.hosts = vec![("other".into(), Ipv4Addr::new(198, 18, 0, 1).into())];
    world.runtime.start(&sidecar).await.unwrap();
    world.ready("web.1", &web.check).await;
    assert_eq!(world.run("sidecar.1", &["wget", "-qO-", "http://127.0.0.1:8080/"]).await.0, "hello\n");
    assert_eq!(world.replica("sidecar.1").await.address, world.replica("web.1").await.address);

    let mut on_host = world.launch("host.1", BUSYBOX, &IDLE).await;
    on_host.container.options.network_mode = Some("host".into());
    world.runtime.start(&on_host).await.unwrap();
    assert_eq!(world.replica("host.1").await.address, Some(Ipv4Addr::LOCALHOST.into()));
    let mut alone = world.launch("alone.1", BUSYBOX, &IDLE).await;
    alone.container.options.network_mode = Some("none".into());
    world.runtime.start(&alone).await.unwrap();
    assert_eq!(world.replica("alone.1").await.address, None);
    world.clear().await;
}
