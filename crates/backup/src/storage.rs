//! Files of a repository, by the names that restic gives them.

use std::time::SystemTime;

use bytes::Bytes;
use rustic_core::{FileType, Id};

use crate::hash::Sum;

/// Files by name. Names are paths relative to the repository, with `/` between parts.
pub(crate) trait Storage: Send + Sync + 'static {
    /// Where it is, for people.
    fn place(&self) -> String;
    /// What is in a folder, and in the folders therein. None where the folder is missing.
    fn list(&self, folder: &str) -> Result<Vec<Listed>, Failure>;
    /// A file's size; none where there is no file.
    fn size(&self, name: &str) -> Result<Option<u64>, Failure>;
    /// A file, or `length` bytes of it from `offset` on.
    fn read(&self, name: &str, part: Option<Part>) -> Result<Bytes, Failure>;
    /// Writes a file whole or not at all.
    fn write(&self, name: &str, content: &[Bytes], how: How) -> Result<(), Failure>;
    /// Removes a file. One that is not there is fine.
    fn remove(&self, name: &str) -> Result<(), Failure>;
    /// Removes what interrupted writes have left behind.
    fn tidy(&self) -> Result<(), Failure>;
}

/// A file in a listing.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    /// The last part of its name.
    pub(crate) name: String,
    pub(crate) size: u64,
    pub(crate) modified: Option<SystemTime>,
}

/// A part of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It stays. Whoever writes it writes the same, since its name comes from its content.
    Lasting,
    /// It stays, and only the first who writes it succeeds.
    First,
    /// It is removed before long: a lock.
    Passing,
}

/// Why a file could not be listed, read, written or removed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot {doing} in {place}: {why}; {advice}")]
pub struct Failure {
    pub(crate) place: String,
    pub(crate) doing: String,
    pub(crate) why: String,
    pub(crate) advice: &'static str,
    pub(crate) kind: Kind,
}

/// What kind of failure it is, where somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There is no such file, or not as much of it.
    Missing,
    /// There is such a file already, and it was to be the first.
    Exists,
    /// No room.
    Full,
    Other,
}

impl Failure {
    /// Whether there is no room left.
    pub fn is_full(&self) -> bool {
        self.kind == Kind::Full
    }
}

pub(crate) const CONFIG: &str = "config";
pub(crate) const KEYS: &str = "keys";
pub(crate) const LOCKS: &str = "locks";
/// All folders.
pub(crate) const FOLDERS: [&str; 5] = ["data", "index", KEYS, LOCKS, "snapshots"];

/// The name of a file.
pub(crate) fn name(tpe: FileType, id: &Id) -> String {
    match tpe {
        FileType::Config => CONFIG.to_owned(),
        FileType::Pack => pack((*id).into()),
        _ => format!("{}/{}", tpe.dirname(), id.to_hex().as_str()),
    }
}

/// The name of a pack.
pub(crate) fn pack(id: Sum) -> String {
    let text = id.to_string();
    format!("data/{}/{text}", &text[..2])
}
