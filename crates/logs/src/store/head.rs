//! The newest lines, which are in the log and in no block yet.

use std::sync::Arc;

use hashbrown::HashMap;

use super::columns::{Piece, Row};
use crate::Stream;

/// So many bytes of lines make a piece. Who reads copies the last one.
const PIECE: usize = 128 << 10;

/// Lines that more are added to.
#[derive(Default)]
pub(super) struct Head {
    full: Vec<Arc<Piece>>,
    open: Piece,
    streams: Arc<Vec<Stream>>,
    numbers: HashMap<Stream, u32>,
    /// The bytes of its lines.
    pub(super) bytes: usize,
    /// When the first came, by the clock.
    pub(super) since: Option<i64>,
}

/// Lines as they were at some time.
#[derive(Clone)]
pub(super) struct Lines {
    pub(super) pieces: Vec<Arc<Piece>>,
    /// The streams, by the numbers that rows have.
    pub(super) streams: Arc<Vec<Stream>>,
}

/// Lines that become a block.
pub(super) struct Frozen {
    pub(super) lines: Lines,
    /// They are in segments up to this one.
    pub(super) log: u32,
}

impl Head {
    /// How many streams there are.
    pub(super) fn streams(&self) -> usize {
        self.streams.len()
    }

    /// The number of a stream, if it has one.
    pub(super) fn find(&self, stream: &Stream) -> Option<u32> {
        self.numbers.get(stream).copied()
    }

    /// The number of a stream, which gets one.
    pub(super) fn number(&mut self, stream: &Stream) -> u32 {
        if let Some(known) = self.find(stream) {
            return known;
        }
        let number = self.streams.len() as u32;
        Arc::make_mut(&mut self.streams).push(stream.clone());
        self.numbers.insert(stream.clone(), number);
        number
    }

    /// One more line.
    pub(super) fn push(&mut self, row: &Row<'_>) {
        self.open.push(row);
        self.bytes += row.text.len() + row.beside.len();
        if self.open.bytes() >= PIECE {
            let mut full = std::mem::take(&mut self.open);
            full.shrink();
            self.full.push(Arc::new(full));
        }
    }

    /// Whether there is no line.
    pub(super) fn is_empty(&self) -> bool {
        self.full.is_empty() && self.open.columns.len() == 0
    }

    /// What there is now.
    pub(super) fn lines(&self) -> Lines {
        let open = (self.open.columns.len() > 0).then(|| Arc::new(self.open.clone()));
        Lines { pieces: self.full.iter().cloned().chain(open).collect(), streams: self.streams.clone() }
    }

    /// All of it, and nothing is left here.
    pub(super) fn freeze(&mut self, log: u32) -> Frozen {
        let mut all = std::mem::take(self);
        if all.open.columns.len() > 0 {
            all.full.push(Arc::new(all.open));
        }
        Frozen { lines: Lines { pieces: all.full, streams: all.streams }, log }
    }

    /// About how many bytes of memory it takes.
    pub(super) fn memory(&self) -> usize {
        self.full.iter().map(|piece| piece.memory()).sum::<usize>() + self.open.memory() + self.streams.len() * 200
    }
}

impl Lines {
    /// How many lines there are.
    pub(super) fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.columns.len() as u64).sum()
    }

    /// About how many bytes of memory they take.
    pub(super) fn memory(&self) -> usize {
        self.pieces.iter().map(|piece| piece.memory()).sum()
    }
}
