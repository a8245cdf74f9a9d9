//! Tables over the control socket: what is taken, what is refused, what survives.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use common::replica::Replica;
use common::{TestEdge, at, backend, endpoint, free_address, program, until, web};
use daybook_edge::{Client, ClientError, ensure_running};
use daybook_model::route::{Speaks, Target};

#[tokio::test(flavor = "multi_thread")]
async fn an_older_table_is_refused() {
    let edge = TestEdge::start().await;
    edge.set(vec![]).await;
    let error = edge.client.set_table(&common::table(1, vec![])).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused(_)) && !error.is_transient());
    assert_eq!(error.to_string(), "the edge refused the table: table 1 is not newer than table 1, which is in force");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_refuses_the_table_and_names_who_has_it() {
    let edge = TestEdge::start().await;
    let replica = Replica::start("web.1").await;
    edge.set(vec![("web", web(vec![endpoint("web.1", replica.address)]))]).await;
    let before = edge.client.table().await.unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let target = Target::Endpoints(vec![endpoint("db.1", replica.address)]);
    let (free, table) = (free_address(), before.version + 1);
    let table =
        common::table(table, vec![("db", backend(vec![at(free, Speaks::Tcp), at(address, Speaks::Tcp)], target))]);
    let error = edge.client.set_table(&table).await.unwrap_err().to_string();
    let want = format!("listen at {address}: the port is taken by process {} (", std::process::id());
    assert!(error.contains(&want), "{error}");
    assert_eq!(edge.client.table().await.unwrap(), before);
    assert_eq!(edge.get("/").await.status(), 200);
    // What was bound for the refused table was given back.
    std::net::TcpListener::bind(free).unwrap();
    drop(taken);
    edge.client.set_table(&table).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_and_a_service_address_share_a_port() {
    let edge = TestEdge::start().await;
    let (one, two) = (Replica::start("one.1").await, Replica::start("two.1").await);
    let port = free_address().port();
    let any = format!("0.0.0.0:{port}").parse().unwrap();
    let own = format!("127.64.0.9:{port}").parse().unwrap();
    let service = |listen, name, replica: &Replica| {
        backend(vec![at(listen, Speaks::Http)], Target::Endpoints(vec![endpoint(name, replica.address)]))
    };
    edge.set(vec![("one", service(any, "one.1", &one)), ("two", service(own, "two.1", &two))]).await;
    for (address, name) in [(format!("127.0.0.1:{port}"), "one.1"), (format!("127.64.0.9:{port}"), "two.1")] {
        let request = http::Request::get("/").header("host", "x").body(Default::default()).unwrap();
        let answer = common::send(address.parse().unwrap(), request).await.unwrap();
        assert_eq!(answer.headers()["x-replica"], name);
    }
    edge.set(vec![("two", service(own, "two.1", &two))]).await;
    until("the removed address is closed", async || std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r06_after_a_kill_requests_are_held_until_the_first_check_is_good() {
    let mut edge = TestEdge::start().await;
    let replica = Replica::start("web.1").await;
    let address = replica.address;
    edge.set(vec![("web", web(vec![endpoint("web.1", address)]))]).await;
    assert_eq!(edge.get("/").await.status(), 200);
    edge.kill();
    drop(replica);
    edge.restart().await;
    let http = edge.http;
    let held = tokio::spawn(async move {
        let request = http::Request::get("/").header("host", "x").body(Default::default()).unwrap();
        common::send(http, request).await.unwrap()
    });
    until("the request is held", async || edge.traffic().await.held.values().sum::<u64>() == 1).await;
    let _replica = Replica::start_at("web.1", address).await;
    assert_eq!(held.await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn held_requests_go_to_the_replica_of_the_next_table() {
    let edge = TestEdge::start().await;
    let mut holding = web(vec![]);
    holding.hold_ms = Some(30_000);
    edge.set(vec![("web", holding)]).await;
    let http = edge.http;
    let held: Vec<_> = (0..20)
        .map(|_| {
            let request = http::Request::post("/").header("host", "x").body("body".into()).unwrap();
            tokio::spawn(common::send(http, request))
        })
        .collect();
    until("all are held", async || edge.traffic().await.held.values().sum::<u64>() == 20).await;
    let replica = Replica::start("web.1").await;
    edge.set(vec![("web", web(vec![endpoint("web.1", replica.address)]))]).await;
    for held in held {
        let answer = held.await.unwrap().unwrap();
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"web.1 4"[..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_was_held_too_long_is_told_when_to_come_back() {
    let edge = TestEdge::start().await;
    let mut holding = web(vec![]);
    holding.hold_ms = Some(50);
    edge.set(vec![("web", holding)]).await;
    let answer = edge.get("/").await;
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    assert_eq!(edge.traffic().await.unserved["web"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_a_damaged_table_is_named_and_the_one_before_is_served() {
    let mut edge = TestEdge::start().await;
    let (one, two) = (Replica::start("web.1").await, Replica::start("web.2").await);
    edge.set(vec![("web", web(vec![endpoint("web.1", one.address)]))]).await;
    edge.set(vec![("web", web(vec![endpoint("web.2", two.address)]))]).await;
    edge.kill();
    let file = edge.directory.path().join("edge").join("table.json");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x20;
    std::fs::write(&file, bytes).unwrap();
    edge.restart().await;
    let status = edge.client.status().await.unwrap();
    assert_eq!(status.table_version, 1);
    assert!(status.damage[0].contains("table.json is damaged: its checksum does not match"), "{:?}", status.damage);
    assert_eq!(edge.get("/").await.headers()["x-replica"], "web.1");
    edge.set(vec![("web", web(vec![endpoint("web.2", two.address)]))]).await;
    assert_eq!(edge.get("/").await.headers()["x-replica"], "web.2");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_come_at_once_start_one_edge() {
    let directory = tempfile::tempdir().unwrap();
    let (http, https) = (free_address(), free_address());
    let callers = (0..6).map(|_| async {
        let client = ensure_running(&program(), directory.path(), &[http], &[https]).await.unwrap();
        client.status().await.unwrap().pid
    });
    let pids = futures::future::join_all(callers).await;
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    let client = Client::new(directory.path());
    client.stop().await.unwrap();
    until("it has ended", async || client.status().await.is_err()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_cannot_start_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let error = ensure_running(std::path::Path::new("/bin/false"), directory.path(), &[], &[]).await.unwrap_err();
    assert!(error.to_string().starts_with("the edge ended at once (exit status: 1)"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r03_a_program_that_is_no_edge_leaves_the_present_one_serving() {
    let edge = TestEdge::start().await;
    let replica = Replica::start("web.1").await;
    edge.set(vec![("web", web(vec![endpoint("web.1", replica.address)]))]).await;
    let error = edge.client.upgrade(std::path::Path::new("/bin/false")).await.unwrap_err();
    assert!(error.to_string().contains("the next generation ended"), "{error}");
    assert_eq!(edge.get("/").await.status(), 200);
    edge.set(vec![("web", web(vec![endpoint("web.1", replica.address)]))]).await;
    assert_eq!(edge.client.status().await.unwrap().generation, 1);
}
