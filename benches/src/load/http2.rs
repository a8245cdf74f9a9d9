//! Requests over HTTP/2 with prior knowledge, many at once on one connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::client::{check, echo, said, whole};
use super::tally::Class;
use super::{Shared, ticks};

type Sender = SendRequest<Empty<Bytes>>;

/// One client that sends at a constant rate, whether or not earlier answers have come.
pub(super) async fn run(shared: Arc<Shared>, period: Duration) {
    let mut ticks = ticks(period);
    let connection = Arc::new(Mutex::new(None));
    let mut tasks = JoinSet::new();
    while let Some(due) = shared.due(&mut ticks).await {
        let (shared, connection) = (Arc::clone(&shared), Arc::clone(&connection));
        tasks.spawn(async move {
            let id = shared.id(Class::Http2);
            shared.tally.begun(Class::Http2);
            let result = shared.within(exchange(&shared, &connection, &id)).await;
            shared.tally.timed(Class::Http2, due.elapsed(), &result);
        });
        while tasks.try_join_next().is_some() {}
    }
    while tasks.join_next().await.is_some() {}
}

/// Sends one request. What the server says it has not begun is sent again, as RFC 9113 (section 8.7)
/// lets every client do.
async fn exchange(shared: &Shared, connection: &Mutex<Option<Sender>>, id: &str) -> Result<(), String> {
    loop {
        let mut sender = current(shared.options.address, connection).await?;
        let uri = format!("http://{}{}", shared.options.host, echo(id));
        let request = http::Request::get(uri).body(Empty::new()).expect("the host is well formed");
        match sender.send_request(request).await {
            Ok(response) => return check(&whole(response).await?, id),
            Err(error) if error.is_canceled() || not_begun(&error) => drop(connection.lock().await.take()),
            Err(error) => return Err(said(error)),
        }
    }
}

async fn current(address: SocketAddr, connection: &Mutex<Option<Sender>>) -> Result<Sender, String> {
    let mut kept = connection.lock().await;
    if let Some(sender) = kept.as_ref().filter(|sender| !sender.is_closed()) {
        return Ok(sender.clone());
    }
    let stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
    stream.set_nodelay(true).map_err(|error| format!("connect: {error}"))?;
    let (sender, running) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(said)?;
    tokio::spawn(running);
    *kept = Some(sender.clone());
    Ok(sender)
}

fn not_begun(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        let reason = cause.reason();
        reason == Some(h2::Reason::REFUSED_STREAM)
            || (cause.is_go_away() && cause.is_remote() && reason == Some(h2::Reason::NO_ERROR))
    })
}
