//! Files of rules in Prometheus' format, read and written.
//!
//! <https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/>. Everything that is wrong is told at once, each
//! with its place and what to do; names may be any text, as Prometheus 3 has it.

mod read;
mod write;

pub use write::write;

use crate::problem::Problems;
use crate::rule::Group;

/// Reads the text of a file; `file` is what it is called in problems.
pub fn read(file: &str, text: &str) -> Result<Vec<Group>, Problems> {
    read::groups(file, text)
}

#[cfg(test)]
mod tests;
