//! Lines on this machine's disk.
//!
//! Lines are acknowledged when they are in the log. The newest are in memory as well (`head.rs`); whenever there are some MiB of
//! them, they become a block, which never changes, and their part of the log goes. Blocks are removed as a whole, the oldest
//! first, when they are too old or all are too large. A search (`search.rs`) looks only into chunks of blocks that may have what
//! is searched for.
//!
//! The store believes what it is given: whoever hands lines over has taken secrets out. Nothing here reads a clock.

mod block;
mod columns;
mod count;
pub(crate) mod files;
mod head;
mod index;
mod log;
mod open;
mod options;
mod rate;
mod receipt;
mod search;
mod statistics;
mod tend;
#[cfg(test)]
pub(crate) mod tests;
mod walk;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use count::Bar;
pub use open::{Aside, NotOpened, Report};
pub use options::{DAY, HOUR, MINUTE, Options, SECOND};
pub use rate::{Bucket, Rate};
pub use receipt::{Amount, Receipt, Why};
pub use search::Page;
pub use statistics::Statistics;
pub use tend::{NotTended, Step};
pub use walk::{NotSearched, Scanned};

use crate::{Level, Line, Stream};
use block::Block;
use columns::{Row, put_fields};
use files::{Directory, Files};
use head::{Frozen, Head};
use log::{Frame, Log};
use rate::Limiter;
use statistics::Totals;

/// So many blocks wait to be written, at most: who appends then writes one.
const WAITING: usize = 2;

/// Lines that are kept in a directory. All its functions block, and may be called from many threads at once.
pub struct Store {
    files: Box<dyn Files>,
    options: Options,
    /// Changed by who holds the writer, or tends.
    state: RwLock<State>,
    writer: Mutex<Writer>,
    /// Held by who tends.
    tending: Mutex<()>,
    totals: Mutex<Totals>,
    aside: Mutex<Vec<Aside>>,
}

/// Where lines are: each is in one place.
struct State {
    head: Head,
    /// What becomes blocks, the oldest first.
    frozen: VecDeque<Frozen>,
    /// By the segments that are in them.
    blocks: Vec<Arc<Block>>,
    newest: Option<i64>,
}

/// What appends.
struct Writer {
    log: Log,
    limiter: Limiter,
    /// The number of the next line.
    next: u64,
}

