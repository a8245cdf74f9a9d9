//! What a state directory remembers of its newest backup.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use daybook_model::Timestamp;
use serde::{Deserialize, Serialize};

use super::StateError;

const FILE: &str = "state-backup.json";

/// The newest backup of a state. Lost with the state, it is in the repository still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Where it is.
    pub to: String,
    /// What it is called there.
    pub snapshot: String,
    /// When it was made.
    pub at: Timestamp,
    /// When a restore was last seen to work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<Timestamp>,
}

impl Record {
    /// What a state directory remembers.
    pub fn of(state: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(state.join(FILE)).ok()?).ok()
    }

    pub(super) fn keep(&self, state: &Path) -> Result<(), StateError> {
        let path = state.join(FILE);
        let temporary = state.join("state-backup.json.new");
        let text = serde_json::to_vec_pretty(self).expect("it is plain data");
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)
        };
        write().map_err(StateError::io("write", &path))
    }
}
