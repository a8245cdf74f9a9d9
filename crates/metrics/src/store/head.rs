//! The newest samples of each series, in memory.

use std::hash::{BuildHasher, Hash, Hasher};

use compact_str::CompactString;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::batch::{Culprit, Limit, SeriesId};
use super::both::Both;
use super::index::{Index, Pairs};
use super::log::Place;
use super::options::Options;
use super::run::{Inserted, Run};
use crate::{HistogramSample, Labels, Matcher, NAME, Sample};

/// The newest samples of each series.
#[derive(Default)]
pub(super) struct Head {
    pub(super) index: Index,
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_labels: HashTable<u32>,
    hasher: DefaultHashBuilder,
    culprits: HashMap<CompactString, Option<Culprit>>,
    /// The time of the newest sample; of none it is the least there is.
    pub(super) newest: Option<i64>,
}

/// A series.
#[derive(Default)]
struct Slot {
    generation: u32,
    live: bool,
    /// Where the log names it.
    place: Place,
    hash: u64,
    pairs: Pairs,
    samples: Run<Sample>,
    /// Most series have none.
    histograms: Option<Box<Run<HistogramSample>>>,
}

/// What a series had when it was asked for.
pub(super) struct Snapshot {
    pub(super) labels: Labels,
    samples: Run<Sample>,
    histograms: Option<Run<HistogramSample>>,
}

impl Head {
    /// The series with these labels, if it is there.
    pub(super) fn find(&self, labels: &Labels) -> Option<u32> {
        let (slots, index) = (&self.slots, &self.index);
        self.by_labels
            .find(hash(&self.hasher, labels), |slot| index.same(&slots[*slot as usize].pairs, labels))
            .copied()
    }

    /// The series that an id names, if it is still there.
    pub(super) fn known(&self, id: SeriesId) -> Option<u32> {
        self.slots.get(id.slot as usize).filter(|slot| slot.live && slot.generation == id.generation).map(|_| id.slot)
    }

    /// The id of a series.
    pub(super) fn id(&self, slot: u32) -> SeriesId {
        SeriesId { slot, generation: self.slots[slot as usize].generation }
    }

    /// The series with these labels, which is new where there was none, unless it would be one too many.
    pub(super) fn find_or_add(&mut self, labels: &Labels, options: &Options) -> Result<u32, (Limit, Option<Culprit>)> {
        if let Some(known) = self.find(labels) {
            return Ok(known);
        }
        if let Some(limit) = self.reached(labels, options) {
            let culprit = self.culprit(&limit, labels, options);
            return Err((limit, culprit));
        }
        Ok(self.add(labels))
    }

