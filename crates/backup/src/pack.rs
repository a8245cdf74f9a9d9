//! Packs blobs: each is compressed, sealed and opened again, and many of them are written as one file.
//!
//! A pack is its sealed blobs, then a sealed header that names them, and the length of that header in four bytes.

use std::collections::HashSet;
use std::io;
use std::sync::{Mutex, OnceLock};

use bytes::Bytes;
use rustic_core::repofile::ConfigFile;

use crate::coder::Coder;
use crate::error::{Error, Result};
use crate::hash::Sum;
use crate::index::{BlobKind, Index, IndexFile, IndexedBlob, IndexedPack};
use crate::key::Key;
use crate::link::Link;
use crate::storage::{self, How};
use crate::threads::lock;

/// A pack is written once it has so many bytes.
const FULL: usize = 16 << 20;
/// Or so many blobs.
const MANY_BLOBS: usize = 10_000;
/// A file of the index is written once it has so many blobs.
const MANY_INDEXED: usize = 50_000;
/// What marks a blob in a header as one that is compressed.
const COMPRESSED: u8 = 2;
/// What a file that is no pack begins with, where it is compressed.
pub(crate) const COMPRESSED_FILE: u8 = 2;

/// Packs blobs, from many threads.
pub(crate) struct Packer<'a> {
    link: &'a Link,
    key: &'a Key,
    compresses: bool,
    level: i32,
    opens_again: bool,
    data: Mutex<Half>,
    trees: Mutex<Half>,
    index: Mutex<IndexFile>,
    failure: OnceLock<Error>,
}

/// Data or trees: they are not packed together.
struct Half {
    known: HashSet<Sum>,
    pack: Pack,
    added: Added,
}

/// What was added to the repository.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Added {
    pub(crate) blobs: u64,
    /// Bytes as they were given.
    pub(crate) bytes: u64,
    /// Bytes as they are kept.
    pub(crate) packed: u64,
}

/// A pack that is being filled.
#[derive(Default)]
struct Pack {
    sealed: Vec<Bytes>,
    blobs: Vec<IndexedBlob>,
    length: usize,
}

impl<'a> Packer<'a> {
    pub(crate) fn new(
        link: &'a Link,
        key: &'a Key,
        config: &ConfigFile,
        level: Option<i32>,
        index: &mut Index,
    ) -> Self {
        let half = |known| Mutex::new(Half { known, pack: Pack::default(), added: Added::default() });
        Self {
            link,
            key,
            compresses: level.is_some(),
            level: level.unwrap_or_default(),
            opens_again: config.extra_verify(),
            data: half(std::mem::take(&mut index.data)),
            trees: half(index.trees.keys().copied().collect()),
            index: Mutex::default(),
            failure: OnceLock::new(),
        }
    }

    /// What this thread compresses with, made where it has none yet.
    pub(crate) fn coder<'c>(&self, coder: &'c mut Option<Coder>) -> Result<&'c mut Coder> {
        if coder.is_none() {
            *coder = Some(Coder::new(self.level).map_err(|why| unpacked(&why))?);
        }
        Ok(coder.as_mut().expect("it was just made"))
    }

    /// Whether all of these are there already.
    pub(crate) fn has_all(&self, ids: impl IntoIterator<Item = Sum>) -> bool {
        let data = lock(&self.data);
        ids.into_iter().all(|id| data.known.contains(&id))
    }

    /// Adds a blob, unless it is there already.
    pub(crate) fn add(&self, coder: &mut Coder, kind: BlobKind, bytes: Vec<u8>) -> Result<Sum> {
        let id = Sum::of(&bytes);
        let half = match kind {
            BlobKind::Data => &self.data,
            BlobKind::Tree => &self.trees,
        };
        if !lock(half).known.insert(id) {
            return Ok(id);
        }
        let (sealed, uncompressed_length) = self.sealed(coder, &bytes)?;
        let full = {
            let mut half = lock(half);
            half.added.count(bytes.len(), sealed.len());
            let blob = IndexedBlob { id, kind, offset: 0, length: short(sealed.len()), uncompressed_length };
            half.pack.push(blob, sealed.into());
            half.pack.is_full().then(|| std::mem::take(&mut half.pack))
        };
        drop(bytes);
        full.map_or(Ok(()), |pack| self.write(pack))?;
        Ok(id)
    }

    /// Writes what is not full. Returns what was added: data, and trees.
    pub(crate) fn finish(&self) -> Result<(Added, Added)> {
        let Self { data, trees, .. } = self;
        for half in [data, trees] {
            let pack = std::mem::take(&mut lock(half).pack);
            if !pack.blobs.is_empty() {
                self.write(pack)?;
            }
        }
        let index = std::mem::take(&mut *lock(&self.index));
        self.write_index(&index)?;
        Ok((lock(data).added, lock(trees).added))
    }

    /// Remembers the first failure of a thread.
    pub(crate) fn fail(&self, error: Error) {
        // All others follow from it, or tell nothing more.
        let _ = self.failure.set(error);
    }

    /// The failure, where there is one.
    pub(crate) fn failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.get().is_some()
    }

    /// A blob as it is kept, and its length where it was compressed.
    fn sealed(&self, coder: &mut Coder, bytes: &[u8]) -> Result<(Vec<u8>, Option<u32>)> {
        let compressed = self.compresses.then(|| coder.compress(bytes)).transpose().map_err(|why| unpacked(&why))?;
        let smaller = compressed.filter(|compressed| compressed.len() < bytes.len());
        let sealed = self.key.seal(smaller.as_deref().unwrap_or(bytes));
        if self.opens_again {
            let mut opened = self.key.open(&sealed);
            if smaller.is_some() {
                opened = opened.and_then(|text| coder.decompress(&text, bytes.len()).ok());
            }
            if opened.as_deref() != Some(bytes) {
                return Err(unpacked(&io::Error::other("it does not open")));
            }
        }
        Ok((sealed, smaller.map(|_| short(bytes.len()))))
    }

    fn write(&self, pack: Pack) -> Result<()> {
        let Pack { mut sealed, blobs, .. } = pack;
        let header: Bytes = self.key.seal(&header(&blobs)).into();
        let length = short(header.len()).to_le_bytes();
        sealed.extend([header, Bytes::copy_from_slice(&length)]);
        let id = Sum::of_parts(sealed.iter().map(|bytes| &bytes[..]));
        self.link.write(&storage::pack(id), &sealed, How::Lasting)?;
        drop(sealed);
        let time = Some(jiff::Timestamp::now().to_string());
        self.index_pack(IndexedPack { id, blobs, time, size: None })
    }

    /// Has the index tell of a pack that is there.
    pub(crate) fn index_pack(&self, pack: IndexedPack) -> Result<()> {
        let full = {
            let mut index = lock(&self.index);
            index.packs.push(pack);
            let blobs: usize = index.packs.iter().map(|pack| pack.blobs.len()).sum();
            (blobs >= MANY_INDEXED).then(|| std::mem::take(&mut *index))
        };
        full.map_or(Ok(()), |index| self.write_index(&index))
    }

    /// Writes a file of the index, unless it tells of nothing.
    pub(crate) fn write_index(&self, index: &IndexFile) -> Result<()> {
        if index.packs.is_empty() && index.packs_to_delete.is_empty() {
            return Ok(());
        }
        let text = serde_json::to_vec(index).expect("an index is JSON");
        self.write_file("index", &text).map(drop)
    }

    /// Writes a file of JSON, and returns its name.
    pub(crate) fn write_file(&self, folder: &str, text: &[u8]) -> Result<Sum> {
        let content: Bytes = match self.compresses {
            true => {
                let compressed = zstd::bulk::compress(text, self.level).map_err(|why| unpacked(&why))?;
                self.key.seal(&[&[COMPRESSED_FILE], &compressed[..]].concat())
            }
            false => self.key.seal(text),
        }
        .into();
        let id = Sum::of(&content);
        self.link.write(&format!("{folder}/{id}"), &[content], How::Lasting)?;
        Ok(id)
    }
}

