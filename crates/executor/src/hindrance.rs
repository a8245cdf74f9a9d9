//! What is in the way of a replica that does not start.

use std::time::Duration;

use daybook_decide::why;
use daybook_model::trouble::Trouble;
use daybook_model::{EnvKey, SeenReplica, Service, ServiceName};
use tokio::time::Instant;

use crate::Executor;

/// A runtime is asked after so long, and then ever more seldom:
const ASK_AGAIN: Duration = Duration::from_secs(2);
/// at each fourth of the time that was waited, at most
const SELDOM: u32 = 4;
/// after so long.
const AT_MOST: Duration = Duration::from_secs(15);

/// What is known of it, asked for now and then.
pub(crate) struct Hindrance {
    began: Instant,
    asked: Instant,
    troubles: Vec<Trouble>,
}

impl Hindrance {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), asked: Instant::now(), troubles: Vec::new() }
    }

    /// The cause, as far as it is known; else the runtime's words of the replica.
    pub(crate) fn cause(&self, seen: &SeenReplica, service: Option<&Service>) -> String {
        let trouble = why::in_the_way(&self.troubles);
        trouble.map_or_else(|| hindrance(seen), |trouble| why::cause(trouble, service))
    }

    /// Why it is of no use to wait any longer.
    pub(crate) fn no_use(&self, service: Option<&Service>) -> Option<String> {
        let waited = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        why::no_use(&self.troubles, service, waited)
    }
}

impl Executor {
    /// Asks again, if it is time to.
    pub(crate) async fn ask_what_hinders(&self, key: &EnvKey, service: &ServiceName, known: &mut Hindrance) {
        if known.asked.elapsed() > (known.began.elapsed() / SELDOM).clamp(ASK_AGAIN, AT_MOST) {
            known.asked = Instant::now();
            // A runtime that does not tell now may tell the next time.
            known.troubles = self.inner.runtime.troubles(key, service).await.unwrap_or_default();
        }
    }
}

/// What keeps a replica from starting, in the runtime's words.
pub(crate) fn hindrance(replica: &SeenReplica) -> String {
    let said = replica.last_exit.as_ref().and_then(|exit| exit.error.clone());
    said.unwrap_or_else(|| "it has not been started yet".to_owned())
}
