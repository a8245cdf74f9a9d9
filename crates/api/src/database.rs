//! `…/databases/NAME`: what the history of a database holds, and changes of the history itself.

use daybook_model::ServiceName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatabaseView {
    /// Where it is, and its version.
    #[serde(flatten)]
    pub place: PlaceView,
    /// How each migration stands: versions in their order, then repeatable ones.
    pub migrations: Vec<MigrationView>,
    /// What keeps migrations from being run.
    pub wrong: Vec<String>,
    /// Services that have a login of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub logins: Vec<ServiceName>,
}

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlaceView {
    /// What it is: `PostgreSQL`.
    pub engine: String,
    /// The version of its server.
    pub server: String,
    /// What it is called there.
    pub database: String,
    /// The schema that is migrated.
    pub schema: String,
    /// The version that its migrations have brought it to.
    pub version: Option<String>,
}

/// A migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MigrationView {
    /// Its version; none of repeatable ones.
    pub version: Option<String>,
    /// What it does, in the words of who wrote it.
    pub description: String,
    /// How it stands: `pending`, `applied`, `failed`, ….
    pub state: String,
    /// Its file.
    pub script: String,
    /// The checksum of the file.
    pub checksum: Option<i32>,
    /// When it was run, as the database says it.
    pub installed_on: Option<String>,
    /// Who ran it.
    pub installed_by: Option<String>,
    /// How long it took, milliseconds.
    pub took_ms: Option<i32>,
}

/// A change of a history, or by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HistoryChange {
    /// Begins it at this version, in a database that was there before its migrations.
    Baseline(String),
    /// Makes it fit the files.
    Repair,
    /// Takes the newest version back by its undo script, or every one after this.
    Undo(Option<String>),
}

impl std::fmt::Display for HistoryChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Baseline(version) => write!(f, "baseline at version {version}"),
            Self::Repair => f.write_str("repair of the history"),
            Self::Undo(None) => f.write_str("undo of the newest version"),
            Self::Undo(Some(version)) => write!(f, "undo down to version {version}"),
        }
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryChanged {
    /// In words, in its order.
    pub did: Vec<String>,
    /// The version of the database now.
    pub version: Option<String>,
}
