//! One HTTP/1.1 exchange at a time.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::Options;

/// An answer whose body was read whole.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// One `GET` over a connection of its own. Errors say what a user would have seen.
pub async fn get(address: SocketAddr, host: &str, path: &str) -> Result<Reply, String> {
    once(address, request("GET", host, path, Full::default())).await
}

/// One `POST` over a connection of its own.
pub async fn post(address: SocketAddr, host: &str, path: &str, body: String) -> Result<Reply, String> {
    once(address, request("POST", host, path, Full::from(body))).await
}

async fn once(address: SocketAddr, request: Request<Full<Bytes>>) -> Result<Reply, String> {
    let exchange = async { whole(open(address).await?.send_request(request).await.map_err(said)?).await };
    let late = |_| Err("no answer within 10 s".to_owned());
    tokio::time::timeout(Duration::from_secs(10), exchange).await.unwrap_or_else(late)
}

/// Opens a connection.
pub(super) async fn open<B>(address: SocketAddr) -> Result<SendRequest<B>, String>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
    stream.set_nodelay(true).map_err(|error| format!("connect: {error}"))?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(said)?;
    // What goes wrong on the connection is told to whoever waits for an answer.
    tokio::spawn(connection);
    Ok(sender)
}

/// Builds a request.
pub(super) fn request<B>(method: &str, host: &str, path: &str, body: B) -> Request<B> {
    let request = Request::builder().method(method).uri(path).header("host", host);
    request.body(body).expect("method, host and path are well formed")
}

/// Reads an answer's body whole.
pub(super) async fn whole(response: Response<Incoming>) -> Result<Reply, String> {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(said)?.to_bytes();
    Ok(Reply { status, body })
}

/// Checks that an answer is a success and belongs to the request of this id.
pub(super) fn check(reply: &Reply, id: &str) -> Result<(), String> {
    let shown = || String::from_utf8_lossy(&reply.body).chars().take(100).collect::<String>();
    if reply.status != 200 {
        return Err(format!("status {}: {}", reply.status, shown()));
    }
    if reply.json()["id"] == id { Ok(()) } else { Err(format!("answer of another request than {id}: {}", shown())) }
}

/// Path of the echo for an id.
pub(super) fn echo(id: &str) -> String {
    format!("/api/echo?id={id}")
}

/// An error with all its causes.
#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` is given")]
pub(super) fn said(error: hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

impl Options {
    /// A request to the loaded host.
    pub(super) fn request<B>(&self, method: &str, path: &str, body: B) -> Request<B> {
        request(method, &self.host, path, body)
    }
}
