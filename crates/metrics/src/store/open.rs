//! Opening what an earlier process left.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, RwLock};

use super::block::{Block, Unusable};
use super::files::Files;
use super::head::Head;
use super::log::{self, Log, Logged};
use super::run::Inserted;
use super::statistics::Refusals;
use super::{Options, Store, Writer};

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("the directory of series cannot be opened")]
pub struct NotOpened(#[from] io::Error);

/// What was there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Blocks that can be read.
    pub blocks: usize,
    /// Segments of the log.
    pub segments: usize,
    /// Samples that were only in the log.
    pub samples: u64,
    /// Bytes at the ends of segments that were being written when the process before died. Nobody was told that they are kept.
    pub torn: usize,
    /// Samples in the log that cannot be read any more, as far as that is known.
    pub lost: usize,
    /// What cannot be read.
    pub aside: Vec<Aside>,
}

/// A file that cannot be read. It is kept, and not looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Its name in the directory.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

/// What the names of files end in that are set aside.
const BROKEN: &str = ".broken";

impl Store {
    pub(super) fn open_in(files: Box<dyn Files>, options: Options) -> Result<(Self, Report), NotOpened> {
        let mut report = Report::default();
        let names = files.list()?;
        for unfinished in names.iter().filter(|name| name.ends_with(".new")) {
            files.remove(unfinished)?;
        }
        let blocks = open_blocks(files.as_ref(), &names, &mut report)?;
        let (head, log) = replay(files.as_ref(), &names, &blocks, &options, &mut report)?;
        let store = Self {
            files,
            options,
            head: RwLock::new(head),
            writer: Mutex::new(Writer { log, cutting: None, accepted: Vec::new(), histograms: Vec::new() }),
            blocks: RwLock::default(),
            tending: Mutex::default(),
            refusals: Mutex::new(Refusals::default()),
            aside: Mutex::new(report.aside.clone()),
        };
        store.replace(&[], blocks);
        Ok((store, report))
    }
}

/// Keeps a file under another name.
pub(super) fn set_aside(files: &dyn Files, name: &str, why: String) -> io::Result<Aside> {
    let aside = format!("{name}{BROKEN}");
    files.rename(name, &aside)?;
    Ok(Aside { name: aside, why })
}

fn open_blocks(files: &dyn Files, names: &[String], report: &mut Report) -> io::Result<Vec<Block>> {
    let mut blocks = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".block")) {
        match Block::open(files, name) {
            Ok(block) => blocks.push(block),
            Err(Unusable::Corrupt(error)) => report.aside.push(set_aside(files, name, error.to_string())?),
            // A file that is shorter than it was is broken; what cannot be read now may be read later.
            Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                report.aside.push(set_aside(files, name, error.to_string())?);
            }
            Err(Unusable::Io(error)) => return Err(error),
        }
    }
    let replaced: Vec<u64> = blocks.iter().flat_map(|block| block.meta.parents.clone()).collect();
    for block in blocks.extract_if(.., |block| replaced.contains(&block.meta.sequence)) {
        files.remove(&block.name)?;
    }
    report.blocks = blocks.len();
    Ok(blocks)
}

fn replay(
    files: &dyn Files,
    names: &[String],
    blocks: &[Block],
    options: &Options,
    report: &mut Report,
) -> io::Result<(Head, Log)> {
    let mut head = Head::default();
    let mut closed = BTreeMap::new();
    let mut segments: Vec<u32> = names.iter().filter_map(|name| log::number(name)).collect();
    segments.sort_unstable();
    for segment in &segments {
        let file = files.open(&log::name(*segment))?;
        let bytes = file.read(0, file.size()? as usize)?;
        // What is in blocks already.
        let marks = blocks.iter().filter(|block| block.meta.log > *segment);
        let from = marks.map(|block| block.meta.end).max().unwrap_or(i64::MIN);
        let mut slots: BTreeMap<usize, u32> = BTreeMap::new();
        let mut named = BTreeMap::new();
        let read = log::read(&bytes, |number, labels, sample| {
            if let Some(labels) = labels {
                named.insert(number, labels);
            }
            if sample.at() < from {
                return;
            }
            let slot = *slots.entry(number).or_insert_with(|| {
                let labels = named.remove(&number).unwrap_or_default();
                head.find(&labels).unwrap_or_else(|| head.add(&labels))
            });
            let inserted = match sample {
                Logged::Sample(sample) => head.insert(slot, sample),
                Logged::Histogram(sample) => head.insert_histogram(slot, sample),
            };
            report.samples += u64::from(inserted == Inserted::New);
        });
        match read {
            Ok(read) => {
                closed.insert(*segment, read.newest.unwrap_or(i64::MIN));
                report.segments += 1;
                report.torn += read.torn;
                report.lost += read.lost;
                if read.broken > 0 {
                    let why = format!("{} batches in it are broken; the others are read", read.broken);
                    report.aside.push(Aside { name: log::name(*segment), why });
                }
            }
            Err(error) => report.aside.push(set_aside(files, &log::name(*segment), error.to_string())?),
        }
    }
    let aside = names.iter().filter_map(|name| log::number(name.strip_suffix(BROKEN)?)).max();
    let next = segments.last().copied().max(aside).map_or(1, |last| last + 1);
    let past = blocks.iter().map(|block| block.meta.log).max().unwrap_or_default();
    Ok((head, Log::new(next.max(past), options.segment, closed)))
}
