//! Streams of an HTTP/2 connection, each of whose answers must be taken.
//!
//! A client can take every byte of its connection and nothing of an answer: it keeps the window of the stream shut.
//! Such a stream is reset, since the others on its connection may fare well. hyper asks for the next piece of an answer
//! when the window has room for it, which is how a shut one is known.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;

use super::body::{BodyError, EdgeBody};
use crate::limits::overdue;

/// Runs the streams of a connection, and ends one whose client takes nothing for as long as `stall`.
#[derive(Clone)]
pub(super) struct Streams {
    pub(super) stall: Duration,
}

/// The body of an answer on a stream, in pieces: what hyper was given and cannot send stays in memory.
pub(super) struct Paced {
    body: EdgeBody,
    pace: Option<Arc<Pace>>,
    /// What is left of a frame.
    rest: Bytes,
}

/// How a stream's answer is taken.
#[derive(Debug, Default)]
struct Pace {
    /// When a piece was given for which no next one has been asked since.
    given: Mutex<Option<Instant>>,
}

/// The largest piece; a frame of HTTP/2 is usually no larger either.
const PIECE: usize = 16 * 1024;

tokio::task_local! {
    /// Of the stream that is run. hyper makes its future and gives it to [`Streams`] without saying whose it is.
    static PACE: Arc<Pace>;
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let (pace, stall) = (Arc::<Pace>::default(), self.stall);
        tokio::spawn(PACE.scope(pace.clone(), async move {
            tokio::select! {
                biased;
                () = stream => {}
                () = pace.stalled(stall) => {}
            }
        }));
    }
}

impl Pace {
    /// Returns when the client has taken nothing for so long.
    async fn stalled(&self, within: Duration) {
        overdue(within, || self.lock().map_or(Duration::ZERO, |given| given.elapsed())).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.given.lock().expect("no panic while it is held")
    }
}

impl Paced {
    /// Paces an answer. Called by the task of its stream.
    pub(super) fn answer(answer: Response<EdgeBody>) -> Response<Self> {
        let pace = PACE.try_with(Arc::clone).ok();
        answer.map(|body| Self { body, pace, rest: Bytes::new() })
    }

    fn poll_piece(&mut self, ctx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.rest.is_empty() {
            let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(ctx));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let piece = self.rest.split_to(PIECE.min(self.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let piece = this.poll_piece(ctx);
        if let Some(pace) = &this.pace {
            *pace.lock() = piece.is_ready().then(Instant::now);
        }
        piece
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let mut hint = self.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}
