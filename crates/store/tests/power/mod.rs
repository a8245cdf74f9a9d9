//! A disk that forgets what was not synced, without mounting one.
//!
//! [`trace::record`] runs a program under strace and returns what it did to a directory, as data.
//! [`Record::images`] returns what a loss of power could leave of that at any moment. The tests of the edge use it too.
#![allow(dead_code, unused_imports, unreachable_pub, clippy::unwrap_used)]

mod image;
mod trace;

use std::ffi::OsString;

pub use image::{Image, Loss};
pub use trace::record;

/// A file or directory, whatever its names are.
pub type Node = u64;

/// The directory that is watched, which was there, and was synced, before.
pub const ROOT: Node = 0;

/// One thing that was done, in the order in which the calls returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A new, empty file that has no name yet.
    MakeFile { node: Node },
    /// A new, empty directory that has no name yet.
    MakeDirectory { node: Node },
    /// Bytes of a file.
    Write { node: Node, at: u64, bytes: Vec<u8> },
    /// A file is cut, or made longer with zeros.
    Resize { node: Node, length: u64 },
    /// A name in a directory means this node from now on.
    Link { directory: Node, name: OsString, node: Node },
    /// A name is gone.
    Unlink { directory: Node, name: OsString },
    /// A node has another name of the same directory, all at once.
    Rename { directory: Node, from: OsString, to: OsString, node: Node },
    /// What was done to the bytes of this file, or to the names of this directory, is sure. To be strict, syncing a
    /// file does not make its name sure, although most file systems do that.
    Sync { node: Node },
    /// The program said that it had done so much.
    Acknowledged(u64),
}

/// Everything that was done to a directory.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// In order.
    pub changes: Vec<Change>,
}
