//! A way through all lines that may be searched for, the best first.
//!
//! Blocks, chunks and pieces wait in a queue by the best time that they may have. What has no line that is searched for, as far as
//! its summary and its filter tell, is never opened.

use std::borrow::Cow;
use std::collections::BinaryHeap;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use super::block::{Block, Reader, Unusable};
use super::columns::{Columns, Piece, Texts, fields};
use super::index::Chunk;
use super::{Store, read};
use crate::grams::{Need, is_valid};
use crate::query::{Direction, Query};
use crate::{Levels, Position, Stream};

/// What a search looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Chunks of streams, levels and times that are searched for.
    pub chunks: u64,
    /// Of these, chunks that cannot have what is searched for by their filters: they were not read.
    pub ruled_out: u64,
    /// Lines whose text was looked at, or could have been found without that.
    pub lines: u64,
    /// Bytes of texts that were looked at.
    pub bytes: u64,
    /// Chunks that are broken; what was in them is not found.
    pub broken: u64,
}

/// Why a search has no result.
#[derive(Debug, thiserror::Error)]
pub enum NotSearched {
    /// Whoever asked does not want to know any more.
    #[error("the search was cancelled")]
    Cancelled,
    /// Bars are so narrow that there would be too many.
    #[error("that would be more than {most} bars")]
    TooMany {
        /// How many there may be.
        most: usize,
    },
    /// What is kept cannot be read now.
    #[error("lines cannot be read")]
    Io(#[from] io::Error),
}

/// What lines are found for.
pub(super) trait Sink {
    /// Whether nothing that comes at this time or after it, in the direction of the search, is of use any more.
    fn is_done(&self, best: i64) -> bool;
    /// Whether a line at this position is of use.
    fn wants(&self, position: Position) -> bool;
    /// Whether it needs texts of lines that are found without them.
    fn needs_texts(&self) -> bool;
    /// All lines of a chunk that are of some levels are found. Says whether that was all it needs to know.
    fn takes_all(&mut self, chunk: &Chunk, levels: Levels) -> bool;
    /// A line that is found.
    fn take(&mut self, columns: &Columns, texts: &Texts, row: usize, stream: &Stream);
}

/// What may have lines that are searched for.
enum Unit {
    Block(Arc<Block>),
    Chunk(Rc<Open>, usize),
    Piece(Arc<Piece>, Arc<Vec<Stream>>),
}

struct Open {
    block: Arc<Block>,
    reader: Reader,
    /// Which streams are searched for, by their numbers in the block.
    chosen: Vec<bool>,
}

/// A unit with the best time it may have; more is better.
struct Queued(i64, Unit);

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

pub(super) struct Walk<'a> {
    store: &'a Store,
    query: &'a Query,
    from: i64,
    to: i64,
    need: Need,
    queue: BinaryHeap<Queued>,
    scanned: Scanned,
}

impl<'a> Walk<'a> {
    pub(super) fn new(store: &'a Store, query: &'a Query) -> Self {
        let (mut from, mut to) = (query.from, query.to);
        match (query.after, query.direction) {
            (Some(after), Direction::Newest) => to = to.min(after.at),
            (Some(after), Direction::Oldest) => from = from.max(after.at),
            (None, _) => {}
        }
        let mut walk =
            Self { store, query, from, to, need: query.need(), queue: BinaryHeap::new(), scanned: Scanned::default() };
        let state = read(&store.state);
        let head = state.head.lines();
        // Numbers grow from one block to the next.
        let mut before = 0;
        for block in &state.blocks {
            let numbers = (before, block.meta.last);
            before = block.meta.last;
            if query.numbers.is_some_and(|(from, end)| numbers.1 < from || numbers.0 >= end) {
                continue;
            }
            walk.add(block.meta.from, block.meta.to, block.meta.levels, Unit::Block(block.clone()));
        }
        for lines in state.frozen.iter().map(|frozen| &frozen.lines).chain([&head]) {
            for piece in &lines.pieces {
                walk.add(piece.from, piece.to, piece.levels, Unit::Piece(piece.clone(), lines.streams.clone()));
            }
        }
        walk
    }

