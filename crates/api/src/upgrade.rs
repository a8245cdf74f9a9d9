//! `…/databases/{name}/upgrade`: another series of a database server, which does not take over the files that are there.

use daybook_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::change::Up;

/// Asks for the server that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Upgrade {
    /// The manifest. Only the server of the database is taken from it.
    pub up: Up,
}

/// What an upgrade would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpgradePlan {
    /// The server that the database has: `PostgreSQL 15`.
    pub from: String,
    /// The server that it gets.
    pub to: String,
    /// Why nothing is to be carried over, if so: `daybook up` does the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needless: Option<String>,
    /// What will be done, one line for each thing.
    pub steps: Vec<String>,
    /// What is not carried over, one line for each thing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// The rehearsal that counts, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsed: Option<Rehearsed>,
}

/// A rehearsal that went well, not long ago, with the same servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rehearsed {
    /// When.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// For how long what uses the database would have been stopped, milliseconds.
    pub stop_ms: u64,
}
