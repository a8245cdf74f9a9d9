//! Upgraded connections: WebSockets, and whatever else asks for an upgrade.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode, Version, request};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};

use super::body::{EdgeBody, Source};
use super::headers;
use super::service::{Exchange, Front, Search};
use super::upload::RequestBody;
use super::websocket::{CLOSE_SERVICE_RESTART, Frames};
use crate::access_log::Ended;
use crate::backend::{Endpoint, Taken};
use crate::counters::{Class, Flight};
use crate::state::{Route, State};
use crate::upstream::connection::connect;

/// How long the other side may take to answer a close.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// Whether a request asks for its connection to become something else.
pub(super) fn is_wanted(head: &request::Parts) -> bool {
    head.version == Version::HTTP_11
        && head.headers.contains_key(header::UPGRADE)
        && head.headers.get_all(header::CONNECTION).iter().any(|value| headers::names(value, "upgrade"))
}

/// Asks a replica for the upgrade, and joins the two connections if it agrees.
pub(super) async fn tunnel(
    exchange: &mut Exchange<'_>,
    route: Arc<Route>,
    mut head: request::Parts,
    incoming: Incoming,
) -> Response<EdgeBody> {
    let protocol = head.headers.get(header::UPGRADE).cloned().unwrap_or_else(|| HeaderValue::from_static(""));
    let by_client = head.extensions.remove::<OnUpgrade>();
    exchange.headers_for(&mut head);
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(header::UPGRADE, protocol.clone());
    // A request for an upgrade has no body to wait for; one that has is not upgraded by anyone we know of.
    drop(incoming);
    head.headers.remove(header::CONTENT_LENGTH);
    let mut search = Search::new(route, Class::Request);
    let mut next = search.next(&exchange.front.state).await;
    let within = exchange.front.state.limits.answer;
    let (taken, answer) = loop {
        let taken = match next {
            Ok(taken) => taken,
            Err(why) => return exchange.nobody(why, false),
        };
        let request = Request::from_parts(head.clone(), RequestBody::empty());
        let asked = tokio::time::timeout(within, ask(search.lane(&taken).address, request)).await;
        match asked {
            Ok(Ok(answer)) => break (taken, answer),
            Err(_) => return exchange.too_late(&taken.endpoint),
            Ok(Err(why)) => next = search.after_failure(&exchange.front.state, taken, &why).await,
        }
    };
    match by_client {
        Some(by_client) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
            agree(exchange, answer, by_client, taken, &protocol)
        }
        _ => decline(exchange, answer, taken),
    }
}

/// An upgrade is a `GET` that nothing was sent of when this fails before the answer, or is safe to repeat.
async fn ask(address: std::net::SocketAddr, request: Request<RequestBody>) -> Result<Response<Incoming>, String> {
    let stream = connect(address).await?;
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await.map_err(|error| error.to_string())
}

fn decline(exchange: &mut Exchange<'_>, answer: Response<Incoming>, taken: Taken) -> Response<EdgeBody> {
    let (mut head, body) = answer.into_parts();
    headers::strip_hop_by_hop(&mut head.headers);
    if head.status.is_informational() {
        return exchange.own(StatusCode::BAD_GATEWAY, "the replica upgraded a connection that cannot be");
    }
    exchange.finish(Response::from_parts(head, EdgeBody::new(Source::Plain(body))), Some(taken))
}