    fn add(&mut self, from: i64, to: i64, levels: Levels, unit: Unit) {
        if from <= self.to && to >= self.from && levels.both(self.query.levels) != Levels::NONE {
            let best = match self.query.direction {
                Direction::Newest => to,
                Direction::Oldest => !from,
            };
            self.queue.push(Queued(best, unit));
        }
    }

    /// Hands all lines that are found to a sink, until it is done.
    pub(super) fn run(mut self, sink: &mut dyn Sink, cancelled: &dyn Fn() -> bool) -> Result<Scanned, NotSearched> {
        while let Some(Queued(best, unit)) = self.queue.pop() {
            if cancelled() {
                return Err(NotSearched::Cancelled);
            }
            let best = if self.query.direction == Direction::Newest { best } else { !best };
            if sink.is_done(best) {
                break;
            }
            match unit {
                Unit::Block(block) => self.open(block)?,
                Unit::Chunk(open, number) => self.chunk(&open, number, sink)?,
                Unit::Piece(piece, streams) => {
                    let stream = |number: u32| &streams[number as usize];
                    // What is in memory can be read.
                    _ = self.rows(&piece.columns, &stream, sink, || Ok(Cow::Borrowed(&piece.texts)));
                }
            }
        }
        Ok(self.scanned)
    }

    /// Queues the chunks of a block that may have something.
    fn open(&mut self, block: Arc<Block>) -> Result<(), NotSearched> {
        let chosen: Vec<bool> = block.streams.iter().map(|stream| self.query.takes_stream(stream)).collect();
        if !chosen.contains(&true) {
            return Ok(());
        }
        let opened = block.reader(self.store.files.as_ref());
        let Some(reader) = self.readable(&block, opened)? else { return Ok(()) };
        let filters = if self.need.is_nothing() { Ok(Vec::new()) } else { reader.filters() };
        // Without filters all chunks are read.
        let filters = filters.or_else(|error| match error {
            Unusable::Corrupt(_) => {
                block.spoil();
                Ok(Vec::new())
            }
            Unusable::Io(error) => Err(error),
        })?;
        let open = Rc::new(Open { block, reader, chosen });
        for (number, chunk) in open.reader.contents.chunks.iter().enumerate() {
            let of_times = chunk.from <= self.to && chunk.to >= self.from;
            let of_levels = chunk.levels.both(self.query.levels) != Levels::NONE;
            if !(of_times && of_levels && chunk.streams.iter().any(|stream| open.chosen[*stream as usize])) {
                continue;
            }
            self.scanned.chunks += 1;
            let (at, length) = (chunk.filter.0 as usize, chunk.filter.1 as usize);
            let filter = filters.get(at..at + length).filter(|filter| is_valid(filter));
            if filter.is_some_and(|filter| !self.need.may_be_in(filter)) {
                self.scanned.ruled_out += 1;
                continue;
            }
            self.add(chunk.from, chunk.to, chunk.levels, Unit::Chunk(open.clone(), number));
        }
        Ok(())
    }

    fn chunk(&mut self, open: &Rc<Open>, number: usize, sink: &mut dyn Sink) -> Result<(), NotSearched> {
        let chunk = &open.reader.contents.chunks[number];
        let all_times = chunk.from >= self.query.from
            && chunk.to <= self.query.to
            && self.query.after.is_none()
            && self.query.numbers.is_none();
        let all_streams = chunk.streams.iter().all(|stream| open.chosen[*stream as usize]);
        if all_times && all_streams && !self.query.reads_text() && sink.takes_all(chunk, self.query.levels) {
            return Ok(());
        }
        let columns = open.reader.columns(chunk);
        let Some(columns) = self.readable(&open.block, columns)? else { return Ok(()) };
        let stream = |number: u32| &open.block.streams[chunk.streams[number as usize] as usize];
        let texts = || open.reader.texts(chunk).map(Cow::Owned);
        let read = self.rows(&columns, &stream, sink, texts);
        self.readable(&open.block, read)?;
        Ok(())
    }

