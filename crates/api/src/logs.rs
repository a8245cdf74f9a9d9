//! `…/logs`: what replicas print.

use daybook_model::{ReplicaId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// One line of a replica's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLineView {
    /// When it was written.
    pub at: Timestamp,
    /// Who wrote it.
    #[schema(value_type = String, example = "web.3")]
    pub replica: ReplicaId,
    /// `main`, `hook`, `job` or `one_off`.
    pub role: String,
    /// It came from standard error.
    pub stderr: bool,
    /// The line, without its break.
    pub text: String,
}

/// Which lines.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogsQuery {
    /// Only of these services, joined by commas; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Only of this replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub replica: Option<ReplicaId>,
    /// Only from this time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only so many of each replica's last lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<usize>,
    /// Go on with new lines, as an event stream, replicas that start later included.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
}

impl LogsQuery {
    /// The services that are asked for; empty means all.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.service.iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty())
    }
}
