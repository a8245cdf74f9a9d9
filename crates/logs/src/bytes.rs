//! Numbers and texts as few bytes, and how they are compressed.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

/// Bytes that nobody here wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are broken")]
pub(crate) struct Corrupt;

/// Seven bits in each byte, the lowest first; the highest bit says that more follow.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// With a sign: small numbers of either sign take few bytes.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Bytes, with how many there are.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
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

    /// A number that is not larger than 32 bits have room for.
    pub(crate) fn small(&mut self) -> Result<u32, Corrupt> {
        u32::try_from(self.varint()?).map_err(|_| Corrupt)
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Corrupt> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
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

    /// Four bytes, the lowest first.
    pub(crate) fn word(&mut self) -> Result<u32, Corrupt> {
        Ok(u32::from_le_bytes(self.split(4)?.try_into().map_err(|_| Corrupt)?))
    }
}

/// Compresses with zstd. Nothing stays nothing.
pub(crate) fn compress(bytes: &[u8], compressor: &mut Compressor<'_>) -> std::io::Result<Vec<u8>> {
    if bytes.is_empty() { Ok(Vec::new()) } else { compressor.compress(bytes) }
}

/// The reverse of [`compress`], if it comes to exactly so many bytes.
pub(crate) fn decompress(bytes: &[u8], length: usize) -> Result<Vec<u8>, Corrupt> {
    thread_local! {
        static KEPT: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    if bytes.is_empty() {
        return if length == 0 { Ok(Vec::new()) } else { Err(Corrupt) };
    }
    let plain = KEPT.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = Decompressor::new().ok();
        }
        kept.as_mut().ok_or(Corrupt)?.decompress(bytes, length).map_err(|_| Corrupt)
    })?;
    if plain.len() == length { Ok(plain) } else { Err(Corrupt) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_size_come_back() {
        let mut out = Vec::new();
        for value in [0, 1, -1, 63, -64, 64, i64::MAX, i64::MIN] {
            put_signed(&mut out, value);
            put_varint(&mut out, value as u64);
        }
        let mut bytes = Bytes(&out);
        for value in [0, 1, -1, 63, -64, 64, i64::MAX, i64::MIN] {
            assert_eq!((bytes.signed(), bytes.varint()), (Ok(value), Ok(value as u64)));
        }
        assert_eq!(bytes.byte(), Err(Corrupt));
        assert_eq!(Bytes(&[9, 1]).bytes(), Err(Corrupt));
        assert_eq!(Bytes(&[0xff; 11]).varint(), Err(Corrupt));
    }

    #[test]
    fn what_is_compressed_comes_back_at_its_length_only() {
        let mut compressor = Compressor::new(3).unwrap();
        let packed = compress(&[7; 1000], &mut compressor).unwrap();
        assert_eq!(decompress(&packed, 1000), Ok(vec![7; 1000]));
        assert_eq!((decompress(&packed, 999), decompress(&packed, 1001)), (Err(Corrupt), Err(Corrupt)));
        assert_eq!((decompress(&[], 0), decompress(&[], 1)), (Ok(vec![]), Err(Corrupt)));
    }
}
