//! `/v1/alerts/test`: what rules would have done.

use std::collections::BTreeMap;

use daybook_model::{EnvKey, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which rules to replay, over which time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestAlerts {
    /// The environment whose series they see.
    #[schema(value_type = String)]
    pub key: EnvKey,
    /// How far back: milliseconds.
    pub since_ms: u64,
    /// The name of an alert; all, if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// Rules that are in no release yet; those that hold now, if none are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<RulesText>,
}

/// A file of rules in Prometheus' format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RulesText {
    /// What it is called.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// What rules would have done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertTest {
    /// From then on,
    pub from: Timestamp,
    /// until then.
    pub until: Timestamp,
    /// Between two evaluations: milliseconds.
    pub step_ms: i64,
    /// Each alert.
    pub alerts: Vec<Replay>,
}

/// What one alert would have done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Replay {
    /// Its name.
    pub alert: String,
    /// The file that it is from.
    pub file: String,
    /// How often it would have fired.
    pub fired: usize,
    /// Why it fails, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Each time that its condition was true, oldest first: the newest few hundred.
    pub episodes: Vec<Episode>,
}

/// A time that the condition of an alert was true.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Episode {
    /// The labels of the alert.
    pub labels: BTreeMap<String, String>,
    /// What it says.
    pub summary: String,
    /// Since when its condition was true.
    pub pending: Timestamp,
    /// When it would have fired. None: it was over before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fired: Option<Timestamp>,
    /// When it ended. None: it lasts on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Its last value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}
