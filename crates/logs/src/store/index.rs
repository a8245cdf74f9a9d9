//! The index of a block: what it says of itself, its streams, and where its chunks are.

use std::io;

use crate::bytes::{Bytes, Corrupt, compress, decompress, put_bytes, put_signed, put_varint};
use crate::{Levels, Stream};

pub(super) const MAGIC: &[u8; 8] = b"dblblk\0\x01";
/// The bytes of a foot: where the index is, its length packed and plain, its checksum, the mark.
pub(super) const FOOT: usize = 8 + 4 + 4 + 4 + 8;
/// Parts are not larger than this.
const LARGEST: u32 = 1 << 30;

/// Some bytes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) length: u32,
    /// How many bytes it is when it is not compressed.
    pub(super) plain: u32,
    pub(super) checksum: u32,
}

impl Part {
    /// One more part at the end of a file.
    pub(super) fn of(out: &mut Vec<u8>, bytes: &[u8], plain: usize) -> Self {
        let offset = out.len() as u64;
        out.extend_from_slice(bytes);
        Self { offset, length: bytes.len() as u32, plain: plain as u32, checksum: crc32fast::hash(bytes) }
    }
}

/// What a block says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meta {
    /// All lines of segments up to this one are in blocks, or were.
    pub(super) log: u32,
    /// How often it was written before.
    pub(super) writing: u32,
    pub(super) lines: u64,
    /// The first and the last time.
    pub(super) from: i64,
    pub(super) to: i64,
    /// The highest number of a line.
    pub(super) last: u64,
    pub(super) levels: Levels,
    /// The bytes of its lines.
    pub(super) plain: u64,
}

/// What is known of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chunk {
    pub(super) rows: u32,
    /// The first and the last time.
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) levels: Levels,
    /// How many lines there are of each level, by its code.
    pub(super) counts: [u32; 7],
    /// Its streams, by their numbers in the block; rows say which of these it is.
    pub(super) streams: Vec<u32>,
    pub(super) columns: Part,
    pub(super) text: Part,
    pub(super) beside: Part,
    /// Where its filter is among the filters, and how long.
    pub(super) filter: (u32, u32),
}

/// Where all is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) filters: Part,
    pub(super) chunks: Vec<Chunk>,
}

/// Where the index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Foot {
    pub(super) index: Part,
}

impl Foot {
    pub(super) fn read(foot: &[u8]) -> Result<Self, Corrupt> {
        let foot = foot.strip_suffix(MAGIC).filter(|foot| foot.len() == FOOT - MAGIC.len()).ok_or(Corrupt)?;
        let mut bytes = Bytes(foot);
        let (low, high) = (bytes.word()?, bytes.word()?);
        let offset = u64::from(high) << 32 | u64::from(low);
        Ok(Self { index: Part { offset, length: bytes.word()?, plain: bytes.word()?, checksum: bytes.word()? } })
    }
}

fn put_part(out: &mut Vec<u8>, part: &Part) {
    put_varint(out, part.offset);
    put_varint(out, u64::from(part.length));
    put_varint(out, u64::from(part.plain));
    out.extend_from_slice(&part.checksum.to_le_bytes());
}

fn part(bytes: &mut Bytes<'_>, file: u64) -> Result<Part, Corrupt> {
    let part = Part { offset: bytes.varint()?, length: bytes.small()?, plain: bytes.small()?, checksum: bytes.word()? };
    let end = part.offset.checked_add(u64::from(part.length)).ok_or(Corrupt)?;
    if end > file || part.plain > LARGEST { Err(Corrupt) } else { Ok(part) }
}

