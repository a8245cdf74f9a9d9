//! Blocks on disk.
//!
//! A block is a file that never changes: a mark, chunks, their filters, an index, a foot. A chunk holds lines of streams of
//! one kind, as long as there are enough of them: their columns, their texts, what is beside them, each compressed with zstd.
//! Each part has its CRC-32 in the index, the index has its own in the foot.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use zstd::bulk::Compressor;

use super::columns::{Columns, Piece, Row, Texts, fields};
use super::files::{Files, Input};
use super::head::Lines;
use super::index::{self, Chunk, Contents, FOOT, MAGIC, Meta, Part};
use crate::bytes::{Corrupt, compress, decompress};
use crate::grams::Collected;
use crate::parse;
use crate::{Levels, Stream};

/// So many bytes of texts make a chunk.
const CHUNK: usize = 256 << 10;
/// A chunk of fewer bytes takes lines of another kind as well.
const SMALL: usize = 64 << 10;

/// Why a block cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A block that can be read.
pub(super) struct Block {
    pub(super) name: String,
    pub(super) meta: Meta,
    /// Its streams, by the numbers that chunks have.
    pub(super) streams: Arc<[Stream]>,
    pub(super) bytes: u64,
    /// Something in it cannot be read.
    pub(super) damaged: AtomicBool,
    foot: index::Foot,
}

/// How a block is named: by the last segment that is in it, and how often it was written.
pub(super) fn name(log: u32, writing: u32) -> String {
    format!("{log:010}-{writing}.block")
}

/// How a file is named that is no block yet.
fn temporary(name: &str) -> String {
    format!("{name}.new")
}

/// Writes a block of lines, of which there is at least one. When this returns, it is on disk and has its name.
pub(super) fn write(files: &dyn Files, lines: &Lines, log: u32, writing: u32, effort: i32) -> io::Result<Block> {
    let name = name(log, writing);
    let (bytes, foot, meta) = encode(lines, log, writing, effort)?;
    let written = (|| {
        let mut out = files.create(&temporary(&name))?;
        out.write(&bytes)?;
        out.sync()?;
        files.rename(&temporary(&name), &name)
    })();
    if let Err(error) = written {
        // What is not finished leaves its room to others. If it stays, it is removed when the store is opened.
        _ = files.remove(&temporary(&name));
        return Err(error);
    }
    let damaged = AtomicBool::new(false);
    Ok(Block { name, meta, streams: lines.streams.as_slice().into(), bytes: bytes.len() as u64, damaged, foot })
}

fn encode(lines: &Lines, log: u32, writing: u32, effort: i32) -> io::Result<(Vec<u8>, index::Foot, Meta)> {
    let mut encoder = Encoder {
        out: MAGIC.to_vec(),
        chunks: Vec::new(),
        filters: Vec::new(),
        compressor: Compressor::new(effort)?,
        collected: Collected::new(),
        piece: Piece::default(),
        streams: Vec::new(),
    };
    let kinds = kinds(&lines.streams);
    let mut kind = None;
    for (of, piece, row) in in_order(lines, &kinds) {
        let bytes = encoder.piece.bytes();
        if bytes >= CHUNK || (kind != Some(of) && bytes >= SMALL) {
            encoder.end_chunk()?;
        }
        kind = Some(of);
        encoder.push(lines.pieces[piece as usize].row(row as usize));
    }
    encoder.end_chunk()?;
    let chunks = &encoder.chunks;
    let meta = Meta {
        log,
        writing,
        lines: lines.len(),
        from: chunks.iter().map(|chunk| chunk.from).min().unwrap_or_default(),
        to: chunks.iter().map(|chunk| chunk.to).max().unwrap_or_default(),
        last: lines.pieces.iter().flat_map(|piece| &piece.columns.number).max().copied().unwrap_or_default(),
        levels: lines.pieces.iter().fold(Levels::NONE, |levels, piece| levels.either(piece.levels)),
        plain: lines.pieces.iter().map(|piece| piece.bytes() as u64).sum(),
    };
    let filters = Part::of(&mut encoder.out, &encoder.filters, encoder.filters.len());
    let contents = Contents { filters, chunks: encoder.chunks };
    let foot = index::write(&mut encoder.out, &meta, &lines.streams, &contents)?;
    Ok((encoder.out, foot, meta))
}

/// The number of the kind of each stream.
fn kinds(streams: &[Stream]) -> Vec<u32> {
    let mut numbers: BTreeMap<Vec<(&str, &str)>, u32> = BTreeMap::new();
    for stream in streams {
        numbers.entry(stream.kind().collect()).or_default();
    }
    for (number, kind) in numbers.values_mut().enumerate() {
        *kind = number as u32;
    }
    streams.iter().map(|stream| numbers[&stream.kind().collect::<Vec<_>>()]).collect()
}

/// Lines by kind and time, each by its piece and row.
fn in_order(lines: &Lines, kinds: &[u32]) -> impl Iterator<Item = (u32, u32, u32)> + use<> {
    let mut all: Vec<(u32, i64, u64, u32, u32)> = Vec::with_capacity(lines.len() as usize);
    for (number, piece) in lines.pieces.iter().enumerate() {
        let columns = &piece.columns;
        all.extend((0..columns.len()).map(|row| {
            let kind = kinds[columns.stream[row] as usize];
            (kind, columns.at[row], columns.number[row], number as u32, row as u32)
        }));
    }
    all.sort_unstable();
    all.into_iter().map(|(kind, _, _, piece, row)| (kind, piece, row))
}

