//! Series on this machine's disk.
//!
//! Samples are acknowledged when they are in the log. The newest are in memory (`head.rs`); every two hours they
//! become a block, which never changes. Blocks of a day become one, and what each 5 minutes and each hour came to is kept longer
//! than the samples themselves (`rollup.rs`). Nothing here reads a clock.

mod batch;
mod block;
mod both;
pub(crate) mod files;
mod format;
mod head;
mod index;
mod log;
mod open;
mod options;
mod rollup;
mod run;
mod statistics;
mod tend;
#[cfg(test)]
pub(crate) mod tests;
mod view;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use batch::{Batch, Culprit, Limit, Receipt, SeriesId, Why};
pub use format::Rollup;
pub use open::{Aside, NotOpened, Report};
pub use options::{DAY, HOUR, MINUTE, Options, Tier};
pub use statistics::{OfTier, Statistics};
pub use tend::{NotTended, Step};
pub use view::{NotRead, Rollups};

use crate::{HistogramSample, Labels, Sample};
use batch::Of;
use block::Block;
use files::{Directory, Files};
use head::Head;
use log::Log;
use run::Inserted;
use statistics::Refusals;

/// Series that are kept in a directory. All its functions block, and may be called from many threads at once.
pub struct Store {
    files: Box<dyn Files>,
    options: Options,
    /// Changed only by who holds the writer.
    head: RwLock<Head>,
    writer: Mutex<Writer>,
    /// By tier, start and sequence.
    blocks: RwLock<Vec<Arc<Block>>>,
    /// Held by who tends.
    tending: Mutex<()>,
    refusals: Mutex<Refusals>,
    aside: Mutex<Vec<Aside>>,
}

/// What appends.
struct Writer {
    log: Log,
    /// Samples before this become a block now.
    cutting: Option<i64>,
    accepted: Vec<(u32, Sample)>,
    histograms: Vec<(u32, HistogramSample)>,
}

/// Why no sample of a batch is kept.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// There is no room. What is kept can still be read.
    #[error("the disk is full: no sample of this batch is kept")]
    Full(#[source] io::Error),
    /// The log cannot be written. What is kept can still be read.
    #[error("the log of samples cannot be written: no sample of this batch is kept")]
    Log(#[source] io::Error),
}

impl From<io::Error> for NotKept {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error),
            _ => Self::Log(error),
        }
    }
}

impl Store {
    /// Opens what is in a directory, which is made where there is none. What is broken is set aside, and told.
    pub fn open(directory: &Path, options: Options) -> Result<(Self, Report), NotOpened> {
        let files = Directory::open(directory.to_owned())?;
        Self::open_in(Box::new(files), options)
    }

    /// Keeps samples. When this returns, those that are accepted are there even if the process dies; for the machine see
    /// [`Store::flush`]. An error means that none is kept.
    pub fn append(&self, batch: &Batch, now: i64) -> Result<Receipt, NotKept> {
        let mut receipt = Receipt::default();
        let mut writer = lock(&self.writer);
        let written = self.log_batch(&mut writer, batch, now, &mut receipt);
        if written.is_ok() {
            let mut head = write(&self.head);
            for (slot, sample) in &writer.accepted {
                receipt.note(&head.insert(*slot, *sample));
            }
            for (slot, sample) in writer.histograms.drain(..) {
                let inserted = head.insert_histogram(slot, sample);
                receipt.histograms += u64::from(inserted != Inserted::OtherValue);
                receipt.note(&inserted);
            }
        }
        lock(&self.refusals).add(&receipt);
        written.map(|()| receipt)
    }

    /// Logs the samples that may be kept, and remembers them.
    fn log_batch(&self, writer: &mut Writer, batch: &Batch, now: i64, receipt: &mut Receipt) -> Result<(), NotKept> {
        writer.accepted.clear();
        writer.histograms.clear();
        let mut frame = writer.log.begin(self.files.as_ref())?;
        let mut head = write(&self.head);
        let newest = head.newest.unwrap_or(now).min(now);
        let oldest = newest.saturating_sub(self.options.late).max(writer.cutting.unwrap_or(i64::MIN));
        let times = (oldest, now.saturating_add(self.options.ahead));
        for row in &batch.rows {
            match self.slot(&mut head, &row.of, row.at, times) {
                Ok(slot) => {
                    let sample = Sample { at: row.at, value: row.value };
                    let (place, labels) = head.logged(slot);
                    writer.log.add(&mut frame, place, labels, sample);
                    writer.accepted.push((slot, sample));
                }
                Err(why) => receipt.refuse(why),
            }
        }
        for row in &batch.histograms {
            let well_formed = row.value.check(self.options.buckets).map_err(Why::Malformed);
            match well_formed.and_then(|()| self.slot(&mut head, &row.of, row.at, times)) {
                Ok(slot) => {
                    let sample = HistogramSample { at: row.at, value: row.value.clone() };
                    let (place, labels) = head.logged(slot);
                    writer.log.add_histogram(&mut frame, place, labels, &sample);
                    writer.histograms.push((slot, sample));
                }
                Err(why) => receipt.refuse(why),
            }
        }
        drop(head);
        let none = writer.accepted.is_empty() && writer.histograms.is_empty();
        if none { Ok(()) } else { Ok(writer.log.write(&frame)?) }
    }

    /// Where a sample goes that is neither too old nor too far ahead.
    fn slot(&self, head: &mut Head, of: &Of, at: i64, (oldest, ahead): (i64, i64)) -> Result<u32, Why> {
        match of {
            _ if at < oldest => Err(Why::TooOld),
            _ if at > ahead => Err(Why::TooFarAhead),
            Of::Known(id) => head.known(*id).ok_or(Why::Gone),
            Of::Labels(labels) => {
                head.find_or_add(labels, &self.options).map_err(|(limit, culprit)| Why::TooMany { limit, culprit })
            }
        }
    }

    /// What was acknowledged until now is on disk when this returns, even if the machine dies.
    pub fn flush(&self) -> io::Result<()> {
        lock(&self.writer).log.sync()
    }

    /// The id of a series, if it had a sample lately. To append with it spares its labels.
    pub fn id(&self, labels: &Labels) -> Option<SeriesId> {
        let head = read(&self.head);
        head.find(labels).map(|slot| head.id(slot))
    }

    fn blocks(&self) -> Vec<Arc<Block>> {
        read(&self.blocks).clone()
    }

    /// Puts blocks in the place of others.
    fn replace(&self, gone: &[Arc<Block>], new: Vec<Block>) {
        let mut blocks = write(&self.blocks);
        blocks.retain(|block| !gone.iter().any(|other| other.name == block.name));
        blocks.extend(new.into_iter().map(Arc::new));
        blocks.sort_by_key(|block| (block.meta.tier, block.meta.start, block.meta.sequence));
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
