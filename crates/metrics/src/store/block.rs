//! Blocks on disk.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::both::Both;
use super::files::{Files, Input, Output};
use super::format::{self, Chunk, Contents, Extent, FOOT, MAGIC, Meta, Rollup, Times};
use super::rollup;
use crate::codec::{Corrupt, Effort, floats, histograms, ints};
use crate::{HistogramSample, Labels, Sample};

/// So many samples of a series share a chunk: two hours, if there is one each 15 seconds.
const CHUNK: usize = 480;
/// So many bytes are written at a time.
const BUFFER: usize = 256 << 10;
/// Chunks that are nearer than this are read together, as long as that is not more than so many bytes.
const NEAR: u64 = 16 << 10;
const TOGETHER: u64 = 1 << 20;

/// Why a block cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What writes a block, one series after the other, by their labels.
pub(super) struct Writer<'a> {
    files: &'a dyn Files,
    name: String,
    out: Box<dyn Output>,
    buffer: Vec<u8>,
    offset: u64,
    effort: Effort,
    known: HashMap<Vec<u8>, u32>,
    contents: Contents,
    meta: Meta,
    finished: bool,
}

/// What is not finished leaves its room to others.
impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if !self.finished {
            // If it stays, it is removed when the store is opened.
            _ = self.files.remove(&temporary(&self.name));
        }
    }
}

/// How a block is named.
pub(super) fn name(meta: &Meta) -> String {
    format!("{}-{:013}-{:08}.block", meta.tier.name(), meta.start, meta.sequence)
}

impl<'a> Writer<'a> {
    /// Writes beside: nobody sees it until it is finished.
    pub(super) fn create(files: &'a dyn Files, meta: Meta) -> io::Result<Self> {
        let name = name(&meta);
        let out = files.create(&temporary(&name))?;
        let (buffer, offset) = (MAGIC.to_vec(), MAGIC.len() as u64);
        let (known, contents) = (HashMap::new(), Contents::default());
        Ok(Self { files, name, out, buffer, offset, effort: Effort::most(), known, contents, meta, finished: false })
    }

    /// A series with samples as they came.
    pub(super) fn raw(&mut self, labels: &Labels, all: &Both) -> io::Result<()> {
        let mut chunks = Vec::new();
        let encode = |samples: &[Sample], effort: &mut Effort, out: &mut Vec<u8>| {
            floats::encode(&samples.iter().map(|sample| sample.value).collect::<Vec<_>>(), effort, out);
        };
        self.chunks(&all.samples, |sample| sample.at, encode, &mut chunks)?;
        self.series(labels, &all.histograms, chunks)
    }

    /// A series with what became of its samples, and with the histograms that stand for more.
    pub(super) fn rollups(
        &mut self,
        labels: &Labels,
        rollups: &[Rollup],
        histograms: &[HistogramSample],
    ) -> io::Result<()> {
        let mut chunks = Vec::new();
        self.chunks(rollups, |rollup| rollup.last.at, rollup::encode, &mut chunks)?;
        self.series(labels, histograms, chunks)
    }

    fn chunks<T>(
        &mut self,
        all: &[T],
        at: impl Fn(&T) -> i64,
        encode: impl Fn(&[T], &mut Effort, &mut Vec<u8>),
        chunks: &mut Vec<Chunk>,
    ) -> io::Result<()> {
        for some in all.chunks(CHUNK) {
            let times = self.times(&some.iter().map(&at).collect::<Vec<_>>())?;
            let mut bytes = Vec::new();
            encode(some, &mut self.effort, &mut bytes);
            chunks.push(Chunk { times, columns: 0, extent: self.column(&bytes)? });
        }
        self.meta.samples += all.len() as u64;
        Ok(())
    }

    fn series(&mut self, labels: &Labels, all: &[HistogramSample], mut chunks: Vec<Chunk>) -> io::Result<()> {
        for group in histograms::groups(all, CHUNK) {
            let times = self.times(&group.iter().map(|sample| sample.at).collect::<Vec<_>>())?;
            let mut bytes = Vec::new();
            let columns = histograms::encode(group, &mut self.effort, &mut bytes);
            chunks.push(Chunk { times, columns, extent: self.column(&bytes)? });
        }
        self.meta.samples += all.len() as u64;
        self.contents.push(labels, chunks);
        Ok(())
    }

