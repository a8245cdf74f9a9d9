//! What is usual of a series at a time, and how far a sample is from it: traffic, latency.
//!
//! A [`Detector`] takes one sample after the other. What it expects comes from the same time of the last days and weeks,
//! or from what was there just now, whichever has been right more often lately; all of it by medians, so that no
//! outlier is learnt. How far a sample may be away comes from how far samples have been away, in this series: noisy
//! ones may stray. It is quiet by construction: nothing is said before it has learnt, or below a floor. For how long something has to
//! be unusual before anybody is told is for who alerts about it.

mod detector;
mod history;

pub use detector::{Detector, Verdict};

/// How a series is watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Samples of one slot are one for the memory of the detector: milliseconds. At least the time between samples.
    pub slot_ms: i64,
    /// Nothing is said before so much was seen: milliseconds.
    pub learn_ms: i64,
    /// How far away is unusual, in robust standard deviations of what was expected in vain.
    pub deviations: f64,
    /// And in times what only one of two hundred samples has exceeded lately.
    pub margin: f64,
    /// And as a share of what is expected.
    pub share: f64,
    /// Where a sample and what is expected are both below, all is as expected.
    pub least: f64,
}

const MINUTE_MS: i64 = 60_000;

impl Default for Options {
    fn default() -> Self {
        Self {
            slot_ms: 5 * MINUTE_MS,
            learn_ms: 2 * 24 * 60 * MINUTE_MS,
            deviations: 6.0,
            margin: 1.5,
            share: 0.25,
            least: 0.0,
        }
    }
}

#[cfg(test)]
mod tests;
