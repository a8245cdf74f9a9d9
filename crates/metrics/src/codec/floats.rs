//! Values. Most that are measured were decimals once, so that they are whole numbers with a point somewhere.
//!
//! The first byte says how they are kept:
//!
//! - *decimals*: where the point is, exceptions (no numbers, infinities, minus zero) with their bits, whole numbers;
//! - *nearly decimals*: the same, and by how many units in the last place each differs. Sums of decimals are such;
//! - *differences* of bits, see [`super::xor`].

use super::bits::{Bytes, put_bytes, put_varint};
use super::{Corrupt, Effort, ints, xor};

const DECIMALS: u8 = 0;
const NEARLY: u8 = 1;
const DIFFERENCES: u8 = 2;

/// Digits after the point, at most.
const MOST_DIGITS: usize = 15;
/// Whole numbers that a value can be without loss.
const MOST: f64 = 9_007_199_254_740_992.0;

const POWERS: [f64; MOST_DIGITS + 1] =
    [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Writes values; how many they are is not written.
pub(crate) fn encode(values: &[f64], effort: &mut Effort, out: &mut Vec<u8>) {
    if let Some(decimals) = Decimals::of(values) {
        out.push(DECIMALS);
        return decimals.write(effort, out);
    }
    let xor = xor::encode(values);
    if let Some((decimals, off)) = nearly(values, (xor.len() as u64 * 8).saturating_sub(64)) {
        let (mut near, mut places) = (vec![NEARLY], Vec::new());
        ints::encode(&off, effort, &mut places);
        put_bytes(&mut near, &places);
        decimals.write(effort, &mut near);
        if near.len() < xor.len() {
            return out.extend_from_slice(&near);
        }
    }
    out.push(DIFFERENCES);
    out.extend_from_slice(&xor);
}

/// Reads so many values, which are all of the bytes.
pub(crate) fn decode(bytes: &[u8], count: usize) -> Result<Vec<f64>, Corrupt> {
    let mut bytes = Bytes(bytes);
    match bytes.byte()? {
        DECIMALS => Decimals::read(bytes, count).map(|decimals| decimals.values()),
        NEARLY => {
            let off = ints::decode(bytes.bytes()?, count)?;
            let mut values = Decimals::read(bytes, count)?.values();
            for (value, off) in values.iter_mut().zip(off) {
                *value = f64::from_bits((value.to_bits() as i64).wrapping_add(off) as u64);
            }
            Ok(values)
        }
        DIFFERENCES => xor::decode(bytes.0, count),
        _ => Err(Corrupt),
    }
}

/// Whole numbers, where their point is, and what is no number.
struct Decimals {
    digits: usize,
    wholes: Vec<i64>,
    exceptions: Vec<(usize, f64)>,
}

impl Decimals {
    /// Of values that all are decimals, but for a few.
    fn of(values: &[f64]) -> Option<Self> {
        let (mut digits, mut exceptions) = (0, 0);
        for value in values {
            if let Some(needed) = (digits..=MOST_DIGITS).find(|digits| whole(*value, *digits).is_some()) {
                digits = needed;
            } else {
                exceptions += 1;
                if exceptions > values.len() / 16 + 1 {
                    return None;
                }
            }
        }
        let mut all = Self { digits, wholes: Vec::with_capacity(values.len()), exceptions: Vec::new() };
        for (at, value) in values.iter().enumerate() {
            all.push(at, *value, whole(*value, digits));
        }
        (all.exceptions.len() <= values.len() / 16 + 1).then_some(all)
    }

    /// An exception repeats the number before it, which takes next to nothing.
    fn push(&mut self, at: usize, value: f64, whole: Option<i64>) {
        if whole.is_none() {
            self.exceptions.push((at, value));
        }
        self.wholes.push(whole.unwrap_or_else(|| self.wholes.last().copied().unwrap_or_default()));
    }

    fn write(&self, effort: &mut Effort, out: &mut Vec<u8>) {
        out.push(self.digits as u8);
        put_varint(out, self.exceptions.len() as u64);
        for (at, value) in &self.exceptions {
            put_varint(out, *at as u64);
            out.extend_from_slice(&value.to_bits().to_le_bytes());
        }
        ints::encode(&self.wholes, effort, out);
    }

    fn read(mut bytes: Bytes<'_>, count: usize) -> Result<Self, Corrupt> {
        let digits = usize::from(bytes.byte()?);
        if digits > MOST_DIGITS {
            return Err(Corrupt);
        }
        let exceptions = (0..bytes.count(9)?)
            .map(|_| Ok((usize::try_from(bytes.varint()?).map_err(|_| Corrupt)?, f64::from_bits(bytes.word()?))))
            .collect::<Result<Vec<_>, _>>()?;
        if exceptions.iter().any(|(at, _)| *at >= count) {
            return Err(Corrupt);
        }
        Ok(Self { digits, wholes: ints::decode(bytes.0, count)?, exceptions })
    }

    fn values(&self) -> Vec<f64> {
        let power = POWERS[self.digits];
        let mut values: Vec<f64> = self.wholes.iter().map(|whole| *whole as f64 / power).collect();
        for (at, value) in &self.exceptions {
            values[*at] = *value;
        }
        values
    }
}

/// The whole number that a value is with the point moved, if that is all it is.
fn whole(value: f64, digits: usize) -> Option<i64> {
    let moved = (value * POWERS[digits]).round();
    let whole = moved as i64;
    let fits = moved.abs() < MOST && (whole as f64 / POWERS[digits]).to_bits() == value.to_bits();
    fits.then_some(whole)
}

/// The nearest decimals of a few digits, with how far off each value is, if that takes fewer bits than so many.
fn nearly(values: &[f64], most: u64) -> Option<(Decimals, Vec<i64>)> {
    let mut best = None;
    let mut least = most;
    for digits in [3, 6, 9, 12] {
        let mut all = Decimals { digits, wholes: Vec::with_capacity(values.len()), exceptions: Vec::new() };
        let mut off = Vec::with_capacity(values.len());
        for (at, value) in values.iter().enumerate() {
            let moved = (value * POWERS[digits]).round();
            let near = (moved.abs() < MOST).then_some(moved as i64);
            all.push(at, *value, near);
            let nearest = near.map_or(*value, |near| near as f64 / POWERS[digits]);
            off.push((value.to_bits() as i64).wrapping_sub(nearest.to_bits() as i64));
        }
        if all.exceptions.len() > values.len() / 16 + 1 {
            break;
        }
        let bits = ints::estimate(&all.wholes) + ints::estimate(&off);
        if bits < least {
            least = bits;
            best = Some((all, off));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::STALE;

    fn round_trip(values: &[f64]) -> usize {
        let mut sizes = Vec::new();
        for mut effort in [Effort::Least, Effort::most()] {
            let mut bytes = Vec::new();
            encode(values, &mut effort, &mut bytes);
            let back: Vec<u64> = decode(&bytes, values.len()).unwrap().into_iter().map(f64::to_bits).collect();
            assert_eq!(back, values.iter().map(|value| value.to_bits()).collect::<Vec<_>>());
            sizes.push(bytes.len());
        }
        sizes[1]
    }

    #[test]
    fn what_is_no_number_comes_back_as_it_was() {
        let payload = f64::from_bits(0x7ff8_0000_0000_0bad);
        let odd =
            [1.5, f64::NAN, STALE, payload, -0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, 5e-324];
        round_trip(&odd);
        odd.iter().for_each(|one| _ = round_trip(&[*one]));
        let mut ends = vec![2.25; 479];
        ends.push(STALE);
        assert!(round_trip(&ends) < 24);
    }

    #[test]
    fn sums_of_decimals_take_less_than_their_bits() {
        let mut sum = 0.0;
        let sums: Vec<f64> = (0..480u64)
            .map(|at| {
                (0..20).for_each(|of| sum += (at * 7919 + of * 104_729) as f64 % 5_000_000.0 / 1e9);
                sum
            })
            .collect();
        let bytes = round_trip(&sums);
        assert!(bytes * 10 < xor::encode(&sums).len() * 7, "{bytes} of {}", xor::encode(&sums).len());
    }

    fn any_value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            (-100_000i64..100_000, 0usize..8).prop_map(|(whole, digits)| whole as f64 / POWERS[digits]),
            Just(STALE),
            Just(0.0),
            -1.0..1.0,
        ]
    }

    proptest! {
        #[test]
        fn any_values_come_back(values in prop::collection::vec(any_value(), 0..200)) {
            round_trip(&values);
        }

        #[test]
        fn any_decimals_come_back(wholes in prop::collection::vec(any::<i32>(), 0..200), digits in 0usize..10) {
            round_trip(&wholes.iter().map(|whole| f64::from(*whole) / POWERS[digits]).collect::<Vec<_>>());
        }

        #[test]
        fn broken_bytes_are_told(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..300) {
            if let Ok(values) = decode(&bytes, count) {
                prop_assert_eq!(values.len(), count);
            }
        }
    }
}
