//! What a store holds, for whoever watches it.

use std::collections::BTreeMap;

use super::{Aside, Culprit, Receipt, Store, Tier, Why, lock, read};
use crate::NAME;

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statistics {
    /// Series with a sample in the last hours.
    pub series: usize,
    /// Their samples that are in memory, about.
    pub samples: usize,
    /// About how many bytes of memory they take, with their names.
    pub memory: usize,
    /// About how many bytes of memory the indexes of blocks take.
    pub cache: usize,
    /// The bytes of the segment of the log that is written now.
    pub log: u64,
    /// What is on disk.
    pub tiers: BTreeMap<Tier, OfTier>,
    /// The time of the newest sample.
    pub newest: Option<i64>,
    /// Samples that were kept since the store was opened.
    pub accepted: u64,
    /// Samples that were not, by a word for why.
    pub refused: BTreeMap<&'static str, u64>,
    /// The metrics with the most series, each with the label that makes them many.
    pub largest: Vec<(usize, Culprit)>,
    /// What cannot be read.
    pub aside: Vec<Aside>,
}

/// What is on disk of a tier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OfTier {
    /// Blocks.
    pub blocks: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Their samples; in a coarse tier each stands for many.
    pub samples: u64,
    /// The start of the first.
    pub from: i64,
}

/// So many metrics are named.
const LARGEST: usize = 10;

#[derive(Default)]
pub(super) struct Refusals {
    accepted: u64,
    refused: BTreeMap<&'static str, u64>,
}

impl Refusals {
    pub(super) fn add(&mut self, receipt: &Receipt) {
        self.accepted += receipt.accepted;
        for (why, count) in &receipt.refused {
            *self.refused.entry(why.word()).or_default() += count;
        }
    }
}

impl Why {
    /// A word for it, as a label has it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::TooOld => "too_old",
            Self::TooFarAhead => "too_far_ahead",
            Self::OtherValue => "other_value",
            Self::Malformed(_) => "malformed",
            Self::Gone => "gone",
            Self::TooMany { .. } => "too_many_series",
        }
    }
}

impl Store {
    /// What it holds now.
    pub fn statistics(&self) -> Statistics {
        let mut tiers: BTreeMap<Tier, OfTier> = BTreeMap::new();
        let mut cache = 0;
        for block in self.blocks() {
            let of = tiers.entry(block.meta.tier).or_insert(OfTier { from: block.meta.start, ..OfTier::default() });
            of.blocks += 1;
            of.bytes += block.bytes;
            of.samples += block.meta.samples;
            of.from = of.from.min(block.meta.start);
            cache += block.kept();
        }
        let log = lock(&self.writer).log.bytes();
        let (accepted, refused) = {
            let refusals = lock(&self.refusals);
            (refusals.accepted, refusals.refused.clone())
        };
        let aside = lock(&self.aside).clone();
        let head = read(&self.head);
        let (samples, memory) = head.size();
        let mut metrics: Vec<_> = head.index.values(NAME).map(|(name, count)| (count, name)).collect();
        metrics.sort_unstable_by(|a, b| b.cmp(a));
        let named = metrics.into_iter().take(LARGEST);
        let largest = named.filter_map(|(count, name)| Some((count, head.culprit_of(name)?))).collect();
        let (series, newest) = (head.len(), head.newest);
        Statistics { series, samples, memory, cache, log, tiers, newest, accepted, refused, largest, aside }
    }
}
