//! Whole numbers: differences of some order, less what is usual, divided by what divides them all, and then in few bits.
//!
//! The first byte says the order of the differences (two bits), how they are packed (two bits) and whether they were
//! divided. Then come the numbers before the first difference, the usual difference, the divisor, and what is packed:
//!
//! - *nothing*: each is the usual one;
//! - *Rice codes*, in groups of 32 with a parameter for each group
//!   (R. F. Rice, "Some practical universal noiseless coding techniques", 1979);
//! - *bytes*, seven bits in each, compressed with zstd.

use super::bits::{BitReader, BitWriter, Bytes, put_signed, put_varint, unzigzag, zigzag};
use super::{Corrupt, Effort, compress, decompress};

/// How many share a parameter.
const GROUP: usize = 32;
/// The parameter of a group of zeros.
const ZEROS: u64 = 63;
/// So many zeros say that a number follows whole.
const WHOLE: u64 = 31;

/// Fewer bytes are not worth the try to compress them.
const WORTH: usize = 40;

const NOTHING: u8 = 0;
const RICE: u8 = 1;
const BYTES: u8 = 2;
const DIVIDED: u8 = 1 << 4;

/// Differences, ready to be packed.
struct Residuals {
    order: usize,
    usual: i64,
    divisor: u64,
    all: Vec<u64>,
    bits: u64,
}

/// Writes numbers; how many they are is not written.
pub(crate) fn encode(values: &[i64], effort: &mut Effort, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    let orders = 0..=2.min(values.len() - 1);
    let Some(best) = orders.map(|order| residuals(values, order)).min_by_key(|one| one.bits) else { return };
    let (packing, packed) = pack(&best.all, effort);
    let divided = if best.divisor > 1 { DIVIDED } else { 0 };
    out.push(best.order as u8 | packing << 2 | divided);
    values[..best.order].iter().for_each(|value| put_signed(out, *value));
    put_signed(out, best.usual);
    if best.divisor > 1 {
        put_varint(out, best.divisor);
    }
    out.extend_from_slice(&packed);
}

/// About how many bits numbers take, whatever they are.
pub(crate) fn estimate(values: &[i64]) -> u64 {
    if values.is_empty() {
        return 0;
    }
    (0..=2.min(values.len() - 1)).map(|order| residuals(values, order).bits).min().unwrap_or_default()
}

fn residuals(values: &[i64], order: usize) -> Residuals {
    let mut differences = values.to_vec();
    for _ in 0..order {
        for at in (1..differences.len()).rev() {
            differences[at] = differences[at].wrapping_sub(differences[at - 1]);
        }
        differences.remove(0);
    }
    let usual = median(&differences);
    let mut divisor = 0;
    for difference in &mut differences {
        *difference = difference.wrapping_sub(usual);
        divisor = if divisor == 1 { 1 } else { gcd(divisor, difference.unsigned_abs()) };
    }
    let divisor = if divisor > i64::MAX as u64 { 1 } else { divisor.max(1) };
    let all: Vec<u64> = match divisor {
        1 => differences.into_iter().map(zigzag).collect(),
        _ => differences.into_iter().map(|difference| zigzag(difference / divisor as i64)).collect(),
    };
    let bits = all.iter().map(|value| u64::from(66 - value.leading_zeros()) - u64::from(*value == 0)).sum::<u64>();
    Residuals {
        order,
        usual,
        divisor,
        bits: if all.iter().all(|value| *value == 0) { order as u64 } else { bits },
        all,
    }
}

