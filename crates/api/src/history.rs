//! `…/history`: releases, and the runs that did not become one.

use daybook_model::{ReleaseNumber, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::run::{ActorView, VerdictView};

/// A release, or a run that failed on its way to one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryEntry {
    /// The release's number; of a failed run, the number it would have had.
    #[schema(value_type = u64)]
    pub number: ReleaseNumber,
    /// When it was accepted; none for a failed run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Timestamp>,
    /// When its run began.
    pub started_at: Timestamp,
    /// The run.
    #[schema(value_type = String, format = Uuid)]
    pub run: RunId,
    /// Why, in a few words.
    pub reason: String,
    /// Who asked.
    pub actor: ActorView,
    /// It is in force now.
    pub current: bool,
    /// What it consists of.
    #[serde(default)]
    pub services: Vec<HistoryService>,
    /// How its run ended; none while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictView>,
}

/// A service of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryService {
    /// Its name.
    pub name: String,
    /// The first digits of its artifact's digest.
    pub artifact: String,
}

/// How many entries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// At most so many, the newest; they come newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}
