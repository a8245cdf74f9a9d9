//! What a block looks like.
//!
//! A block is a file that never changes: a mark, columns, an index, a foot. A column holds the times of a chunk or its
//! values, or as much as a group of histograms needs; series that were measured at the same times share the column of times. Each column has its CRC-32 in the index,
//! the index has its own in the foot. The index names texts, columns of times, and series by their labels, each with its
//! chunks; it is compressed with zstd.

use super::index::{Index, Symbol};
use super::options::Tier;
use crate::codec::bits::{Bytes, put_bytes, put_signed, put_varint};
use crate::codec::{Corrupt, compress, decompress};
use crate::{Labels, Sample};

pub(super) const MAGIC: &[u8; 8] = b"dbblk\0\0\x01";
/// The bytes of a foot: where the index is, its length packed and plain, its checksum, the mark.
pub(super) const FOOT: usize = 8 + 4 + 4 + 4 + 8;
/// Indexes are not larger than this.
const LARGEST: usize = 1 << 30;

/// What a block says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) tier: Tier,
    /// The times it covers; the end is not in it.
    pub(super) start: i64,
    pub(super) end: i64,
    /// Later ones have higher numbers.
    pub(super) sequence: u64,
    /// Samples before the end in segments before this one are all in blocks.
    pub(super) log: u32,
    /// The sequences of the blocks that it replaces.
    pub(super) parents: Vec<u64>,
    pub(super) samples: u64,
}

/// Where a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) checksum: u32,
}

/// A column of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) extent: Extent,
    pub(super) count: u32,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// Values, and which times they are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) times: u32,
    /// How many columns of counts its histograms have; none if it has no histograms.
    pub(super) columns: u32,
    pub(super) extent: Extent,
}

/// What is in a block: series by their number, in the order of their labels.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) index: Index,
    pub(super) times: Vec<Times>,
    pairs: Vec<(Symbol, Symbol)>,
    chunks: Vec<Chunk>,
    /// Where the labels and the chunks of each series end.
    ends: Vec<(u32, u32)>,
}

impl Contents {
    /// How many series there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn start(&self, series: u32) -> (u32, u32) {
        series.checked_sub(1).map_or((0, 0), |before| self.ends[before as usize])
    }

    /// The labels of a series.
    pub(super) fn labels(&self, series: u32) -> Labels {
        let (from, to) = (self.start(series).0, self.ends[series as usize].0);
        self.index.labels(&self.pairs[from as usize..to as usize])
    }

    /// The chunks of a series, by time.
    pub(super) fn chunks(&self, series: u32) -> &[Chunk] {
        let (from, to) = (self.start(series).1, self.ends[series as usize].1);
        &self.chunks[from as usize..to as usize]
    }

    /// Its chunks of histograms, or of what are none, by time.
    pub(super) fn of_kind(&self, series: u32, histograms: bool) -> impl DoubleEndedIterator<Item = Chunk> {
        self.chunks(series).iter().copied().filter(move |chunk| (chunk.columns > 0) == histograms)
    }

    /// How many samples a chunk is worth when memory is counted.
    pub(super) fn weight(&self, chunk: Chunk) -> usize {
        self.times[chunk.times as usize].count as usize * chunk.columns.max(1) as usize
    }

    /// One more series, after all others.
    pub(super) fn push(&mut self, labels: &Labels, chunks: impl IntoIterator<Item = Chunk>) {
        let pairs = self.index.pairs(labels);
        self.pairs.extend_from_slice(&pairs);
        self.chunks.extend(chunks);
        self.ends.push((self.pairs.len() as u32, self.chunks.len() as u32));
    }

    /// Makes it known which series have which labels.
    fn post(&mut self) {
        for series in 0..self.ends.len() as u32 {
            let (from, to) = (self.start(series).0, self.ends[series as usize].0);
            self.index.insert(series, &self.pairs[from as usize..to as usize]);
        }
    }

    /// About how many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let lists = self.pairs.capacity() * 8 + self.ends.capacity() * 8;
        self.index.bytes()
            + lists
            + self.chunks.capacity() * size_of::<Chunk>()
            + self.times.capacity() * size_of::<Times>()
    }
}

/// The index and the foot of a block.
pub(super) fn write_index(meta: &Meta, contents: &Contents, offset: u64) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    out.push(meta.tier as u8);
    put_signed(&mut out, meta.start);
    put_signed(&mut out, meta.end);
    put_varint(&mut out, meta.sequence);
    put_varint(&mut out, u64::from(meta.log));
    put_varint(&mut out, meta.samples);
    put_varint(&mut out, meta.parents.len() as u64);
    meta.parents.iter().for_each(|parent| put_varint(&mut out, *parent));
    put_varint(&mut out, contents.index.symbols.len() as u64);
    for symbol in 0..contents.index.symbols.len() as Symbol {
        put_bytes(&mut out, contents.index.symbols.text(symbol).as_bytes());
    }
    let mut at = MAGIC.len() as u64;
    put_varint(&mut out, contents.times.len() as u64);
    for times in &contents.times {
        put_extent(&mut out, &mut at, times.extent);
        put_varint(&mut out, u64::from(times.count));
        put_signed(&mut out, times.from.wrapping_sub(meta.start));
        put_signed(&mut out, times.to.wrapping_sub(times.from));
    }
    put_varint(&mut out, contents.len() as u64);
    for series in 0..contents.len() as u32 {
        let (from, to) = (contents.start(series).0 as usize, contents.ends[series as usize].0 as usize);
        put_varint(&mut out, (to - from) as u64);
        for (name, value) in &contents.pairs[from..to] {
            put_varint(&mut out, u64::from(*name));
            put_varint(&mut out, u64::from(*value));
        }
        let chunks = contents.chunks(series);
        put_varint(&mut out, chunks.len() as u64);
        for chunk in chunks {
            put_varint(&mut out, u64::from(chunk.times));
            put_varint(&mut out, u64::from(chunk.columns));
            put_extent(&mut out, &mut at, chunk.extent);
        }
    }
    let mut compressor = zstd::bulk::Compressor::new(9).ok()?;
    let mut packed = compress(&out, &mut compressor)?;
    let (length, checksum) = (packed.len() as u32, crc32fast::hash(&packed));
    packed.extend_from_slice(&offset.to_le_bytes());
    packed.extend_from_slice(&length.to_le_bytes());
    packed.extend_from_slice(&(out.len() as u32).to_le_bytes());
    packed.extend_from_slice(&checksum.to_le_bytes());
    packed.extend_from_slice(MAGIC);
    Some(packed)
}

