//! HTTP through the edge: what is passed, what is changed, what is refused.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use bytes::Bytes;
use common::replica::Replica;
use common::{TestEdge, any_host, backend, endpoint, raw, send, server, until, web};
use daybook_model::route::{Entry, Target};
use daybook_model::spec::Tls;
use http::Request;
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

async fn edge_with_a_replica() -> (TestEdge, Replica) {
    let edge = TestEdge::start().await;
    let replica = Replica::start("web.1").await;
    edge.set(vec![("web", web(vec![endpoint("web.1", replica.address)]))]).await;
    (edge, replica)
}

/// Requests that two servers could read in two ways, or that no server should read.
const AMBIGUOUS: [&str; 37] = [
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\nX",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nXY",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\nXY",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nX",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nX",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: one\r\n two\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n folded: yes\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX\0Y: z\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nno-colon\r\n\r\n",
    "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "GET x HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nX",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\nX",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 1\r\n\r\nX",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\n\x0cTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET / HTTP/1.1\nHost: a\n\n",
    "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\n",
];

#[tokio::test(flavor = "multi_thread")]
async fn r09_ambiguous_requests_are_refused_and_never_forwarded() {
    let (edge, replica) = edge_with_a_replica().await;
    for request in AMBIGUOUS {
        // A second request that must not be answered as if it were one.
        let smuggled = format!("{request}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = raw(edge.http, smuggled.as_bytes()).await;
        let status = answer.get(9..12).unwrap_or("none").to_owned();
        assert!(["400", "405", "501", "505", "none"].contains(&status.as_str()), "{request:?} was answered {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), usize::from(status != "none"), "{request:?}: {answer}");
    }
    assert_eq!(replica.requests(), 0, "{:?}", replica.seen.lock().unwrap());
}

/// The head of a request that comes with the one before it is looked at as closely.
#[tokio::test(flavor = "multi_thread")]
async fn r09_an_ambiguous_request_is_refused_wherever_it_comes_on_its_connection() {
    let (edge, replica) = edge_with_a_replica().await;
    let ambiguous = AMBIGUOUS[0];
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\nX: y\r\n\r\nX: y\r\n\r\nX: y\r\n\r\nX: y\n";
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nX\r\n0\r\n\r\n";
    for before in [get.to_owned(), post.to_owned(), chunked.to_owned(), [get, post, get, chunked].concat()] {
        let sent = before.matches("HTTP/1.1").count() as u64;
        let had = replica.requests();
        let answer = raw(edge.http, format!("{before}{ambiguous}{get}").as_bytes()).await;
        assert!(replica.requests() - had <= sent, "{before:?}: {answer}");
        assert!(answer.matches("HTTP/1.1 200").count() as u64 <= sent, "{before:?}: {answer}");
        let is_last = answer.contains("HTTP/1.1 400") || answer.contains("connection: close\r\n");
        assert!(is_last, "{before:?}: {answer}");
    }
}

/// What looks like a head within a body is none, and one upload after the other goes over one connection.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_look_like_heads_are_only_bodies() {
    let (edge, _replica) = edge_with_a_replica().await;
    let part = "--b\r\nContent-Length: 1\r\n\r\nX\r\n--b--\n\r\n\r\n";
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x};ext=1\r\n{part}\r\n0\r\n\r\n",
        part.len()
    );
    let sized = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{part}", part.len());
    let mut stream = tokio::net::TcpStream::connect(edge.http).await.unwrap();
    let want = format!("web.1 {}", part.len());
    for request in [&chunked, &chunked, &sized, &chunked, &sized] {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with(&want) {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0, "{answer}");
            answer.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_broken_chunks_never_become_a_whole_request() {
    let (edge, _replica) = edge_with_a_replica().await;
    for body in [
        "zz\r\nX\r\n0\r\n\r\n",
        "5\r\nXX\r\n0\r\n\r\n",
        "1\r\nXY\r\n0\r\n\r\n",
        "1;\n\r\nX\r\n0\r\n\r\n",
        "-1\r\nX\r\n0\r\n\r\n",
        "1\nX\r\n0\r\n\r\n",
        "1\r\nX\n0\r\n\r\n",
        "0x1\r\nX\r\n0\r\n\r\n",
        "1 1\r\nX\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nX\r\n0\r\n\r\n",
        "\r\nX\r\n0\r\n\r\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let mut stream = tokio::net::TcpStream::connect(edge.http).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(!answer.starts_with("HTTP/1.1 200"), "{body:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r09_heads_are_bounded() {
    let (edge, replica) = edge_with_a_replica().await;
    let many: String = (0..2000).map(|i| format!("x-{i}: y\r\n")).collect();
    let long = "y".repeat(200_000);
    for (head, want) in [
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nx: {long}\r\n\r\n"), "431"),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), "4"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(edge.http).await.unwrap();
        // The edge may answer and close before all was written.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = vec![0; 12];
        if stream.read_exact(&mut answer).await.is_ok() {
            assert!(String::from_utf8_lossy(&answer[9..]).starts_with(want), "{answer:?}");
        }
    }
    assert_eq!(replica.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_told_about_the_client_and_not_about_its_connection() {
    let (edge, _replica) = edge_with_a_replica().await;
    let request = Request::get("/headers?a=b")
        .header("host", "Shop.example:80")
        .header("connection", "keep-alive, x-hop")
        .header("x-hop", "1")
        .header("x-forwarded-for", "10.1.1.1")
        .header("x-request-id", "my-id");
    let answer = send(edge.http, request.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(answer.headers()["x-request-id"], "my-id");
    let body = String::from_utf8(answer.into_body().to_vec()).unwrap();
    let mut lines: Vec<&str> = body.lines().collect();
    lines.sort_unstable();
    let want = [
        "host: Shop.example:80",
        "x-forwarded-for: 10.1.1.1, 127.0.0.1",
        "x-forwarded-host: Shop.example:80",
        "x-forwarded-proto: http",
        "x-request-id: my-id",
    ];
    assert_eq!(lines, want);
}

#[tokio::test(flavor = "multi_thread")]
async fn head_has_no_body_and_pipelined_requests_are_answered_in_turn() {
    let (edge, _replica) = edge_with_a_replica().await;
    let three = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = raw(edge.http, three.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
    assert_eq!(answer.matches("web.1 0").count(), 1, "{answer}");
    assert_eq!(answer.matches("web.1 3").count(), 1, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn expect_100_continue_is_answered_when_the_body_is_wanted() {
    let (edge, _replica) = edge_with_a_replica().await;
    let mut stream = tokio::net::TcpStream::connect(edge.http).await.unwrap();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go = [0; 25];
    stream.read_exact(&mut go).await.unwrap();
    assert_eq!(&go, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("web.1 4"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn r07_a_dead_replica_is_ejected_at_once_and_no_request_fails() {
    let edge = TestEdge::start().await;
    let (one, two) = (Replica::start("web.1").await, Replica::start("web.2").await);
    let endpoints = vec![endpoint("web.1", one.address), endpoint("web.2", two.address)];
    let mut service = web(endpoints);
    service.check.interval_ms = 60_000;
    edge.set(vec![("web", service)]).await;
    for _ in 0..10 {
        assert_eq!(edge.get("/").await.status(), 200);
    }
    let address = one.address;
    drop(one);
    until("the port is closed", async || std::net::TcpStream::connect(address).is_err()).await;
    for _ in 0..20 {
        // Uploads too: nothing of them is sent to a replica that cannot be reached.
        let request = Request::post("/").header("host", "a").body("upload".into()).unwrap();
        assert_eq!(send(edge.http, request).await.unwrap().status(), 200);
    }
    let traffic = edge.traffic().await;
    let dead = &traffic.replicas[&"web.1".parse().unwrap()];
    assert_eq!(dead.healthy, Some(false));
    assert!(dead.last_failure.as_ref().unwrap().contains("Connection refused"), "{dead:?}");
    let _one = Replica::start_at("web.1", address).await;
    until("it is used again", async || edge.get("/").await.headers()["x-replica"] == "web.1").await;
}

/// A replica that closes each connection after one answer without saying so: what every keep-alive
/// time-out looks like to a proxy.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_a_replica_has_closed_cost_no_request() {
    let replica = server(|mut stream| async move {
        let mut buffer = [0; 4096];
        if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        }
    });
    let address = replica.await;
    let edge = TestEdge::start().await;
    edge.set(vec![("web", web(vec![endpoint("web.1", address)]))]).await;
    for _ in 0..200 {
        assert_eq!(edge.get("/").await.status(), 200);
    }
    assert_eq!(edge.traffic().await.replicas[&"web.1".parse().unwrap()].failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_that_may_have_been_carried_out_is_not_sent_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = heads.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4096];
            if stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
    });
    let edge = TestEdge::start().await;
    edge.set(vec![("web", web(vec![endpoint("web.1", address)]))]).await;
    let request = Request::post("/").header("host", "a").body("once".into()).unwrap();
    assert_eq!(send(edge.http, request).await.unwrap().status(), 502);
    assert_eq!(heads.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_gets_exactly_its_share() {
    let edge = TestEdge::start().await;
    let (old, new) = (Replica::start("web.1").await, Replica::start("web.2").await);
    let mut endpoints = vec![endpoint("web.1", old.address), endpoint("web.2", new.address)];
    endpoints[0].weight = 9;
    edge.set(vec![("web", web(endpoints.clone()))]).await;
    for _ in 0..100 {
        edge.get("/").await;
    }
    assert_eq!((old.requests(), new.requests()), (90, 10));
    endpoints[1].weight = 0;
    edge.set(vec![("web", web(endpoints))]).await;
    for _ in 0..50 {
        edge.get("/").await;
    }
    assert_eq!((old.requests(), new.requests()), (140, 10), "weight 0 is warm and gets nothing new");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_paths_lead_to_their_services() {
    let edge = TestEdge::start().await;
    let (web, api) = (Replica::start("web.1").await, Replica::start("api.1").await);
    let domain = |path: &str| Entry::Domain { host: "shop.example".into(), path: path.into(), port: 80, tls: Tls::Off };
    let target = |name, replica: &Replica| Target::Endpoints(vec![endpoint(name, replica.address)]);
    edge.set(vec![
        ("web", backend(vec![domain("/")], target("web.1", &web))),
        ("api", backend(vec![domain("/api")], target("api.1", &api))),
    ])
    .await;
    assert_eq!(edge.get("/apis").await.headers()["x-replica"], "web.1");
    assert_eq!(edge.get("/api/x").await.headers()["x-replica"], "api.1");
    let request = Request::get("/").header("host", "other.example").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(send(edge.http, request).await.unwrap().status(), 404);
    let hits = edge.client.status().await.unwrap().hits;
    assert_eq!(hits["shop/test/api shop.example/api"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_users_are_answered_is_counted_by_route_as_declared() {
    let edge = TestEdge::start().await;
    let web = Replica::start("web.1").await;
    let domain = |path: &str| Entry::Domain { host: "shop.example".into(), path: path.into(), port: 80, tls: Tls::Off };
    let entries = vec![domain("/"), domain("/api")];
    let replicas = vec![endpoint("web.1", web.address)];
    edge.set(vec![("web", backend(entries.clone(), Target::Endpoints(replicas.clone())))]).await;
    for path in ["/", "/a?b=1", "/api/orders/1", "/api/orders/2"] {
        assert_eq!(edge.get(path).await.status(), 200);
    }
    let routes = |traffic: &daybook_model::traffic::Traffic| {
        let web = traffic.routes["web"].iter();
        web.map(|(route, counts)| (route.clone(), counts.by_status)).collect::<Vec<_>>()
    };
    let traffic = edge.traffic().await;
    let both = |api| vec![("shop.example/".to_owned(), [0, 2, 0, 0, 0]), ("shop.example/api".to_owned(), api)];
    assert_eq!(routes(&traffic), both([0, 2, 0, 0, 0]), "never by the path that was asked for");
    assert_eq!(traffic.routes["web"]["shop.example/api"].latency.iter().sum::<u64>(), 2);

    // What the edge answers itself is what users feel as well, and a new table forgets nothing.
    edge.set(vec![("web", backend(entries, Target::Endpoints(Vec::new())))]).await;
    assert_eq!(edge.get("/api/orders/3").await.status(), 503);
    assert_eq!(routes(&edge.traffic().await), both([0, 2, 0, 0, 1]));

    // A route that is no more is told of no more.
    edge.set(vec![("web", backend(vec![domain("/")], Target::Endpoints(replicas)))]).await;
    assert_eq!(routes(&edge.traffic().await), [("shop.example/".to_owned(), [0, 2, 0, 0, 0])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn r32_files_are_served_from_beneath_their_directory_only() {
    let site = tempfile::tempdir().unwrap();
    let root = site.path().join("site");
    std::fs::create_dir_all(root.join("docs")).unwrap();
    std::fs::write(site.path().join("secret.txt"), "secret").unwrap();
    std::fs::write(root.join("index.html"), "<h1>home</h1>").unwrap();
    std::fs::write(root.join("docs/index.html"), "docs").unwrap();
    std::fs::write(root.join("big.bin"), vec![7; 300_000]).unwrap();
    std::os::unix::fs::symlink(site.path().join("secret.txt"), root.join("link.txt")).unwrap();
    std::os::unix::fs::symlink("../..", root.join("up")).unwrap();
    let edge = TestEdge::start().await;
    let target = Target::Files { root: root.to_str().unwrap().to_owned() };
    edge.set(vec![("docs", backend(vec![any_host()], target))]).await;

    let home = edge.get("/").await;
    assert_eq!((home.status().as_u16(), &home.body()[..]), (200, &b"<h1>home</h1>"[..]));
    assert_eq!(home.headers()["content-type"], "text/html; charset=utf-8");
    let again = Request::get("/").header("host", "a").header("if-none-match", &home.headers()["etag"]);
    assert_eq!(send(edge.http, again.body(Full::default()).unwrap()).await.unwrap().status(), 304);
    assert_eq!(edge.get("/big.bin").await.body().len(), 300_000);
    assert_eq!(edge.get("/docs").await.headers()["location"], "/docs/");
    assert_eq!(edge.get("/docs/?q").await.body(), "docs");
    let head = raw(edge.http, b"HEAD /big.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(head.contains("content-length: 300000\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    for path in [
        "/../secret.txt",
        "/link.txt",
        "/up/secret.txt",
        "/docs/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "//etc/passwd",
        "/up/up/etc/passwd",
        "/docs/%2e%2e%2f%2e%2e%2fsecret.txt",
        "/%00",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let answer = raw(edge.http, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 40"), "{path}: {answer}");
        assert!(!answer.contains("secret"), "{path}: {answer}");
    }
}
