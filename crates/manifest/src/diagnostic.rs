//! What is said about a manifest.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// One finding, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Stable code: `M0107`. [`crate::explain`] says what it means.
    pub code: Cow<'static, str>,
    /// Whether the manifest can be used in spite of it.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Where.
    pub place: Place,
    /// What to say at the place.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Other places that belong to it, with what to say there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<(Place, String)>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Diagnostic {
    /// Whether the manifest cannot be used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Whether a manifest can be used in spite of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can; something may not be as the author thinks.
    Warning,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Place {
    /// The file, as the bundle names it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// First byte.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
}
