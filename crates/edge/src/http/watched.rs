//! A client's connection, watched: what hyper does not tell, and what would cost a timer for each request.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::heads::{Follows, Heads};
use crate::limits::Limits;

/// How a connection fares, as far as its bytes and its requests show.
pub(crate) struct Watch(Mutex<State>);

struct State {
    /// Of HTTP/1.1, where a head is bytes among others.
    heads: Option<Heads>,
    /// Requests that are being answered.
    open: u32,
    /// When the present state began: waiting for a request, or the first byte of its head.
    since: Instant,
}

/// What should be done about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Fine,
    /// It has waited for a request for longer than this is useful.
    Idle,
    /// Its client is too slow: in sending a head, or in taking the last of what there was for it.
    TooSlow,
}

impl Watch {
    /// Watches a connection of HTTP/1.1.
    pub(crate) fn http1(now: Instant) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { heads: Some(Heads::new()), open: 0, since: now })))
    }

    /// Watches a connection of HTTP/2.
    pub(crate) fn http2(now: Instant) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { heads: None, open: 0, since: now })))
    }

    /// A request has begun. Looks at the raw bytes of its head, if they are known.
    pub(super) fn request_began<T>(&self, follows: Follows, look: impl FnOnce(Option<&[u8]>) -> T) -> T {
        let mut state = self.lock();
        state.open += 1;
        match &mut state.heads {
            Some(heads) => heads.parsed(follows, look),
            None => look(None),
        }
    }

    /// A chunked body has come to its end.
    pub(super) fn chunks_ended(&self) {
        if let Some(heads) = &mut self.lock().heads {
            heads.chunks_ended();
        }
    }

    /// Whether the head of the request after this one will be seen as it was sent.
    pub(super) fn sees_next_head(&self) -> bool {
        self.lock().heads.as_ref().is_none_or(Heads::is_next_known)
    }

    /// A request has been answered to its end.
    pub(crate) fn request_ended(&self, now: Instant) {
        let mut state = self.lock();
        state.open = state.open.saturating_sub(1);
        state.since = now;
    }

    /// Judges the connection. `patience` bounds how long it may be idle.
    pub(crate) fn judge(&self, now: Instant, limits: &Limits, patience: Duration) -> Verdict {
        let state = self.lock();
        if state.open > 0 {
            return Verdict::Fine;
        }
        let waited = now.saturating_duration_since(state.since);
        match state.heads.as_ref().is_some_and(Heads::has_begun) {
            true if waited > limits.head => Verdict::TooSlow,
            false if waited > patience + limits.stall => Verdict::TooSlow,
            false if waited > patience => Verdict::Idle,
            _ => Verdict::Fine,
        }
    }

    fn was_read(&self, bytes: &[u8]) {
        let mut state = self.lock();
        let State { heads: Some(heads), open, since } = &mut *state else { return };
        let had_begun = heads.has_begun();
        heads.read(bytes);
        if *open == 0 && !had_begun && heads.has_begun() {
            *since = Instant::now();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no panic while it is held")
    }
}

/// A connection and its watch. What was read before the protocol was known is read again.
pub(crate) struct Watched<S> {
    stream: S,
    watch: Arc<Watch>,
    first: Vec<u8>,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S, watch: Arc<Watch>, first: Vec<u8>) -> Self {
        Self { stream, watch, first }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, ctx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        if this.first.is_empty() {
            std::task::ready!(Pin::new(&mut this.stream).poll_read(ctx, buffer))?;
        } else {
            let count = this.first.len().min(buffer.remaining());
            buffer.put_slice(&this.first[..count]);
            this.first.drain(..count);
        }
        this.watch.was_read(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, ctx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(ctx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        ctx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(ctx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(ctx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(ctx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(20);
    const IDLE: Duration = Duration::from_secs(75);
    const STALL: Duration = Duration::from_secs(60);

    fn judge(watch: &Watch, after: Duration) -> Verdict {
        let limits = Limits { head: HEAD, idle: IDLE, stall: STALL, ..Limits::default() };
        watch.judge(Instant::now() + after, &limits, IDLE)
    }

    #[test]
    fn r09_a_slow_head_is_told_from_an_idle_connection() {
        let watch = Watch::http1(Instant::now());
        assert_eq!(judge(&watch, HEAD * 2), Verdict::Fine);
        assert_eq!(judge(&watch, IDLE + STALL / 2), Verdict::Idle);
        assert_eq!(judge(&watch, IDLE + STALL * 2), Verdict::TooSlow, "it should have ended");
        watch.was_read(b"GET / HT");
        assert_eq!(judge(&watch, HEAD * 2), Verdict::TooSlow);
        watch.was_read(b"TP/1.1\r\n\r\n");
        watch.request_began(Follows::Bytes(0), |raw| assert_eq!(raw, Some(&b"GET / HTTP/1.1\r\n\r\n"[..])));
        assert_eq!(judge(&watch, HEAD * 100), Verdict::Fine, "the replica works");
        watch.request_ended(Instant::now());
        assert_eq!(judge(&watch, IDLE + STALL / 2), Verdict::Idle);
    }

    #[test]
    fn r09_a_connection_of_many_streams_is_idle_when_the_last_has_ended() {
        let watch = Watch::http2(Instant::now());
        watch.was_read(b"frames");
        watch.request_began(Follows::Bytes(0), |_| ());
        watch.request_began(Follows::Bytes(0), |_| ());
        watch.request_ended(Instant::now());
        assert_eq!(judge(&watch, IDLE * 2), Verdict::Fine);
        watch.request_ended(Instant::now());
        assert_eq!(judge(&watch, IDLE + STALL / 2), Verdict::Idle);
    }
}
