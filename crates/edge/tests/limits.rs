//! What is bounded in time, and what is not.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use common::load::open_socket;
use common::replica::Replica;
use common::{PATIENCE, TestEdge, backend, endpoint, send, server, until, web};
use daybook_edge::Limits;
use daybook_model::route::{Entry, Target};
use daybook_model::spec::Tls;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// What is short in these tests.
const SHORT: Duration = Duration::from_millis(400);

async fn edge(limits: Limits, replica: std::net::SocketAddr) -> TestEdge {
    let edge = TestEdge::start_with(limits).await;
    edge.set(vec![("web", web(vec![endpoint("web.1", replica)]))]).await;
    edge
}

/// Takes requests and says nothing. The count is that of connections on which anything came.
async fn silent_server() -> (std::net::SocketAddr, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let asked = count.clone();
    let serve = move |mut stream: TcpStream| {
        let asked = asked.clone();
        async move {
            let mut buffer = vec![0; 65_536];
            let mut read = stream.read(&mut buffer).await.unwrap_or(0);
            asked.fetch_add(u64::from(read > 0), SeqCst);
            while read > 0 {
                read = stream.read(&mut buffer).await.unwrap_or(0);
            }
        }
    };
    (server(serve).await, count)
}

/// Everything up to the end of the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection is closed");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_replica_that_never_answers_is_waited_for_so_long_and_not_asked_twice() {
    let (address, asked) = silent_server().await;
    let edge = edge(Limits { answer: SHORT, ..Limits::default() }, address).await;
    let get = edge.get("/").await;
    assert_eq!((get.status().as_u16(), &get.body()[..]), (504, &b"504 the replica gave no answer in time\n"[..]));
    let post = Request::post("/").header("host", "a").body(Full::new(Bytes::from_static(b"body"))).unwrap();
    assert_eq!(send(edge.http, post).await.unwrap().status(), 504);
    let refused = open_socket("socket", edge.http).await.unwrap_err();
    assert!(refused.starts_with("HTTP/1.1 504 "), "{refused}");
    assert_eq!(asked.load(SeqCst), 3, "one request each");
    let traffic = edge.traffic().await;
    let replica = &traffic.replicas[&"web.1".parse().unwrap()];
    assert_eq!((replica.failed, replica.in_flight.total()), (3, 0));
    assert_ne!(replica.healthy, Some(false), "its check is good");
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_uploads_and_streams_may_take_longer_than_an_answer() {
    let replica = Replica::start("web.1").await;
    let edge = edge(Limits { answer: SHORT, upload: 2 * SHORT, ..Limits::default() }, replica.address).await;
    let mut events = TcpStream::connect(edge.http).await.unwrap();
    events.write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut socket = open_socket("socket", edge.http).await.unwrap();
    let mut upload = TcpStream::connect(edge.http).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nConnection: close\r\n\r\n";
    upload.write_all(head).await.unwrap();
    for _ in 0..12 {
        sleep(SHORT / 3).await;
        upload.write_all(b"x").await.unwrap();
    }
    let answer = rest(&mut upload).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("web.1 12"), "{answer}");
    socket.write_all(b"\x81\x80\0\0\0\0").await.unwrap();
    socket.read_exact(&mut [0; 6]).await.unwrap();
    let mut frame = [0; 4096];
    for _ in 0..20 {
        assert_ne!(events.read(&mut frame).await.unwrap(), 0);
    }
    let traffic = edge.traffic().await;
    let replica = &traffic.replicas[&"web.1".parse().unwrap()];
    assert_eq!((replica.failed, replica.requests()), (0, 3));
    let slowest = replica.quantile_ms(1.0).unwrap();
    assert!(slowest < 4 * SHORT.as_millis() as u64, "the client's sending is not the replica's time: {slowest} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_an_upload_that_brings_nothing_more_is_ended() {
    let replica = Replica::start("web.1").await;
    let edge = edge(Limits { upload: SHORT, ..Limits::default() }, replica.address).await;
    for head in
        ["Content-Length: 9\r\n\r\nabc", "Content-Length: 9\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nab"]
    {
        let mut stream = TcpStream::connect(edge.http).await.unwrap();
        stream.write_all(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}").as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{head:?}: {answer}");
        assert!(answer.contains("connection: close\r\n") && answer.ends_with("408 nothing more of the request came\n"));
    }
    let traffic = edge.traffic().await;
    let counts = &traffic.replicas[&"web.1".parse().unwrap()];
    assert_eq!((counts.failed, counts.in_flight.total()), (0, 0), "it is not the replica's fault");
    assert_eq!(edge.get("/").await.status(), 200);
}

/// The replica answers an upload before it has come; then the client stops sending.
#[tokio::test(flavor = "multi_thread")]
async fn r09_an_upload_that_was_answered_already_is_ended_too() {
    let replica = server(|mut stream| async move {
        let mut buffer = [0; 4096];
        if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nearly").await;
            while stream.read(&mut buffer).await.unwrap_or(0) > 0 {}
        }
    });
    let edge = edge(Limits { upload: SHORT, ..Limits::default() }, replica.await).await;
    let mut stream = TcpStream::connect(edge.http).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc").await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("early"), "{answer}");
    until("nothing is in flight", async || edge.in_flight("web.1").await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_head_that_does_not_come_to_its_end_is_not_waited_for() {
    let replica = Replica::start("web.1").await;
    let edge = edge(Limits { head: SHORT, ..Limits::default() }, replica.address).await;
    let mut slow = TcpStream::connect(edge.http).await.unwrap();
    let began = b"GET / HTTP/1.1\r\nHost: a\r\n";
    let mut quiet = TcpStream::connect(edge.http).await.unwrap();
    // A line from time to time, as slowloris sends them.
    let lines = async {
        let _ = slow.write_all(began).await;
        while slow.write_all(b"x: y\r\n").await.is_ok() {
            sleep(SHORT / 8).await;
        }
    };
    timeout(PATIENCE, lines).await.expect("the connection is closed");
    assert_eq!(rest(&mut quiet).await, "", "nothing at all is no more patient");
    assert_eq!(replica.requests(), 0);
}

/// A connection is idle for a while between two requests, but not forever.
#[tokio::test(flavor = "multi_thread")]
async fn r09_an_idle_connection_is_closed() {
    let replica = Replica::start("web.1").await;
    let edge = edge(Limits { idle: SHORT, ..Limits::default() }, replica.address).await;
    let mut stream = TcpStream::connect(edge.http).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.ends_with("web.1 0"));
}

