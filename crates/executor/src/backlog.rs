//! Replicas that were started and have not begun.
//!
//! A machine or a cluster that has more to start than it can is late with all of it, until the first one has waited for
//! longer than it may and the whole run goes back. So no more are started while many wait for their beginning. Those that
//! have begun and are not ready are not counted: what they wait for may be one that is still to be started.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// So many may wait for their beginning before no more are started.
const AT_MOST: usize = 100;

/// How many wait.
#[derive(Default)]
pub(crate) struct Backlog {
    waiting: AtomicUsize,
    shrank: Notify,
}

/// One that waits, until this is dropped.
pub(crate) struct Waits<'a>(&'a Backlog);

impl Backlog {
    /// One more waits.
    pub(crate) fn one(&self) -> Waits<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waits(self)
    }

    /// Whether no more are to be started now.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= AT_MOST
    }

    /// Returns when one waits no longer, or if one has since the last time.
    pub(crate) async fn shrank(&self) {
        self.shrank.notified().await;
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.shrank.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_started_while_many_wait() {
        let backlog = Backlog::default();
        let mut waiting: Vec<_> = (0..AT_MOST).map(|_| backlog.one()).collect();
        assert!(backlog.is_full());
        waiting.pop();
        backlog.shrank().await;
        assert!(!backlog.is_full());
    }
}