struct Encoder {
    out: Vec<u8>,
    chunks: Vec<Chunk>,
    filters: Vec<u8>,
    compressor: Compressor<'static>,
    collected: Collected,
    piece: Piece,
    /// The streams of the chunk, by number.
    streams: Vec<u32>,
}

impl Encoder {
    fn push(&mut self, mut row: Row<'_>) {
        collect(&mut self.collected, &row);
        let known = self.streams.iter().rposition(|known| *known == row.stream);
        row.stream = known.unwrap_or_else(|| {
            self.streams.push(row.stream);
            self.streams.len() - 1
        }) as u32;
        self.piece.push(&row);
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        let rows = piece.columns.len();
        if rows == 0 {
            return Ok(());
        }
        let mut counts = [0; 7];
        piece.columns.level.iter().for_each(|level| counts[usize::from(*level) % 7] += 1);
        let filter = self.collected.take();
        let mut part = |plain: &[u8]| -> io::Result<Part> {
            Ok(Part::of(&mut self.out, &compress(plain, &mut self.compressor)?, plain.len()))
        };
        self.chunks.push(Chunk {
            rows: rows as u32,
            from: piece.from,
            to: piece.to,
            levels: piece.levels,
            counts,
            streams: std::mem::take(&mut self.streams),
            columns: part(&piece.columns.encode())?,
            text: part(&piece.texts.text)?,
            beside: part(&piece.texts.beside)?,
            filter: (self.filters.len() as u32, filter.len() as u32),
        });
        self.filters.extend_from_slice(&filter);
        Ok(())
    }
}

/// What can be searched for in a line: its text, what is beside it, and what is written in it otherwise than it is meant.
fn collect(collected: &mut Collected, row: &Row<'_>) {
    collected.add(row.text);
    if !row.beside.is_empty() {
        fields(row.beside).iter().for_each(|field| collected.add(field.value.as_bytes()));
    }
    if memchr::memchr(b'\\', row.text).is_some() {
        for (_, value) in parse::parse(row.text).fields {
            if let std::borrow::Cow::Owned(value) = value {
                collected.add(value.as_bytes());
            }
        }
    }
}

impl Block {
    /// One that was written before. Streams that are known already are shared.
    pub(super) fn open(files: &dyn Files, name: &str, known: &mut super::open::Known) -> Result<Self, Unusable> {
        let file = files.open(name)?;
        let bytes = file.size()?;
        let at = bytes.checked_sub(FOOT as u64).ok_or(Corrupt)?;
        let foot = index::Foot::read(&file.read(at, FOOT)?)?;
        let (meta, streams, _) = read_index(file.as_ref(), &foot, bytes)?;
        let streams = streams.into_iter().map(|stream| known.shared(stream)).collect();
        Ok(Self { name: name.to_owned(), meta, streams, bytes, damaged: AtomicBool::new(false), foot })
    }

    /// What is in it, to be read.
    pub(super) fn reader(&self, files: &dyn Files) -> Result<Reader, Unusable> {
        let file = files.open(&self.name)?;
        let (_, _, contents) = read_index(file.as_ref(), &self.foot, self.bytes)?;
        Ok(Reader { file, contents })
    }

    /// Remembers that something in it cannot be read.
    pub(super) fn spoil(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }
}

fn read_index(file: &dyn Input, foot: &index::Foot, bytes: u64) -> Result<(Meta, Vec<Stream>, Contents), Unusable> {
    let packed = part(file, &foot.index, bytes)?;
    Ok(index::read(&packed, foot.index.plain as usize, bytes)?)
}

fn part(file: &dyn Input, part: &Part, bytes: u64) -> Result<Vec<u8>, Unusable> {
    if part.offset.checked_add(u64::from(part.length)).is_none_or(|end| end > bytes) {
        return Err(Corrupt.into());
    }
    let read = file.read(part.offset, part.length as usize)?;
    if crc32fast::hash(&read) == part.checksum { Ok(read) } else { Err(Corrupt.into()) }
}

/// Reads the parts of a block.
pub(super) struct Reader {
    file: Box<dyn Input>,
    pub(super) contents: Contents,
}

impl Reader {
    /// The filters of all chunks.
    pub(super) fn filters(&self) -> Result<Vec<u8>, Unusable> {
        part(self.file.as_ref(), &self.contents.filters, u64::MAX)
    }

    pub(super) fn columns(&self, chunk: &Chunk) -> Result<Columns, Unusable> {
        let bytes = self.plain(&chunk.columns)?;
        let lengths = (chunk.text.plain as usize, chunk.beside.plain as usize);
        Ok(Columns::decode(&bytes, chunk.rows as usize, chunk.streams.len(), lengths)?)
    }

    pub(super) fn texts(&self, chunk: &Chunk) -> Result<Texts, Unusable> {
        Ok(Texts { text: self.plain(&chunk.text)?, beside: self.plain(&chunk.beside)? })
    }

    fn plain(&self, of: &Part) -> Result<Vec<u8>, Unusable> {
        Ok(decompress(&part(self.file.as_ref(), of, u64::MAX)?, of.plain as usize)?)
    }
}
