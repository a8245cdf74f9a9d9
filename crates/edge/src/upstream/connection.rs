//! One HTTP/1.1 connection to a replica, driven by whoever uses it.
//!
//! hyper's client connection is usually a task of its own, which costs two switches between tasks for each
//! request. Here the request's own task polls it: while it waits for the answer, and while it reads the
//! answer's body. Nobody polls an idle connection, so its end is noticed when it is taken from the pool.
//!
//! The ends of hyper's channels between driver and user are in one task here. A wake from one to the other would
//! put the task into a queue again while it runs, and often wake another thread for it; so all but the driver
//! are polled without a waker, always right after the driver, which has the task's.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::http::upload::{RequestBody, Stalled};
use crate::limits::overdue;

/// An open connection.
pub(crate) struct Connection {
    sender: SendRequest<RequestBody>,
    /// `None` once it has ended: dropping it is what gives a request that it never took back to its sender.
    driver: Option<http1::Connection<TokioIo<TcpStream>, RequestBody>>,
    /// When it was opened, or gave its last answer.
    pub(crate) used: Instant,
    /// It has given an answer before.
    pub(crate) reused: bool,
}

/// How long a connection may take to open.
pub(crate) const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Why a request came to no answer, and whether it may go elsewhere.
pub(crate) enum Failure {
    /// Nothing of it was sent; here it is again. Any other endpoint may be tried.
    Unsent(Box<Request<RequestBody>>, String),
    /// It may have been carried out. Only a request that may be carried out twice can be tried again.
    Sent(String),
    /// The client itself sent a broken body, or not all of it.
    ByClient(Fault),
    /// All of it was sent, and the answer did not begin in time. The client has waited for so long that trying again
    /// elsewhere is its choice.
    Silent,
}

/// What a client did wrong with the body of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It broke off or was malformed.
    Broken,
    /// Nothing more of it came.
    Stalled,
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
        Ok(Self { sender, driver: Some(driver), used: Instant::now(), reused: false })
    }

    /// Whether it is still open, as far as can be seen from here.
    pub(crate) fn is_open(&mut self) -> bool {
        // With nothing to be woken for: whoever sends a request polls it again.
        self.is_reusable()
    }

    /// Sends a request and waits for the answer's head, `within` this time from when all of the request was sent. After
    /// a failure the connection is of no more use.
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
        within: Duration,
    ) -> Result<Response<Incoming>, Failure> {
        // Not counted while an upload comes on, or while its client is what is waited for.
        let upload = request.body().progress();
        let waited = move || upload.as_ref().map_or(within, |upload| upload.replica_waited_for());
        let mut bound = pin!(overdue(within, waited));
        // Unconstrained: tokio's budget would ask for a wake, of nobody.
        let mut answer = pin!(tokio::task::unconstrained(self.sender.try_send_request(request)));
        let driver = &mut self.driver;
        let result = poll_fn(|ctx| {
            poll_driver(driver, ctx);
            match answer.as_mut().poll(&mut nobody()) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => bound.as_mut().poll(ctx).map(|()| None),
            }
        });
        let Some(result) = result.await else {
            return Err(Failure::Silent);
        };
        result.map_err(|mut failure| match failure.take_message() {
            Some(request) => Failure::Unsent(Box::new(request), failure.error().to_string()),
            None if failure.error().is_user() => Failure::ByClient(fault(failure.error())),
            None => Failure::Sent(chain(failure.error())),
        })
    }

    /// Goes on while the body of the answer is read. Its end or error shows in the body.
    fn drive(&mut self, ctx: &mut Context<'_>) {
        poll_driver(&mut self.driver, ctx);
    }

    fn is_reusable(&mut self) -> bool {
        self.drive(&mut nobody());
        self.driver.is_some() && self.sender.is_ready()
    }
}

fn fault(error: &hyper::Error) -> Fault {
    let stalled = std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<Stalled>);
    if stalled { Fault::Stalled } else { Fault::Broken }
}

fn poll_driver<D: Future + Unpin>(driver: &mut Option<D>, ctx: &mut Context<'_>) {
    if driver.as_mut().is_some_and(|driver| Pin::new(driver).poll(ctx).is_ready()) {
        *driver = None;
    }
}

/// A context that wakes nobody.
fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
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
    pub(crate) fn settle(&mut self) {
        if self.incoming.is_end_stream() {
            self.recycle();
        } else if let Some((connection, _)) = &mut self.connection {
            // So that asking for the body's first frame wakes nobody either.
            connection.drive(&mut nobody());
        }
    }

    fn recycle(&mut self) {
        if let Some((mut connection, lane)) = self.connection.take()
            && connection.is_reusable()
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
        let mut frame = Pin::new(&mut this.incoming).poll_frame(&mut nobody());
        if frame.is_pending()
            && let Some((connection, _)) = &mut this.connection
        {
            connection.drive(ctx);
            frame = Pin::new(&mut this.incoming).poll_frame(&mut nobody());
        }
        match &frame {
            Poll::Ready(None) => this.recycle(),
            Poll::Ready(Some(Ok(_))) if this.incoming.is_end_stream() => this.recycle(),
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