/// The index and the foot, after the chunks of a block and their filters.
pub(super) fn write(out: &mut Vec<u8>, meta: &Meta, streams: &[Stream], contents: &Contents) -> io::Result<Foot> {
    let mut index = Vec::new();
    put_varint(&mut index, u64::from(meta.log));
    put_varint(&mut index, u64::from(meta.writing));
    put_varint(&mut index, meta.lines);
    put_signed(&mut index, meta.from);
    put_signed(&mut index, meta.to);
    put_varint(&mut index, meta.last);
    index.push(meta.levels.bits());
    put_varint(&mut index, meta.plain);
    put_varint(&mut index, streams.len() as u64);
    for stream in streams {
        put_varint(&mut index, stream.iter().len() as u64);
        for (name, value) in stream.iter() {
            put_bytes(&mut index, name.as_bytes());
            put_bytes(&mut index, value.as_bytes());
        }
    }
    put_part(&mut index, &contents.filters);
    put_varint(&mut index, contents.chunks.len() as u64);
    for chunk in &contents.chunks {
        put_chunk(&mut index, meta, chunk);
    }
    let packed = compress(&index, &mut zstd::bulk::Compressor::new(9)?)?;
    let foot = Foot { index: Part::of(out, &packed, index.len()) };
    out.extend_from_slice(&foot.index.offset.to_le_bytes());
    for word in [foot.index.length, foot.index.plain, foot.index.checksum] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(MAGIC);
    Ok(foot)
}

fn put_chunk(out: &mut Vec<u8>, meta: &Meta, chunk: &Chunk) {
    put_signed(out, chunk.from.wrapping_sub(meta.from));
    put_signed(out, chunk.to.wrapping_sub(chunk.from));
    chunk.counts.iter().for_each(|count| put_varint(out, u64::from(*count)));
    put_varint(out, chunk.streams.len() as u64);
    chunk.streams.iter().for_each(|stream| put_varint(out, u64::from(*stream)));
    for part in [&chunk.columns, &chunk.text, &chunk.beside] {
        put_part(out, part);
    }
    put_varint(out, u64::from(chunk.filter.1));
}

/// What an index says, in a file of so many bytes.
pub(super) fn read(packed: &[u8], plain: usize, file: u64) -> Result<(Meta, Vec<Stream>, Contents), Corrupt> {
    if plain > LARGEST as usize {
        return Err(Corrupt);
    }
    let plain = decompress(packed, plain)?;
    let mut bytes = Bytes(&plain);
    let meta = Meta {
        log: bytes.small()?,
        writing: bytes.small()?,
        lines: bytes.varint()?,
        from: bytes.signed()?,
        to: bytes.signed()?,
        last: bytes.varint()?,
        levels: Levels::of_bits(bytes.byte()?),
        plain: bytes.varint()?,
    };
    let mut streams = Vec::new();
    for _ in 0..bytes.count(1)? {
        let labels = (0..bytes.count(2)?).map(|_| Ok((bytes.text()?, bytes.text()?)));
        streams.push(Stream::new(labels.collect::<Result<Vec<_>, Corrupt>>()?));
    }
    let filters = part(&mut bytes, file)?;
    let mut chunks = Vec::new();
    let mut filter = 0u32;
    for _ in 0..bytes.count(30)? {
        let chunk = read_chunk(&mut bytes, &meta, streams.len(), filter, file)?;
        filter = filter.checked_add(chunk.filter.1).ok_or(Corrupt)?;
        chunks.push(chunk);
    }
    if filter != filters.length || !bytes.0.is_empty() {
        return Err(Corrupt);
    }
    Ok((meta, streams, Contents { filters, chunks }))
}

fn read_chunk(bytes: &mut Bytes<'_>, meta: &Meta, named: usize, filter: u32, file: u64) -> Result<Chunk, Corrupt> {
    let from = meta.from.wrapping_add(bytes.signed()?);
    let to = from.wrapping_add(bytes.signed()?);
    let mut counts = [0; 7];
    for count in &mut counts {
        *count = bytes.small()?;
    }
    let rows = counts.iter().try_fold(0u32, |sum, count| sum.checked_add(*count)).ok_or(Corrupt)?;
    let present = (0..7).filter(|code| counts[*code] > 0);
    let levels = Levels::of_bits(present.fold(0, |bits, code| bits | 1 << code));
    let mut streams = Vec::new();
    for _ in 0..bytes.count(1)? {
        streams.push(bytes.small().ok().filter(|stream| (*stream as usize) < named).ok_or(Corrupt)?);
    }
    let (columns, text, beside) = (part(bytes, file)?, part(bytes, file)?, part(bytes, file)?);
    Ok(Chunk { rows, from, to, levels, counts, streams, columns, text, beside, filter: (filter, bytes.small()?) })
}