impl Added {
    fn count(&mut self, bytes: usize, packed: usize) {
        self.blobs += 1;
        self.bytes += bytes as u64;
        self.packed += packed as u64;
    }
}

impl Pack {
    fn push(&mut self, blob: IndexedBlob, sealed: Bytes) {
        self.blobs.push(IndexedBlob { offset: short(self.length), ..blob });
        self.length += sealed.len();
        self.sealed.push(sealed);
    }

    fn is_full(&self) -> bool {
        self.length >= FULL || self.blobs.len() >= MANY_BLOBS
    }
}

/// What a header says: of each blob its kind, its length, that before compression where there was one, and its id.
pub(crate) fn header(blobs: &[IndexedBlob]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for blob in blobs {
        let kind = match blob.kind {
            BlobKind::Data => 0,
            BlobKind::Tree => 1,
        };
        bytes.push(kind + blob.uncompressed_length.map_or(0, |_| COMPRESSED));
        bytes.extend(blob.length.to_le_bytes());
        bytes.extend(blob.uncompressed_length.into_iter().flat_map(u32::to_le_bytes));
        bytes.extend(blob.id.bytes());
    }
    bytes
}

/// The sealed header of a pack.
pub(crate) fn header_of(pack: &[u8]) -> Option<&[u8]> {
    let (rest, length) = pack.split_last_chunk::<4>()?;
    let begin = rest.len().checked_sub(u32::from_le_bytes(*length) as usize)?;
    Some(&rest[begin..])
}

/// What a pack holds, as its header says it; none where that cannot be.
pub(crate) fn blobs_of(key: &Key, pack: &[u8]) -> Option<Vec<IndexedBlob>> {
    let text = key.open(header_of(pack)?)?;
    let (mut rest, mut blobs, mut offset) = (&text[..], Vec::new(), 0_u32);
    while let Some((first, more)) = rest.split_first() {
        let (length, more) = more.split_first_chunk::<4>()?;
        let (uncompressed, more) = match first & COMPRESSED {
            0 => (None, more),
            _ => more.split_first_chunk::<4>().map(|(length, more)| (Some(u32::from_le_bytes(*length)), more))?,
        };
        let (id, more) = more.split_first_chunk::<32>()?;
        let kind = match first & !COMPRESSED {
            0 => BlobKind::Data,
            1 => BlobKind::Tree,
            _ => return None,
        };
        let length = u32::from_le_bytes(*length);
        blobs.push(IndexedBlob { id: Sum::new(*id), kind, offset, length, uncompressed_length: uncompressed });
        offset = offset.checked_add(length)?;
        rest = more;
    }
    Some(blobs)
}

fn unpacked(why: &io::Error) -> Error {
    Error::Incomplete { what: format!("a part that cannot be packed ({why})") }
}

fn short(length: usize) -> u32 {
    u32::try_from(length).expect("a pack and its blobs have a few megabytes")
}
