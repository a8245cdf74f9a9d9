//! `/v1/environments`: which environments there are.

use crate::clone::CloneView;
use daybook_model::{EnvKey, ReleaseNumber, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Makes the record of an environment in which nothing runs yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateEnvironment {
    /// Its key.
    #[schema(value_type = String, example = "shop/staging")]
    pub key: EnvKey,
}

/// One environment in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EnvironmentView {
    /// Its key.
    #[schema(value_type = String, example = "shop/production")]
    pub key: EnvKey,
    /// The release in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub release: Option<ReleaseNumber>,
    /// When it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Timestamp>,
    /// How many services it has.
    pub services: u32,
    /// How many of them have every replica ready.
    pub ready: u32,
    /// The run that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    pub open_run: Option<RunId>,
    /// Its state was rebuilt from what runs.
    #[serde(default)]
    pub adopted: bool,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(example = "kubernetes://prod")]
    pub target: String,
    /// Where it runs as well, until its move is finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<String>,
    /// Of what it is a clone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone: Option<CloneView>,
}

/// An environment on this machine's runtime that belongs to another Daybook. It is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OtherEnvironmentView {
    /// Its key.
    #[schema(value_type = String, example = "shop/production")]
    pub key: EnvKey,
    /// The other's state directory.
    #[schema(example = "/var/lib/daybook")]
    pub state: String,
    /// The machine of that directory.
    pub host: String,
}
