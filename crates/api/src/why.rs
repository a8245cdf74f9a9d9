//! `…/why/{service}`: the cause of what is wrong with a service, from evidence.

use daybook_model::EnvKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is wrong, why, and what can be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyView {
    /// The environment.
    #[schema(value_type = String, example = "shop/production")]
    pub key: EnvKey,
    /// The service.
    pub service: String,
    /// What is to be seen, one sentence without the service's name: "restarts every 40 s".
    pub headline: String,
    /// Why; none when nothing is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Facts that show it.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// What can be done, best first.
    #[serde(default)]
    pub options: Vec<WhyOption>,
    /// The last lines of the replica's log.
    #[serde(default)]
    pub log: Vec<String>,
}

/// Something that can be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhyOption {
    /// In words: "roll back to 41".
    pub text: String,
    /// The command that does it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}
