//! Clients of every kind that run until they are told to stop, and count what went wrong.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Constant load of every kind.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<(&'static str, JoinHandle<()>)>,
}

#[derive(Default)]
struct Shared {
    stop: CancellationToken,
    next_id: AtomicU64,
    answered: Mutex<BTreeSet<String>>,
    failures: Mutex<Vec<String>>,
    /// Event streams and WebSockets that were ended as they should be.
    ended_well: AtomicU64,
}

/// What the clients saw.
pub(crate) struct Seen {
    pub(crate) answered: BTreeSet<String>,
    pub(crate) failures: Vec<String>,
    pub(crate) ended_well: u64,
}

/// An answer and what was wrong with it.
type Outcome = Result<(), String>;

impl Load {
    /// Keep-alive, new connections, HTTP/2, slow uploads, event streams and WebSockets, all at once.
    pub(crate) fn start(to: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(("keep-alive", tokio::spawn(keep_alive(shared.clone(), to))));
        }
        clients.push(("new connections", tokio::spawn(new_connections(shared.clone(), to))));
        clients.push(("HTTP/2", tokio::spawn(http2(shared.clone(), to))));
        clients.push(("uploads", tokio::spawn(uploads(shared.clone(), to))));
        clients.push(("event streams", tokio::spawn(event_streams(shared.clone(), to))));
        clients.push(("WebSockets", tokio::spawn(sockets(shared.clone(), to))));
        Self { shared, clients }
    }

    pub(crate) fn answers(&self) -> u64 {
        self.shared.answered.lock().unwrap().len() as u64
    }

    /// Waits for `count` more answers.
    pub(crate) async fn more_answers(&self, count: u64) {
        let target = self.answers() + count;
        super::until("clients get answers", async || self.answers() >= target).await;
    }

    pub(crate) async fn stop(self) -> Seen {
        self.shared.stop.cancel();
        for (name, client) in self.clients {
            let ended = tokio::time::timeout(super::PATIENCE, client).await;
            ended.unwrap_or_else(|_| panic!("the client of {name} does not end")).unwrap();
        }
        let answered = self.shared.answered.lock().unwrap().clone();
        let failures = self.shared.failures.lock().unwrap().clone();
        Seen { answered, failures, ended_well: self.shared.ended_well.load(SeqCst) }
    }
}

impl Shared {
    fn id(&self, kind: &str) -> String {
        format!("{kind}-{}", self.next_id.fetch_add(1, SeqCst))
    }

    fn goes_on(&self) -> bool {
        !self.stop.is_cancelled()
    }

    fn note(&self, id: String, outcome: Outcome) {
        match outcome {
            Ok(()) => drop(self.answered.lock().unwrap().insert(id)),
            Err(why) => self.failures.lock().unwrap().push(format!("{id}: {why}")),
        }
    }
}

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

async fn connect(to: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(to).await.map_err(text)
}

/// A client that obeys `Connection: close`, and has one request at a time on its connection.
async fn keep_alive(shared: Arc<Shared>, to: SocketAddr) {
    while shared.goes_on() {
        let stream = match connect(to).await {
            Ok(stream) => stream,
            Err(why) => return shared.note("connect".into(), Err(why)),
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        while shared.goes_on() && sender.ready().await.is_ok() {
            let id = shared.id("keep");
            let request = Request::get("/").header("host", "shop.example").header("x-request-id", &id);
            let answer = sender.send_request(request.body(Full::<Bytes>::default()).unwrap()).await;
            let (outcome, closes) = match answer {
                Ok(answer) => {
                    let status = answer.status();
                    let closes = answer.headers().get("connection").is_some_and(|value| value == "close");
                    let body = answer.into_body().collect().await;
                    let outcome = match body {
                        Ok(_) if status == 200 => Ok(()),
                        Ok(_) => Err(status.to_string()),
                        Err(error) => Err(text(error)),
                    };
                    (outcome, closes)
                }
                Err(error) => (Err(text(error)), true),
            };
            shared.note(id, outcome);
            if closes {
                break;
            }
        }
    }
}

async fn new_connections(shared: Arc<Shared>, to: SocketAddr) {
    while shared.goes_on() {
        let id = shared.id("new");
        let request = Request::get("/").header("host", "shop.example").header("x-request-id", &id);
        let request = request.header("connection", "close").body(Full::default()).unwrap();
        let outcome = match super::send(to, request).await {
            Ok(answer) if answer.status() == 200 => Ok(()),
            Ok(answer) => Err(answer.status().to_string()),
            Err(why) => Err(why),
        };
        shared.note(id, outcome);
    }
}

async fn http2(shared: Arc<Shared>, to: SocketAddr) {
    while shared.goes_on() {
        let stream = match connect(to).await {
            Ok(stream) => stream,
            Err(why) => return shared.note("connect".into(), Err(why)),
        };
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.unwrap();
        tokio::spawn(connection);
        // After a GOAWAY, `ready` fails and nothing was sent.
        while shared.goes_on() && sender.ready().await.is_ok() {
            let id = shared.id("h2");
            let request = Request::get(format!("http://shop.example/?{id}")).version(Version::HTTP_2);
            let request = request.header("x-request-id", &id).body(Full::<Bytes>::default()).unwrap();
            let outcome = match sender.try_send_request(request).await {
                Ok(answer) if answer.status() == 200 => answer.into_body().collect().await.map(drop).map_err(text),
                Ok(answer) => Err(answer.status().to_string()),
                // It was never sent, or the edge says that it was not begun: a client sends it again.
                Err(mut error) => match error.take_message() {
                    Some(_) => break,
                    None if was_refused(error.error()) => break,
                    None => Err(text(error.error())),
                },
            };
            shared.note(id, outcome);
        }
    }
}

fn was_refused(error: &hyper::Error) -> bool {
    let text = format!("{error:?}");
    text.contains("GoAway") && text.contains("NO_ERROR") || text.contains("REFUSED_STREAM")
}

/// A body of 30 pieces over 90 milliseconds, in a request that must be carried out once.
async fn uploads(shared: Arc<Shared>, to: SocketAddr) {
    while shared.goes_on() {
        let id = shared.id("upload");
        let outcome = upload(&id, to).await;
        shared.note(id, outcome);
    }
}

async fn upload(id: &str, to: SocketAddr) -> Outcome {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(connect(to).await?)).await.map_err(text)?;
    tokio::spawn(connection);
    let pieces = stream::unfold(0, |count| async move {
        tokio::time::sleep(Duration::from_millis(3)).await;
        (count < 30).then(|| (Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(&[7; 1000]))), count + 1))
    });
    let request = Request::post("/").header("host", "shop.example").header("x-request-id", id);
    let request = request.body(StreamBody::new(Box::pin(pieces))).unwrap();
    let answer = sender.send_request(request).await.map_err(text)?;
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(text)?.to_bytes();
    if status == 200 && body.ends_with(b" 30000") { Ok(()) } else { Err(format!("{status} {body:?}")) }
}

