//! Servers that do what a test says.
#![allow(dead_code, reason = "not every test that has this file needs all of it")]

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, Once};

use daybook_notify::send::Resolver;
use daybook_notify::{Channel, Guard, Kind, Network, Notice, Severity};
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// In every secret.
pub(crate) const CANARY: &str = "canary0000000000";

/// One TLS provider for all.
pub(crate) fn provider() {
    static TLS: Once = Once::new();
    TLS.call_once(|| {
        rustls::crypto::ring::default_provider().install_default().expect("nothing else installs a provider");
    });
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_767_225_600).expect("it is a time")
}

pub(crate) fn notice() -> Notice {
    Notice::new("incident-7", Kind::Triggered, Severity::Critical, "Checkout fails", now())
}

pub(crate) fn channel(target: &Value) -> Channel {
    serde_json::from_value(json!({"name": "c", "target": target})).expect("it is a channel")
}

/// Lets requests go to this machine.
pub(crate) fn loopback() -> Guard {
    Guard::allowing(["127.0.0.0/8".parse::<Network>().expect("it is a network")])
}

/// A webhook at a server.
pub(crate) fn webhook(url: &str) -> Channel {
    channel(&json!({"webhook": {"url": format!("{url}/{CANARY}"), "key": CANARY}}))
}

/// What was asked of a server: its head and its body.
pub(crate) type Requests = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// Answers each request with the same bytes, and closes.
pub(crate) async fn http(answer: impl Into<Vec<u8>>) -> (SocketAddr, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("a bound socket has an address");
    let requests = Requests::default();
    let (seen, answer) = (Arc::clone(&requests), answer.into());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Some(request) = request(&mut stream).await {
                seen.lock().expect("nobody panicked with it").push(request);
                let _ = stream.write_all(&answer).await;
            }
        }
    });
    (address, requests)
}

/// Reads a request: its head and its body.
pub(crate) async fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let body = &bytes[end + 4..];
            if body.len() >= length.unwrap_or_default() {
                return Some((head, body.to_vec()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// An answer with this status, these headers and this body.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Knows every name, and says how often it was asked.
pub(crate) struct Names {
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Names {
    pub(crate) fn new(addresses: &[&str]) -> Arc<Self> {
        let addresses = addresses.iter().map(|address| address.parse().expect("it is an address")).collect();
        Arc::new(Self { addresses, asked: Mutex::default() })
    }
}

impl Resolver for Names {
    fn resolve(&self, host: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        self.asked.lock().expect("nobody panicked with it").push(host);
        let addresses = self.addresses.clone();
        Box::pin(async move { Ok(addresses) })
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// A certificate, its key and the certificate of its authority, as PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) authority: String,
}

/// A certificate for these names, of an authority of its own.
pub(crate) fn issue(names: &[&str]) -> Issued {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key can be made"))
        .expect("it can be signed");
    let key = KeyPair::generate().expect("a key can be made");
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate =
        CertificateParams::new(names).expect("they are names").signed_by(&key, &issuer).expect("it can be signed");
    Issued { certificate: certificate.pem(), key: key.serialize_pem(), authority: issuer.pem() }
}

/// What accepts connections for these names, and the certificate of its authority as PEM.
pub(crate) fn certificate(names: &[&str]) -> (TlsAcceptor, String) {
    provider();
    let issued = issue(names);
    let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("it was written so");
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).expect("it was written so");
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("they belong together");
    (TlsAcceptor::from(Arc::new(config)), issued.authority)
}
