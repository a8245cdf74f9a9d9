//! `…/top`: what replicas use now.

use daybook_model::ReplicaId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an environment and its machine use now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TopView {
    /// Every running replica.
    pub replicas: Vec<UsageView>,
    /// The machine.
    pub host: HostView,
}

/// What one replica uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageView {
    /// Which.
    #[schema(value_type = String, example = "web.3")]
    pub replica: ReplicaId,
    /// Cores, over the last moment: 0.5 is half a core.
    pub cpu_cores: f64,
    /// Bytes of memory that cannot be dropped.
    pub memory_bytes: u64,
    /// Its limit, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: u64,
}

/// The machine that replicas run on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HostView {
    /// Cores it has.
    pub cores: u32,
    /// Bytes of memory it has.
    pub memory_bytes: u64,
    /// Bytes of memory in use.
    #[serde(default)]
    pub memory_used_bytes: u64,
}
