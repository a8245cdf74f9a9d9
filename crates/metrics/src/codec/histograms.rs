//! Histograms: columns of those that have the same buckets, and single ones.
//!
//! A group is a row of histograms that share a schema, the reach of the zero bucket and the bounds of custom ones. It is
//! written as that, the indices of all buckets that any of them has, and then a column for each of: the hints of resets,
//! counts, counts of zero, sums, and the counts of each bucket. Most counts are whole and grow evenly, so that a column takes
//! as little as a counter does.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::bits::{Bytes, put_bytes, put_signed, put_varint};
use super::{Corrupt, Effort, floats, ints};
use crate::histogram::Counts;
use crate::{Histogram, HistogramSample, Reset};

/// A group of several has at most so many counts, so that wide ones take no more memory than many.
const CELLS: usize = 1 << 16;
/// Columns beside those of buckets.
const OTHERS: usize = 3;
/// Whole numbers below this are written as such.
const MOST: f64 = 4_503_599_627_370_496.0;

const RESETS: [Reset; 4] = [Reset::Unknown, Reset::Reset, Reset::NotReset, Reset::Gauge];

/// Splits samples where they cannot be of one group, which has at most `most`.
pub(crate) fn groups(samples: &[HistogramSample], most: usize) -> Vec<&[HistogramSample]> {
    let (mut groups, mut rest) = (Vec::new(), samples);
    while !rest.is_empty() {
        let (group, after) = rest.split_at(fitting(rest, most));
        groups.push(group);
        rest = after;
    }
    groups
}

/// How many of the first are a group. Markers of ends have no buckets, so that they are in any.
fn fitting(samples: &[HistogramSample], most: usize) -> usize {
    let mut shape: Option<&Histogram> = None;
    let (mut positive, mut negative) = (BTreeSet::new(), BTreeSet::new());
    for (at, sample) in samples.iter().take(most).enumerate() {
        let one = sample.value.as_ref();
        if !one.is_stale() {
            if shape.is_some_and(|shape| !alike(shape, one)) {
                return at;
            }
            shape = Some(one);
            positive.extend(one.positive.iter().map(|(index, _)| *index));
            negative.extend(one.negative.iter().map(|(index, _)| *index));
        }
        if at > 0 && (positive.len() + negative.len() + OTHERS) * (at + 1) > CELLS {
            return at;
        }
    }
    samples.len().min(most)
}

fn alike(one: &Histogram, other: &Histogram) -> bool {
    let same = |a: &f64, b: &f64| a.to_bits() == b.to_bits();
    one.schema == other.schema
        && same(&one.zero_threshold, &other.zero_threshold)
        && one.bounds.len() == other.bounds.len()
        && one.bounds.iter().zip(&other.bounds).all(|(a, b)| same(a, b))
}

