//! What the journal tells of archives: what was said already, and what was left open.

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::backup::ArchiveNote;
use daybook_model::{BackupId, DatabaseName, Event, Timestamp};

/// What was said of one archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    /// Why what is written does not get to the repository, since that was said last.
    pub stuck: Option<String>,
    /// The first names of gaps that were told.
    pub gaps: BTreeSet<String>,
    /// When the last base backup was begun, if it came to nothing.
    pub failed: Option<Timestamp>,
    /// The base backup that was begun and has no end.
    pub making: Option<BackupId>,
    /// Recoveries whose scratch copy may be there.
    pub recoveries: BTreeSet<BackupId>,
}

/// What was said of the archives of an environment.
pub fn noted<'e>(entries: impl IntoIterator<Item = (Timestamp, &'e Event)>) -> BTreeMap<DatabaseName, Noted> {
    let mut all: BTreeMap<DatabaseName, Noted> = BTreeMap::new();
    for (at, event) in entries {
        if let Event::Archive { database, note } = event {
            all.entry(database.clone()).or_default().learn(at, note);
        }
    }
    all
}

impl Noted {
    /// Takes in what is said now.
    pub fn learn(&mut self, at: Timestamp, note: &ArchiveNote) {
        match note {
            ArchiveNote::BaseStarted { base, .. } => (self.failed, self.making) = (Some(at), Some(*base)),
            ArchiveNote::BaseMade { .. } => (self.failed, self.making) = (None, None),
            ArchiveNote::BaseFailed { .. } => self.making = None,
            ArchiveNote::Stuck { why } => self.stuck = Some(why.clone()),
            ArchiveNote::Works => self.stuck = None,
            ArchiveNote::Gap { first, .. } => drop(self.gaps.insert(first.clone())),
            ArchiveNote::RecoveryStarted { recovery } => drop(self.recoveries.insert(*recovery)),
            ArchiveNote::RecoveryEnded { recovery } => drop(self.recoveries.remove(recovery)),
        }
    }
}
