//! Backups in the format of restic, in a directory or on an S3 server: `restic` reads what is written here, and the
//! other way round. <https://restic.readthedocs.io/en/stable/100_references.html>
//!
//! The one rule: a backup whose source failed is a failed backup, whatever it wrote. No snapshot is saved before every
//! stream has ended well and every file was read; see [`Repository::save`].
//!
//! Everything here blocks; from async code, call it on a thread that may block. Nothing is cached outside the
//! repository. What is saved is read, cut, packed and indexed by this crate, and goes to a storage of it; restores and prunes are
//! those of `rustic_core`.

mod check;
mod coder;
mod compare;
mod contents;
mod directory;
mod error;
mod hash;
mod index;
mod key;
mod link;
mod lock;
mod merge;
mod pack;
mod place;
mod prune;
mod repair;
mod repository;
mod restore;
mod s3;
mod save;
mod snapshot;
mod storage;
mod streams;
mod threads;
mod tree;
mod walk;

pub use check::{Damage, Depth};
pub use compare::{Compared, Tree};
pub use error::{Error, Result, Unread};
pub use place::{Limits, ObjectLock, ObjectLockMode, Place, S3};
pub use prune::Pruned;
pub use repair::Repaired;
pub use repository::Repository;
pub use restore::Restored;
pub use save::SavedDirectory;
pub use snapshot::{About, Snapshot};
pub use storage::Failure;
pub use streams::Entry;
