//! `…/channels`: where an environment tells of its incidents.

use daybook_model::Timestamp;
use daybook_model::name::ChannelName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A channel, and how it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelView {
    /// What it is called.
    #[schema(value_type = String)]
    pub name: ChannelName,
    /// Where it leads, without what is secret: `Slack at hooks.slack.com`.
    pub to: String,
    /// Incidents from which severity on are told there: `page`, `ticket` or `info`.
    pub least: String,
    /// Whether releases are told there too.
    pub changes: bool,
    /// `idle` (nothing was told yet), `works`, `failing`, `dead` (it fails for long, or has refused something) or `unusable`.
    pub state: String,
    /// Notices that wait for it.
    pub waiting: u64,
    /// What was told there last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<ToldView>,
    /// Since when nothing gets through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Timestamp>,
    /// What keeps it from being used, or happened when it failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Something that was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ToldView {
    /// When.
    pub at: Timestamp,
    /// What, in one line.
    pub what: String,
}

/// Sends a message through a channel that says that it is a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestChannel {
    /// Which.
    #[schema(value_type = String)]
    pub channel: ChannelName,
}

/// What came of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelTested {
    /// Which channel.
    #[schema(value_type = String)]
    pub channel: ChannelName,
    /// Where it leads.
    pub to: String,
    /// Whether the receiver took all of it.
    pub works: bool,
    /// What was sent, in order. After a failure nothing more is.
    pub sent: Vec<SentView>,
}

/// A message of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SentView {
    /// What it says happened: `triggered`, `resolved`.
    pub kind: String,
    /// Whether the receiver took it.
    pub taken: bool,
    /// What the receiver answered, or what happened instead.
    pub answer: String,
}
