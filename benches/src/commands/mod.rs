//! One file for each benchmark.

#[cfg(feature = "backup")]
pub(crate) mod backup;
pub(crate) mod clone;
mod compose;
pub(crate) mod cost;
pub(crate) mod crash;
pub(crate) mod edge;
pub(crate) mod faults;
pub(crate) mod footprint;
pub(crate) mod kubernetes_scale;
pub(crate) mod load;
pub(crate) mod migrate;
mod plain;
pub(crate) mod plan;
pub(crate) mod rollout;
pub(crate) mod upstream;

use std::io::Write as _;

/// Prints a line for people.
pub(crate) fn say(line: &str) {
    // Measuring goes on when nobody reads.
    let _ = writeln!(std::io::stdout(), "{line}");
}