fn median(values: &[i64]) -> i64 {
    let mut sorted = values.to_vec();
    let middle = sorted.len() / 2;
    *sorted.select_nth_unstable(middle).1
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn pack(all: &[u64], effort: &mut Effort) -> (u8, Vec<u8>) {
    if all.iter().all(|value| *value == 0) {
        return (NOTHING, Vec::new());
    }
    let rice = rice(all);
    if let Effort::Most(compressor) = effort
        && rice.len() > WORTH
    {
        let mut bytes = Vec::with_capacity(all.len() * 2);
        all.iter().for_each(|value| put_varint(&mut bytes, *value));
        if let Some(packed) = compress(&bytes, compressor).filter(|packed| packed.len() < rice.len()) {
            return (BYTES, packed);
        }
    }
    (RICE, rice)
}

fn rice(all: &[u64]) -> Vec<u8> {
    let mut out = BitWriter::default();
    for group in all.chunks(GROUP) {
        if group.iter().all(|value| *value == 0) {
            out.put(ZEROS, 6);
            continue;
        }
        let parameter = parameter(group);
        out.put(u64::from(parameter), 6);
        for value in group {
            let high = value >> parameter;
            if high < WHOLE {
                out.put(1 << high, high as u32 + 1);
                out.put(*value, parameter);
            } else {
                out.put(1 << WHOLE, WHOLE as u32 + 1);
                out.put(*value, 64);
            }
        }
    }
    out.finish()
}

/// The parameter that takes the fewest bits, near that of the mean.
fn parameter(group: &[u64]) -> u32 {
    let cost = |parameter: u32| -> u64 {
        let one = |value: &u64| match value >> parameter {
            high if high < WHOLE => high + 1 + u64::from(parameter),
            _ => WHOLE + 65,
        };
        group.iter().map(one).sum()
    };
    let mean = group.iter().map(|value| u128::from(*value)).sum::<u128>() / group.len() as u128;
    let near = 127u32.saturating_sub(mean.leading_zeros()).min(60);
    (near.saturating_sub(2)..=near + 1).min_by_key(|parameter| cost(*parameter)).unwrap_or(near)
}

/// Reads so many numbers, which are all of the bytes.
pub(crate) fn decode(bytes: &[u8], count: usize) -> Result<Vec<i64>, Corrupt> {
    let mut bytes = Bytes(bytes);
    if count == 0 {
        return Ok(Vec::new());
    }
    let head = bytes.byte()?;
    let order = usize::from(head & 3);
    if order > 2 || order >= count {
        return Err(Corrupt);
    }
    let mut before = [0i64; 2];
    for first in before.iter_mut().take(order) {
        *first = bytes.signed()?;
    }
    let usual = bytes.signed()?;
    let divisor = if head & DIVIDED == 0 { 1 } else { bytes.varint()? as i64 };
    let mut values = Vec::with_capacity(count);
    values.extend_from_slice(&before[..order]);
    let mut last = before[order.saturating_sub(1).min(1)];
    let mut step = before[1].wrapping_sub(before[0]);
    let mut take = |packed: u64| {
        let difference = unzigzag(packed).wrapping_mul(divisor).wrapping_add(usual);
        match order {
            0 => last = difference,
            1 => last = last.wrapping_add(difference),
            _ => {
                step = step.wrapping_add(difference);
                last = last.wrapping_add(step);
            }
        }
        values.push(last);
    };
    let left = count - order;
    match head >> 2 & 3 {
        NOTHING => (0..left).for_each(|_| take(0)),
        RICE => unrice(bytes.0, left, take)?,
        BYTES => {
            let plain = decompress(bytes.0, left * 10)?;
            let mut plain = Bytes(&plain);
            for _ in 0..left {
                take(plain.varint()?);
            }
        }
        _ => return Err(Corrupt),
    }
    Ok(values)
}

fn unrice(bytes: &[u8], count: usize, mut take: impl FnMut(u64)) -> Result<(), Corrupt> {
    let mut bits = BitReader::new(bytes);
    let mut left = count;
    while left > 0 {
        let group = left.min(GROUP);
        left -= group;
        let parameter = bits.take(6)?;
        for _ in 0..group {
            if parameter == ZEROS {
                take(0);
                continue;
            }
            let high = u64::from(bits.zeros()?);
            take(match high {
                WHOLE => bits.take(64)?,
                _ => high << parameter | bits.take(parameter as u32)?,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(values: &[i64]) -> usize {
        let mut sizes = Vec::new();
        for mut effort in [Effort::Least, Effort::most()] {
            let mut bytes = Vec::new();
            encode(values, &mut effort, &mut bytes);
            assert_eq!(decode(&bytes, values.len()).unwrap(), values);
            sizes.push(bytes.len());
        }
        sizes[1]
    }

    #[test]
    fn what_is_regular_takes_nearly_nothing() {
        let ticks: Vec<i64> = (0..480).map(|tick| 1_700_000_000_000 + tick * 15_000).collect();
        assert!(round_trip(&ticks) < 16);
        assert!(round_trip(&[7; 480]) < 4);
        let pages: Vec<i64> = (0..480).map(|at| 4096 * (100_000 + at * at % 7)).collect();
        assert!(round_trip(&pages) < 480 / 2);
        for few in [&[][..], &[1], &[i64::MIN, i64::MAX], &[0, i64::MIN, -1, i64::MAX, 5]] {
            round_trip(few);
        }
    }

    proptest! {
        #[test]
        fn any_numbers_come_back(values in prop::collection::vec(prop_oneof![any::<i64>(), -99i64..99, Just(0)], 0..300)) {
            round_trip(&values);
        }

        #[test]
        fn broken_bytes_are_told(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..300) {
            if let Ok(values) = decode(&bytes, count) {
                prop_assert_eq!(values.len(), count);
            }
        }
    }
}
