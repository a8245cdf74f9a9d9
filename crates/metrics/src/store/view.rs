//! Reading. What is open in memory is copied under a lock; all else is read and unpacked without one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use super::block::{Block, Unusable};
use super::both::Both;
use super::format::{Chunk, Contents, Rollup};
use super::head::Snapshot;
use super::{MINUTE, Store, Tier, read, rollup};
use crate::{Labels, Matcher, Series, Source};

/// Why something is not read.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    /// It would take too much memory.
    #[error("this asks for {asked} samples; at most {most} are read at once")]
    TooMany {
        /// How many it would be, about.
        asked: usize,
        /// How many may be.
        most: usize,
    },
    /// The disk fails.
    #[error("a block of series cannot be read")]
    Disk(#[from] io::Error),
}

/// What the samples of a series came to, while by while.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollups {
    /// Its name.
    pub labels: Labels,
    /// Oldest first.
    pub rollups: Vec<Rollup>,
}

/// A block, what is in it, and which of its series are asked for.
struct Chosen {
    block: Arc<Block>,
    contents: Arc<Contents>,
    series: Vec<u32>,
}

impl Source for Store {
    type Error = NotRead;

    /// Where samples are not kept any more, those of the next tier stand for them: see [`Store::tier`] and
    /// [`Store::lookback`].
    fn select(&self, matchers: &[Matcher], from: i64, to: i64) -> Result<Vec<Series>, NotRead> {
        // First the head: what leaves it is in a block before.
        let snapshots = self.snapshots(matchers, from, to);
        let chosen = self.chosen(matchers, from, to)?;
        let of_blocks = chosen.iter().map(|one| one.weight(from, to)).sum::<usize>();
        self.check(of_blocks + snapshots.iter().map(Snapshot::weight).sum::<usize>())?;
        let mut all: HashMap<Labels, Both> = HashMap::new();
        for one in &chosen {
            one.each(from, to, |labels, both| all.entry(labels).or_default().extend(both))?;
        }
        for snapshot in snapshots {
            let both = snapshot.all(from, to);
            all.entry(snapshot.labels).or_default().extend(both);
        }
        let some = all.into_iter().filter(|(_, both)| !both.is_empty());
        let mut series: Vec<Series> = some.map(|(labels, both)| both.into_series(labels)).collect();
        series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(series)
    }
}

/// How old the present sample of a series may be, where samples are as they came.
const LOOKBACK: i64 = 5 * MINUTE;

impl Store {
    /// The coarsest tier that is read for times between these. A question with a shorter step sees gaps.
    pub fn tier(&self, from: i64, to: i64) -> Tier {
        self.used(from, to).iter().map(|block| block.meta.tier).max().unwrap_or(Tier::Raw)
    }

    /// How old a sample may be to count as the present one, for questions about times between these: what a caller gives to
    /// whoever evaluates them. Five minutes, as is usual; and where a coarser tier is read, one of its whiles more, since of
    /// each while only the last sample is there. A range that is selected (`[5m]`) is not widened by it: it should cover two whiles of
    /// [`Store::tier`].
    pub fn lookback(&self, from: i64, to: i64) -> i64 {
        let steps = Tier::ALL.into_iter().rev().filter_map(|tier| Some((tier, LOOKBACK + tier.step()?)));
        let reached = |(tier, back): &(Tier, i64)| self.tier(from.saturating_sub(*back), to) >= *tier;
        steps.into_iter().find(reached).map_or(LOOKBACK, |(_, back)| back)
    }

    /// The names of labels of what the matchers choose with a sample between two times, by name.
    pub fn labels(&self, matchers: &[Matcher], from: i64, to: i64) -> Result<Vec<String>, NotRead> {
        let mut names = BTreeSet::new();
        let mut add = |labels: &Labels| {
            for label in labels.iter().filter(|label| !names.contains(label.name.as_str())).collect::<Vec<_>>() {
                names.insert(label.name.to_string());
            }
        };
        self.each_series(matchers, from, to, &mut add)?;
        Ok(names.into_iter().collect())
    }

    /// The values of a label of what the matchers choose with a sample between two times, by value.
    pub fn values(&self, name: &str, matchers: &[Matcher], from: i64, to: i64) -> Result<Vec<String>, NotRead> {
        let mut values = BTreeSet::new();
        let mut add = |labels: &Labels| {
            let value = labels.get(name);
            if !value.is_empty() && !values.contains(value) {
                values.insert(value.to_owned());
            }
        };
        self.each_series(matchers, from, to, &mut add)?;
        Ok(values.into_iter().collect())
    }

    /// The names of the series that the matchers choose with a sample between two times, by name.
    pub fn series(&self, matchers: &[Matcher], from: i64, to: i64) -> Result<Vec<Labels>, NotRead> {
        let mut series = BTreeSet::new();
        self.each_series(matchers, from, to, &mut |labels| _ = series.insert(labels.clone()))?;
        Ok(series.into_iter().collect())
    }

