//! `…/clones`: another environment of the same app, with the data of the first or without.

use daybook_model::EnvName;
use daybook_model::clone::CloneData;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Asks for a clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CloneEnvironment {
    /// What it is called.
    #[schema(value_type = String)]
    pub to: EnvName,
    /// What it has of the data: `none`, `masked`, `full`.
    #[schema(value_type = String, example = "masked")]
    pub data: CloneData,
    /// As it was at this moment, by its backups; as it is without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub at: Option<daybook_model::Timestamp>,
    /// It goes by itself after so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// Columns that look personal and have no rule are copied as they are.
    #[serde(default)]
    pub accept_unmasked: bool,
}

/// What a clone would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClonePlan {
    /// What will be done and what is not as in the first, one line for each thing.
    pub steps: Vec<String>,
    /// Columns that look personal and have no rule.
    pub unmasked: Vec<UnmaskedColumn>,
}

/// A column that looks personal and has no rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnmaskedColumn {
    /// The database.
    pub database: String,
    /// `TABLE.COLUMN`.
    pub column: String,
    /// Why it looks so.
    pub why: String,
    /// A rule that would hide it.
    pub suggested: String,
}

/// A clone, as the environment that it is says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CloneView {
    /// Of which environment.
    #[schema(value_type = String)]
    pub from: EnvName,
    /// What it has of its data.
    #[schema(value_type = String)]
    pub data: CloneData,
    /// Of which moment its data is. `None`: of when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub at: Option<daybook_model::Timestamp>,
    /// When it goes by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub expires: Option<daybook_model::Timestamp>,
    /// Whether it is not whole yet.
    #[serde(default)]
    pub under_way: bool,
}
