//! Numbers of few bits, and of few bytes. Bits fill each byte from its lowest one.

use super::Corrupt;

/// What writes bits.
#[derive(Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    held: u64,
    count: u32,
}

impl BitWriter {
    /// The lowest bits of a number.
    pub(crate) fn put(&mut self, value: u64, bits: u32) {
        if bits > 32 {
            self.put_few(value & 0xffff_ffff, 32);
            self.put_few(value >> 32, bits - 32);
        } else {
            self.put_few(value, bits);
        }
    }

    /// At most 32 of them.
    fn put_few(&mut self, value: u64, bits: u32) {
        self.held |= (value & ((1 << bits) - 1)) << self.count;
        self.count += bits;
        if self.count >= 32 {
            self.bytes.extend_from_slice(&self.held.to_le_bytes()[..4]);
            self.held >>= 32;
            self.count -= 32;
        }
    }

    /// All of it; the last byte is filled with zeros.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let rest = self.count.div_ceil(8) as usize;
        self.bytes.extend_from_slice(&self.held.to_le_bytes()[..rest]);
        self.bytes
    }
}

/// What reads bits.
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next bits, at least 57 of them; zeros follow the last.
    fn peek(&self) -> u64 {
        let from = self.at / 8;
        let word = match self.bytes.get(from..from + 8) {
            Some(eight) => u64::from_le_bytes(eight.try_into().unwrap_or_default()),
            None => {
                let rest = self.bytes.get(from..).unwrap_or_default();
                rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
            }
        };
        word >> (self.at % 8)
    }

    fn advance(&mut self, bits: u32) -> Result<(), Corrupt> {
        self.at += bits as usize;
        if self.at > self.bytes.len() * 8 { Err(Corrupt) } else { Ok(()) }
    }

    /// A number of so many bits.
    pub(crate) fn take(&mut self, bits: u32) -> Result<u64, Corrupt> {
        if bits > 32 {
            let low = self.take(32)?;
            return Ok(low | self.take(bits - 32)? << 32);
        }
        let value = self.peek() & ((1 << bits) - 1);
        self.advance(bits)?;
        Ok(value)
    }

    /// How many zeros come before the next one, which is taken as well; at most 32 of them.
    pub(crate) fn zeros(&mut self) -> Result<u32, Corrupt> {
        let zeros = self.peek().trailing_zeros();
        if zeros > 32 {
            return Err(Corrupt);
        }
        self.advance(zeros + 1)?;
        Ok(zeros)
    }
}

/// Seven bits in each byte, the lowest first; the highest bit says that more follow.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// With a sign.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, zigzag(value));
}

/// Bytes, with how many there are.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Small numbers of either sign become small numbers.
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The reverse of [`zigzag`].
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Takes what was put in front of bytes.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn byte(&mut self) -> Result<u8, Corrupt> {
        let (first, rest) = self.0.split_first().ok_or(Corrupt)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Corrupt)
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Corrupt> {
        self.varint().map(unzigzag)
    }

    /// A count of things that take at least so many bytes each, so that a broken one takes no memory.
    pub(crate) fn count(&mut self, least: usize) -> Result<usize, Corrupt> {
        let count = usize::try_from(self.varint()?).map_err(|_| Corrupt)?;
        if count.saturating_mul(least) > self.0.len() { Err(Corrupt) } else { Ok(count) }
    }

    pub(crate) fn split(&mut self, length: usize) -> Result<&'a [u8], Corrupt> {
        let (first, rest) = self.0.split_at_checked(length).ok_or(Corrupt)?;
        self.0 = rest;
        Ok(first)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Corrupt> {
        let length = self.count(1)?;
        self.split(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Corrupt> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Corrupt)
    }

    pub(crate) fn word(&mut self) -> Result<u64, Corrupt> {
        Ok(u64::from_le_bytes(self.split(8)?.try_into().map_err(|_| Corrupt)?))
    }
}