    /// A new series.
    pub(super) fn add(&mut self, labels: &Labels) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() as u32 - 1
        });
        let (pairs, hash) = (self.index.pairs(labels), hash(&self.hasher, labels));
        self.index.insert(slot, &pairs);
        let generation = self.slots[slot as usize].generation;
        self.slots[slot as usize] = Slot { generation, live: true, hash, pairs, ..Slot::default() };
        let slots = &self.slots;
        self.by_labels.insert_unique(hash, slot, |other| slots[*other as usize].hash);
        slot
    }

    fn reached(&self, labels: &Labels, options: &Options) -> Option<Limit> {
        let (metric, source) = (labels.metric(), labels.get(&options.source));
        if self.len() >= options.series {
            Some(Limit::All)
        } else if self.index.count(NAME, metric) >= options.series_of_metric {
            Some(Limit::Metric(metric.into()))
        } else if self.index.count(&options.source, source) >= options.series_of_source {
            Some(Limit::Source(source.into()))
        } else {
            None
        }
    }

    /// The label that makes series many. It is looked for once, and again after some time.
    fn culprit(&mut self, limit: &Limit, labels: &Labels, options: &Options) -> Option<Culprit> {
        let key = CompactString::from(limit.to_string());
        if let Some(known) = self.culprits.get(&key) {
            return known.clone();
        }
        let metric = match limit {
            Limit::Metric(_) => Some(labels.metric().into()),
            Limit::All => self.largest_metric(self.index.values(NAME)),
            Limit::Source(source) => {
                let mut counts: HashMap<&str, usize> = HashMap::new();
                let of = self.index.with(&options.source, source).into_iter().flatten();
                of.for_each(|slot| *counts.entry(self.metric(*slot)).or_default() += 1);
                self.largest_metric(counts.into_iter())
            }
        };
        let found = metric.and_then(|metric| self.culprit_of(&metric));
        self.culprits.insert(key, found.clone());
        found
    }

    fn largest_metric<'a>(&self, counts: impl Iterator<Item = (&'a str, usize)>) -> Option<CompactString> {
        counts.max_by_key(|(name, count)| (*count, std::cmp::Reverse(*name))).map(|(name, _)| name.into())
    }

    fn metric(&self, slot: u32) -> &str {
        let name = self.index.symbols.find(NAME);
        let pairs = &self.slots[slot as usize].pairs;
        pairs.iter().find(|(label, _)| Some(*label) == name).map_or("", |(_, value)| self.index.symbols.text(*value))
    }

    /// The label of a metric that has the most values.
    pub(super) fn culprit_of(&self, metric: &str) -> Option<Culprit> {
        let mut values: HashMap<u32, hashbrown::HashSet<u32>> = HashMap::new();
        for slot in self.index.with(NAME, metric)? {
            for (name, value) in &self.slots[*slot as usize].pairs {
                values.entry(*name).or_default().insert(*value);
            }
        }
        let text = |name: u32| self.index.symbols.text(name);
        let (name, values) =
            values.into_iter().max_by_key(|(name, values)| (values.len(), std::cmp::Reverse(text(*name))))?;
        Some(Culprit { metric: metric.into(), label: text(name).into(), values: values.len() })
    }

    /// How many series there are.
    pub(super) fn len(&self) -> usize {
        self.by_labels.len()
    }

    /// What the log is told of a series: where it is named, and its labels.
    pub(super) fn logged(&mut self, slot: u32) -> (&mut Place, impl Iterator<Item = (&str, &str)>) {
        let slot = &mut self.slots[slot as usize];
        let symbols = &self.index.symbols;
        (&mut slot.place, slot.pairs.iter().map(|(name, value)| (symbols.text(*name), symbols.text(*value))))
    }

    /// One more sample of a series.
    pub(super) fn insert(&mut self, slot: u32, sample: Sample) -> Inserted {
        let slot = &mut self.slots[slot as usize];
        let taken = slot.histograms.as_ref().is_some_and(|run| run.find(sample.at).is_some());
        let inserted = if taken { Inserted::OtherValue } else { slot.samples.insert(sample) };
        self.note(inserted, sample.at)
    }

    /// One more histogram of a series.
    pub(super) fn insert_histogram(&mut self, slot: u32, sample: HistogramSample) -> Inserted {
        let (slot, at) = (&mut self.slots[slot as usize], sample.at);
        let taken = slot.samples.find(at).is_some();
        let inserted =
            if taken { Inserted::OtherValue } else { slot.histograms.get_or_insert_default().insert(sample) };
        self.note(inserted, at)
    }

    fn note(&mut self, inserted: Inserted, at: i64) -> Inserted {
        if inserted == Inserted::New {
            self.newest = self.newest.max(Some(at));
        }
        inserted
    }

    /// The series that all matchers choose.
    pub(super) fn choose(&self, matchers: &[Matcher]) -> Vec<u32> {
        self.index.choose(matchers)
    }

    /// The labels of a series.
    pub(super) fn labels(&self, slot: u32) -> Labels {
        self.index.labels(&self.slots[slot as usize].pairs)
    }

    /// What a series has between two times, both included; none if there is nothing.
    pub(super) fn snapshot(&self, slot: u32, from: i64, to: i64) -> Option<Snapshot> {
        let slot = &self.slots[slot as usize];
        let samples = slot.samples.piece(from, to);
        let histograms = slot.histograms.as_ref().map(|run| run.piece(from, to)).filter(|run| !run.is_empty());
        if samples.is_empty() && histograms.is_none() {
            return None;
        }
        Some(Snapshot { labels: self.index.labels(&slot.pairs), samples, histograms })
    }

    /// The series that have something in this range.
    pub(super) fn any(&self, slot: u32, from: i64, to: i64) -> bool {
        let slot = &self.slots[slot as usize];
        slot.samples.any(from, to) || slot.histograms.as_ref().is_some_and(|run| run.any(from, to))
    }

    /// Every series, in no order.
    pub(super) fn slots(&self) -> Vec<u32> {
        self.by_labels.iter().copied().collect()
    }

    /// The time of the oldest sample.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.slots.iter().filter_map(Slot::oldest).min()
    }

    /// Forgets samples before a time, and series that have none any more. What is known about culprits is looked for again.
    pub(super) fn forget(&mut self, end: i64) {
        self.culprits.clear();
        let mut gone = Vec::new();
        for (at, slot) in self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.live) {
            slot.forget(end);
            if slot.samples.is_empty() && slot.histograms.is_none() {
                gone.push(at as u32);
            }
        }
        if gone.is_empty() {
            return;
        }
        for at in gone {
            let generation = self.slots[at as usize].generation.wrapping_add(1);
            self.slots[at as usize] = Slot { generation, ..Slot::default() };
            self.free.push(at);
        }
        self.rebuild();
    }

    /// Without the labels of series that are gone.
    fn rebuild(&mut self) {
        let mut index = Index::default();
        self.by_labels.clear();
        for at in 0..self.slots.len() as u32 {
            let slot = &self.slots[at as usize];
            if !slot.live {
                continue;
            }
            let labels = self.index.labels(&slot.pairs);
            let pairs = index.pairs(&labels);
            index.insert(at, &pairs);
            let (hash, slots) = (slot.hash, &self.slots);
            self.by_labels.insert_unique(hash, at, |other| slots[*other as usize].hash);
            self.slots[at as usize].pairs = pairs;
        }
        self.index = index;
    }

    /// How many samples there are, and about how many bytes of memory all takes.
    pub(super) fn size(&self) -> (usize, usize) {
        let live = self.slots.iter().filter(|slot| slot.live);
        let samples = live.clone().map(Slot::len).sum();
        let bytes = live.map(|slot| {
            let histograms = slot.histograms.as_ref().map_or(0, |run| run.bytes() + 64);
            slot.pairs.len() * 8 + 16 + slot.samples.bytes() + histograms
        });
        let tables = self.slots.capacity() * size_of::<Slot>() + self.by_labels.capacity() * 5 + self.index.bytes();
        (samples, bytes.sum::<usize>() + tables)
    }
}

