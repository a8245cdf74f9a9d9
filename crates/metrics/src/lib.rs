//! Measurements over time: series with labels, in the data model of Prometheus.
//!
//! [`Labels`] name a series, [`Matcher`]s choose some, a [`Sample`] is one measurement. Whoever has series implements
//! [`Source`]; whoever evaluates a query asks one. A [`store`] keeps them on disk, an
//! [`exposition`] is how they are told as text.

mod codec;
pub mod exposition;
mod histogram;
mod labels;
mod matcher;
mod sample;
pub mod store;

pub use histogram::{Bucket, CUSTOM, Counts, Histogram, Incompatible, Malformed, Merge, Reset, Span};
pub use labels::{Label, Labels, NAME};
pub use matcher::{BadPattern, Matcher, Op};
pub use sample::{HistogramSample, STALE, Sample, Series, is_stale};

/// Series that can be asked for.
pub trait Source {
    /// Why something cannot be read.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The series that all matchers choose, each with its samples from `from` to `to`, both included, oldest first; times
    /// are milliseconds since 1970. Series without a sample in it are left out; markers of staleness are samples.
    fn select(&self, matchers: &[Matcher], from: i64, to: i64) -> Result<Vec<Series>, Self::Error>;
}
