//! What is alerted about, beside what is by default, and alerts that nobody is to be told of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::incident::Severity;
use crate::name::ServiceName;
use crate::policy::RuleFile;

/// Rules of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rules {
    /// Files in Prometheus' format.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<RuleFile>,
    /// What is different about alerts by default, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub adjusted: BTreeMap<String, Adjustment>,
}

impl Rules {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.adjusted.is_empty()
    }
}

/// What is different about an alert by default. What is not said stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Adjustment {
    /// It is not asked about.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub off: bool,
    /// The number that its query compares with, as it is written in a query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<String>,
    /// How long it has to be true: milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_ms: Option<u64>,
    /// How much it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// What is different about it for single services, instead of all that stands beside. These name no services.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<ServiceName, Adjustment>,
    /// Line of the manifest, from 1.
    pub line: u32,
}

/// Alerts that nobody is told of for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// What it is known by.
    pub id: String,
    /// Which alerts, as Alertmanager writes it: `{service="web"}`. All alerts of the environment, if there are none.
    pub matchers: String,
    /// From when on.
    pub starts: Timestamp,
    /// Until when.
    pub ends: Timestamp,
    /// Why.
    pub why: String,
}