fn hash(hasher: &DefaultHashBuilder, labels: &Labels) -> u64 {
    let mut state = hasher.build_hasher();
    for label in labels.iter() {
        label.name.as_str().hash(&mut state);
        label.value.as_str().hash(&mut state);
    }
    state.finish()
}

impl Slot {
    fn oldest(&self) -> Option<i64> {
        let histograms = self.histograms.as_ref().and_then(|run| run.oldest());
        self.samples.oldest().into_iter().chain(histograms).min()
    }

    fn len(&self) -> usize {
        self.samples.len() + self.histograms.as_ref().map_or(0, |run| run.len())
    }

    fn forget(&mut self, end: i64) {
        self.samples.forget(end);
        if let Some(run) = &mut self.histograms {
            run.forget(end);
        }
        self.histograms.take_if(|run| run.is_empty());
    }
}

impl Snapshot {
    /// About how many samples it is worth when memory is counted.
    pub(super) fn weight(&self) -> usize {
        self.samples.weight() + self.histograms.as_ref().map_or(0, Run::weight)
    }

    /// What is between two times, both included, by time.
    pub(super) fn all(&self, from: i64, to: i64) -> Both {
        let histograms = self.histograms.as_ref().map(|run| run.all(from, to)).unwrap_or_default();
        Both { samples: self.samples.all(from, to), histograms }
    }
}