/// Why no line of a batch is kept.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// There is no room. What is kept can still be read.
    #[error("the disk is full: no line of this batch is kept")]
    Full(#[source] io::Error),
    /// The log cannot be written. What is kept can still be read.
    #[error("the log of lines cannot be written: no line of this batch is kept")]
    Log(#[source] io::Error),
    /// Blocks cannot be written, and no more lines fit in memory. What is kept can still be read.
    #[error("lines cannot be brought from memory to disk: no line of this batch is kept")]
    Behind(#[source] NotTended),
}

impl From<io::Error> for NotKept {
    fn from(error: io::Error) -> Self {
        if is_full(&error) { Self::Full(error) } else { Self::Log(error) }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A line that may be kept.
struct Chosen<'a> {
    line: &'a Line,
    /// How many bytes of its text are kept.
    length: usize,
    /// What is beside it.
    beside: Vec<u8>,
    missing: u32,
}

impl Store {
    /// Opens what is in a directory, which is made where there is none. What is broken is set aside, and told.
    pub fn open(directory: &Path, options: Options) -> Result<(Self, Report), NotOpened> {
        let files = Directory::open(directory.to_owned())?;
        Self::open_in(Box::new(files), options)
    }

    /// Keeps lines, in the order in which they come. When this returns, those that are accepted are there even if the process
    /// dies; for the machine see [`Store::flush`]. An error means that none is kept. `now` is in microseconds since 1970.
    pub fn append(&self, lines: &[Line], now: i64) -> Result<Receipt, NotKept> {
        if read(&self.state).frozen.len() >= WAITING {
            self.catch_up()?;
        }
        let mut receipt = Receipt::default();
        let mut writer = lock(&self.writer);
        let chosen = self.choose(&mut writer, lines, now, &mut receipt);
        if !chosen.is_empty()
            && let Err(error) = self.keep(&mut writer, &chosen, now)
        {
            for chosen in &chosen {
                writer.limiter.give_back(&self.options, &chosen.line.stream, chosen.line.text.len() as u64);
            }
            return Err(error.into());
        }
        drop(writer);
        receipt.accepted = chosen.len() as u64;
        lock(&self.totals).add(&receipt);
        Ok(receipt)
    }

    /// What was acknowledged until now is on disk when this returns, even if the machine dies.
    pub fn flush(&self) -> io::Result<()> {
        lock(&self.writer).log.sync()
    }

    /// The number of the next line: all with a lower one that are kept can be found.
    pub fn next(&self) -> u64 {
        lock(&self.writer).next
    }

    /// The lines that may be kept.
    fn choose<'a>(&self, writer: &mut Writer, lines: &'a [Line], now: i64, receipt: &mut Receipt) -> Vec<Chosen<'a>> {
        let options = &self.options;
        let (oldest, latest) = (now.saturating_sub(options.late), now.saturating_add(options.ahead));
        let state = read(&self.state);
        let mut more: Vec<&Stream> = Vec::new();
        let mut chosen = Vec::with_capacity(lines.len());
        for line in lines {
            let bytes = line.text.len() as u64;
            let known = || state.head.find(&line.stream).is_some() || more.contains(&&line.stream);
            let why = if line.at < oldest {
                Some(Why::TooOld)
            } else if line.at > latest {
                Some(Why::TooFarAhead)
            } else if !known() && state.head.streams() + more.len() >= options.streams {
                Some(Why::TooManyStreams)
            } else if !writer.limiter.take(options, &line.stream, now, bytes) {
                Some(Why::TooMany)
            } else {
                None
            };
            if let Some(why) = why {
                receipt.drop(&line.stream, why, bytes);
                continue;
            }
            if !known() {
                more.push(&line.stream);
            }
            let one = self.shorten(line);
            if one.missing > 0 {
                receipt.cut.add(u64::from(one.missing));
            }
            chosen.push(one);
        }
        chosen
    }

    /// As much of a line as is kept. Fields that are beside it are kept as a whole, or not at all.
    fn shorten<'a>(&self, line: &'a Line) -> Chosen<'a> {
        let most = self.options.line;
        let length = line.text.len().min(most);
        let mut beside = Vec::new();
        put_fields(&mut beside, &line.fields);
        let mut missing = line.text.len() - length;
        if beside.len() > most {
            missing += beside.len();
            beside.clear();
        }
        Chosen { line, length, beside, missing: u32::try_from(missing).unwrap_or(u32::MAX) }
    }

    /// Logs lines, and remembers them.
    fn keep(&self, writer: &mut Writer, chosen: &[Chosen<'_>], now: i64) -> io::Result<()> {
        let mut frame = Frame::new(writer.next);
        let mut named: Vec<&Stream> = Vec::new();
        for (number, one) in (writer.next..).zip(chosen) {
            let stream = named.iter().rposition(|known| **known == one.line.stream).unwrap_or_else(|| {
                frame.stream(&one.line.stream);
                named.push(&one.line.stream);
                named.len() - 1
            });
            frame.row(&one.row(number, stream as u32));
        }
        writer.log.write(self.files.as_ref(), &frame)?;
        let mut state = write(&self.state);
        for one in chosen {
            let stream = state.head.number(&one.line.stream);
            state.head.push(&one.row(writer.next, stream));
            state.newest = state.newest.max(Some(one.line.at));
            writer.next += 1;
        }
        state.head.since.get_or_insert(now);
        if state.head.bytes >= self.options.block {
            let frozen = state.head.freeze(writer.log.rotate());
            state.frozen.push_back(frozen);
        }
        Ok(())
    }
}

impl Chosen<'_> {
    fn row(&self, number: u64, stream: u32) -> Row<'_> {
        Row {
            at: self.line.at,
            number,
            stream,
            level: Level::code(self.line.level),
            missing: self.missing,
            text: &self.line.text[..self.length],
            beside: &self.beside,
        }
    }
}

/// A thread that panicked left nothing half done that matters to others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
