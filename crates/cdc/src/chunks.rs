//! Reads content as chunks.

use std::io::{self, Read};

use crate::cutter::Cutter;

/// How much is read before it is looked whether the chunk ends in it.
const PIECE: usize = 256 << 10;

/// Reads content as chunks.
#[derive(Debug)]
pub struct Chunks<'a, R> {
    cutter: &'a Cutter,
    source: R,
    /// What was read behind the chunk before.
    rest: Vec<u8>,
    has_ended: bool,
}

impl<'a, R: Read> Chunks<'a, R> {
    /// Content of about so many bytes; they only are what memory is made ready for.
    pub fn new(cutter: &'a Cutter, source: R, about: u64) -> Self {
        let room = usize::try_from(about).unwrap_or(usize::MAX).min(cutter.sizes().least + PIECE);
        Self { cutter, source, rest: Vec::with_capacity(room), has_ended: false }
    }

    /// The next chunk; none at the end.
    pub fn read_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut chunk = std::mem::take(&mut self.rest);
        let mut without = 0;
        loop {
            if let Some(end) = self.cutter.end(&chunk, without) {
                self.rest = chunk.split_off(end);
                return Ok(Some(chunk));
            }
            if self.has_ended {
                return Ok(Some(chunk).filter(|chunk| !chunk.is_empty()));
            }
            without = chunk.len();
            let wanted = self.cutter.sizes().least.saturating_sub(without).max(PIECE);
            let read = self.source.by_ref().take(wanted as u64).read_to_end(&mut chunk)?;
            self.has_ended = read < wanted;
        }
    }
}