/// The indices of buckets that any of a group has.
fn indices<'a>(group: &'a [HistogramSample], side: impl Fn(&'a Histogram) -> &'a Counts) -> Vec<i32> {
    let all = group.iter().flat_map(|sample| side(&sample.value)).map(|(index, _)| *index);
    all.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Writes a group without its times. Returns how many columns of counts it has.
pub(crate) fn encode(group: &[HistogramSample], effort: &mut Effort, out: &mut Vec<u8>) -> u32 {
    let stale = Histogram::default();
    let shape = group.iter().map(|sample| sample.value.as_ref()).find(|one| !one.is_stale()).unwrap_or(&stale);
    put_shape(out, shape);
    let (positive, negative) = (indices(group, |one| &one.positive), indices(group, |one| &one.negative));
    put_indices(out, positive.iter().copied());
    put_indices(out, negative.iter().copied());
    let mut column = Vec::new();
    let resets: Vec<i64> = group.iter().map(|sample| number(sample.value.reset)).collect();
    ints::encode(&resets, effort, &mut column);
    put_bytes(out, &column);
    let mut put = |values: &[f64]| {
        column.clear();
        floats::encode(values, effort, &mut column);
        put_bytes(out, &column);
    };
    let others: [fn(&Histogram) -> f64; OTHERS] = [|one| one.count, |one| one.zero_count, |one| one.sum];
    for value in others {
        put(&group.iter().map(|sample| value(&sample.value)).collect::<Vec<_>>());
    }
    columns(group, &positive, |one| &one.positive).iter().for_each(|column| put(column));
    columns(group, &negative, |one| &one.negative).iter().for_each(|column| put(column));
    (positive.len() + negative.len() + OTHERS) as u32
}

/// The counts of each bucket.
fn columns<'a>(
    group: &'a [HistogramSample],
    indices: &[i32],
    side: impl Fn(&'a Histogram) -> &'a Counts,
) -> Vec<Vec<f64>> {
    let mut columns = vec![vec![0.0; group.len()]; indices.len()];
    for (at, sample) in group.iter().enumerate() {
        for (index, count) in side(&sample.value) {
            if let Ok(column) = indices.binary_search(index) {
                columns[column][at] = *count;
            }
        }
    }
    columns
}

/// Reads a group of so many.
pub(crate) fn decode(bytes: &[u8], count: usize) -> Result<Vec<Histogram>, Corrupt> {
    let mut bytes = Bytes(bytes);
    let shape = take_shape(&mut bytes)?;
    let (positive, negative) = (take_indices(&mut bytes)?, take_indices(&mut bytes)?);
    if count > 1 && (positive.len() + negative.len() + OTHERS).saturating_mul(count) > CELLS {
        return Err(Corrupt);
    }
    let resets = ints::decode(bytes.bytes()?, count)?;
    let mut column = || floats::decode(bytes.bytes()?, count);
    let (counts, zeros, sums) = (column()?, column()?, column()?);
    let mut all = Vec::with_capacity(count);
    for at in 0..count {
        let reset = *usize::try_from(resets[at]).ok().and_then(|reset| RESETS.get(reset)).ok_or(Corrupt)?;
        all.push(Histogram { count: counts[at], zero_count: zeros[at], sum: sums[at], reset, ..shape.clone() });
    }
    for index in positive {
        let counts = all.iter_mut().zip(column()?).filter(|(_, count)| *count != 0.0);
        counts.for_each(|(one, count)| one.positive.push((index, count)));
    }
    for index in negative {
        let counts = all.iter_mut().zip(column()?).filter(|(_, count)| *count != 0.0);
        counts.for_each(|(one, count)| one.negative.push((index, count)));
    }
    for one in all.iter_mut().filter(|one| one.is_stale()) {
        *one = Histogram::stale();
    }
    Ok(all)
}

/// Samples with their times, of any shapes. First comes how many cells they take when they are read.
pub(crate) fn pack(samples: &[HistogramSample], effort: &mut Effort) -> Box<[u8]> {
    let (mut out, mut cells) = (Vec::new(), 0);
    for group in groups(samples, usize::MAX) {
        let (mut times, mut column) = (Vec::new(), Vec::new());
        ints::encode(&group.iter().map(|sample| sample.at).collect::<Vec<_>>(), effort, &mut times);
        cells += u64::from(encode(group, effort, &mut column)) * group.len() as u64;
        put_varint(&mut out, group.len() as u64);
        put_bytes(&mut out, &times);
        put_bytes(&mut out, &column);
    }
    let mut all = Vec::with_capacity(out.len() + 4);
    put_varint(&mut all, cells);
    all.extend_from_slice(&out);
    all.into()
}

/// How many cells packed samples take when they are read.
pub(crate) fn cells(bytes: &[u8]) -> usize {
    Bytes(bytes).varint().map_or(0, |cells| cells as usize)
}

/// The reverse of [`pack`], onto others.
pub(crate) fn unpack(bytes: &[u8], samples: &mut Vec<HistogramSample>) -> Result<(), Corrupt> {
    let mut bytes = Bytes(bytes);
    bytes.varint()?;
    while !bytes.0.is_empty() {
        let count = usize::try_from(bytes.varint()?).map_err(|_| Corrupt)?;
        let times = ints::decode(bytes.bytes()?, count)?;
        let values = decode(bytes.bytes()?, count)?;
        let both = times.into_iter().zip(values);
        samples.extend(both.map(|(at, value)| HistogramSample { at, value: Arc::new(value) }));
    }
    Ok(())
}

/// One histogram by itself.
pub(crate) fn put(out: &mut Vec<u8>, one: &Histogram) {
    put_shape(out, one);
    out.push(number(one.reset) as u8);
    [one.count, one.zero_count].into_iter().for_each(|count| put_count(out, count));
    put_word(out, one.sum);
    for side in [&one.positive, &one.negative] {
        put_indices(out, side.iter().map(|(index, _)| *index));
        side.iter().for_each(|(_, count)| put_count(out, *count));
    }
}

/// The reverse of [`put`].
pub(crate) fn take(bytes: &mut Bytes<'_>) -> Result<Histogram, Corrupt> {
    let mut one = take_shape(bytes)?;
    one.reset = *RESETS.get(usize::from(bytes.byte()?)).ok_or(Corrupt)?;
    one.count = take_count(bytes)?;
    one.zero_count = take_count(bytes)?;
    one.sum = f64::from_bits(bytes.word()?);
    for side in [&mut one.positive, &mut one.negative] {
        for index in take_indices(bytes)? {
            side.push((index, take_count(bytes)?));
        }
    }
    Ok(one)
}

fn number(reset: Reset) -> i64 {
    RESETS.iter().position(|other| *other == reset).unwrap_or_default() as i64
}

fn put_shape(out: &mut Vec<u8>, one: &Histogram) {
    put_signed(out, i64::from(one.schema));
    put_word(out, one.zero_threshold);
    put_varint(out, one.bounds.len() as u64);
    one.bounds.iter().for_each(|bound| put_word(out, *bound));
}

fn take_shape(bytes: &mut Bytes<'_>) -> Result<Histogram, Corrupt> {
    let schema = i32::try_from(bytes.signed()?).map_err(|_| Corrupt)?;
    let zero_threshold = f64::from_bits(bytes.word()?);
    let bounds = (0..bytes.count(8)?).map(|_| bytes.word().map(f64::from_bits)).collect::<Result<_, _>>()?;
    Ok(Histogram { schema, zero_threshold, bounds, ..Histogram::default() })
}

/// Each by how far it is from the one before.
fn put_indices(out: &mut Vec<u8>, indices: impl ExactSizeIterator<Item = i32>) {
    put_varint(out, indices.len() as u64);
    let mut before = 0;
    for index in indices {
        put_signed(out, i64::from(index) - before);
        before = i64::from(index);
    }
}

fn take_indices(bytes: &mut Bytes<'_>) -> Result<Vec<i32>, Corrupt> {
    let mut before = 0_i64;
    (0..bytes.count(1)?)
        .map(|_| {
            before = before.wrapping_add(bytes.signed()?);
            i32::try_from(before).map_err(|_| Corrupt)
        })
        .collect()
}

fn put_word(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

/// An even number is twice a whole count; one says that the bits follow.
fn put_count(out: &mut Vec<u8>, count: f64) {
    let whole = count as u64;
    if count < MOST && (whole as f64).to_bits() == count.to_bits() {
        return put_varint(out, whole << 1);
    }
    put_varint(out, 1);
    put_word(out, count);
}

fn take_count(bytes: &mut Bytes<'_>) -> Result<f64, Corrupt> {
    match bytes.varint()? {
        1 => bytes.word().map(f64::from_bits),
        even if even & 1 == 0 => Ok((even >> 1) as f64),
        _ => Err(Corrupt),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::CUSTOM;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![(0u32..5000).prop_map(f64::from), any::<u64>().prop_map(f64::from_bits), Just(0.5), Just(0.0)]
    }

    fn counts() -> impl Strategy<Value = Counts> {
        prop::collection::btree_map(prop_oneof![-20i32..20, any::<i32>()], value(), 0..8)
            .prop_map(|counts| counts.into_iter().collect())
    }

    fn histogram() -> impl Strategy<Value = Histogram> {
        let shape = (prop_oneof![Just(3), -4i32..=8, Just(CUSTOM)], prop::sample::select(vec![0.0, 1e-128, 0.25]));
        let bounds = prop::sample::select(vec![vec![], vec![1.0, 2.0], vec![1.0, 5.0]]);
        let values = (value(), value(), value(), counts(), counts());
        (shape, bounds, values, 0usize..4, 0u8..9).prop_map(|(shape, bounds, values, reset, stale)| {
            let (schema, zero_threshold) = shape;
            let (count, zero_count, sum, positive, negative) = values;
            if stale == 0 {
                return Histogram::stale();
            }
            let reset = RESETS[reset];
            Histogram { schema, zero_threshold, bounds, zero_count, count, sum, positive, negative, reset }.settled()
        })
    }

    fn samples() -> impl Strategy<Value = Vec<HistogramSample>> {
        prop::collection::vec(histogram(), 0..40).prop_map(|all| {
            let all = all.into_iter().enumerate();
            all.map(|(at, value)| HistogramSample { at: at as i64 * 15_000, value: Arc::new(value) }).collect()
        })
    }

    fn same(a: &HistogramSample, b: &HistogramSample) -> bool {
        a == b && a.value.reset == b.value.reset
    }

    #[test]
    fn even_growth_takes_little() {
        let of = |at: usize| Histogram {
            schema: 3,
            zero_threshold: 1e-128,
            count: (at * 60) as f64,
            sum: (at * 123) as f64 / 8.0,
            positive: (-10..20).map(|index| (index, (at * 2 + at % 3) as f64 + 1.0)).collect(),
            ..Histogram::default()
        };
        let all: Vec<_> = (0..480).map(|at| HistogramSample { at: at as i64, value: Arc::new(of(at)) }).collect();
        let mut bytes = Vec::new();
        assert_eq!((encode(&all, &mut Effort::most(), &mut bytes), groups(&all, 480).len()), (33, 1));
        assert!(bytes.len() < 480 * 33 / 4, "{}", bytes.len());
    }

    #[test]
    fn wide_ones_are_not_read_together() {
        let of = |first: i32| Histogram {
            positive: (0..500).map(|index| (first + index, 1.0)).collect(),
            ..Histogram::default()
        };
        let all: Vec<_> = (0..100).map(|at| HistogramSample { at, value: Arc::new(of(at as i32 * 1000)) }).collect();
        let groups = groups(&all, 480);
        assert!(groups.len() > 8);
        assert!(groups.iter().all(|group| group.len() * indices(group, |one| &one.positive).len() <= CELLS));
    }

    proptest! {
        #[test]
        fn any_histograms_come_back(samples in samples()) {
            let mut back = Vec::new();
            unpack(&pack(&samples, &mut Effort::Least), &mut back).unwrap();
            prop_assert!(back.len() == samples.len() && back.iter().zip(&samples).all(|(a, b)| same(a, b)));
            for sample in &samples {
                let mut bytes = Vec::new();
                put(&mut bytes, &sample.value);
                let mut bytes = Bytes(&bytes);
                let value = Arc::new(take(&mut bytes).unwrap());
                let taken = HistogramSample { at: sample.at, value };
                prop_assert!(bytes.0.is_empty() && same(sample, &taken));
            }
            for group in groups(&samples, 7) {
                let mut bytes = Vec::new();
                encode(group, &mut Effort::most(), &mut bytes);
                let back = decode(&bytes, group.len()).unwrap();
                let back = back.into_iter().zip(group);
                let mut back = back.map(|(value, one)| (HistogramSample { at: one.at, value: Arc::new(value) }, one));
                prop_assert!(back.all(|(back, one)| same(&back, one)));
            }
        }

        #[test]
        fn broken_bytes_are_told(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..300) {
            if let Ok(values) = decode(&bytes, count) {
                prop_assert_eq!(values.len(), count);
            }
            _ = take(&mut Bytes(&bytes));
        }

        #[test]
        fn flipped_bytes_are_told_or_read(samples in samples(), at in any::<prop::sample::Index>(), flip in 1u8..) {
            let mut bytes = pack(&samples, &mut Effort::most());
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            _ = unpack(&bytes, &mut Vec::new());
        }
    }
}
