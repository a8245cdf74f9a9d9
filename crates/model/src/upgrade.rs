//! Database servers of another series, which do not take over the files that are there: what came of rehearsals and of
//! upgrades.

use serde::{Deserialize, Serialize};

/// What came of a rehearsal: a copy of the new server took in what the old one holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RehearsalOutcome {
    /// Every row was as it is in the old one.
    Passed {
        /// For how long what uses the database would have been stopped, milliseconds.
        stop_ms: u64,
    },
    /// The new server did not take it in, or the rehearsal came to no end.
    Failed {
        /// Why, in words.
        why: String,
    },
}

/// What came of an upgrade.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpgradeOutcome {
    /// The new server has every row, and what uses it runs.
    Made,
    /// The old one serves as before, with its own files.
    Failed {
        /// Why, in words.
        why: String,
    },
}
