//! Lines that are searched for, a page at a time.

use std::collections::BTreeMap;

use super::Store;
use super::columns::{Columns, Texts};
use super::index::Chunk;
use super::walk::{NotSearched, Scanned, Sink, Walk};
use crate::query::{Direction, Query};
use crate::{Kept, Levels, Position, Stream};

/// Lines that were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The lines, in the direction of the search.
    pub lines: Vec<Kept>,
    /// Where the next page begins, if there may be one: the `after` of its query.
    pub next: Option<Position>,
    /// What was looked at.
    pub scanned: Scanned,
}

impl Store {
    /// Finds lines. A page has no more lines than the query says, and no more bytes than the options say, but at least one
    /// line if there is one. `cancelled` is asked again and again.
    pub fn search(&self, query: &Query, cancelled: &dyn Fn() -> bool) -> Result<Page, NotSearched> {
        let mut best = Best {
            direction: query.direction,
            limit: query.limit.max(1),
            most: self.options.page,
            bytes: 0,
            lines: BTreeMap::new(),
        };
        let scanned = Walk::new(self, query).run(&mut best, cancelled)?;
        let full = best.is_full();
        let lines: Vec<Kept> = best.lines.into_values().collect();
        let next = lines.last().filter(|_| full).map(|line| line.position);
        Ok(Page { lines, next, scanned })
    }
}

/// The best lines until now, no more than fit on a page.
struct Best {
    direction: Direction,
    limit: usize,
    most: usize,
    bytes: usize,
    /// By their rank: the best is the least.
    lines: BTreeMap<(i64, u64), Kept>,
}

/// What a line takes besides its text.
const OVERHEAD: usize = 128;

fn size(line: &Kept) -> usize {
    let beside: usize = line.line.fields.iter().map(|field| field.name.len() + field.value.len() + 64).sum();
    line.line.text.len() + beside + OVERHEAD
}

impl Best {
    fn rank(&self, position: Position) -> (i64, u64) {
        match self.direction {
            Direction::Newest => (!position.at, !position.number),
            Direction::Oldest => (position.at, position.number),
        }
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= self.limit
    }

    fn worst(&self) -> Option<(i64, u64)> {
        self.lines.last_key_value().map(|(rank, _)| *rank).filter(|_| self.is_full())
    }
}

impl Sink for Best {
    fn is_done(&self, best: i64) -> bool {
        let best = self.rank(Position { at: best, number: 0 }).0;
        self.worst().is_some_and(|worst| worst.0 < best)
    }

    fn wants(&self, position: Position) -> bool {
        self.worst().is_none_or(|worst| self.rank(position) < worst)
    }

    fn needs_texts(&self) -> bool {
        true
    }

    fn takes_all(&mut self, _: &Chunk, _: Levels) -> bool {
        false
    }

    fn take(&mut self, columns: &Columns, texts: &Texts, row: usize, stream: &Stream) {
        let rank = self.rank(columns.position(row));
        if self.worst().is_some_and(|worst| rank >= worst) {
            return;
        }
        let line = columns.row(texts, row).kept(stream);
        self.bytes += size(&line);
        self.lines.insert(rank, line);
        while self.lines.len() > self.limit || (self.bytes > self.most && self.lines.len() > 1) {
            if let Some((_, line)) = self.lines.pop_last() {
                self.bytes -= size(&line);
            }
            // What was worse than what is kept must not come back.
            self.limit = self.limit.min(self.lines.len());
        }
    }
}
