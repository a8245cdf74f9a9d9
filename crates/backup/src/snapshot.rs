//! What is said about a backup.

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustic_core::repofile::SnapshotFile;

/// What is said about a backup that is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The machine that it is of.
    pub host: String,
    /// What it is of. Kept with each snapshot; `restic` does not show it.
    pub label: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// When it is made.
    pub time: Timestamp,
    /// What else is to be said.
    pub description: Option<String>,
}

impl About {
    /// The file of a snapshot that says so. It has no tree yet.
    pub(crate) fn file(&self) -> SnapshotFile {
        let mut file = SnapshotFile {
            time: self.time.to_zoned(TimeZone::UTC),
            program_version: concat!("daybook ", env!("CARGO_PKG_VERSION")).to_owned(),
            hostname: self.host.clone(),
            label: self.label.clone(),
            description: self.description.clone(),
            ..SnapshotFile::default()
        };
        for tag in &self.tags {
            file.tags.add(tag.clone());
        }
        file
    }
}

/// A backup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// 64 hexadecimal digits.
    pub id: String,
    /// When it was made.
    pub time: Timestamp,
    /// The machine that it is of.
    pub host: String,
    /// What it is of; empty where another program has made it.
    pub label: String,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// What else was said.
    pub description: Option<String>,
    /// What was read for it. Programs other than this do not always tell.
    pub size_bytes: Option<u64>,
    /// What it has added to the repository: compressed, and without what was there.
    pub added_bytes: Option<u64>,
    /// What it holds: `/` and the name of each stream, or the path of a directory.
    pub paths: Vec<PathBuf>,
}

impl From<SnapshotFile> for Snapshot {
    fn from(file: SnapshotFile) -> Self {
        let summary = file.summary.as_ref();
        Self {
            id: file.id.to_hex().as_str().to_owned(),
            time: file.time.timestamp(),
            size_bytes: summary.map(|summary| summary.total_bytes_processed),
            added_bytes: summary.map(|summary| summary.data_added_packed),
            tags: file.tags.iter().map(ToString::to_string).collect(),
            paths: file.paths.iter().map(PathBuf::from).collect(),
            host: file.hostname,
            label: file.label,
            description: file.description,
        }
    }
}
