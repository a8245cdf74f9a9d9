//! `…/backups`: backups of databases and volumes, and whether a restore of them was proven.

use daybook_model::backup::Holding;
use daybook_model::{BackupId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The backups of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupsView {
    /// Where they are.
    pub place: String,
    /// Those of each database and volume that has some, or should.
    pub holdings: Vec<HoldingBackups>,
    /// Why the place itself could not be looked at: then this is what the journal knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<String>,
}

/// The backups of one database or volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldingBackups {
    /// The database, by its name; or the volume, as `volume:NAME`.
    #[schema(value_type = String)]
    pub of: Holding,
    /// When they are made, kept and proven, in words; nothing where the manifest does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The newest that a restore has proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    pub proven: Option<BackupId>,
    /// Since when nothing is proven: the first backup that was made after the newest proven one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub unproven_since: Option<Timestamp>,
    /// What should have been done by now and was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overdue: Vec<String>,
    /// How far back it can be had as it was at any moment, where its policy asks for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point_in_time: Option<PointInTime>,
    /// Each, the newest first.
    pub backups: Vec<BackupView>,
}

/// How far back a database can be had as it was at any moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PointInTime {
    /// The first moment. Nothing: there is no base backup yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub from: Option<Timestamp>,
    /// Everything that was written before is in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub until: Option<Timestamp>,
    /// How much would be lost now at most, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_ms: Option<u64>,
    /// How many base backups there are.
    pub base_backups: u64,
    /// How many segments of what was written.
    pub segments: u64,
    /// Where some is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<ArchiveGap>,
    /// Why what is written does not get to the repository now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<String>,
}

/// Some of what was written is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArchiveGap {
    /// The name of the first segment that is.
    pub missing: String,
    /// No moment after this one can be had.
    #[schema(value_type = String)]
    pub after: Timestamp,
    /// From this one on they can be again. Nothing: there is no base backup since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub before: Option<Timestamp>,
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub id: BackupId,
    /// What it is called in the repository, once it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// When it was begun.
    #[schema(value_type = String)]
    pub begun: Timestamp,
    /// Why.
    pub why: String,
    /// How far it is.
    pub state: BackupState,
    /// When all was as the backup has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub as_of: Option<Timestamp>,
    /// Bytes that were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Bytes by which the repository grew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added_bytes: Option<u64>,
    /// How many tables a database has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<u64>,
    /// How many rows they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// How many files a volume has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// What else is to be known of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// How long it took, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// What its last drill came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillView>,
}

/// How far a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackupState {
    /// It is being made.
    UnderWay,
    /// It could not be made.
    Failed,
    /// It is there, and nobody has tried to restore it.
    Unproven,
    /// It is being restored into a scratch copy.
    Drilling,
    /// A restore of it was as all had been.
    Proven,
    /// A restore of it failed, or was not as all had been.
    Refuted,
    /// It was made, and is not in the repository any more.
    Gone,
}

impl BackupState {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::UnderWay => "under way",
            Self::Failed => "failed",
            Self::Unproven => "unproven",
            Self::Drilling => "drilling",
            Self::Proven => "proven",
            Self::Refuted => "refuted",
            Self::Gone => "gone",
        }
    }
}

/// A drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DrillView {
    /// When it ended.
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// How much would have been lost: from the backup to the beginning of the drill, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_ms: Option<u64>,
    /// From its beginning until what was restored could be used, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_ms: Option<u64>,
    /// What was compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<String>,
    /// What was not as it had been; or why it came to no end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
}

/// Asks for backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackUp {
    /// Of these: `db`, `volume:uploads`. None: of every database, and of every volume that has a policy.
    #[schema(value_type = Vec<String>)]
    pub of: Vec<Holding>,
}

/// Asks for drills.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunDrill {
    /// Of these: `db`, `volume:uploads`. None: of everything that has a backup.
    #[schema(value_type = Vec<String>)]
    pub of: Vec<Holding>,
    /// Of this backup, by its id or the end of it; of the newest without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
}

/// Asks that what a database or a volume holds is replaced by a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Restore {
    /// Of what: `db`, `volume:uploads`.
    #[schema(value_type = String)]
    pub of: Holding,
    /// By this backup, by its id or the end of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<String>,
    /// As it was at this moment, where that can be had; by the newest backup that is not of a later time, where it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub at: Option<Timestamp>,
    /// No backup of what is there now is made before: it is lost.
    #[serde(default)]
    pub without_backup: bool,
}

/// Which backup a restore would take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestorePlan {
    /// What would be replaced.
    #[schema(value_type = String)]
    pub of: Holding,
    /// That backup.
    pub backup: BackupView,
    /// The very moment that it is brought to, by that base backup and what was written since. Nothing: it is as of the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub point_in_time: Option<Timestamp>,
    /// What will be done, one line for each thing.
    pub steps: Vec<String>,
}

/// Something that takes its time was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub id: BackupId,
    /// What it is: `backup of db`.
    pub what: String,
    /// Where it is now, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What came of it, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<OperationEnd>,
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationEnd {
    /// Whether it came to a good end.
    pub good: bool,
    /// What came of it, one line for each thing; the first says it all.
    pub said: Vec<String>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// How deep to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct VerifyQuery {
    /// Read every byte.
    pub everything: bool,
    /// Let later backups store again what is missing or damaged.
    #[serde(default)]
    pub repair: bool,
}
