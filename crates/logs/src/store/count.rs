//! How many lines are found, by time and level.

use std::collections::BTreeMap;

use super::Store;
use super::columns::{Columns, Texts};
use super::index::Chunk;
use super::walk::{NotSearched, Scanned, Sink, Walk};
use crate::query::Query;
use crate::{Level, Levels, Position, Stream};

/// More bars are refused.
const MOST: usize = 10_000;

/// How many lines are found in a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// The start of the while, in microseconds since 1970. It is a multiple of how wide bars are.
    pub from: i64,
    /// How many lines there are, by level; the last number is of lines without one.
    pub counts: BTreeMap<Option<Level>, u64>,
}

impl Bar {
    /// Of all levels.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}

impl Store {
    /// Counts what a query finds, by whiles of so many microseconds and by level. Whiles without a line are left out. Limit and
    /// direction of the query do not matter.
    pub fn count(
        &self,
        query: &Query,
        width: i64,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(Vec<Bar>, Scanned), NotSearched> {
        let mut bars = Bars { width: width.max(1), all: BTreeMap::new() };
        let scanned = Walk::new(self, query).run(&mut bars, cancelled)?;
        if bars.all.len() > MOST {
            return Err(NotSearched::TooMany { most: MOST });
        }
        let counts = |counts: [u64; 7]| {
            let all = counts.into_iter().enumerate().filter(|(_, count)| *count > 0);
            all.map(|(code, count)| (Level::decoded(code as u8), count)).collect()
        };
        Ok((bars.all.into_iter().map(|(from, some)| Bar { from, counts: counts(some) }).collect(), scanned))
    }
}

struct Bars {
    width: i64,
    /// By start, and then by the codes of levels.
    all: BTreeMap<i64, [u64; 7]>,
}

impl Bars {
    fn start(&self, at: i64) -> i64 {
        at.saturating_sub(at.rem_euclid(self.width))
    }

    fn add(&mut self, at: i64, code: usize, count: u64) {
        let start = self.start(at);
        self.all.entry(start).or_default()[code % 7] += count;
    }
}

impl Sink for Bars {
    fn is_done(&self, _: i64) -> bool {
        self.all.len() > MOST
    }

    fn wants(&self, _: Position) -> bool {
        true
    }

    fn needs_texts(&self) -> bool {
        false
    }

    fn takes_all(&mut self, chunk: &Chunk, levels: Levels) -> bool {
        if self.start(chunk.from) != self.start(chunk.to) {
            return false;
        }
        for (code, count) in chunk.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            if levels.has_code(code as u8) {
                self.add(chunk.from, code, u64::from(*count));
            }
        }
        true
    }

    fn take(&mut self, columns: &Columns, _: &Texts, row: usize, _: &Stream) {
        self.add(columns.at[row], usize::from(columns.level[row]), 1);
    }
}
