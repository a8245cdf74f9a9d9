//! What a store keeps, and how much it takes.

use super::rate::Rate;

/// A second, in microseconds.
pub const SECOND: i64 = 1_000_000;
/// A minute, in microseconds.
pub const MINUTE: i64 = 60 * SECOND;
/// An hour, in microseconds.
pub const HOUR: i64 = 60 * MINUTE;
/// A day, in microseconds.
pub const DAY: i64 = 24 * HOUR;

/// What a store keeps, and how much it takes. Times are in microseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// How long lines are kept. The newest line is what counts as now, so that a clock that is ahead removes nothing.
    pub keep: i64,
    /// How many bytes all blocks may have.
    pub bytes: u64,
    /// How much older than the clock a line may be.
    pub late: i64,
    /// How far ahead of the clock a line may be.
    pub ahead: i64,
    /// How many bytes of a line are kept.
    pub line: usize,
    /// How many lines of a stream are kept in a second, if there is a limit.
    pub lines: Option<Rate>,
    /// How many bytes of a stream are kept in a second, if there is a limit.
    pub rate: Option<Rate>,
    /// How many streams there may be in one block.
    pub streams: usize,
    /// How many bytes of lines become a block. About twice as many are in memory at most.
    pub block: usize,
    /// After so long a block is made of what there is.
    pub rest: i64,
    /// How many bytes of lines a page of a search may have.
    pub page: usize,
    /// How much zstd tries, as it counts that: of chunks, 1 makes no more than 3 does, and 6 takes a twentieth off at two thirds of the
    /// speed.
    pub effort: i32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            keep: 14 * DAY,
            bytes: 4 << 30,
            late: DAY,
            ahead: 10 * MINUTE,
            line: 64 << 10,
            lines: Some(Rate { per_second: 2_000, burst: 20_000 }),
            rate: Some(Rate { per_second: 2 << 20, burst: 32 << 20 }),
            streams: 10_000,
            block: 8 << 20,
            rest: DAY,
            page: 16 << 20,
            effort: 1,
        }
    }
}
