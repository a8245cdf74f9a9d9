//! `GET /v1/journal/verify`: is the record whole?

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What checking the chain of hashes found. A damaged chain is an answer, not an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JournalVerified {
    /// Entries that were read, the first bad one not among them.
    pub entries: u64,
    /// Hash of the last good entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// The first bad entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged: Option<Damaged>,
}

/// An entry that was altered, dropped or torn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Damaged {
    /// Its place.
    pub seq: u64,
    /// What is wrong with it.
    pub why: String,
}
