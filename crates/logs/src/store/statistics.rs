//! What a store holds, for whoever watches it, and what labels there are.

use std::collections::{BTreeMap, BTreeSet};

use super::{Amount, Aside, Receipt, Store, lock, read};
use crate::Stream;

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Blocks on disk.
    pub blocks: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Their lines.
    pub lines: u64,
    /// The bytes that these lines had.
    pub plain: u64,
    /// Lines in memory, which are in the log.
    pub newest_lines: u64,
    /// About how many bytes of memory they take.
    pub memory: usize,
    /// The bytes of the segment of the log that is written now.
    pub log: u64,
    /// The time of the oldest line.
    pub oldest: Option<i64>,
    /// The time of the newest line.
    pub newest: Option<i64>,
    /// Lines that were kept since the store was opened.
    pub accepted: u64,
    /// Lines of which only the start was kept, and the bytes that are missing.
    pub cut: Amount,
    /// Lines that were not kept, by a word for why.
    pub dropped: BTreeMap<&'static str, Amount>,
    /// What cannot be read.
    pub aside: Vec<Aside>,
}

#[derive(Default)]
pub(super) struct Totals {
    accepted: u64,
    cut: Amount,
    dropped: BTreeMap<&'static str, Amount>,
}

impl Totals {
    pub(super) fn add(&mut self, receipt: &Receipt) {
        let add = |to: &mut Amount, more: Amount| {
            to.lines += more.lines;
            to.bytes += more.bytes;
        };
        self.accepted += receipt.accepted;
        add(&mut self.cut, receipt.cut);
        for ((_, why), amount) in &receipt.dropped {
            add(self.dropped.entry(why.word()).or_default(), *amount);
        }
    }
}

impl Store {
    /// What it holds now.
    pub fn statistics(&self) -> Statistics {
        let log = lock(&self.writer).log.bytes();
        let aside = lock(&self.aside).clone();
        let (accepted, cut, dropped) = {
            let totals = lock(&self.totals);
            (totals.accepted, totals.cut, totals.dropped.clone())
        };
        let state = read(&self.state);
        let head = state.head.lines();
        let waiting = state.frozen.iter().map(|frozen| &frozen.lines);
        let of_pieces = waiting.clone().chain([&head]).flat_map(|lines| &lines.pieces).map(|piece| piece.from);
        Statistics {
            blocks: state.blocks.len(),
            bytes: state.blocks.iter().map(|block| block.bytes).sum(),
            lines: state.blocks.iter().map(|block| block.meta.lines).sum(),
            plain: state.blocks.iter().map(|block| block.meta.plain).sum(),
            newest_lines: head.len() + waiting.clone().map(super::head::Lines::len).sum::<u64>(),
            memory: state.head.memory() + waiting.map(super::head::Lines::memory).sum::<usize>(),
            log,
            oldest: state.blocks.iter().map(|block| block.meta.from).chain(of_pieces).min(),
            newest: state.newest,
            accepted,
            cut,
            dropped,
            aside,
        }
    }

    /// The streams with lines in blocks that have some between two times, and those of the newest lines; in order.
    pub fn streams(&self, from: i64, to: i64) -> Vec<Stream> {
        let state = read(&self.state);
        let blocks = state.blocks.iter().filter(|block| block.meta.from <= to && block.meta.to >= from);
        let mut streams: BTreeSet<Stream> = blocks.flat_map(|block| block.streams.iter().cloned()).collect();
        let head = state.head.lines();
        for lines in state.frozen.iter().map(|frozen| &frozen.lines).chain([&head]) {
            if lines.pieces.iter().any(|piece| piece.from <= to && piece.to >= from) {
                streams.extend(lines.streams.iter().cloned());
            }
        }
        streams.into_iter().collect()
    }

    /// The values of a label among [`Store::streams`], in order.
    pub fn values(&self, label: &str, from: i64, to: i64) -> Vec<String> {
        let streams = self.streams(from, to);
        let values = streams.iter().map(|stream| stream.get(label)).filter(|value| !value.is_empty());
        values.map(ToOwned::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
    }
}
