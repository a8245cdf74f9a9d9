//! Room for the journal: without it nothing new begins.
//!
//! What a change does is journaled before it is done. On a disk that is all but full some entries would
//! still find a place and others would not, and a run would begin that has to wait in its middle. So new work
//! is refused while less than a reserve is free, and what is under way has the reserve to itself.

use std::path::Path;

use daybook_api::ErrorCode;

use crate::App;
use crate::error::ApiError;

/// What must be free on the state directory's disk for a change to begin, in bytes.
const RESERVE: u64 = 32 << 20;

impl App {
    /// Refuses new work while the disk of the state directory is all but full.
    pub(crate) fn refuse_without_space(&self) -> Result<(), ApiError> {
        match free_bytes(&self.inner.state) {
            Ok(free) if free < RESERVE => Err(full(&self.inner.state, free)),
            // A disk that cannot be asked is told of by the journal.
            _ => Ok(()),
        }
    }

    /// Refuses what needs more room where `path` is than there is, beside what a change needs.
    #[cfg(feature = "databases")]
    pub(crate) fn refuse_without_room(&self, path: &Path, bytes: u64) -> Result<(), ApiError> {
        match free_bytes(path) {
            Ok(free) if free < bytes.saturating_add(RESERVE) => {
                let (needs, has) = (daybook_decide::text::size(bytes), daybook_decide::text::size(free));
                let message = format!("the disk of {} has {has} free, and {needs} are needed", path.display());
                Err(ApiError::new(ErrorCode::Unavailable, message).hint("make room there, and do it again"))
            }
            _ => Ok(()),
        }
    }
}

/// Bytes that are free where `path` is, for whoever is not root.
pub(crate) fn free_bytes(path: &Path) -> std::io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn full(state: &Path, free: u64) -> ApiError {
    let (state, free) = (state.display(), free as f64 / f64::from(1 << 20));
    let message = format!("the disk of {state} is full: {free:.1} MiB are free, and a change needs {}", RESERVE >> 20);
    let hint = "free space there and run it again; nothing was changed, and what serves goes on serving";
    ApiError::new(ErrorCode::Unavailable, message).hint(hint)
}
