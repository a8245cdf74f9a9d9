//! `GET /v1/version`: who answers.

use daybook_model::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The server, its runtime and its edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    /// The server's version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// Its state directory.
    pub state: String,
    /// What runs replicas.
    pub runtime: RuntimeVersion,
    /// The edge, if one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<EdgeView>,
    /// When the server started.
    pub started_at: Timestamp,
}

/// What runs replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuntimeVersion {
    /// `process`, `docker`, `podman`.
    pub name: String,
    /// Its version, or why it cannot be used now.
    pub version: String,
}

/// The edge process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EdgeView {
    /// Process id.
    pub pid: u32,
    /// Grows with each upgrade.
    pub generation: u64,
    /// Address of the HTTP listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// Address of the HTTPS listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<String>,
    /// Version of the route table in force.
    pub table_version: u64,
    /// Resident memory, bytes.
    pub rss: u64,
}
