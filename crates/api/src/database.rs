//! `…/databases/NAME`: what the history of a database holds, and changes of the history itself.

use daybook_model::ServiceName;
use daybook_model::database::Advice;
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
    /// How large it is, and how many are logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vitals: Option<VitalsView>,
}

/// How large a database is, and how many are logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VitalsView {
    /// Bytes that its files take.
    pub size_bytes: u64,
    /// Connections to its server.
    pub connections: u64,
    /// How many its server lets in.
    pub most_connections: u64,
    /// How its dumps have grown, by its backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growth: Option<GrowthView>,
}

/// How the dump of a database has grown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrowthView {
    /// Bytes that the newest has more than the oldest; less than 0 where it has fewer.
    pub bytes: i64,
    /// Milliseconds between the two.
    pub within_ms: u64,
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

/// What would make a database faster, smaller or safer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TuneView {
    /// What is to be said, the gravest first.
    pub advice: Vec<AdviceView>,
    /// Whether indexes could be tried without being made (HypoPG).
    pub tried_indexes: bool,
}

/// One advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdviceView {
    /// What kind of thing it is: `missing index`, `danger`, ….
    pub kind: String,
    /// The table, index or query that it is about.
    pub about: String,
    /// The evidence, in words.
    pub why: String,
    /// The statement to run, where one statement does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

impl TuneView {
    /// As people and programs are shown it.
    pub fn of(advice: Vec<Advice>, tried_indexes: bool) -> Self {
        let view = |one: Advice| {
            let Advice { kind, about, why, run } = one;
            AdviceView { kind: kind.words().to_owned(), about, why, run }
        };
        Self { advice: advice.into_iter().map(view).collect(), tried_indexes }
    }
}
