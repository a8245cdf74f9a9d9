//! Bodies, within bounds.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::HeaderMap;
use bytes::Bytes;
use daybook_ingest::Refused;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::SemaphorePermit;

use super::Inflow;

/// How long a body waits for its turn; then its sender comes again.
const TURN_WITHIN: Duration = Duration::from_secs(10);
/// How long a body may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(30);

/// Why something is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// It never will be.
    Refused(Refused),
    /// It may be if it is sent again.
    Later(String),
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// The value of a header; empty if it has none, or none that is text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

impl Inflow {
    /// A body of at most so many bytes as it is sent, and the turn in which it is taken in.
    pub(super) async fn body(&self, body: Body, most: usize) -> Result<(Bytes, SemaphorePermit<'_>), Failure> {
        let too_large = || Failure::Refused(Refused::TooLarge { most });
        if body.size_hint().lower() > most as u64 {
            return Err(too_large());
        }
        let busy = || Failure::Later("too much is sent at once".to_owned());
        let turn = tokio::time::timeout(TURN_WITHIN, self.turns.acquire()).await.map_err(|_| busy())?;
        let turn = turn.map_err(|_| busy())?;
        let slow = || Failure::Later(format!("the body did not arrive within {} s", ARRIVES_WITHIN.as_secs()));
        let whole = tokio::time::timeout(ARRIVES_WITHIN, Limited::new(body, most).collect()).await;
        match whole.map_err(|_| slow())? {
            Ok(whole) => Ok((whole.to_bytes(), turn)),
            Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
            Err(error) => Err(Failure::Later(format!("the body did not arrive: {error}"))),
        }
    }
}
