//! What others describe, as a manifest to begin with.
//!
//! An import never guesses silently: whatever is not carried over as it was has a [`Note`] with its place.
//! Values of secrets are in neither the manifest nor the notes.

mod kubernetes;
mod note;
mod yaml;

use serde::Serialize;

pub use kubernetes::kubernetes;
pub use note::{Note, NoteKind};

/// A text to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// How notes name it: a path as the caller wrote it, or `-`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What came of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The text of `daybook.yaml`, which loads without an error; `None` where a note is an error.
    pub manifest: Option<String>,
    /// What a person should know, by file and place.
    pub notes: Vec<Note>,
}
