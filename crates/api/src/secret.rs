//! `…/secrets`: the sealed store, which nobody reads back.

use daybook_model::{SecretName, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A secret's name and version; never its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretView {
    /// Its name.
    #[schema(value_type = String)]
    pub name: SecretName,
    /// The version in force for the next release.
    pub version: u64,
    /// When it was set.
    pub set_at: Timestamp,
    /// Where a Vault keeps it, as the release in force has it: `kv/shop/production#api_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// Sets a secret. Not `Debug`: it holds the value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", untagged)]
pub enum SetSecret {
    /// To this value.
    Value {
        /// The value, text.
        value: String,
    },
    /// To a random value that nobody sees.
    Generate {
        /// Must be true.
        generate: bool,
    },
}

/// A secret has a new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretVersion {
    /// The version.
    pub version: u64,
}
