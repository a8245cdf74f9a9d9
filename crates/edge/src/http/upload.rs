//! The body of a request on its way to a replica, and who is waited for meanwhile. It is not buffered: a frame is read
//! when the replica takes it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::body::BodyError;
use super::watched::Watch;
use crate::counters::Flight;

/// The body of a request, on its way to a replica.
pub(crate) struct RequestBody(Option<Box<Upload>>);

struct Upload {
    incoming: Incoming,
    flight: Arc<Flight>,
    watch: Arc<Watch>,
    progress: Arc<Progress>,
    /// How long the client may bring nothing.
    patience: Duration,
    /// Ends the upload. Made when the client is first waited for.
    timer: Option<Pin<Box<Sleep>>>,
}

/// How far an upload has come, for whoever waits for the answer to it.
pub(crate) struct Progress {
    began: Instant,
    /// When it last came on, in milliseconds since it began.
    last: AtomicU64,
    /// The next piece is the client's to send.
    waits_for_client: AtomicBool,
}

/// The client brought nothing of its upload for too long.
#[derive(Debug, thiserror::Error)]
#[error("the client sent nothing more")]
pub(crate) struct Stalled;

impl RequestBody {
    /// No body.
    pub(crate) fn empty() -> Self {
        Self(None)
    }

    /// A body that arrives while it is sent on; its flight is an upload until it has arrived whole. It breaks off with
    /// [`Stalled`] when the client brings nothing for as long as `patience`.
    pub(crate) fn incoming(incoming: Incoming, flight: Arc<Flight>, watch: Arc<Watch>, patience: Duration) -> Self {
        let progress = Arc::new(Progress::new());
        Self(Some(Box::new(Upload { incoming, flight, watch, progress, patience, timer: None })))
    }

    /// Counts it as a request of another endpoint.
    pub(crate) fn set_flight(&mut self, flight: &Arc<Flight>) {
        if let Some(upload) = &mut self.0 {
            upload.flight = flight.clone();
        }
    }

    /// How far it has come; what is sent from now on begins now. None for no body.
    pub(crate) fn progress(&self) -> Option<Arc<Progress>> {
        let progress = self.0.as_ref().map(|upload| upload.progress.clone())?;
        progress.came_on();
        Some(progress)
    }
}

impl Upload {
    fn poll(&mut self, ctx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.incoming).poll_frame(ctx);
        if matches!(frame, Poll::Ready(None)) || self.incoming.is_end_stream() {
            self.flight.upload_ended();
            self.watch.chunks_ended();
        }
        if frame.is_ready() {
            self.progress.came_on();
            return frame.map_err(Into::into);
        }
        let waited = self.progress.wait_for_client();
        let deadline = || tokio::time::Instant::now() + self.patience;
        let timer = match &mut self.timer {
            None => self.timer.insert(Box::pin(tokio::time::sleep_until(deadline()))),
            Some(timer) => {
                if !waited {
                    timer.as_mut().reset(deadline());
                }
                timer
            }
        };
        timer.as_mut().poll(ctx).map(|()| Some(Err(Stalled.into())))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.get_mut().0 {
            Some(upload) => upload.poll(ctx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|upload| upload.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or(SizeHint::with_exact(0), |upload| upload.incoming.size_hint())
    }
}

impl Progress {
    fn new() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0), waits_for_client: AtomicBool::new(false) }
    }

    fn came_on(&self) {
        self.last.store(self.began.elapsed().as_millis() as u64, Relaxed);
        self.waits_for_client.store(false, Relaxed);
    }

    /// The client is waited for from now on. Returns whether it was already.
    fn wait_for_client(&self) -> bool {
        self.waits_for_client.swap(true, Relaxed)
    }

    /// How long the replica has taken nothing and the client is not to blame: the rest of the upload, or its answer, is
    /// the replica's turn.
    pub(crate) fn replica_waited_for(&self) -> Duration {
        if self.waits_for_client.load(Relaxed) {
            return Duration::ZERO;
        }
        self.began.elapsed().saturating_sub(Duration::from_millis(self.last.load(Relaxed)))
    }
}
