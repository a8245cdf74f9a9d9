//! How columns of times and of values are kept in few bytes. Nothing is lost: each value comes back bit by bit.

pub(crate) mod bits;
pub(crate) mod floats;
pub(crate) mod histograms;
pub(crate) mod ints;
mod xor;

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use crate::Sample;
use bits::{Bytes, put_bytes, put_varint};

/// Bytes that nobody here wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are broken")]
pub(crate) struct Corrupt;

/// How much is tried to save bytes.
pub(crate) enum Effort {
    /// What is fast, for what is soon written again.
    Least,
    /// All, for what stays.
    Most(Box<Compressor<'static>>),
}

impl Effort {
    /// All, or what is fast if there is no memory for more.
    pub(crate) fn most() -> Self {
        Compressor::new(6).map_or(Self::Least, |compressor| Self::Most(Box::new(compressor)))
    }
}

/// What each frame of zstd begins with; it is left out.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

pub(crate) fn compress(bytes: &[u8], compressor: &mut Compressor<'_>) -> Option<Vec<u8>> {
    let packed = compressor.compress(bytes).ok()?;
    packed.strip_prefix(&MAGIC).map(<[u8]>::to_vec)
}

pub(crate) fn decompress(bytes: &[u8], most: usize) -> Result<Vec<u8>, Corrupt> {
    thread_local! {
        static KEPT: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    let frame = [&MAGIC, bytes].concat();
    KEPT.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = Decompressor::new().ok();
        }
        kept.as_mut().ok_or(Corrupt)?.decompress(&frame, most).map_err(|_| Corrupt)
    })
}

/// Samples with their times, by time.
pub(crate) fn encode(samples: &[Sample], effort: &mut Effort) -> Box<[u8]> {
    let times: Vec<i64> = samples.iter().map(|sample| sample.at).collect();
    let values: Vec<f64> = samples.iter().map(|sample| sample.value).collect();
    let (mut out, mut column) = (Vec::with_capacity(samples.len() * 2 + 8), Vec::new());
    put_varint(&mut out, samples.len() as u64);
    ints::encode(&times, effort, &mut column);
    put_bytes(&mut out, &column);
    floats::encode(&values, effort, &mut out);
    out.into()
}

/// The reverse of [`encode`], onto others.
pub(crate) fn decode(bytes: &[u8], samples: &mut Vec<Sample>) -> Result<(), Corrupt> {
    let mut bytes = Bytes(bytes);
    let count = usize::try_from(bytes.varint()?).map_err(|_| Corrupt)?;
    let times = ints::decode(bytes.bytes()?, count)?;
    let values = floats::decode(bytes.0, count)?;
    samples.extend(times.into_iter().zip(values).map(|(at, value)| Sample { at, value }));
    Ok(())
}