/// Sends an answer that never ends, and counts what the edge took of it.
async fn endless_server() -> (std::net::SocketAddr, Arc<AtomicU64>) {
    let ended = Arc::new(AtomicU64::new(0));
    let count = ended.clone();
    let serve = move |mut stream: TcpStream| {
        let count = count.clone();
        async move {
            if stream.read(&mut [0; 4096]).await.unwrap_or(0) == 0 {
                return;
            }
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n";
            if stream.write_all(head).await.is_ok() {
                while stream.write_all(&[0; 65_536]).await.is_ok() {}
                count.fetch_add(1, SeqCst);
            }
        }
    };
    (server(serve).await, ended)
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_a_client_that_takes_nothing_is_cut_off() {
    let (address, ended) = endless_server().await;
    let edge = edge(Limits { stall: SHORT, ..Limits::default() }, address).await;
    let mut stream = TcpStream::connect(edge.http).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    until("the replica is let go", async || ended.load(SeqCst) == 1).await;
    until("nothing is in flight", async || edge.in_flight("web.1").await == 0).await;
}

/// The replica of a WebSocket echoes what the client sends and does not read.
#[tokio::test(flavor = "multi_thread")]
async fn r09_a_socket_that_takes_nothing_is_cut_off() {
    let replica = Replica::start("web.1").await;
    let edge = edge(Limits { stall: SHORT, ..Limits::default() }, replica.address).await;
    let mut socket = open_socket("socket", edge.http).await.unwrap();
    let frame = [&b"\x82\xfe\x10\x00\0\0\0\0"[..], &[7; 4096]].concat().repeat(16);
    let send = async { while socket.write_all(&frame).await.is_ok() {} };
    timeout(PATIENCE, send).await.expect("the connection is closed");
    until("nothing is in flight", async || edge.in_flight("web.1").await == 0).await;
}

/// A stream of HTTP/2 whose window is kept shut, on a connection that fares well.
#[tokio::test(flavor = "multi_thread")]
async fn r09_a_stream_that_takes_nothing_is_reset_alone() {
    let (address, ended) = endless_server().await;
    let edge = TestEdge::start_with(Limits { stall: SHORT, ..Limits::default() }).await;
    let replica = Replica::start("api.1").await;
    let api = Entry::Domain { host: "*".into(), path: "/events".into(), port: 80, tls: Tls::Off };
    let api = backend(vec![api], Target::Endpoints(vec![endpoint("api.1", replica.address)]));
    edge.set(vec![("web", web(vec![endpoint("web.1", address)])), ("api", api)]).await;
    let mut sender = http2(edge.http).await;
    let mut get = async |path: &str| {
        let request = Request::get(format!("http://shop.example{path}")).body(Full::<Bytes>::default()).unwrap();
        sender.send_request(request).await.unwrap()
    };
    let mut shut = get("/").await.into_body();
    let events = get("/events").await;
    until("the replica is let go", async || ended.load(SeqCst) == 1).await;
    until("nothing is in flight there", async || edge.in_flight("web.1").await == 0).await;
    let error = loop {
        match timeout(PATIENCE, shut.frame()).await.expect("it has ended").expect("it has not ended well") {
            Ok(_) => {}
            Err(error) => break format!("{error:?}"),
        }
    };
    assert!(error.contains("CANCEL"), "{error}");
    let mut events = events.into_body();
    for _ in 0..3 {
        events.frame().await.unwrap().expect("the other stream goes on");
    }
    assert_eq!(get("/events").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_an_idle_connection_of_http2_is_told_to_go() {
    let replica = Replica::start("web.1").await;
    let edge = edge(Limits { idle: SHORT, ..Limits::default() }, replica.address).await;
    let mut sender = http2(edge.http).await;
    let request = Request::get("http://shop.example/").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    until("the connection has ended", async || sender.is_closed()).await;
}

async fn http2(to: std::net::SocketAddr) -> SendRequest<Full<Bytes>> {
    let stream = TokioIo::new(TcpStream::connect(to).await.unwrap());
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// An event stream with nothing to tell is not a stalled one.
#[tokio::test(flavor = "multi_thread")]
async fn r09_a_quiet_event_stream_is_left_alone() {
    let replica = server(|mut stream| async move {
        if stream.read(&mut [0; 4096]).await.unwrap_or(0) == 0 {
            return;
        }
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n";
        let _ = stream.write_all(head).await;
        sleep(6 * SHORT).await;
        let _ = stream.write_all(b"data: 2\n\n").await;
    });
    let limits = Limits { head: SHORT, idle: SHORT, upload: SHORT, answer: SHORT, stall: SHORT };
    let edge = edge(limits, replica.await).await;
    let mut stream = TcpStream::connect(edge.http).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.contains("data: 1\n\n") && answer.contains("data: 2\n\n"), "{answer}");
}
