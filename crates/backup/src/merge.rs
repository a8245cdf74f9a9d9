//! Makes one snapshot of several.

use std::cmp::Ordering;

use rustic_core::repofile::Node;

use crate::error::Result;
use crate::lock::Lock;
use crate::repository::Repository;
use crate::snapshot::{About, Snapshot};

impl Repository {
    /// Saves one snapshot with the streams of several, which stay. Of two streams of one name it has that of the snapshot that
    /// was made last. No stream is read.
    pub fn merge(&self, about: &About, snapshots: &[String]) -> Result<Snapshot> {
        let _lock = Lock::shared(self)?;
        let session = self.session()?;
        let files = snapshots.iter().map(|id| self.snapshot(&session, id)).collect::<Result<Vec<_>>>()?;
        let link = &session.link;
        let told = |error: &_, doing| self.told(link, error, doing);
        let library = session.repository.to_indexed().map_err(|error| told(&error, "reading the index"))?;
        let later = |one: &Node, other: &Node| -> Ordering { one.meta.mtime.cmp(&other.meta.mtime) };
        let merged = library.merge_snapshots(&files, &later, about.file());
        merged.map(Snapshot::from).map_err(|error| told(&error, "merging snapshots"))
    }
}
