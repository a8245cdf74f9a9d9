//! Backups of databases and volumes: when they are made, what came of them, and whether a restore was proven.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::name::{DatabaseName, InvalidName, ServiceName, VolumeName};
use crate::spec::{SecretRef, Spec};

/// One backup, or one drill. UUID version 7, so that ids sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackupId(pub Uuid);

impl BackupId {
    /// The end of it, which tells it from others for people: the beginning is a time.
    pub fn short(&self) -> String {
        let hex = self.0.simple().to_string();
        hex[hex.len() - 8..].to_owned()
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is backed up as one: written `db` where it is a database, and `volume:uploads` where it is a volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Holding {
    /// What a database holds.
    Database(DatabaseName),
    /// What a volume holds.
    Volume(VolumeName),
}

/// What tells a volume from a database of the same name.
const VOLUME: &str = "volume:";

impl Holding {
    /// Its name alone, which a database and a volume may share.
    pub fn name(&self) -> &str {
        match self {
            Self::Database(name) => name.as_str(),
            Self::Volume(name) => name.as_str(),
        }
    }

    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Database(_) => "database",
            Self::Volume(_) => "volume",
        }
    }

    /// Whether `written` means this one: a plain name may be that of a volume.
    pub fn is_meant_by(&self, written: &Self) -> bool {
        self == written || matches!(written, Self::Database(name) if name.as_str() == self.name())
    }
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(name) => name.fmt(f),
            Self::Volume(name) => write!(f, "{VOLUME}{name}"),
        }
    }
}

impl std::str::FromStr for Holding {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text.strip_prefix(VOLUME) {
            Some(name) => name.parse().map(Self::Volume),
            None => text.parse().map(Self::Database),
        }
    }
}

impl TryFrom<String> for Holding {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Holding> for String {
    fn from(holding: Holding) -> Self {
        holding.to_string()
    }
}

impl Spec {
    /// When backups of it are made, kept and proven, where the manifest says so.
    pub fn backup_policy(&self, of: &Holding) -> Option<&BackupPolicy> {
        match of {
            Holding::Database(name) => self.databases.get(name)?.backup.as_ref(),
            Holding::Volume(name) => self.volumes.get(name)?.backup.as_ref(),
        }
    }

    /// Everything that has such a policy, databases first.
    pub fn backup_policies(&self) -> impl Iterator<Item = (Holding, &BackupPolicy)> {
        let databases = self.databases.iter().filter_map(|(name, database)| {
            database.backup.as_ref().map(|policy| (Holding::Database(name.clone()), policy))
        });
        let volumes = self
            .volumes
            .iter()
            .filter_map(|(name, volume)| volume.backup.as_ref().map(|policy| (Holding::Volume(name.clone()), policy)));
        databases.chain(volumes)
    }
}

/// When backups are made, how long they are kept, and how they are proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupPolicy {
    /// Line of the manifest, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Between the beginnings of two, milliseconds. `None`: only when somebody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
    /// Which stay.
    pub keep: Keep,
    /// Between two drills, milliseconds. `None`: only when somebody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill_ms: Option<u64>,
    /// Questions in SQL that a restored database must answer with true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<String>,
    /// Services that a drill starts with what it has restored, and that have to become healthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub start: Vec<ServiceName>,
    /// A command that is run where a volume is used before the volume is read; where it fails there is no backup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// A command that is run there afterwards, whatever became of the backup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Whether what is written in between is kept as well, so that any moment can be had back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub point_in_time: bool,
}

/// Which backups stay: each rule keeps some, and what no rule keeps goes. Of a span of time the newest stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// So many of the newest.
    #[serde(default)]
    pub last: u32,
    /// All that are not older, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
    /// One of each of the last so many hours that have one.
    #[serde(default)]
    pub hourly: u32,
    /// Days.
    #[serde(default)]
    pub daily: u32,
    /// Weeks, which begin on Mondays.
    #[serde(default)]
    pub weekly: u32,
    /// Months.
    #[serde(default)]
    pub monthly: u32,
    /// Years.
    #[serde(default)]
    pub yearly: u32,
}

impl Keep {
    /// What stays where nobody says it: a week of days, five weeks, a year of months.
    pub const USUAL: Self = Self { last: 3, within_ms: None, hourly: 0, daily: 7, weekly: 5, monthly: 12, yearly: 0 };
    /// Nothing but what is always kept.
    pub const NOTHING: Self = Self { last: 0, within_ms: None, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };
}

