//! A replica: answers by name, takes uploads, streams events, echoes WebSockets.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A running replica. Dropping it, or [`Replica::stop`], closes its socket and every connection at once.
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// How often it was sent each request id.
    pub(crate) seen: Arc<Mutex<BTreeMap<String, u64>>>,
    stop: CancellationToken,
}

impl Replica {
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_at(name, "127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_at(name: &str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let replica = Self {
            name: name.to_owned(),
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            stop: CancellationToken::new(),
        };
        let (name, seen, stop) = (replica.name.clone(), replica.seen.clone(), replica.stop.clone());
        tokio::spawn(async move {
            loop {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    () = stop.cancelled() => return,
                };
                let (name, seen, stop) = (name.clone(), seen.clone(), stop.clone());
                tokio::spawn(async move {
                    let for_upgrades = stop.clone();
                    let service =
                        service_fn(move |request| answer(name.clone(), seen.clone(), for_upgrades.clone(), request));
                    let connection = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades();
                    tokio::select! {
                        _ = connection => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
        });
        replica
    }

    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    pub(crate) fn requests(&self) -> u64 {
        self.seen.lock().unwrap().values().sum()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop();
    }
}

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

async fn answer(
    name: String,
    seen: Arc<Mutex<BTreeMap<String, u64>>>,
    stop: CancellationToken,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    if let Some(id) = request.headers().get("x-request-id") {
        *seen.lock().unwrap().entry(id.to_str().unwrap().to_owned()).or_default() += 1;
    }
    let answer = Response::builder().header("x-replica", &name);
    let full = |text: String| Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    Ok(match request.uri().path() {
        "/events" => {
            let events = futures::stream::unfold(0_u64, |count| async move {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Some((Ok(Frame::data(Bytes::from(format!("data: {count}\n\n")))), count + 1))
            });
            let body = http_body_util::BodyExt::boxed_unsync(StreamBody::new(events.boxed()));
            answer.header(header::CONTENT_TYPE, "text/event-stream").body(body).unwrap()
        }
        "/socket" => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut io = TokioIo::new(upgrade.await.unwrap());
                let (mut from, mut to) = tokio::io::split(&mut io);
                tokio::select! {
                    _ = tokio::io::copy(&mut from, &mut to) => {}
                    () = stop.cancelled() => {}
                }
            });
            let answer = answer.status(StatusCode::SWITCHING_PROTOCOLS);
            let answer = answer.header(header::CONNECTION, "upgrade").header(header::UPGRADE, "websocket");
            answer.body(full(String::new())).unwrap()
        }
        "/headers" => {
            let text: Vec<String> =
                request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            answer.body(full(text.join("\n"))).unwrap()
        }
        _ => match request.into_body().collect().await {
            Ok(body) => answer.body(full(format!("{name} {}", body.to_bytes().len()))).unwrap(),
            Err(_) => answer.status(400).body(full(String::new())).unwrap(),
        },
    })
}
