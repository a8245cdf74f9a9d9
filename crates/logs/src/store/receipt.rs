//! What became of lines that were handed to the store.

use std::collections::BTreeMap;
use std::fmt;

use crate::Stream;

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Lines that are kept from now on.
    pub accepted: u64,
    /// Of these, lines that were so long that only their start is kept, and how many bytes are missing.
    pub cut: Amount,
    /// Lines that are not kept, by where they came from and why.
    pub dropped: BTreeMap<(Stream, Why), Amount>,
}

/// Lines, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many lines.
    pub lines: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// Why a line is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// Its stream has more lines or bytes than may be.
    TooMany,
    /// It is older than what may come late.
    TooOld,
    /// It is further ahead of the clock than what may be.
    TooFarAhead,
    /// There are as many streams as there may be, and it is of another one.
    TooManyStreams,
}

impl Why {
    /// A word for it, as a label has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::TooMany => "too_many",
            Self::TooOld => "too_old",
            Self::TooFarAhead => "too_far_ahead",
            Self::TooManyStreams => "too_many_streams",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "more lines came than may be kept of a stream",
            Self::TooOld => "they are too old",
            Self::TooFarAhead => "they are ahead of the clock",
            Self::TooManyStreams => "there are as many streams as there may be",
        })
    }
}

impl Amount {
    /// One more line.
    pub(super) fn add(&mut self, bytes: u64) {
        self.lines += 1;
        self.bytes += bytes;
    }
}

impl Receipt {
    pub(super) fn drop(&mut self, stream: &Stream, why: Why, bytes: u64) {
        self.dropped.entry((stream.clone(), why)).or_default().add(bytes);
    }
}
