//! Values of which no two are alike in their last bits: each is told by the bits in which it differs from the one before.
//! T. Pelkonen et al., "Gorilla: a fast, scalable, in-memory time series database", VLDB 2015, section 4.1.2.

use super::Corrupt;
use super::bits::{BitReader, BitWriter};

/// Writes values; how many they are is not written.
pub(crate) fn encode(values: &[f64]) -> Vec<u8> {
    let mut out = BitWriter::default();
    let (mut before, mut window) = (0, None);
    for value in values {
        let bits = value.to_bits();
        let differs = bits ^ before;
        before = bits;
        if differs == 0 {
            out.put(0, 1);
            continue;
        }
        out.put(1, 1);
        let (leading, trailing) = (differs.leading_zeros().min(31), differs.trailing_zeros());
        match window {
            Some((high, low)) if leading >= high && trailing >= low && 64 - high - low <= 76 - leading - trailing => {
                out.put(0, 1);
                out.put(differs >> low, 64 - high - low);
            }
            _ => {
                window = Some((leading, trailing));
                let length = 64 - leading - trailing;
                out.put(1, 1);
                out.put(u64::from(leading), 5);
                out.put(u64::from(length - 1), 6);
                out.put(differs >> trailing, length);
            }
        }
    }
    out.finish()
}

/// Reads so many values.
pub(crate) fn decode(bytes: &[u8], count: usize) -> Result<Vec<f64>, Corrupt> {
    let mut bits = BitReader::new(bytes);
    if count > bytes.len() * 8 {
        return Err(Corrupt);
    }
    let mut values = Vec::with_capacity(count);
    let (mut before, mut length, mut trailing) = (0, 0, 0);
    for _ in 0..count {
        if bits.take(1)? == 1 {
            if bits.take(1)? == 1 {
                let leading = bits.take(5)? as u32;
                length = bits.take(6)? as u32 + 1;
                trailing = 64u32.checked_sub(leading + length).ok_or(Corrupt)?;
            }
            before ^= bits.take(length)? << trailing;
        }
        values.push(f64::from_bits(before));
    }
    Ok(values)
}
