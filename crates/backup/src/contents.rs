//! Saves the contents of files and streams: they are read and cut by some threads, and packed by others.

use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};

use daybook_cdc::{Chunks, Cutter};
use rustic_core::DataId;

use crate::coder::Coder;
use crate::error::{Error, Result};
use crate::hash::Sum;
use crate::index::BlobKind;
use crate::pack::Packer;
use crate::threads::{lock, threads};

/// Shorter chunks are packed by the thread that has read them: handing them over would cost more.
const SHORT: usize = 128 << 10;

/// Where chunks are given to be packed.
pub(crate) struct Contents<'a> {
    packer: &'a Packer<'a>,
    cutter: &'a Cutter,
    chunks: SyncSender<Chunk>,
}

/// A chunk on its way to be packed.
struct Chunk {
    number: usize,
    bytes: Vec<u8>,
    to: Sender<Piece>,
}

/// What has become of a chunk, or of the whole content.
pub(crate) enum Piece {
    Packed {
        number: usize,
        id: Sum,
        bytes: u64,
    },
    /// The content could not be read.
    Lost,
}

/// Why a content was not read to its end.
pub(crate) enum Stopped {
    /// Its source failed.
    Source(io::Error),
    /// The backup has failed elsewhere.
    Elsewhere,
}

/// Lets threads pack what `work` reads, until it is done and all is packed.
pub(crate) fn pack<T>(packer: &Packer<'_>, cutter: &Cutter, work: impl FnOnce(&Contents<'_>) -> T) -> T {
    let (chunks, receiver) = mpsc::sync_channel(1);
    let receiver = Mutex::new(receiver);
    std::thread::scope(|scope| {
        for _ in 0..threads() {
            scope.spawn(|| pack_all(packer, &receiver));
        }
        // Dropped at its end, so that the threads have theirs.
        work(&Contents { packer, cutter, chunks })
    })
}

fn pack_all(packer: &Packer<'_>, chunks: &Mutex<Receiver<Chunk>>) {
    let mut coder = None;
    loop {
        let received = lock(chunks).recv();
        let Ok(Chunk { number, bytes, to }) = received else { return };
        // Those that give chunks stop when they see that this has failed; until then what they give is dropped.
        if !packer.has_failed() {
            add(packer, &mut coder, number, bytes, &to);
        }
    }
}

fn add(packer: &Packer<'_>, coder: &mut Option<Coder>, number: usize, bytes: Vec<u8>, to: &Sender<Piece>) {
    let length = bytes.len() as u64;
    match packer.coder(coder).and_then(|coder| packer.add(coder, BlobKind::Data, bytes)) {
        // Nobody may want it any more.
        Ok(id) => _ = to.send(Piece::Packed { number, id, bytes: length }),
        Err(error) => packer.fail(error),
    }
}

impl Contents<'_> {
    /// Reads a content of about so many bytes, and has it packed: `to` gets its pieces, in any order. Returns how many
    /// bytes were read.
    pub(crate) fn read(
        &self,
        coder: &mut Option<Coder>,
        source: impl Read,
        about: u64,
        to: &Sender<Piece>,
    ) -> Result<u64, Stopped> {
        let mut chunks = Chunks::new(self.cutter, source, about);
        let mut bytes_read = 0;
        for number in 0.. {
            if self.packer.has_failed() {
                return Err(Stopped::Elsewhere);
            }
            let Some(bytes) = chunks.read_chunk().map_err(Stopped::Source)? else { break };
            bytes_read += bytes.len() as u64;
            if bytes.len() < SHORT {
                add(self.packer, coder, number, bytes, to);
            } else {
                let chunk = Chunk { number, bytes, to: to.clone() };
                self.chunks.send(chunk).map_err(|_| Stopped::Elsewhere)?;
            }
        }
        Ok(bytes_read)
    }
}

/// The whole content, once all of it is packed: its chunks and its size. None where it could not be read.
pub(crate) fn collect(pieces: Receiver<Piece>) -> Option<(Vec<DataId>, u64)> {
    let (mut packed, mut size) = (Vec::new(), 0);
    for piece in pieces {
        let Piece::Packed { number, id, bytes } = piece else { return None };
        packed.push((number, id));
        size += bytes;
    }
    packed.sort_unstable();
    Some((packed.into_iter().map(|(_, id)| DataId::from(rustic_core::Id::from(id))).collect(), size))
}

/// That a part of something was lost, which only a failure elsewhere explains.
pub(crate) fn incomplete(what: &str) -> Error {
    Error::Incomplete { what: what.to_owned() }
}