    /// What the samples of series came to in whiles of a tier, as far as it is kept: days that have ended. What histograms came
    /// to is told by [`Source::select`] alone.
    pub fn rollups(&self, matchers: &[Matcher], tier: Tier, from: i64, to: i64) -> Result<Vec<Rollups>, NotRead> {
        let blocks = self.blocks().into_iter().filter(|block| block.meta.tier == tier && tier != Tier::Raw);
        let chosen = choose(blocks.filter(|block| block.covers(from, to)).collect(), matchers)?;
        self.check(chosen.iter().map(|one| one.weight(from, to)).sum())?;
        let mut all: BTreeMap<Labels, Vec<Rollup>> = BTreeMap::new();
        for Chosen { block, contents, series } in &chosen {
            let mut reader = block.reader();
            for one in series {
                let rollups = all.entry(contents.labels(*one)).or_default();
                for chunk in overlapping(contents, *one, from, to).filter(|chunk| chunk.columns == 0) {
                    rollups.extend(reader.rollups(contents, chunk)?);
                }
                rollups.retain(|rollup| (from..=to).contains(&rollup.last.at));
            }
        }
        let some = all.into_iter().filter(|(_, rollups)| !rollups.is_empty());
        Ok(some.map(|(labels, rollups)| Rollups { labels, rollups }).collect())
    }

    fn check(&self, asked: usize) -> Result<(), NotRead> {
        let most = self.options.samples;
        if asked > most { Err(NotRead::TooMany { asked, most }) } else { Ok(()) }
    }

    fn snapshots(&self, matchers: &[Matcher], from: i64, to: i64) -> Vec<Snapshot> {
        let head = read(&self.head);
        head.choose(matchers).into_iter().filter_map(|slot| head.snapshot(slot, from, to)).collect()
    }

    fn each_series(
        &self,
        matchers: &[Matcher],
        from: i64,
        to: i64,
        take: &mut dyn FnMut(&Labels),
    ) -> Result<(), NotRead> {
        {
            let head = read(&self.head);
            for slot in head.choose(matchers).into_iter().filter(|slot| head.any(*slot, from, to)) {
                take(&head.labels(slot));
            }
        }
        for Chosen { contents, series, .. } in self.chosen(matchers, from, to)? {
            for one in series.into_iter().filter(|one| overlapping(&contents, *one, from, to).next().is_some()) {
                take(&contents.labels(one));
            }
        }
        Ok(())
    }

    /// The blocks that are read for times between these: of each time the finest that is there.
    fn used(&self, from: i64, to: i64) -> Vec<Arc<Block>> {
        let blocks = self.blocks();
        let finer = |block: &Block| {
            let (first, last) = (block.meta.start, block.meta.end - 1);
            blocks.iter().any(|other| other.meta.tier < block.meta.tier && other.covers(first, last))
        };
        let covering = blocks.iter().filter(|block| block.covers(from, to));
        covering.filter(|block| !finer(block)).cloned().collect()
    }

    fn chosen(&self, matchers: &[Matcher], from: i64, to: i64) -> Result<Vec<Chosen>, NotRead> {
        let mut blocks = self.used(from, to);
        blocks.sort_by_key(|block| (block.meta.start, block.meta.sequence));
        choose(blocks, matchers)
    }
}

fn choose(blocks: Vec<Arc<Block>>, matchers: &[Matcher]) -> Result<Vec<Chosen>, NotRead> {
    let mut chosen = Vec::new();
    for block in blocks {
        match block.contents() {
            Ok(contents) => {
                let series = contents.index.choose(matchers);
                chosen.push(Chosen { block, contents, series });
            }
            // It was whole when it was opened.
            Err(Unusable::Corrupt(_)) => block.damaged.store(true, std::sync::atomic::Ordering::Relaxed),
            Err(Unusable::Io(error)) => return Err(error.into()),
        }
    }
    Ok(chosen)
}

/// The chunks of a series with times between these.
fn overlapping(contents: &Contents, series: u32, from: i64, to: i64) -> impl Iterator<Item = Chunk> {
    let chunks = contents.chunks(series).iter().copied();
    chunks.filter(move |chunk| {
        let times = &contents.times[chunk.times as usize];
        times.from <= to && times.to >= from
    })
}

impl Chosen {
    /// How many samples the chunks that are read are worth.
    fn weight(&self, from: i64, to: i64) -> usize {
        let chunks = self.series.iter().flat_map(move |one| overlapping(&self.contents, *one, from, to));
        chunks.map(|chunk| self.contents.weight(chunk)).sum()
    }

    fn each(&self, from: i64, to: i64, mut take: impl FnMut(Labels, Both)) -> io::Result<()> {
        let Self { block, contents, series } = self;
        let mut reader = block.reader();
        for one in series {
            let (mut both, mut rollups) = (Both::default(), Vec::new());
            let labels = contents.labels(*one);
            for chunk in overlapping(contents, *one, from, to) {
                match block.meta.tier {
                    _ if chunk.columns > 0 => both.histograms.extend(reader.histograms(contents, chunk)?),
                    Tier::Raw => both.samples.extend(reader.raw(contents, chunk)?),
                    Tier::FiveMinutes | Tier::Hour => rollups.extend(reader.rollups(contents, chunk)?),
                }
            }
            both.samples.extend(rollup::samples(&rollups, rollup::counts(&labels)));
            take(labels, both.within(from, to));
        }
        Ok(())
    }
}
