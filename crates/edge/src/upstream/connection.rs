//! One HTTP/1.1 connection to a replica, driven by whoever uses it.
//!
//! hyper's client connection is usually a task of its own, which costs two switches between tasks for each
//! request. Here the request's own task polls it: while it waits for the answer, and while it reads the
//! answer's body. Nobody polls an idle connection, so its end is noticed when it is taken from the pool.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::http::body::RequestBody;

/// An open connection.
pub(crate) struct Connection {
    sender: SendRequest<RequestBody>,
    driver: http1::Connection<TokioIo<TcpStream>, RequestBody>,
    /// When it was opened, or gave its last answer.
    pub(crate) used: Instant,
    /// It has given an answer before.
    pub(crate) reused: bool,
}

/// How long a connection may take to open.
pub(crate) const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Why a request came to no answer.
pub(crate) enum Broken {
    /// Nothing of it was sent; here it is again.
    Unsent(Box<Request<RequestBody>>, String),
    /// Some of it may have been sent.
    Sent {
        /// In words.
        why: String,
        /// The client itself sent a broken body.
        by_client: bool,
    },
}

/// Opens a TCP connection.
pub(crate) async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => {
            stream.set_nodelay(true).ok();
            Ok(stream)
        }
        Ok(Err(error)) => Err(format!("connect to {address}: {error}")),
        Err(_) => Err(format!("connect to {address}: no answer within {} s", CONNECT_WITHIN.as_secs())),
    }
}

impl Connection {
    /// Opens a connection.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, String> {
        let stream = connect(address).await?;
        let handshake = http1::Builder::new().max_headers(200).handshake(TokioIo::new(stream)).await;
        let (sender, driver) = handshake.map_err(|error| format!("connect to {address}: {error}"))?;
        Ok(Self { sender, driver, used: Instant::now(), reused: false })
    }

    /// Whether it is still open, as far as can be seen from here.
    pub(crate) async fn is_open(&mut self) -> bool {
        poll_fn(|ctx| Poll::Ready(Pin::new(&mut self.driver).poll(ctx).is_pending() && self.sender.is_ready())).await
    }

    /// Sends a request and waits for the answer's head.
    pub(crate) async fn send(&mut self, request: Request<RequestBody>) -> Result<Response<Incoming>, Broken> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        let mut ended = false;
        let result = poll_fn(|ctx| {
            if !ended && Pin::new(&mut *driver).poll(ctx).is_ready() {
                ended = true;
            }
            answer.as_mut().poll(ctx)
        });
        result.await.map_err(|mut failure| match failure.take_message() {
            Some(request) => Broken::Unsent(Box::new(request), failure.error().to_string()),
            None => Broken::Sent { why: chain(failure.error()), by_client: failure.error().is_user() },
        })
    }

    /// Goes on while the body of the answer is read.
    fn drive(&mut self, ctx: &mut Context<'_>) {
        // Its end or error shows in the body.
        let _ = Pin::new(&mut self.driver).poll(ctx);
    }

    fn is_reusable(&mut self, ctx: &mut Context<'_>) -> bool {
        Pin::new(&mut self.driver).poll(ctx).is_pending() && self.sender.is_ready()
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// The body of an answer, together with the connection that it arrives on. At its end the connection goes
/// back to its pool; dropped before, it is closed.
pub(crate) struct AnswerBody {
    incoming: Incoming,
    connection: Option<(Connection, std::sync::Arc<crate::backend::Lane>)>,
}

impl AnswerBody {
    pub(crate) fn new(incoming: Incoming, connection: Connection, lane: std::sync::Arc<crate::backend::Lane>) -> Self {
        Self { incoming, connection: Some((connection, lane)) }
    }

    /// Gives the connection back if the body has ended.
    pub(crate) fn settle(&mut self, ctx: &mut Context<'_>) {
        if self.incoming.is_end_stream() {
            self.recycle(ctx);
        }
    }

    fn recycle(&mut self, ctx: &mut Context<'_>) {
        if let Some((mut connection, lane)) = self.connection.take()
            && connection.is_reusable(ctx)
        {
            connection.used = Instant::now();
            connection.reused = true;
            lane.pool.put(connection);
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let mut frame = Pin::new(&mut this.incoming).poll_frame(ctx);
        if frame.is_pending() {
            if let Some((connection, _)) = &mut this.connection {
                connection.drive(ctx);
            }
            frame = Pin::new(&mut this.incoming).poll_frame(ctx);
        }
        match &frame {
            Poll::Ready(None) => this.recycle(ctx),
            Poll::Ready(Some(Ok(_))) if this.incoming.is_end_stream() => this.recycle(ctx),
            Poll::Ready(Some(Err(_))) => this.connection = None,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
