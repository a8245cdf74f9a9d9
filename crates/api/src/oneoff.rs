//! `…/oneoff`: a command run once beside a service, in a replica of its own.

use std::collections::BTreeMap;

use daybook_model::{ReplicaId, ServiceName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Starts a command in a new replica of a service.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OneOffRequest {
    /// Whose image, configuration and secrets it gets.
    #[schema(value_type = String)]
    pub service: ServiceName,
    /// Program and arguments; none means the service's own command.
    #[serde(default)]
    pub argv: Vec<String>,
    /// Further environment variables; they replace the service's own.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// A one-off replica began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OneOffStarted {
    /// Its name: logs are asked for by it.
    #[schema(value_type = String, example = "web.7")]
    pub replica: ReplicaId,
}

/// How far a one-off replica is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OneOffView {
    /// It runs.
    pub running: bool,
    /// Exit code, once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
}
