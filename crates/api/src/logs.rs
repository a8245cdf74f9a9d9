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

/// Which lines are searched for, among those that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogSearch {
    /// Terms with blanks between them: `timeout`, `"lost connection"`, `/5\\d\\d$/`, `level>=warn`, `user=7`, `-health`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Only of these services, joined by commas; all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Only from this time on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Only until this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// How many: 100 by default, and 10,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The oldest first; otherwise the newest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub oldest_first: bool,
    /// Only lines after these, in that order: the `next` of a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl LogSearch {
    /// The services that are asked for; empty means all.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.service.iter().flat_map(|names| names.split(',')).filter(|name| !name.is_empty())
    }
}

/// Lines that were found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogsFound {
    /// The lines, in the order that was asked for.
    pub lines: Vec<FoundLine>,
    /// Where the next page begins, if there may be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Lines that were looked at.
    pub scanned_lines: u64,
    /// Chunks of lines that could not have any by their filters, and were not read.
    pub ruled_out_chunks: u64,
}

/// A line that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FoundLine {
    /// When it was written.
    pub at: Timestamp,
    /// The service.
    pub service: String,
    /// Who wrote it. It may be gone.
    pub replica: String,
    /// The release that it was of.
    pub release: String,
    /// `trace`, `debug`, `info`, `warn`, `error` or `fatal`, where the line says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// The request that it is about, where the line says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// It came from standard error.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stderr: bool,
    /// The line.
    pub text: String,
}
