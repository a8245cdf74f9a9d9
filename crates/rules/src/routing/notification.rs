//! What is sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Something to send to one receiver in one way. Its group and receiver stay the same over all notifications of a group: of
/// them makes a receiver its key for deduplication.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notification {
    /// What it is known by; the same when it is sent again.
    pub id: String,
    /// The group.
    pub group: String,
    /// Who is told.
    pub receiver: String,
    /// In which of the receiver's ways, by its place among them.
    pub integration: usize,
    /// Whether anything fires.
    pub status: Status,
    /// Why it is sent now.
    pub reason: Reason,
    /// The labels of the group.
    pub group_labels: BTreeMap<String, String>,
    /// The labels that all alerts have.
    pub common_labels: BTreeMap<String, String>,
    /// The annotations that all alerts have.
    pub common_annotations: BTreeMap<String, String>,
    /// The alerts: those that fire first, then by age.
    pub alerts: Vec<Told>,
}

/// An alert in a notification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// How it stands.
    pub status: Status,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What is said about it.
    pub annotations: BTreeMap<String, String>,
    /// Since when it fires.
    pub starts_at: i64,
    /// When it ended; none while it fires.
    pub ends_at: Option<i64>,
    /// What it comes of.
    pub source: String,
    /// The number of its labels.
    pub fingerprint: u64,
}

/// Whether something fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It fires.
    Firing,
    /// It has ended.
    Resolved,
}

/// Why something is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nothing was sent before, or everything had ended.
    First,
    /// Alerts fire that did not when something was last sent.
    MoreFire,
    /// Nothing fires any longer.
    AllEnded,
    /// Some have ended.
    SomeEnded,
    /// Nothing changed, for a long time.
    Repeat,
}

impl Reason {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::First => "alerts fire",
            Self::MoreFire => "more alerts fire",
            Self::AllEnded => "all alerts have ended",
            Self::SomeEnded => "some alerts have ended",
            Self::Repeat => "nothing has changed for as long as the repeat interval",
        }
    }
}
