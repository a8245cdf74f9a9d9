//! How long the head of an answer is waited for.

use std::sync::Arc;
use std::time::Duration;

use crate::http::upload::Progress;

/// Returns when a replica has had a whole request for so long. It does not while an upload comes on, or while its
/// client is what is waited for.
pub(super) async fn head_bound(within: Duration, upload: Option<Arc<Progress>>) {
    let mut wait = within;
    while !wait.is_zero() {
        tokio::time::sleep(wait).await;
        let waited = upload.as_ref().map_or(within, |upload| upload.replica_waited_for());
        wait = within.saturating_sub(waited);
    }
}
