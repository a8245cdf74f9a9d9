//! `/v1/silences`: alerts that nobody is told of for a time.

use daybook_model::{EnvKey, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A silence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SilenceView {
    /// What it is known by.
    pub id: String,
    /// The environment.
    #[schema(value_type = String)]
    pub key: EnvKey,
    /// Which alerts, as Alertmanager writes it; all of the environment, if it is `{}`.
    pub matchers: String,
    /// `active`, `pending` or `expired`.
    pub state: String,
    /// From when on.
    pub starts: Timestamp,
    /// Until when.
    pub ends: Timestamp,
    /// Who made it.
    pub by: String,
    /// Why.
    pub why: String,
    /// How many alerts it silences now.
    pub silenced: usize,
}

/// A silence that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddSilence {
    /// The environment. What is about the machine is silenced with it, where a matcher names it.
    #[schema(value_type = String)]
    pub key: EnvKey,
    /// Which alerts, as Alertmanager writes it: `service="web"`, `alertname=~"High.*"`. All have to hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matchers: Vec<String>,
    /// All alerts of the environment: for maintenance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// From when on; from now on, where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<Timestamp>,
    /// For how long: milliseconds.
    pub for_ms: u64,
    /// Why.
    pub why: String,
}