    /// The column of these times, which others may have as well.
    fn times(&mut self, times: &[i64]) -> io::Result<u32> {
        let mut bytes = Vec::new();
        ints::encode(times, &mut self.effort, &mut bytes);
        bytes.extend_from_slice(&(times.len() as u32).to_le_bytes());
        if let Some(known) = self.known.get(&bytes) {
            return Ok(*known);
        }
        let extent = self.column(&bytes[..bytes.len() - 4])?;
        let (from, to) = (times.first().copied().unwrap_or_default(), times.last().copied().unwrap_or_default());
        self.contents.times.push(Times { extent, count: times.len() as u32, from, to });
        let number = self.contents.times.len() as u32 - 1;
        self.known.insert(bytes, number);
        Ok(number)
    }

    fn column(&mut self, bytes: &[u8]) -> io::Result<Extent> {
        let extent = Extent { offset: self.offset, length: bytes.len() as u32, checksum: crc32fast::hash(bytes) };
        self.buffer.extend_from_slice(bytes);
        self.offset += bytes.len() as u64;
        if self.buffer.len() >= BUFFER {
            self.out.write(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(extent)
    }

    /// The block is on disk, and has its name.
    pub(super) fn finish(mut self) -> io::Result<Block> {
        let index = format::write_index(&self.meta, &self.contents, self.offset);
        self.buffer.extend(index.ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?);
        self.out.write(&self.buffer)?;
        self.out.sync()?;
        self.files.rename(&temporary(&self.name), &self.name)?;
        self.finished = true;
        Block::open(self.files, &self.name).map_err(|error| match error {
            Unusable::Io(error) => error,
            Unusable::Corrupt(error) => io::Error::other(error),
        })
    }
}

/// The name of a block that is not finished.
pub(super) fn temporary(name: &str) -> String {
    format!("{name}.new")
}

/// A block on disk.
pub(super) struct Block {
    pub(super) name: String,
    pub(super) meta: Meta,
    pub(super) bytes: u64,
    file: Box<dyn Input>,
    index: (u64, usize, usize, u32),
    contents: Mutex<Option<Arc<Contents>>>,
    /// Whether a column was found to be broken.
    pub(super) damaged: AtomicBool,
}

impl Block {
    /// Reads what a block says of itself.
    pub(super) fn open(files: &dyn Files, name: &str) -> Result<Self, Unusable> {
        let file = files.open(name)?;
        let bytes = file.size()?;
        let foot = bytes.checked_sub(FOOT as u64).ok_or(Corrupt)?;
        let index = format::read_foot(&file.read(foot, FOOT)?)?;
        if index.0.checked_add(index.1 as u64) != Some(foot) || file.read(0, MAGIC.len())? != MAGIC {
            return Err(Corrupt.into());
        }
        let meta = read_index(file.as_ref(), index)?.0;
        let (contents, damaged) = (Mutex::new(None), AtomicBool::new(false));
        Ok(Self { name: name.to_owned(), meta, bytes, file, index, contents, damaged })
    }

    /// What is in it. It is kept in memory until it is [forgotten](Self::forget).
    pub(super) fn contents(&self) -> Result<Arc<Contents>, Unusable> {
        let mut kept = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(contents) = kept.as_ref() {
            return Ok(contents.clone());
        }
        let contents = Arc::new(read_index(self.file.as_ref(), self.index)?.1);
        *kept = Some(contents.clone());
        Ok(contents)
    }

    /// Keeps its index in memory no longer. Returns how many bytes that were, about.
    pub(super) fn forget(&self) -> usize {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(0, |contents| contents.bytes())
    }

    /// About how many bytes of memory its index takes now.
    pub(super) fn kept(&self) -> usize {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, |contents| contents.bytes())
    }

    /// Whether it covers any of the times between these, both included.
    pub(super) fn covers(&self, from: i64, to: i64) -> bool {
        self.meta.start <= to && self.meta.end > from
    }

    /// A reader of its columns.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { block: self, times: HashMap::new(), near: (0, Vec::new()), next: u64::MAX }
    }
}

