//! Backups in the format of restic, in a directory or on an S3 server: `restic` reads what is written here, and the
//! other way round. <https://restic.readthedocs.io/en/stable/100_references.html>
//!
//! The one rule: a backup whose source failed is a failed backup, whatever it wrote. No snapshot is saved before every
//! stream has ended well and every file was read; see [`Repository::save`].
//!
//! Everything here blocks; from async code, call it on a thread that may block. Nothing is cached outside the
//! repository. Packs, the index and the archiver are those of `rustic_core`; the storage, the locks, the keys and the
//! sources are of this crate.

mod check;
mod directory;
mod error;
mod key;
mod link;
mod lock;
mod merge;
mod place;
mod prune;
mod repository;
mod restore;
mod s3;
mod save;
mod sizes;
mod snapshot;
mod storage;
mod streams;
mod tree;

pub use check::{Damage, Depth};
pub use error::{Error, Result, Unread};
pub use place::{Limits, ObjectLock, ObjectLockMode, Place, S3};
pub use prune::Pruned;
pub use repository::Repository;
pub use restore::Restored;
pub use save::SavedDirectory;
pub use snapshot::{About, Snapshot};
pub use storage::Failure;
pub use streams::Entry;
