//! Frees what no snapshot needs.

use rustic_core::PruneOptions;

use crate::error::Result;
use crate::lock::Lock;
use crate::repository::Repository;

/// What a prune did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What was removed from the place. It was marked by a prune at least 23 hours ago.
    pub freed_bytes: u64,
    /// What no snapshot needs, and is removed by a prune in 23 hours or later.
    pub marked_bytes: u64,
}

impl Repository {
    /// Frees what no snapshot needs, in two steps: it is marked, and removed by a prune that comes at least 23 hours
    /// later, unless a snapshot needs it by then. So a backup that runs meanwhile, and uses what is marked, loses
    /// nothing if it takes less than that.
    ///
    /// [`crate::Error::Locked`] where `restic` works there: it knows nothing of marks.
    pub fn prune(&self) -> Result<Pruned> {
        let _lock = Lock::exclusive(self)?;
        let session = self.session()?;
        let told = |error: &_| self.told(&session.link, error, "pruning");
        let options = PruneOptions::default();
        let plan = session.repository.prune_plan(&options).map_err(|error| told(&error))?;
        let size = plan.stats.size_sum();
        let pruned = Pruned {
            freed_bytes: plan.stats.size_to_delete.remove,
            marked_bytes: size.remove + size.repack + plan.stats.size_to_delete.keep + plan.stats.size_unref,
        };
        session.repository.prune(&options, plan).map_err(|error| told(&error))?;
        self.storage.tidy()?;
        Ok(pruned)
    }
}
