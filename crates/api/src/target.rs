//! `/v1/targets`: where environments run.

use daybook_model::{EnvKey, Target, TargetName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Gives a cluster a name, by which manifests and commands then mean it: `kubernetes://NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddTarget {
    /// The name.
    #[schema(value_type = String, example = "prod")]
    pub name: TargetName,
    /// The cluster.
    #[schema(value_type = String, example = "kubernetes://arn:aws:eks:eu-1:1:cluster/prod?registry=registry.example.com/team")]
    pub target: Target,
}

/// One target that has a name, or that environments are on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TargetView {
    /// As a manifest names it; `this machine` for what names none.
    pub target: String,
    /// The name that a person gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub name: Option<TargetName>,
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
