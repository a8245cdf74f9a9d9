//! `/v1/targets`: where environments run.

use daybook_model::EnvKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One target that environments are on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TargetView {
    /// As a manifest names it; `this machine` for what names none.
    pub target: String,
    /// What answers there, and its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Why nothing answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Machines of a cluster that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machines_ready: Option<u32>,
    /// Machines of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machines: Option<u32>,
    /// Thousandths of a core that replicas can have there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
    /// Bytes of memory that replicas can have there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Environments that are there.
    #[schema(value_type = Vec<String>)]
    pub environments: Vec<EnvKey>,
}
