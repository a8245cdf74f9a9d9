//! What makes two replicas interchangeable.

use serde::{Deserialize, Serialize};

use crate::id::Digest;
use crate::spec::Service;

/// The hash of everything about a service that matters to a running replica of it.
///
/// Replicas with the fingerprint of the spec are current; any other is old. How many replicas run,
/// how they are rolled out and where they are routed does not enter: changing those replaces nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub Digest);

impl Fingerprint {
    /// The fingerprint of `service`, whose artifact must be resolved: an unresolved artifact is
    /// hashed by its written name, which cannot tell two images of one tag apart.
    pub fn of(service: &Service) -> Self {
        let text = serde_json::to_vec(&service.runtime_part()).expect("a service is plain data");
        Self(Digest::of(&text))
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.short())
    }
}
