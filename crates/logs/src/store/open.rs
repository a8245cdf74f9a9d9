//! Opening what an earlier process left.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, RwLock};

use hashbrown::HashSet;

use super::block::{Block, Unusable};
use super::files::Files;
use super::head::{Frozen, Head};
use super::log::{self, Log};
use super::rate::Limiter;
use super::statistics::Totals;
use super::{Options, State, Store, Writer};
use crate::Stream;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("the directory of lines cannot be opened")]
pub struct NotOpened(#[from] io::Error);

/// What was there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Blocks that can be read.
    pub blocks: usize,
    /// Segments of the log.
    pub segments: usize,
    /// Lines that were only in the log.
    pub lines: u64,
    /// Bytes at the ends of segments that were being written when the process before died. Nobody was told that they are kept.
    pub torn: usize,
    /// What cannot be read.
    pub aside: Vec<Aside>,
}

/// A file that cannot be read, or not all of it. It is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Its name in the directory.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

/// What the names of files end in that are set aside.
const BROKEN: &str = ".broken";

/// Streams that are known, so that each is in memory once.
#[derive(Default)]
pub(super) struct Known(HashSet<Stream>);

impl Known {
    pub(super) fn shared(&mut self, stream: Stream) -> Stream {
        self.0.get_or_insert(stream).clone()
    }
}

impl Store {
    pub(super) fn open_in(files: Box<dyn Files>, options: Options) -> Result<(Self, Report), NotOpened> {
        let mut report = Report::default();
        let names = files.list()?;
        for unfinished in names.iter().filter(|name| name.ends_with(".new")) {
            files.remove(unfinished)?;
        }
        let mut known = Known::default();
        let blocks = open_blocks(files.as_ref(), &names, &mut known, &mut report)?;
        let replayed = replay(files.as_ref(), &names, &blocks, &options, &mut report)?;
        let next =
            blocks.iter().map(|block| block.meta.last.saturating_add(1)).max().unwrap_or_default().max(replayed.next);
        let writer = Writer { log: replayed.log, limiter: Limiter::default(), next };
        let state = State {
            newest: blocks.iter().map(|block| block.meta.to).max().max(replayed.newest),
            head: replayed.head,
            frozen: replayed.frozen.into(),
            blocks: blocks.into_iter().map(Arc::new).collect(),
        };
        let store = Self {
            files,
            options,
            state: RwLock::new(state),
            writer: Mutex::new(writer),
            tending: Mutex::default(),
            totals: Mutex::new(Totals::default()),
            aside: Mutex::new(report.aside.clone()),
        };
        Ok((store, report))
    }
}

/// Keeps a file under another name.
pub(super) fn set_aside(files: &dyn Files, name: &str, why: String) -> io::Result<Aside> {
    let aside = format!("{name}{BROKEN}");
    files.rename(name, &aside)?;
    Ok(Aside { name: aside, why })
}

/// All blocks that can be read, by the segments that are in them.
fn open_blocks(files: &dyn Files, names: &[String], known: &mut Known, report: &mut Report) -> io::Result<Vec<Block>> {
    let mut blocks = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".block")) {
        match Block::open(files, name, known) {
            Ok(block) => blocks.push(block),
            Err(Unusable::Corrupt(error)) => report.aside.push(set_aside(files, name, error.to_string())?),
            // A file that is shorter than it was is broken; what cannot be read now may be read later.
            Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                report.aside.push(set_aside(files, name, error.to_string())?);
            }
            Err(Unusable::Io(error)) => return Err(error),
        }
    }
    blocks.sort_by_key(|block| (block.meta.log, block.meta.writing));
    // A broken block was written again, and the process died before the broken one was set aside.
    let mut kept: Vec<Block> = Vec::new();
    for block in blocks {
        if let Some(before) = kept.pop_if(|before| before.meta.log == block.meta.log) {
            let why = "what could be read of it is in another block".to_owned();
            report.aside.push(set_aside(files, &before.name, why)?);
        }
        kept.push(block);
    }
    report.blocks = kept.len();
    Ok(kept)
}

/// What is only in the log.
struct Replayed {
    head: Head,
    frozen: Vec<Frozen>,
    log: Log,
    next: u64,
    newest: Option<i64>,
}

fn replay(
    files: &dyn Files,
    names: &[String],
    blocks: &[Block],
    options: &Options,
    report: &mut Report,
) -> io::Result<Replayed> {
    let done = blocks.iter().map(|block| block.meta.log).max().unwrap_or_default();
    let (mut head, mut frozen, mut closed) = (Head::default(), Vec::new(), BTreeSet::new());
    let (mut next, mut newest) = (0, None);
    let mut segments: Vec<u32> = names.iter().filter_map(|name| log::number(name)).collect();
    segments.sort_unstable();
    for segment in segments.iter().copied() {
        if segment <= done {
            // The process died after the block was there.
            files.remove(&log::name(segment))?;
            continue;
        }
        let file = files.open(&log::name(segment))?;
        let bytes = file.read(0, file.size()? as usize)?;
        let read = log::read(&bytes, |stream, mut row| {
            row.stream = head.number(stream);
            head.push(&row);
            next = next.max(row.number.saturating_add(1));
            newest = newest.max(Some(row.at));
            head.since.get_or_insert(row.at);
            report.lines += 1;
        });
        match read {
            Ok(read) => {
                closed.insert(segment);
                report.segments += 1;
                report.torn += read.torn;
                if read.broken > 0 {
                    let why = format!("{} batches in it are broken; the others are read", read.broken);
                    report.aside.push(Aside { name: log::name(segment), why });
                }
            }
            Err(error) => report.aside.push(set_aside(files, &log::name(segment), error.to_string())?),
        }
        if head.bytes >= options.block {
            frozen.push(head.freeze(segment));
        }
    }
    let aside = names.iter().filter_map(|name| number_of_broken(name)).max();
    let last = segments.last().copied().max(aside).unwrap_or_default().max(done);
    Ok(Replayed { head, frozen, log: Log::new(last + 1, closed), next, newest })
}

/// The segment that a broken file was, or the last one that was in it.
fn number_of_broken(name: &str) -> Option<u32> {
    name.strip_suffix(BROKEN)?.split(['.', '-']).next()?.parse().ok()
}
