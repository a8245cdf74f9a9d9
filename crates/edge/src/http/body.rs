//! The body of an answer on its way to the client. It is not buffered: a frame is read when the client takes it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::access_log::Ended;
use crate::http::files::FileBody;
use crate::upstream::connection::AnswerBody;

/// The body of an answer, on its way to the client. When it is dropped, the request has ended: it is
/// logged, and no longer in flight.
pub(crate) struct EdgeBody {
    source: Source,
    /// Ends an event stream when its endpoint's drain bound comes.
    cut: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    ended: Option<Ended>,
}

/// Where the bytes come from.
pub(crate) enum Source {
    /// Nowhere.
    Empty,
    /// A few of our own.
    Own(Bytes),
    /// A replica.
    Answer(Box<AnswerBody>),
    /// A replica that was asked for an upgrade and did not agree.
    Plain(Incoming),
    /// A file.
    File(Box<FileBody>),
}

impl EdgeBody {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, cut: None, ended: None }
    }

    /// A short text of our own.
    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        Self::new(Source::Own(text.into()))
    }

    /// Keeps what must last until the body has been sent.
    pub(crate) fn ends(mut self, ended: Ended) -> Self {
        self.ended = Some(ended);
        self
    }

    /// Takes back what [`EdgeBody::ends`] was given.
    pub(crate) fn take_ended(&mut self) -> Option<Ended> {
        self.ended.take()
    }

    /// Ends the body when `cut` comes.
    pub(crate) fn until(mut self, cut: WaitForCancellationFutureOwned) -> Self {
        self.cut = Some(Box::pin(cut));
        self
    }
}

/// Why a body broke off.
pub(crate) type BodyError = Box<dyn std::error::Error + Send + Sync>;

impl Body for EdgeBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(cut) = &mut this.cut
            && cut.as_mut().poll(ctx).is_ready()
        {
            this.source = Source::Empty;
        }
        let frame = match &mut this.source {
            Source::Empty => Poll::Ready(None),
            Source::Own(bytes) if bytes.is_empty() => Poll::Ready(None),
            Source::Own(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Source::Answer(body) => Pin::new(body.as_mut()).poll_frame(ctx).map_err(Into::into),
            Source::Plain(body) => Pin::new(body).poll_frame(ctx).map_err(Into::into),
            Source::File(body) => Pin::new(body.as_mut()).poll_frame(ctx).map_err(Into::into),
        };
        if let (Poll::Ready(Some(Ok(frame))), Some(ended)) = (&frame, &mut this.ended)
            && let Some(data) = frame.data_ref()
        {
            ended.bytes += data.len() as u64;
        }
        if let (Poll::Ready(Some(Err(_))), Some(ended)) = (&frame, &mut this.ended) {
            ended.broken = true;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Own(bytes) => bytes.is_empty(),
            Source::Answer(body) => body.is_end_stream(),
            Source::Plain(body) => body.is_end_stream(),
            Source::File(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Answer(body) if self.cut.is_none() => body.size_hint(),
            Source::Answer(_) => SizeHint::default(),
            Source::Plain(body) => body.size_hint(),
            Source::File(body) => body.size_hint(),
        }
    }
}