/// Where the backups of an environment are kept, where that is not the server's state directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupStore {
    /// An absolute directory, or a bucket: `s3://BUCKET/PREFIX`.
    pub to: String,
    /// Of a bucket: where its server is, unless that is Amazon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Of a bucket: its region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Of a bucket: who writes to it, then the secret that proves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<(SecretRef, SecretRef)>,
    /// Of a bucket: for so many days nobody can remove or change what was written, where its server keeps to that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_days: Option<u32>,
    /// Bytes that are written in a second at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
}

/// What became of the archive that leads a database back to any moment. What is in it is told by the repository itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArchiveNote {
    /// A base backup is about to be made.
    BaseStarted {
        /// Its id.
        base: BackupId,
        /// Why, in words.
        why: String,
    },
    /// It is in the repository.
    BaseMade {
        /// Its id.
        base: BackupId,
        /// Bytes that were read.
        size_bytes: u64,
    },
    /// There is none.
    BaseFailed {
        /// Its id.
        base: BackupId,
        /// Why, in words.
        why: String,
    },
    /// What is written does not get to the repository.
    Stuck {
        /// Why, in words.
        why: String,
    },
    /// It does again.
    Works,
    /// Some of what was written is missing: no moment beyond it can be had back before the next base backup.
    Gap {
        /// The name of the first segment that is missing.
        first: String,
        /// The name of the last in a row.
        last: String,
    },
    /// A scratch copy is about to be brought to a moment.
    RecoveryStarted {
        /// Its id.
        recovery: BackupId,
    },
    /// The scratch copy is gone.
    RecoveryEnded {
        /// Its id.
        recovery: BackupId,
    },
}

/// What a database holds, counted in the very state that a backup has of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The server that it was in: `PostgreSQL 15.14`.
    pub server: String,
    /// Each table, by schema and name.
    pub tables: BTreeMap<String, TableFacts>,
    /// How many indexes there are that can be used.
    pub indexes: u64,
    /// How many constraints there are that hold for every row.
    pub constraints: u64,
    /// What each sequence gave out last.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sequences: BTreeMap<String, i64>,
}

/// What a table holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableFacts {
    /// How many rows.
    pub rows: u64,
    /// A sum over the hashes of all rows, whatever their order.
    pub sum: String,
}

impl Facts {
    /// How many rows all tables have.
    pub fn rows(&self) -> u64 {
        self.tables.values().map(|table| table.rows).sum()
    }
}

/// What a volume holds, as a backup has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeFacts {
    /// How many files.
    pub files: u64,
    /// How many directories, itself among them.
    pub directories: u64,
    /// How many symbolic links, and other things that are neither.
    pub others: u64,
    /// Bytes in all files.
    pub bytes: u64,
    /// A sum over the path, kind, mode, owner, size and content of each, in order.
    pub sum: String,
}

/// What came of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupOutcome {
    /// It is in the repository.
    Made(Made),
    /// There is none.
    Failed {
        /// Why, in words.
        why: String,
    },
}

/// A backup that is in the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// What it is called there.
    pub snapshot: String,
    /// When all was as the backup has it.
    pub as_of: Timestamp,
    /// Bytes that were read.
    pub size_bytes: u64,
    /// Bytes by which the repository grew.
    pub added_bytes: u64,
    /// How many tables a database has.
    pub tables: u64,
    /// How many rows they have.
    pub rows: u64,
    /// What a volume holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<TreeFacts>,
    /// What else is to be known of it, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// What came of a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillOutcome {
    /// The backup was restored, and everything in it is as it was.
    Proven(Proof),
    /// It could not be restored, or something in it is not as it was.
    Failed {
        /// What, one line for each thing.
        why: Vec<String>,
    },
    /// The drill came to no end, which says nothing of the backup.
    Undecided {
        /// Why, in words.
        why: String,
    },
}

/// What a drill has measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// How much would have been lost, had all been gone when the drill began: milliseconds.
    pub rpo_ms: u64,
    /// From the beginning until what was restored could be used: milliseconds.
    pub rto_ms: u64,
    /// What was compared, in words.
    pub checks: Vec<String>,
}

impl std::str::FromStr for BackupId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_backed_up_is_read_as_it_is_shown() {
        for text in ["db", "volume:uploads"] {
            let holding: Holding = text.parse().unwrap();
            assert_eq!(holding.to_string(), text);
            assert_eq!(serde_json::to_value(&holding).unwrap(), text);
        }
        let uploads: Holding = "volume:uploads".parse().unwrap();
        assert!(uploads.is_meant_by(&"uploads".parse().unwrap()) && uploads.is_meant_by(&uploads));
        assert!(!Holding::is_meant_by(&"uploads".parse().unwrap(), &uploads), "a volume is no database");
        assert!("volume:".parse::<Holding>().is_err() && "disk:x".parse::<Holding>().is_err());
    }
}
