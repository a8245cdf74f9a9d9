//! Connections that are forwarded as bytes, and what happens at the drain bound.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use common::load::open_socket;
use common::replica::Replica;
use common::{TestEdge, at, backend, endpoint, free_address, until, web};
use daybook_model::route::{Speaks, Target};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Speaks first, like many databases do, then echoes until the other side has finished.
async fn banner_server() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let _ = stream.write_all(b"welcome\n").await;
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_forwarded_both_ways_and_half_closed() {
    let edge = TestEdge::start().await;
    let server = banner_server().await;
    for speaks in [Speaks::Tcp, Speaks::Detect] {
        let listen = free_address();
        edge.set(vec![("db", backend(vec![at(listen, speaks)], Target::Endpoints(vec![endpoint("db.1", server)])))])
            .await;
        let mut stream = TcpStream::connect(listen).await.unwrap();
        let mut banner = [0; 8];
        stream.read_exact(&mut banner).await.unwrap();
        assert_eq!(&banner, b"welcome\n");
        assert_eq!(edge.in_flight("db.1").await, 1);
        stream.write_all(&[9; 100_000]).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut echo = Vec::new();
        stream.read_to_end(&mut echo).await.unwrap();
        assert_eq!(echo, vec![9; 100_000]);
        until("nothing is in flight", async || edge.in_flight("db.1").await == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn detection_tells_http_from_bytes() {
    let edge = TestEdge::start().await;
    let replica = Replica::start("web.1").await;
    let listen = free_address();
    let target = Target::Endpoints(vec![endpoint("web.1", replica.address)]);
    edge.set(vec![("web", backend(vec![at(listen, Speaks::Detect)], target))]).await;
    let answer = common::raw(listen, b"GET / HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("web.1 0"), "{answer}");
    let traffic = edge.traffic().await;
    assert_eq!(traffic.replicas[&"web.1".parse().unwrap()].by_status[1], 1, "it was counted as a request");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_bound_streams_end_sockets_are_closed_and_connections_are_cut() {
    let edge = TestEdge::start().await;
    let replica = Replica::start("web.1").await;
    let listen = free_address();
    let entries = || vec![common::any_host(), at(listen, Speaks::Tcp)];
    let target = Target::Endpoints(vec![endpoint("web.1", replica.address)]);
    edge.set(vec![("web", backend(entries(), target))]).await;

    let mut socket = open_socket("socket", edge.http).await.unwrap();
    let stream = TcpStream::connect(edge.http).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("/events").header("host", "a").body(Full::<bytes::Bytes>::default()).unwrap();
    let mut events = sender.send_request(request).await.unwrap().into_body();
    events.frame().await.unwrap().unwrap();
    let mut connection = TcpStream::connect(listen).await.unwrap();
    until("all three are in flight", async || edge.in_flight("web.1").await == 3).await;
    let traffic = edge.traffic().await.replicas[&"web.1".parse().unwrap()].in_flight;
    assert_eq!((traffic.streams, traffic.upgraded, traffic.connections), (1, 1, 1));

    let next = Replica::start("web.2").await;
    let target = Target::Endpoints(vec![endpoint("web.2", next.address)]);
    edge.set(vec![("web", backend(entries(), target))]).await;
    while let Some(frame) = events.frame().await {
        frame.expect("the stream ends as a whole message");
    }
    let mut close = [0; 4];
    socket.read_exact(&mut close).await.unwrap();
    assert_eq!(close, [0x88, 0x02, 0x03, 0xf4]);
    assert_eq!(connection.read(&mut [0; 1]).await.unwrap_or(0), 0);
    until("the old replica has drained", async || edge.in_flight("web.1").await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_outlasts_the_swap() {
    let edge = TestEdge::start().await;
    let replica = Replica::start("web.1").await;
    edge.set(vec![("web", web(vec![endpoint("web.1", replica.address)]))]).await;
    let mut stream = TcpStream::connect(edge.http).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nab").await.unwrap();
    until("the upload is in flight", async || edge.in_flight("web.1").await == 1).await;
    let next = Replica::start("web.2").await;
    edge.set(vec![("web", web(vec![endpoint("web.2", next.address)]))]).await;
    assert_eq!(edge.get("/").await.headers()["x-replica"], "web.2");
    assert_eq!(edge.in_flight("web.1").await, 1);
    stream.write_all(b"cd").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("web.1 4"), "{answer}");
    until("the old replica has drained", async || edge.in_flight("web.1").await == 0).await;
}
