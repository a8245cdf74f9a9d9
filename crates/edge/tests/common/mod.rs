//! An edge as a process, and replicas that answer it.

#![allow(dead_code, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

pub(crate) mod load;
pub(crate) mod replica;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use daybook_edge::{Client, Config, Limits};
use daybook_model::route::{Backend, Endpoint, Entry, EnvRoutes, RouteTable, Speaks, Target};
use daybook_model::spec::{Check, CheckTest, Tls};
use daybook_model::traffic::Traffic;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How long anything in a test may take; reaching it fails the test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// An edge in a process of its own, ended with the test.
pub(crate) struct TestEdge {
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) behind: SocketAddr,
    pub(crate) directory: TempDir,
    pub(crate) client: Client,
    config: Config,
    process: Option<Child>,
}

/// The program of the edge: the example, which `cargo test` builds beside the tests.
pub(crate) fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    let path = path.join("examples").join("edge");
    assert!(path.exists(), "{} is missing: run `cargo build -p daybook-edge --examples`", path.display());
    path
}

/// A server of plain TCP that does `serve` with each connection. Where it is.
pub(crate) async fn server<S, F>(serve: S) -> SocketAddr
where
    S: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// An address of this machine that nobody listens at.
pub(crate) fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl TestEdge {
    pub(crate) async fn start() -> Self {
        Self::start_with(Limits::default()).await
    }

    pub(crate) async fn start_with(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().to_owned();
        Self::start_at(directory, state, limits).await
    }

    /// Starts one for a state directory within `directory`, which is kept as long.
    pub(crate) async fn start_at(directory: TempDir, state: PathBuf, limits: Limits) -> Self {
        let (http, https, behind) = (free_address(), free_address(), free_address());
        let client = Client::new(&state);
        let config =
            Config { http: vec![http], https: vec![https], behind: vec![behind], limits, ..Config::new(state) };
        let mut edge = Self { http, https, behind, directory, client, config, process: None };
        edge.restart().await;
        edge
    }

    /// Starts it again, after [`TestEdge::kill`].
    pub(crate) async fn restart(&mut self) {
        let mut command = Command::new(program());
        command.arg("edge").args(self.config.arguments()).stdin(Stdio::null());
        self.process = Some(command.spawn().unwrap());
        until("the edge answers", async || self.client.status().await.is_ok()).await;
    }

    /// Its process, the first generation.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Serves `backends` of the environment `shop/test` as the next version of the table.
    pub(crate) async fn set(&self, backends: Vec<(&str, Backend)>) {
        let version = self.client.table().await.unwrap().version + 1;
        self.client.set_table(&table(version, backends)).await.unwrap();
    }

    pub(crate) async fn traffic(&self) -> Traffic {
        let mut traffic = self.client.traffic().await.unwrap();
        traffic.environments.remove(&"shop/test".parse().unwrap()).unwrap_or_default()
    }

    /// What is in flight at a replica, of every class.
    pub(crate) async fn in_flight(&self, replica: &str) -> u64 {
        let traffic = self.traffic().await;
        traffic.replicas.get(&replica.parse().unwrap()).map_or(0, |replica| replica.in_flight.total())
    }

    pub(crate) async fn get(&self, path: &str) -> Response<Bytes> {
        let request = Request::get(path).header("host", "shop.example").body(Full::default()).unwrap();
        send(self.http, request).await.unwrap()
    }
}

impl Drop for TestEdge {
    fn drop(&mut self) {
        // A later generation is no child of ours.
        let socket = self.config.directory().join("control.sock");
        if let Ok(mut stream) = std::os::unix::net::UnixStream::connect(socket) {
            use std::io::{Read as _, Write as _};
            let _ = stream.write_all(b"POST /stop HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n\r\n");
            let _ = stream.read(&mut [0; 64]);
        }
        self.kill();
    }
}

/// A table of one environment.
pub(crate) fn table(version: u64, backends: Vec<(&str, Backend)>) -> RouteTable {
    let backends = backends.into_iter().map(|(name, backend)| (name.parse().unwrap(), backend)).collect();
    RouteTable { version, environments: [("shop/test".parse().unwrap(), EnvRoutes { backends })].into() }
}

/// A service for every host.
pub(crate) fn web(endpoints: Vec<Endpoint>) -> Backend {
    backend(vec![any_host()], Target::Endpoints(endpoints))
}

pub(crate) fn any_host() -> Entry {
    Entry::Domain { host: "*".into(), path: "/".into(), port: 80, tls: Tls::Internal }
}

pub(crate) fn at(listen: SocketAddr, speaks: Speaks) -> Entry {
    Entry::Address { listen, port: 80, speaks }
}

pub(crate) fn backend(entries: Vec<Entry>, target: Target) -> Backend {
    let check = Check {
        test: CheckTest::Tcp { port: 80 },
        interval_ms: 200,
        timeout_ms: 1_000,
        retries: 3,
        start_period_ms: 0,
        start_interval_ms: 100,
    };
    Backend { entries, target, check, hold_ms: None, drain_ms: 400 }
}

pub(crate) fn endpoint(replica: &str, address: SocketAddr) -> Endpoint {
    Endpoint { replica: replica.parse().unwrap(), ports: BTreeMap::from([(80, address)]), weight: 1 }
}

/// Sends one request on a connection of its own.
pub(crate) async fn send(to: SocketAddr, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, String> {
    let stream = TcpStream::connect(to).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| format!("{error:?}"))?;
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await.map_err(|error| format!("{error:?}"))?.to_bytes();
    Ok(Response::from_parts(head, bytes))
}

/// Sends bytes as they are, and reads until the other side closes or says nothing more.
pub(crate) async fn raw(to: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(to).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(PATIENCE, reading).await.expect("the connection is closed");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Looks until something has become true.
pub(crate) async fn until(what: &str, mut is_true: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_true().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
