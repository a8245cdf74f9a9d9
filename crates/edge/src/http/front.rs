//! A client's connection, from its first byte to its last.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::TryFutureExt as _;
use http::header::HeaderValue;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use super::headers::Client;
use super::heads::LARGEST_HEAD;
use super::paced::{Paced, Streams};
use super::service::{Front, answer};
use super::watched::{Verdict, Watch, Watched};
use crate::routing::sniff::{Sniffed, sniff_http};
use crate::state::{OpenConnection, State};

/// Concurrent streams of one HTTP/2 connection.
const MOST_STREAMS: u32 = 128;
/// How long an idle HTTP/1.1 connection of an ending generation may stay: a client that sends often gets
/// `Connection: close` with its next answer, and is not cut off between two requests.
const IDLE_AT_END: Duration = Duration::from_secs(3);

/// Where a connection came from.
pub(crate) struct Origin {
    pub(crate) peer: SocketAddr,
    /// The address entry that it came in at; public listeners have none.
    pub(crate) entry: Option<SocketAddr>,
    pub(crate) scheme: &'static str,
    /// A proxy before us is at the other end.
    pub(crate) behind: bool,
    /// Kept for as long as the connection is open, whatever it becomes.
    pub(crate) place: OpenConnection,
}

/// Serves a connection whose protocol is told by its first bytes.
pub(crate) async fn serve<S>(state: Arc<State>, mut stream: S, origin: Origin)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut first = Vec::new();
    let sniffing = async {
        while sniff_http(&first) == Sniffed::Unsure {
            if stream.read_buf(&mut first).await.unwrap_or(0) == 0 {
                break;
            }
        }
    };
    tokio::pin!(sniffing);
    tokio::select! {
        sniffed = tokio::time::timeout(state.limits.head, &mut sniffing) => if sniffed.is_err() { return },
        // A client that has just connected is about to send its request.
        () = state.ending.cancelled() => if tokio::time::timeout(IDLE_AT_END, &mut sniffing).await.is_err() { return },
    }
    serve_sniffed(state, stream, origin, first).await;
}

/// Serves a connection of which `first` has been read.
pub(crate) async fn serve_sniffed<S>(state: Arc<State>, stream: S, origin: Origin, first: Vec<u8>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let is_http2 = sniff_http(&first) == Sniffed::Http2;
    if first.is_empty() {
        return;
    }
    let now = Instant::now();
    let watch = if is_http2 { Watch::http2(now) } else { Watch::http1(now) };
    let address = HeaderValue::from_str(&origin.peer.ip().to_canonical().to_string());
    let front = Arc::new(Front {
        client: Client {
            address: address.expect("an address is a header value"),
            scheme: origin.scheme,
            behind: origin.behind,
        },
        entry: origin.entry,
        watch: watch.clone(),
        closing: AtomicBool::new(false),
        _place: origin.place,
        state,
    });
    let io = TokioIo::new(Watched::new(stream, watch, first));
    let service = front.clone();
    if is_http2 {
        let service = service_fn(move |request| answer(service.clone(), request).map_ok(Paced::answer));
        attend(&front, http2_builder(front.state.limits.stall).serve_connection(io, service)).await;
    } else {
        let service = service_fn(move |request| answer(service.clone(), request));
        attend(&front, http1_builder().serve_connection(io, service).with_upgrades()).await;
    }
}

fn http1_builder() -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The watch bounds the time for a head, without a timer for each request.
    builder.header_read_timeout(None).timer(TokioTimer::new()).max_buf_size(LARGEST_HEAD);
    builder
}

fn http2_builder(stall: Duration) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(Streams { stall });
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(LARGEST_HEAD as u32)
        .max_pending_accept_reset_streams(64)
        .max_local_error_reset_streams(256)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

/// A connection that can be asked to end after the requests it has begun.
trait Connection: Future + Unpin {
    /// Whether asking it to end can never cost a request: HTTP/2 tells its client what was not begun.
    const ENDS_CLEANLY: bool;
    fn end(self: Pin<&mut Self>);
}

impl<I, S> Connection for http1::UpgradeableConnection<I, S>
where
    Self: Future + Unpin,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = super::body::EdgeBody>,
    S::Error: Into<super::body::BodyError>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    const ENDS_CLEANLY: bool = false;
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Connection for http2::Connection<I, S, Streams>
where
    Self: Future + Unpin,
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = Paced>,
    S::Error: Into<super::body::BodyError>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    Streams: hyper::rt::bounds::Http2ServerConnExec<S::Future, Paced>,
{
    const ENDS_CLEANLY: bool = true;
    fn end(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Drives a connection to its end, within its limits.
async fn attend<C: Connection>(front: &Front, mut connection: C) {
    let ending = front.state.ending.clone().cancelled_owned();
    tokio::pin!(ending);
    let limits = front.state.limits;
    let mut look = tokio::time::interval(limits.look_every());
    let mut is_ending = false;
    std::future::poll_fn(|ctx: &mut Context<'_>| {
        if !is_ending && ending.as_mut().poll(ctx).is_ready() {
            is_ending = true;
            front.closing.store(true, Relaxed);
            if C::ENDS_CLEANLY {
                Pin::new(&mut connection).end();
            }
        }
        while look.poll_tick(ctx).is_ready() {
            let patience = if is_ending { IDLE_AT_END.min(limits.idle) } else { limits.idle };
            match front.watch.judge(Instant::now(), &limits, patience) {
                Verdict::Fine => {}
                Verdict::Idle => Pin::new(&mut connection).end(),
                Verdict::TooSlow => return Poll::Ready(()),
            }
        }
        Pin::new(&mut connection).poll(ctx).map(|_| ())
    })
    .await;
}
