//! Trying again while the runtime or the edge is away.

use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;

use crate::{Error, Result};

/// How long the runtime or the edge may be away, before a plan is not made or a step fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first pause; each is twice the one before, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Tries until an attempt succeeds, fails for good, or [`PATIENCE`] is over.
pub(crate) async fn patiently<'a, T>(attempt: impl Fn() -> BoxFuture<'a, Result<T>>) -> Result<T> {
    patiently_telling(attempt, |error| tracing::warn!(%error, "trying again")).await
}

/// As [`patiently`]; `tell` hears of each attempt that is followed by another. Attempts are boxed, for the
/// compiler cannot tell that the future of an `AsyncFn` may move between threads.
pub(crate) async fn patiently_telling<'a, T>(
    attempt: impl Fn() -> BoxFuture<'a, Result<T>>,
    tell: impl Fn(&daybook_runtime::Error),
) -> Result<T> {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt().await {
            Err(Error::Runtime(error)) if error.is_transient() && began.elapsed() < PATIENCE => {
                tell(&error);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            other => return other,
        }
    }
}