    /// What was read, or nothing where it is broken, which is remembered. A block that is not there any more was removed
    /// meanwhile.
    fn readable<T>(&mut self, block: &Block, read: Result<T, Unusable>) -> Result<Option<T>, NotSearched> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(Unusable::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(Unusable::Io(error)) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error.into()),
            Err(_) => {
                block.spoil();
                self.scanned.broken += 1;
                Ok(None)
            }
        }
    }

    /// Hands over the lines among these that are searched for. Texts are read only if one of them may be.
    fn rows<'s>(
        &mut self,
        columns: &Columns,
        stream: &dyn Fn(u32) -> &'s Stream,
        sink: &mut dyn Sink,
        texts: impl FnOnce() -> Result<Cow<'s, Texts>, Unusable>,
    ) -> Result<(), Unusable> {
        let mut rows = self.candidates(columns, stream, sink);
        self.scanned.lines += rows.len() as u64;
        if rows.is_empty() {
            return Ok(());
        }
        let mut read = Cow::Owned(Texts::default());
        if self.query.reads_text() || sink.needs_texts() {
            read = texts()?;
            self.scanned.bytes += read.text.len() as u64;
        }
        if let Some(phrase) = self.query.phrase() {
            keep_with(&mut rows, phrase, columns, &read);
        }
        for row in rows {
            let found = !self.query.reads_text() || {
                let text = columns.text(&read, row);
                self.query.takes_text(text)
                    && (self.query.fields.is_empty()
                        || self.query.takes_fields(text, &fields(columns.beside(&read, row))))
            };
            if found {
                sink.take(columns, &read, row, stream(columns.stream[row]));
            }
        }
        Ok(())
    }

    /// Rows of the times, levels and streams that are searched for.
    fn candidates<'s>(&self, columns: &Columns, stream: &dyn Fn(u32) -> &'s Stream, sink: &dyn Sink) -> Vec<usize> {
        let streams = columns.stream.iter().max().map_or(0, |most| *most as usize + 1);
        // What is asked about a stream once is remembered.
        let mut known: Vec<Option<bool>> = vec![None; streams];
        let mut takes =
            |number: u32| *known[number as usize].get_or_insert_with(|| self.query.takes_stream(stream(number)));
        let after = |position: Position| match (self.query.after, self.query.direction) {
            (None, _) => true,
            (Some(after), Direction::Newest) => position < after,
            (Some(after), Direction::Oldest) => position > after,
        };
        let rows = (0..columns.len()).filter(|row| {
            (self.from..=self.to).contains(&columns.at[*row])
                && self.query.levels.has_code(columns.level[*row])
                && takes(columns.stream[*row])
                && self.query.numbers.is_none_or(|(from, end)| (from..end).contains(&columns.number[*row]))
                && after(columns.position(*row))
                && sink.wants(columns.position(*row))
        });
        rows.collect()
    }
}

/// Keeps the rows with a text in them: it is looked for in all texts at once, which is faster than in one after the other.
fn keep_with(rows: &mut Vec<usize>, phrase: &regex::bytes::Regex, columns: &Columns, texts: &Texts) {
    let mut with = Vec::new();
    let mut at = 0;
    while let Some(found) = phrase.find_at(&texts.text, at) {
        let row = columns.row_at(found.start());
        if found.end() <= columns.text_end(row) {
            with.push(row);
            at = columns.text_end(row);
        } else {
            // It goes on in the next line, and is in neither of them.
            at = found.start() + 1;
        }
    }
    rows.retain(|row| with.binary_search(row).is_ok());
}
