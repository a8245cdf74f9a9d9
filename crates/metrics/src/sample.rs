//! What is measured.

use std::sync::Arc;

use crate::{Histogram, Labels};

/// A series ends here: a value that is no number, with bits of its own, as Prometheus has it.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Whether a value is the marker of an end. Other values that are no numbers are not.
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE.to_bits()
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// What.
    pub value: f64,
}

/// One measurement that is a histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSample {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// What.
    pub value: Arc<Histogram>,
}

/// Measurements of one thing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Series {
    /// Its name.
    pub labels: Labels,
    /// Oldest first; no two of one time.
    pub samples: Vec<Sample>,
    /// Those that are histograms; likewise, and none of a time that has a sample.
    pub histograms: Vec<HistogramSample>,
}
