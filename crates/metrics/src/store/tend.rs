//! What has to be done from time to time, a step at a time.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::block::{Block, Unusable, Writer};
use super::both::Both;
use super::format::{Contents, Meta, Rollup};
use super::open::set_aside;
use super::options::WINDOW;
use super::{DAY, Store, Tier, lock, read, rollup, write};
use crate::Labels;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Samples before a time became blocks.
    Cut {
        /// That time.
        end: i64,
        /// How many blocks.
        blocks: usize,
    },
    /// Blocks became one.
    Merged {
        /// Its start.
        start: i64,
        /// How many there were.
        blocks: usize,
    },
    /// It was made up what a day came to.
    RolledUp {
        /// Its start.
        start: i64,
        /// In which whiles.
        tier: Tier,
    },
    /// A block was removed, since it is too old, or all are too large.
    Removed {
        /// Its start.
        start: i64,
        /// What it held.
        tier: Tier,
    },
    /// A broken block was set aside; what can be read of it is kept.
    SetAside {
        /// Its name in the directory.
        name: String,
    },
}

/// Why a step failed. It is tried again with the next call; nothing is lost by it.
#[derive(Debug, thiserror::Error)]
pub enum NotTended {
    /// The log cannot be told to the disk.
    #[error("the log of samples cannot be brought to disk")]
    Log(#[source] io::Error),
    /// A block cannot be written, read or removed.
    #[error("a block of series cannot be written, read or removed")]
    Block(#[from] io::Error),
}

impl From<Unusable> for NotTended {
    fn from(error: Unusable) -> Self {
        Self::Block(match error {
            Unusable::Io(error) => error,
            Unusable::Corrupt(error) => io::Error::other(error),
        })
    }
}

impl Store {
    /// Brings the log to disk, and does one step of what is due, if something is. Call it every few seconds, and at once again
    /// while it returns a step. Samples can be appended and read meanwhile.
    pub fn tend(&self, now: i64) -> Result<Option<Step>, NotTended> {
        let _one = lock(&self.tending);
        self.flush().map_err(NotTended::Log)?;
        self.spare_memory();
        let Some(newest) = read(&self.head).newest.or_else(|| self.newest_of_blocks()) else { return Ok(None) };
        // A clock that is ahead makes nothing old, and neither does a sample that is.
        let now = now.min(newest);
        if let Some(block) = self.blocks().into_iter().find(|block| block.damaged.load(Ordering::Relaxed)) {
            return self.salvage(&block).map(Some);
        }
        let end = floor(now - self.options.late, WINDOW);
        let done = self.cut_or_condense(end);
        if let Ok(Some(step)) = done {
            return Ok(Some(step));
        }
        // What goes makes room for what could not be written.
        let removed = self.remove_old(now, floor(end, DAY))?;
        if removed.is_some() { Ok(removed) } else { done }
    }

    fn cut_or_condense(&self, end: i64) -> Result<Option<Step>, NotTended> {
        let oldest = read(&self.head).oldest();
        if oldest.is_some_and(|oldest| oldest < end) {
            return self.cut(end).map(Some);
        }
        self.condense(floor(end, DAY))
    }

    fn newest_of_blocks(&self) -> Option<i64> {
        self.blocks().iter().map(|block| block.meta.end - 1).max()
    }

    /// Forgets indexes of blocks, the oldest first, until the rest is small enough.
    fn spare_memory(&self) {
        let mut blocks = self.blocks();
        blocks.sort_by_key(|block| block.meta.start);
        let mut kept: usize = blocks.iter().map(|block| block.kept()).sum();
        for block in blocks {
            if kept <= self.options.cache {
                return;
            }
            kept -= block.forget().min(kept);
        }
    }

    fn sequence(&self) -> u64 {
        self.blocks().iter().map(|block| block.meta.sequence).max().unwrap_or_default() + 1
    }

    /// Makes blocks of what is in memory from before a time.
    fn cut(&self, end: i64) -> Result<Step, NotTended> {
        let log = {
            let mut writer = lock(&self.writer);
            writer.cutting = Some(end);
            writer.log.rotate().map_err(NotTended::Log)
        };
        let blocks = log.and_then(|log| Ok((log, self.write_windows(end, log)?)));
        let mut writer = lock(&self.writer);
        writer.cutting = None;
        let (log, blocks) = blocks?;
        let step = Step::Cut { end, blocks: blocks.len() };
        // First they are there twice, and then once: who reads takes them from memory first.
        self.replace(&[], blocks);
        write(&self.head).forget(end);
        writer.log.remove(self.files.as_ref(), log, end)?;
        Ok(step)
    }

    fn write_windows(&self, end: i64, log: u32) -> Result<Vec<Block>, NotTended> {
        let mut series: Vec<(Labels, u32)> = {
            let head = read(&self.head);
            head.slots().into_iter().map(|slot| (head.labels(slot), slot)).collect()
        };
        series.sort_unstable();
        let all = |slot: u32, from: i64, to: i64| -> Both {
            let snapshot = read(&self.head).snapshot(slot, from, to);
            snapshot.map(|snapshot| snapshot.all(from, to)).unwrap_or_default()
        };
        let mut windows = BTreeSet::new();
        for (_, slot) in &series {
            let both = all(*slot, i64::MIN, end - 1);
            windows.extend(both.samples.iter().map(|sample| floor(sample.at, WINDOW)));
            windows.extend(both.histograms.iter().map(|sample| floor(sample.at, WINDOW)));
        }
        let last = windows.last().copied();
        let mut blocks: Vec<Block> = Vec::new();
        for start in windows {
            // Only with the last one all of the log is in blocks.
            let log = if Some(start) == last { log } else { 0 };
            let sequence = self.sequence() + blocks.len() as u64;
            let meta =
                Meta { tier: Tier::Raw, start, end: start + WINDOW, sequence, log, parents: Vec::new(), samples: 0 };
            let mut block = Writer::create(self.files.as_ref(), meta)?;
            for (labels, slot) in &series {
                let both = all(*slot, start, start + WINDOW - 1);
                if !both.is_empty() {
                    block.raw(labels, &both)?;
                }
            }
            blocks.push(block.finish()?);
        }
        Ok(blocks)
    }

    /// Removes a block that is too old, or the oldest while all are too large. What came in a day is only too old when the day
    /// ended, so that it is known what it came to.
    fn remove_old(&self, now: i64, ended: i64) -> Result<Option<Step>, NotTended> {
        let blocks = self.blocks();
        let old = |block: &&Arc<Block>| block.meta.end <= ended.min(now - block.meta.tier.keep(&self.options));
        let bytes: u64 = blocks.iter().map(|block| block.bytes).sum();
        let large = || {
            let newest = blocks.iter().map(|block| block.meta.end).max();
            // By tier and start: what came long ago goes before what it came to.
            blocks.iter().find(|block| Some(block.meta.end) != newest)
        };
        let Some(gone) = blocks.iter().find(old).or_else(|| large().filter(|_| bytes > self.options.bytes)) else {
            return Ok(None);
        };
        self.replace(std::slice::from_ref(gone), Vec::new());
        self.files.remove(&gone.name)?;
        Ok(Some(Step::Removed { start: gone.meta.start, tier: gone.meta.tier }))
    }

    /// Makes one block of those of a day that ended before a time, or makes up what it came to.
    fn condense(&self, end: i64) -> Result<Option<Step>, NotTended> {
        let blocks = self.blocks();
        let ended = blocks.iter().filter(|block| block.meta.end <= end);
        let days: BTreeSet<i64> = ended.map(|block| floor(block.meta.start, DAY)).collect();
        let of = |tier: Tier, day: i64| -> Vec<Arc<Block>> {
            let of_day = |block: &&Arc<Block>| block.meta.tier == tier && floor(block.meta.start, DAY) == day;
            blocks.iter().filter(of_day).cloned().collect()
        };
        for day in days {
            let raw = of(Tier::Raw, day);
            if raw.len() > 1 {
                self.rewrite(&raw)?;
                return Ok(Some(Step::Merged { start: day, blocks: raw.len() }));
            }
            for (from, to) in [(Tier::Raw, Tier::FiveMinutes), (Tier::FiveMinutes, Tier::Hour)] {
                let (source, made) = (of(from, day), of(to, day));
                let Some(source) = source.first() else { continue };
                if made.iter().all(|made| made.meta.sequence < source.meta.sequence) {
                    let before = of(Tier::Raw, day - DAY);
                    self.roll_up(source, &made, before.last(), to)?;
                    return Ok(Some(Step::RolledUp { start: day, tier: to }));
                }
            }
        }
        Ok(None)
    }

    /// One block of others of a tier, which it replaces.
    fn rewrite(&self, parents: &[Arc<Block>]) -> Result<(), NotTended> {
        let mut meta = self.successor(parents, parents[0].meta.tier);
        meta.log = parents.iter().map(|block| block.meta.log).max().unwrap_or_default();
        let mut parents = parents.to_vec();
        parents.sort_by_key(|block| block.meta.sequence);
        let tier = meta.tier;
        let mut out = Writer::create(self.files.as_ref(), meta)?;
        let mut readers: Vec<_> = parents.iter().map(|block| block.reader()).collect();
        for (labels, of) in Joined::of(&parents)? {
            let (mut both, mut rollups) = (Both::default(), Vec::new());
            for (at, contents, series) in &of {
                for chunk in contents.chunks(*series) {
                    match tier {
                        _ if chunk.columns > 0 => both.histograms.extend(readers[*at].histograms(contents, *chunk)?),
                        Tier::Raw => both.samples.extend(readers[*at].raw(contents, *chunk)?),
                        _ => rollups.extend(readers[*at].rollups(contents, *chunk)?),
                    }
                }
            }
            let both = both.in_order();
            match tier {
                _ if both.is_empty() && rollups.is_empty() => {}
                Tier::Raw => out.raw(&labels, &both)?,
                _ => out.rollups(&labels, &rollups, &both.histograms)?,
            }
        }
        let block = out.finish()?;
        self.replace(&parents, vec![block]);
        for parent in parents {
            self.retire(&parent)?;
        }
        Ok(())
    }

    /// What a block came to in whiles of a tier. `before` is the block of the day before, for what counters grew since.
    fn roll_up(
        &self,
        source: &Arc<Block>,
        made: &[Arc<Block>],
        before: Option<&Arc<Block>>,
        tier: Tier,
    ) -> Result<(), NotTended> {
        let mut meta = self.successor(made, tier);
        (meta.start, meta.end) = (source.meta.start, source.meta.end);
        let step = tier.step().unwrap_or(1);
        let mut out = Writer::create(self.files.as_ref(), meta)?;
        let blocks: Vec<_> =
            before.filter(|_| source.meta.tier == Tier::Raw).into_iter().chain([source]).cloned().collect();
        let mut readers: Vec<_> = blocks.iter().map(|block| block.reader()).collect();
        for (labels, of) in Joined::of(&blocks)? {
            let (mut last, mut rollups, mut histograms): (Option<f64>, Vec<Rollup>, _) = (None, Vec::new(), Vec::new());
            for (at, contents, series) in &of {
                let reader = &mut readers[*at];
                let mut chunks = contents.of_kind(*series, false);
                if !Arc::ptr_eq(&blocks[*at], source) {
                    let samples = chunks.next_back().map(|chunk| reader.raw(contents, chunk)).transpose()?;
                    let values = samples.iter().flatten().rev().map(|sample| sample.value);
                    last = values.into_iter().find(|value| !crate::is_stale(*value));
                    continue;
                }
                if source.meta.tier == Tier::Raw {
                    let mut samples = Vec::new();
                    for chunk in chunks {
                        samples.extend(reader.raw(contents, chunk)?);
                    }
                    rollups = rollup::of_samples(&samples, step, last);
                } else {
                    let mut finer = Vec::new();
                    for chunk in chunks {
                        finer.extend(reader.rollups(contents, chunk)?);
                    }
                    rollups = rollup::of_rollups(&finer, step);
                }
                for chunk in contents.of_kind(*series, true) {
                    histograms.extend(reader.histograms(contents, chunk)?);
                }
            }
            let histograms = rollup::of_histograms(&histograms, step);
            if !rollups.is_empty() || !histograms.is_empty() {
                out.rollups(&labels, &rollups, &histograms)?;
            }
        }
        let block = out.finish()?;
        self.replace(made, vec![block]);
        for old in made {
            self.retire(old)?;
        }
        Ok(())
    }

    /// What the block is that replaces these.
    fn successor(&self, parents: &[Arc<Block>], tier: Tier) -> Meta {
        Meta {
            tier,
            start: parents.iter().map(|block| block.meta.start).min().unwrap_or_default(),
            end: parents.iter().map(|block| block.meta.end).max().unwrap_or_default(),
            sequence: self.sequence(),
            log: 0,
            parents: parents.iter().map(|block| block.meta.sequence).collect(),
            samples: 0,
        }
    }

    /// Keeps what can be read of a broken block.
    fn salvage(&self, block: &Arc<Block>) -> Result<Step, NotTended> {
        match block.contents() {
            Ok(_) => self.rewrite(std::slice::from_ref(block))?,
            Err(Unusable::Corrupt(_)) => {
                self.replace(std::slice::from_ref(block), Vec::new());
                self.retire(block)?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Step::SetAside { name: block.name.clone() })
    }

    /// Removes the file of a block that another stands for; a broken one is set aside.
    fn retire(&self, block: &Block) -> io::Result<()> {
        if !block.damaged.load(Ordering::Relaxed) {
            return self.files.remove(&block.name);
        }
        let aside = set_aside(self.files.as_ref(), &block.name, "a column of it is broken".to_owned())?;
        lock(&self.aside).push(aside);
        Ok(())
    }
}

fn floor(at: i64, step: i64) -> i64 {
    at.div_euclid(step) * step
}

/// The series of several blocks, by their labels.
struct Joined {
    contents: Vec<Arc<Contents>>,
    next: Vec<Option<(Labels, u32)>>,
}

impl Joined {
    fn of(blocks: &[Arc<Block>]) -> Result<Self, Unusable> {
        let contents = blocks.iter().map(|block| block.contents()).collect::<Result<Vec<_>, _>>()?;
        let next = contents.iter().map(|contents| first(contents, 0)).collect();
        Ok(Self { contents, next })
    }
}

fn first(contents: &Contents, series: u32) -> Option<(Labels, u32)> {
    ((series as usize) < contents.len()).then(|| (contents.labels(series), series))
}

impl Iterator for Joined {
    /// Labels; and in which blocks they are, as which series.
    type Item = (Labels, Vec<(usize, Arc<Contents>, u32)>);

    fn next(&mut self) -> Option<Self::Item> {
        let labels = self.next.iter().flatten().map(|(labels, _)| labels).min()?.clone();
        let mut of = Vec::new();
        for (at, next) in self.next.iter_mut().enumerate() {
            if let Some((_, series)) = next.take_if(|(other, _)| *other == labels) {
                of.push((at, self.contents[at].clone(), series));
                *next = first(&self.contents[at], series + 1);
            }
        }
        Some((labels, of))
    }
}
