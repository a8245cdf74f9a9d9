//! What a store keeps, and how much it takes.

use compact_str::CompactString;

/// A minute, in milliseconds.
pub const MINUTE: i64 = 60_000;
/// An hour, in milliseconds.
pub const HOUR: i64 = 60 * MINUTE;
/// A day, in milliseconds.
pub const DAY: i64 = 24 * HOUR;

/// The time that a new block covers.
pub(super) const WINDOW: i64 = 2 * HOUR;

/// What a store keeps, and how much it takes. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// How much older than the newest a sample may be.
    pub late: i64,
    /// How far ahead of the clock a sample may be.
    pub ahead: i64,
    /// How long samples are kept as they came.
    pub keep: i64,
    /// How long what became of every 5 minutes is kept.
    pub keep_5m: i64,
    /// How long what became of every hour is kept.
    pub keep_1h: i64,
    /// How many bytes all blocks may have.
    pub bytes: u64,
    /// How many series there may be at a time.
    pub series: usize,
    /// How many of them may be of one metric.
    pub series_of_metric: usize,
    /// How many of them may be of one source.
    pub series_of_source: usize,
    /// The label that names a source.
    pub source: CompactString,
    /// How many buckets a histogram may have.
    pub buckets: usize,
    /// How many samples one question may read. A histogram counts as many as it has buckets, and three more.
    pub samples: usize,
    /// How many bytes of indexes are kept in memory.
    pub cache: usize,
    /// How many bytes a segment of the log has, about.
    pub segment: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            late: 10 * MINUTE,
            ahead: 10 * MINUTE,
            keep: 15 * DAY,
            keep_5m: 90 * DAY,
            keep_1h: 730 * DAY,
            bytes: 4 << 30,
            series: 1_000_000,
            series_of_metric: 50_000,
            series_of_source: 50_000,
            source: "job".into(),
            buckets: 1_000,
            samples: 50_000_000,
            cache: 8 << 20,
            segment: 32 << 20,
        }
    }
}

/// How fine samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// As they came.
    Raw,
    /// One for every 5 minutes.
    FiveMinutes,
    /// One for every hour.
    Hour,
}

impl Tier {
    /// Each, the finest first.
    pub const ALL: [Self; 3] = [Self::Raw, Self::FiveMinutes, Self::Hour];

    /// The milliseconds that become one sample; none for samples as they came.
    pub fn step(self) -> Option<i64> {
        match self {
            Self::Raw => None,
            Self::FiveMinutes => Some(5 * MINUTE),
            Self::Hour => Some(HOUR),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
        }
    }

    pub(super) fn keep(self, options: &Options) -> i64 {
        match self {
            Self::Raw => options.keep,
            Self::FiveMinutes => options.keep_5m,
            Self::Hour => options.keep_1h,
        }
    }
}