/// An event stream must be ended as a whole message, never broken off.
async fn event_streams(shared: Arc<Shared>, to: SocketAddr) {
    while shared.goes_on() {
        let id = shared.id("events");
        let outcome = event_stream(&shared, &id, to).await;
        shared.note(id, outcome);
    }
}

async fn event_stream(shared: &Shared, id: &str, to: SocketAddr) -> Outcome {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(connect(to).await?)).await.map_err(text)?;
    tokio::spawn(connection);
    let request = Request::get("/events").header("host", "shop.example").header("x-request-id", id);
    let answer = sender.send_request(request.body(Full::<Bytes>::default()).unwrap()).await.map_err(text)?;
    if answer.status() != 200 {
        return Err(answer.status().to_string());
    }
    let mut body = answer.into_body();
    while shared.goes_on() {
        match body.frame().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(text(error)),
            None => {
                shared.ended_well.fetch_add(1, SeqCst);
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A WebSocket echoes until it is closed with 1012, never otherwise.
async fn sockets(shared: Arc<Shared>, to: SocketAddr) {
    while shared.goes_on() {
        let id = shared.id("socket");
        let outcome = socket(&shared, &id, to).await;
        shared.note(id, outcome);
    }
}

async fn socket(shared: &Shared, id: &str, to: SocketAddr) -> Outcome {
    let mut stream = open_socket(id, to).await?;
    // A masked text frame; the mask is all zeros, and the replica echoes it as it is.
    const FRAME: &[u8] = b"\x81\x85\0\0\0\0hello";
    while shared.goes_on() {
        stream.write_all(FRAME).await.map_err(|error| format!("write: {error:?}"))?;
        let mut first = [0; 4];
        stream.read_exact(&mut first).await.map_err(|error| format!("read: {error:?}"))?;
        if first == [0x88, 0x02, 0x03, 0xf4] {
            // Answer the close, masked, and go.
            let _ = stream.write_all(b"\x88\x82\0\0\0\0\x03\xf4").await;
            shared.ended_well.fetch_add(1, SeqCst);
            return Ok(());
        }
        let mut rest = [0; FRAME.len() - 4];
        stream.read_exact(&mut rest).await.map_err(|error| format!("read: {error:?}"))?;
        if [&first[..], &rest[..]].concat() != FRAME {
            return Err("the echo is another".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

/// Opens a WebSocket, and reads the head of the answer.
pub(crate) async fn open_socket(id: &str, to: SocketAddr) -> Result<TcpStream, String> {
    let mut stream = connect(to).await?;
    let head = format!(
        "GET /socket HTTP/1.1\r\nhost: shop.example\r\nconnection: Upgrade\r\nupgrade: websocket\r\nx-request-id: {id}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.map_err(text)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.map_err(|error| format!("head: {error:?}"))?);
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if answer.starts_with("HTTP/1.1 101 ") { Ok(stream) } else { Err(answer) }
}
