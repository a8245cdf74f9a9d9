//! What is unusual in a series: traffic, latency, crashes.
//!
//! A [`Detector`] takes one sample after the other. What it expects comes from the same time of the last days and weeks,
//! or from what was there just now, whichever has been right more often lately; all of it by medians, so that no
//! outlier is learnt. How far a sample may be away comes from how far samples have been away, in this series: noisy
//! ones may stray. It is quiet by construction: nothing is said before it has learnt, below a floor of traffic, or of
//! what does not last, and what has begun ends only when samples are clearly usual again.

mod detector;
mod history;

pub use detector::{Detector, State, Verdict};

/// Which way is unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// More than expected: latency, errors, crashes.
    Up,
    /// Less than expected: traffic that is gone.
    Down,
    /// Either.
    Both,
}

/// How a series is watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Samples of one slot are one for the memory of the detector: milliseconds. At least the time between samples.
    pub slot_ms: i64,
    /// Nothing is said before so much was seen: milliseconds.
    pub learn_ms: i64,
    /// What is unusual begins to be said when it has lasted so long: milliseconds. A single sample suffices where
    /// samples are further apart.
    pub hold_ms: i64,
    /// What is usual again ends it when that has lasted so long.
    pub calm_ms: i64,
    /// What lasts so long is not unusual any more: milliseconds.
    pub accept_ms: i64,
    /// How far away is unusual, in robust standard deviations of what was expected in vain.
    pub deviations: f64,
    /// And in times what only one of two hundred samples has exceeded lately.
    pub margin: f64,
    /// And as a share of what is expected.
    pub share: f64,
    /// Where a sample and what is expected are both below, nothing is said.
    pub least: f64,
    /// Which way.
    pub direction: Direction,
}

const MINUTE_MS: i64 = 60_000;

impl Default for Options {
    fn default() -> Self {
        Self {
            slot_ms: 5 * MINUTE_MS,
            learn_ms: 2 * 24 * 60 * MINUTE_MS,
            hold_ms: 10 * MINUTE_MS,
            calm_ms: 30 * MINUTE_MS,
            accept_ms: 24 * 60 * MINUTE_MS,
            deviations: 6.0,
            margin: 1.5,
            share: 0.25,
            least: 0.0,
            direction: Direction::Both,
        }
    }
}

#[cfg(test)]
mod tests;