fn read_index(file: &dyn Input, index: (u64, usize, usize, u32)) -> Result<(Meta, Contents), Unusable> {
    let (offset, packed, plain, checksum) = index;
    let packed = file.read(offset, packed)?;
    if crc32fast::hash(&packed) != checksum {
        return Err(Corrupt.into());
    }
    Ok(format::read_index(&packed, plain)?)
}

/// Reads columns of a block, those of times once.
pub(super) struct Reader<'a> {
    block: &'a Block,
    times: HashMap<u32, Arc<[i64]>>,
    /// Bytes that were read before, and where.
    near: (u64, Vec<u8>),
    /// Where the column before ended.
    next: u64,
}

impl Reader<'_> {
    /// The samples of a chunk. One that is broken has none, and is remembered.
    pub(super) fn raw(&mut self, contents: &Contents, chunk: Chunk) -> Result<Vec<Sample>, io::Error> {
        self.chunk(contents, chunk, |bytes, times| {
            let values = floats::decode(bytes, times.len())?;
            Ok(times.iter().zip(values).map(|(at, value)| Sample { at: *at, value }).collect())
        })
    }

    /// The histograms of a chunk. One that is broken has none, and is remembered.
    pub(super) fn histograms(&mut self, contents: &Contents, chunk: Chunk) -> io::Result<Vec<HistogramSample>> {
        self.chunk(contents, chunk, |bytes, times| {
            let values = histograms::decode(bytes, times.len())?;
            let both = times.iter().zip(values);
            Ok(both.map(|(at, value)| HistogramSample { at: *at, value: Arc::new(value) }).collect())
        })
    }

    /// What became of the samples of a chunk.
    pub(super) fn rollups(&mut self, contents: &Contents, chunk: Chunk) -> Result<Vec<Rollup>, io::Error> {
        self.chunk(contents, chunk, rollup::decode)
    }

    fn chunk<T>(
        &mut self,
        contents: &Contents,
        chunk: Chunk,
        decode: impl Fn(&[u8], &[i64]) -> Result<Vec<T>, Corrupt>,
    ) -> io::Result<Vec<T>> {
        let read = self.times(contents, chunk.times).and_then(|times| {
            let bytes = self.column(chunk.extent)?;
            Ok(decode(bytes, &times)?)
        });
        match read {
            Ok(all) => Ok(all),
            Err(Unusable::Corrupt(Corrupt)) => {
                self.block.damaged.store(true, Ordering::Relaxed);
                Ok(Vec::new())
            }
            Err(Unusable::Io(error)) => Err(error),
        }
    }

    fn times(&mut self, contents: &Contents, number: u32) -> Result<Arc<[i64]>, Unusable> {
        if let Some(known) = self.times.get(&number) {
            return Ok(known.clone());
        }
        let times = contents.times[number as usize];
        let all: Arc<[i64]> = ints::decode(self.column(times.extent)?, times.count as usize)?.into();
        self.times.insert(number, all.clone());
        Ok(all)
    }

    fn column(&mut self, extent: Extent) -> Result<&[u8], Unusable> {
        let end = extent
            .offset
            .checked_add(u64::from(extent.length))
            .filter(|end| *end <= self.block.bytes)
            .ok_or(Corrupt)?;
        let held = self.near.0..self.near.0 + self.near.1.len() as u64;
        if extent.offset < held.start || end > held.end {
            // Who reads on reads more at a time.
            let onward = extent.offset.checked_sub(self.next).is_some_and(|gap| gap < NEAR);
            let ahead = if onward { (self.near.1.len() as u64 * 4).clamp(NEAR, TOGETHER) } else { 0 };
            let length = (end - extent.offset).max(ahead).min(self.block.bytes - extent.offset);
            self.near = (extent.offset, self.block.file.read(extent.offset, length as usize)?);
        }
        self.next = end;
        let from = (extent.offset - self.near.0) as usize;
        let bytes = &self.near.1[from..from + extent.length as usize];
        if crc32fast::hash(bytes) == extent.checksum { Ok(bytes) } else { Err(Corrupt.into()) }
    }
}
