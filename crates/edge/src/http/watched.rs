//! A client's connection, watched: what hyper does not tell, and what would cost a timer for each request.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How a connection fares, as far as its bytes show.
pub(crate) struct Watch(Mutex<State>);

struct State {
    /// What was read since the last request ended: the head of the next, and perhaps some of its body.
    read: Vec<u8>,
    /// No request is being answered. Bytes are kept until the head has been parsed.
    in_head: bool,
    /// When the present state began: waiting for a head, or the first byte of one.
    since: Instant,
}

/// What should be done about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Fine,
    /// It has waited for a request for longer than this is useful.
    Idle,
    /// Its client is too slow in sending a head.
    TooSlow,
}

/// The largest head of a request that is taken.
pub(crate) const LARGEST_HEAD: usize = 64 * 1024;

impl Watch {
    pub(crate) fn new(now: Instant) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { read: Vec::new(), in_head: true, since: now })))
    }

    /// A head has been parsed; looks at its raw bytes.
    pub(crate) fn head_ended<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        let mut state = self.lock();
        state.in_head = false;
        look(&state.read)
    }

    /// Judges the connection. `head_within` bounds how long a head may take, `patience` how long it may be idle.
    pub(crate) fn judge(&self, now: Instant, head_within: Duration, patience: Duration) -> Verdict {
        let state = self.lock();
        let waited = now.saturating_duration_since(state.since);
        match (state.in_head, state.read.is_empty()) {
            (true, false) if waited > head_within => Verdict::TooSlow,
            (true, true) if waited > patience => Verdict::Idle,
            _ => Verdict::Fine,
        }
    }

    fn was_read(&self, bytes: &[u8]) {
        let mut state = self.lock();
        if state.in_head {
            if state.read.is_empty() {
                state.since = Instant::now();
            }
            let room = LARGEST_HEAD.saturating_sub(state.read.len());
            state.read.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
    }

    /// A request has been answered to its end: the next head may come.
    pub(crate) fn request_ended(&self, now: Instant) {
        let mut state = self.lock();
        state.in_head = true;
        state.read.clear();
        state.read.shrink_to(2048);
        state.since = now;
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

    #[test]
    fn r09_a_slow_head_is_told_from_an_idle_connection() {
        let (head, idle) = (Duration::from_secs(20), Duration::from_secs(75));
        let start = Instant::now();
        let watch = Watch::new(start);
        let judge = |after: Duration| watch.judge(Instant::now() + after, head, idle);
        assert_eq!(judge(head * 2), Verdict::Fine);
        assert_eq!(judge(idle * 2), Verdict::Idle);
        watch.was_read(b"GET / HT");
        assert_eq!(judge(head * 2), Verdict::TooSlow);
        watch.head_ended(|raw| assert_eq!(raw, b"GET / HT"));
        assert_eq!(judge(head * 100), Verdict::Fine, "the replica works");
        watch.request_ended(Instant::now());
        assert_eq!(judge(idle * 2), Verdict::Idle);
    }
}
