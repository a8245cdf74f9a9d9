//! Prometheus' remote write, in and out.
//!
//! 1.0: <https://prometheus.io/docs/specs/prw/remote_write_spec/>.
//! 2.0: <https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/>.

mod answer;
mod histogram;
mod read;
mod send;
#[cfg(test)]
mod tests;
mod version;
mod wire;
mod write;

pub use answer::{answer, later, refuse};
pub use read::{Created, Skipped, Write, read};
pub use send::{Backoff, Progress, Verdict, verdict};
pub use version::Version;
pub use write::{Request, requests};
