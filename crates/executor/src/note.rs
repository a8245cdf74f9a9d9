//! Progress of steps under way: shown live, never journaled.

use daybook_model::{EnvKey, RunId, StepId};
use serde::{Deserialize, Serialize};

/// A word on a step under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The environment.
    pub key: EnvKey,
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
    /// The word: "Step 3/7 : COPY . .", "GET /healthz answered 503".
    pub text: String,
}
