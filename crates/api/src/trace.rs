//! `/v1/traces`: requests, step by step.

use std::collections::BTreeMap;

use daybook_model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// Which traces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TracesQuery {
    /// Only of requests that begin at this service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Only those in which a step failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// Only those that took so many milliseconds at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longer_than_ms: Option<u64>,
    /// At most so many: 20, if it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// What is said of a request in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TraceLine {
    /// Its trace.
    pub trace: String,
    /// The service where it begins; empty if nobody says.
    pub service: String,
    /// The name of its first step.
    pub name: String,
    /// When it began.
    pub began: Timestamp,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
    /// How many steps it has.
    pub spans: usize,
    /// Whether a step failed.
    pub failed: bool,
}

/// A request, step by step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TraceView {
    /// Its trace.
    pub trace: String,
    /// When it began.
    pub began: Timestamp,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
    /// Steps that were too many to be kept.
    pub dropped: usize,
    /// Each step after the one that it is within.
    pub spans: Vec<SpanView>,
}

/// A step of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SpanView {
    /// Its id.
    pub id: String,
    /// The step that it is within, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// How many steps it is within.
    pub depth: usize,
    /// Where it was done; empty if nobody says.
    pub service: String,
    /// What was done.
    pub name: String,
    /// On which side of a call: `internal`, `server`, `client`, `producer` or `consumer`.
    pub kind: String,
    /// How long after the first step it began, in nanoseconds.
    pub offset_ns: u64,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
    /// Whether it failed.
    pub failed: bool,
    /// Why it failed; empty if nobody says.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    pub attributes: BTreeMap<String, Value>,
}
