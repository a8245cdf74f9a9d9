//! An accepted spec of an environment.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::id::{Digest, ReleaseNumber, RunId};
use crate::spec::Spec;

/// A numbered, kept desired state: what `rollback` goes back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its number within the environment.
    pub number: ReleaseNumber,
    /// The run that first carried it out.
    pub run: RunId,
    /// When it was accepted: every replica answered its checks and probation was over.
    pub accepted_at: Timestamp,
    /// Fully resolved.
    pub spec: Spec,
    /// Hash of the manifest's text that it came from, if it came from one.
    pub manifest: Option<Digest>,
    /// Why it was made, in a few words: "up", "rollback to 41", "scale web=3".
    pub reason: String,
}