fn agree(
    exchange: &mut Exchange<'_>,
    answer: Response<Incoming>,
    by_client: OnUpgrade,
    taken: Taken,
    protocol: &HeaderValue,
) -> Response<EdgeBody> {
    let is_websocket = protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    let (mut head, body) = answer.into_parts();
    let by_replica = hyper::upgrade::on(Response::from_parts(head.clone(), body));
    let agreed = head.headers.get(header::UPGRADE).cloned().unwrap_or_else(|| protocol.clone());
    headers::strip_hop_by_hop(&mut head.headers);
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(header::UPGRADE, agreed);
    head.extensions = http::Extensions::new();
    taken.flight.become_class(Class::Upgraded);
    let (endpoint, flight) = (taken.endpoint.clone(), taken.flight.clone());
    let answer = exchange.finish(Response::from_parts(head, EdgeBody::new(Source::Empty)), Some(taken));
    let (head, mut body) = answer.into_parts();
    let ended = body.take_ended();
    let front = exchange.front.clone();
    tokio::spawn(async move {
        if let (Ok(client), Ok(replica)) = tokio::join!(by_client, by_replica) {
            Tunnel { front, endpoint, is_websocket, ended }.run(client, replica).await;
        }
        drop::<Arc<Flight>>(flight);
    });
    Response::from_parts(head, body)
}

/// Two connections that have become one.
struct Tunnel {
    front: Arc<Front>,
    endpoint: Arc<Endpoint>,
    is_websocket: bool,
    ended: Option<Ended>,
}

impl Tunnel {
    async fn run(mut self, client: Upgraded, replica: Upgraded) {
        let (mut from_client, mut to_client) = tokio::io::split(TokioIo::new(client));
        let (mut from_replica, mut to_replica) = tokio::io::split(TokioIo::new(replica));
        let up = async {
            let _ = tokio::io::copy(&mut from_client, &mut to_replica).await;
            let _ = to_replica.shutdown().await;
        };
        let down = self.down(&mut from_replica, &mut to_client);
        tokio::pin!(up, down);
        let mut up_ended = false;
        let closed = loop {
            tokio::select! {
                () = &mut up, if !up_ended => up_ended = true,
                closed = &mut down => break closed,
            }
        };
        // After our close, the client's answer still goes up, so that the replica sees a proper close.
        if closed && !up_ended {
            let _ = tokio::time::timeout(CLOSE_WITHIN, &mut up).await;
        }
    }

    /// Passes the replica's bytes on until it ends, or until it is time to close. Returns whether a close
    /// was sent.
    async fn down(&mut self, from: &mut ReadHalf<TokioIo<Upgraded>>, to: &mut WriteHalf<TokioIo<Upgraded>>) -> bool {
        let mut frames = Frames::default();
        let mut buffer = vec![0; 16 * 1024];
        let (state, endpoint) = (self.front.state.clone(), self.endpoint.clone());
        let time_to_close = time_to_close(&state, &endpoint);
        tokio::pin!(time_to_close);
        let mut closing = false;
        loop {
            if closing && (!self.is_websocket || frames.is_between()) {
                if self.is_websocket {
                    let _ = to.write_all(&CLOSE_SERVICE_RESTART).await;
                }
                let _ = to.shutdown().await;
                return self.is_websocket;
            }
            let count = tokio::select! {
                read = from.read(&mut buffer) => match read {
                    Ok(count) if count > 0 => count,
                    _ => {
                        let _ = to.shutdown().await;
                        return false;
                    }
                },
                () = &mut time_to_close, if !closing => {
                    closing = true;
                    continue;
                }
            };
            frames.passed(&buffer[..count]);
            if to.write_all(&buffer[..count]).await.is_err() {
                return false;
            }
            if let Some(ended) = &mut self.ended {
                ended.bytes += count as u64;
            }
        }
    }
}

/// Returns when this connection is to close: at a moment of its own within the drain window, which begins
/// when its endpoint or this generation of the edge leaves.
async fn time_to_close(state: &State, endpoint: &Endpoint) {
    let share = spread_share();
    let window = tokio::select! {
        () = endpoint.leaving.cancelled() => endpoint.drain_ms.load(Relaxed),
        () = state.ending.cancelled() => state.ending_window_ms(),
    };
    tokio::time::sleep(Duration::from_millis(window * share / 1024)).await;
}

/// A place in the window, from 0 to 1000 of 1024, different for connections that follow each other.
fn spread_share() -> u64 {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    // A step near the golden ratio of the range spreads any run of connections evenly.
    COUNT.fetch_add(1, Relaxed).wrapping_mul(619) % 1001
}