/// An extent, by how far it is from the end of the one before.
fn put_extent(out: &mut Vec<u8>, at: &mut u64, extent: Extent) {
    put_signed(out, extent.offset.wrapping_sub(*at) as i64);
    put_varint(out, u64::from(extent.length));
    out.extend_from_slice(&extent.checksum.to_le_bytes());
    *at = extent.offset + u64::from(extent.length);
}

fn extent(bytes: &mut Bytes<'_>, at: &mut u64) -> Result<Extent, Corrupt> {
    let offset = at.wrapping_add(bytes.signed()? as u64);
    let length = u32::try_from(bytes.varint()?).map_err(|_| Corrupt)?;
    let checksum = u32::from_le_bytes(bytes.split(4)?.try_into().map_err(|_| Corrupt)?);
    *at = offset.wrapping_add(u64::from(length));
    Ok(Extent { offset, length, checksum })
}

/// Where the index is by the foot: its offset, its length packed and plain, its checksum.
pub(super) fn read_foot(foot: &[u8]) -> Result<(u64, usize, usize, u32), Corrupt> {
    let foot = foot.strip_suffix(MAGIC).filter(|foot| foot.len() == FOOT - MAGIC.len()).ok_or(Corrupt)?;
    let number = |at: usize| foot[at..at + 4].try_into().map(u32::from_le_bytes).map_err(|_| Corrupt);
    let offset = foot[..8].try_into().map(u64::from_le_bytes).map_err(|_| Corrupt)?;
    Ok((offset, number(8)? as usize, number(12)? as usize, number(16)?))
}

/// What an index says.
pub(super) fn read_index(packed: &[u8], plain: usize) -> Result<(Meta, Contents), Corrupt> {
    if plain > LARGEST {
        return Err(Corrupt);
    }
    let plain = Some(decompress(packed, plain)?).filter(|read| read.len() == plain).ok_or(Corrupt)?;
    let mut bytes = Bytes(&plain);
    let tier = *Tier::ALL.get(usize::from(bytes.byte()?)).ok_or(Corrupt)?;
    let mut meta = Meta {
        tier,
        start: bytes.signed()?,
        end: bytes.signed()?,
        sequence: bytes.varint()?,
        log: u32::try_from(bytes.varint()?).map_err(|_| Corrupt)?,
        samples: bytes.varint()?,
        parents: Vec::new(),
    };
    for _ in 0..bytes.count(1)? {
        meta.parents.push(bytes.varint()?);
    }
    let texts = (0..bytes.count(1)?).map(|_| bytes.text()).collect::<Result<Vec<_>, _>>()?;
    let mut contents = Contents::default();
    if texts.iter().any(|text| contents.index.symbols.intern(text) as usize + 1 != contents.index.symbols.len()) {
        return Err(Corrupt);
    }
    let mut at = MAGIC.len() as u64;
    for _ in 0..bytes.count(8)? {
        let extent = extent(&mut bytes, &mut at)?;
        let count = u32::try_from(bytes.varint()?).map_err(|_| Corrupt)?;
        let from = meta.start.wrapping_add(bytes.signed()?);
        let to = from.wrapping_add(bytes.signed()?);
        contents.times.push(Times { extent, count, from, to });
    }
    for _ in 0..bytes.count(2)? {
        for _ in 0..bytes.count(2)? {
            let mut symbol = || bytes.varint().ok().filter(|symbol| *symbol < texts.len() as u64).ok_or(Corrupt);
            contents.pairs.push((symbol()? as Symbol, symbol()? as Symbol));
        }
        for _ in 0..bytes.count(8)? {
            let times = bytes.varint()?;
            let columns = u32::try_from(bytes.varint()?).map_err(|_| Corrupt)?;
            if times >= contents.times.len() as u64 {
                return Err(Corrupt);
            }
            let extent = extent(&mut bytes, &mut at)?;
            contents.chunks.push(Chunk { times: times as u32, columns, extent });
        }
        contents.ends.push((contents.pairs.len() as u32, contents.chunks.len() as u32));
    }
    contents.post();
    Ok((meta, contents))
}

/// What the samples of a while came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rollup {
    /// The last of them. That may be a marker of staleness, which counts for nothing else.
    pub last: Sample,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Their sum.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
    /// By how much a counter grew since the last sample before, where a value that is less is one that began again at zero.
    pub gain: f64,
}
