//! HTTPS: whose certificate is shown, and what is redirected.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::replica::Replica;
use common::{TestEdge, backend, endpoint};
use daybook_edge::ClientError;
use daybook_model::route::{Entry, Target};
use daybook_model::spec::Tls;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

async fn connect(
    edge: &TestEdge,
    host: &str,
    authority: &std::path::Path,
    alpn: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    let stream = TcpStream::connect(edge.https).await.unwrap();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

fn service(replica: &Replica, host: &str, tls: Tls) -> Vec<(&'static str, daybook_model::Backend)> {
    let entry = Entry::Domain { host: host.into(), path: "/".into(), port: 80, tls };
    vec![("web", backend(vec![entry], Target::Endpoints(vec![endpoint("web.1", replica.address)])))]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_development_authority_serves_http1_and_http2() {
    let edge = TestEdge::start().await;
    let replica = Replica::start("web.1").await;
    edge.set(service(&replica, "*.shop.localhost", Tls::Internal)).await;
    let authority = edge.client.status().await.unwrap().certificates.authority;
    let key = std::fs::metadata(authority.with_extension("key")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777, 0o600);

    let stream = connect(&edge, "a.shop.localhost", &authority, "http/1.1").await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/headers").header("host", "a.shop.localhost").body(Full::<Bytes>::default()).unwrap();
    let body = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("x-forwarded-proto: https"));

    let stream = connect(&edge, "b.shop.localhost", &authority, "h2").await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://b.shop.localhost/").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);

    assert!(connect(&edge, "elsewhere.example", &authority, "h2").await.is_err(), "no certificate for a stranger");
    assert_eq!(get_plain(&edge, "a.shop.localhost").await.status(), 200, "plain HTTP is served too");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_come_from_files_and_plain_http_is_redirected() {
    let edge = TestEdge::start().await;
    let replica = Replica::start("web.1").await;
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let write = |names: Vec<String>| {
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        std::fs::write(&cert, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    };
    let tls = || Tls::Files { cert: cert.to_str().unwrap().into(), key: key.to_str().unwrap().into() };
    let missing = common::table(1, service(&replica, "shop.example", tls()));
    let error = edge.client.set_table(&missing).await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused(why) if why.contains("cert.pem")), "{error}");

    write(vec!["shop.example".into()]);
    edge.set(service(&replica, "shop.example", tls())).await;
    connect(&edge, "shop.example", &cert, "http/1.1").await.unwrap();
    let answer = get_plain(&edge, "shop.example").await;
    let location = format!("https://shop.example:{}/x?y", edge.https.port());
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (308, location.as_str()));

    // Renewed files are read at the next table.
    write(vec!["shop.example".into()]);
    assert!(connect(&edge, "shop.example", &cert, "http/1.1").await.is_err());
    edge.set(service(&replica, "shop.example", tls())).await;
    connect(&edge, "shop.example", &cert, "http/1.1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_proxy_before_us_says_of_its_client_counts_where_only_it_comes_in() {
    let edge = TestEdge::start().await;
    let replica = Replica::start("web.1").await;
    let directory = tempfile::tempdir().unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Tls::Files { cert: cert.to_str().unwrap().into(), key: key.to_str().unwrap().into() };
    edge.set(service(&replica, "shop.example", tls)).await;
    let get = async |address, proto| {
        let request = Request::get("/headers").header("host", "shop.example").header("x-forwarded-proto", proto);
        let request = request.header("x-forwarded-for", "192.0.2.7").body(Full::default()).unwrap();
        common::send(address, request).await.unwrap()
    };
    let served = get(edge.behind, "https").await;
    let seen = String::from_utf8_lossy(served.body()).into_owned();
    assert_eq!(served.status(), 200);
    assert!(
        seen.contains("x-forwarded-proto: https") && seen.contains("x-forwarded-for: 192.0.2.7, 127.0.0.1"),
        "{seen}"
    );
    let redirected = get(edge.behind, "http").await;
    let location = redirected.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!((redirected.status().as_u16(), &*location), (308, "https://shop.example/headers"));
    assert_eq!(get(edge.http, "https").await.status(), 308, "anybody may say so elsewhere");
}

async fn get_plain(edge: &TestEdge, host: &str) -> http::Response<Bytes> {
    let request = Request::get("/x?y").header("host", host).body(Full::default()).unwrap();
    common::send(edge.http, request).await.unwrap()
}
