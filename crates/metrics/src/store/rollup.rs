//! What samples come to, so that much older ones take little.
//!
//! Of histograms the last of each while stays as it is, and so does each that a counter began anew with, and the one before
//! it: what a histogram grew by between two times is then what it was. Between them, a gauge is not known any more.

use super::format::Rollup;
use crate::codec::bits::{Bytes, put_bytes};
use crate::codec::{Corrupt, Effort, floats, ints};
use crate::{HistogramSample, Labels, NAME, Reset, Sample, is_stale};

/// What samples come to in each while of so many milliseconds. `before` is the last value before them, for what a counter grew.
pub(super) fn of_samples(samples: &[Sample], step: i64, mut before: Option<f64>) -> Vec<Rollup> {
    let whiles = samples.chunk_by(|a, b| a.at.div_euclid(step) == b.at.div_euclid(step));
    whiles.map(|some| of_while(some, &mut before)).collect()
}

fn of_while(samples: &[Sample], before: &mut Option<f64>) -> Rollup {
    let last = samples[samples.len() - 1];
    let mut all = Rollup { last, min: f64::NAN, max: f64::NAN, sum: 0.0, count: 0, gain: 0.0 };
    for value in samples.iter().map(|sample| sample.value).filter(|value| !is_stale(*value)) {
        // Another number than NaN wins.
        all.min = all.min.min(value);
        all.max = all.max.max(value);
        all.sum += value;
        all.count += 1;
        all.gain += grown(*before, value);
        *before = Some(value);
    }
    all
}

/// The histograms that stand for more of them. The first stays as well, as it may be a new beginning.
pub(super) fn of_histograms(all: &[HistogramSample], step: i64) -> Vec<HistogramSample> {
    let of = |sample: &HistogramSample| sample.at.div_euclid(step);
    let last = |at: usize| all.get(at + 1).is_none_or(|next| of(next) != of(&all[at]));
    let mut stays: Vec<bool> = (0..all.len()).map(|at| at == 0 || last(at)).collect();
    let values = all.iter().enumerate().filter(|(_, sample)| !sample.value.is_stale());
    let values: Vec<_> = values.map(|(at, sample)| (at, &sample.value)).collect();
    for two in values.windows(2) {
        let ((before, was), (now, is)) = (two[0], two[1]);
        if is.reset != Reset::Gauge && is.resets(was) {
            (stays[before], stays[now]) = (true, true);
        }
    }
    all.iter().zip(stays).filter(|(_, stays)| *stays).map(|(sample, _)| sample.clone()).collect()
}

/// By how much a counter grew.
fn grown(before: Option<f64>, value: f64) -> f64 {
    match before {
        None => 0.0,
        Some(before) if value < before => value,
        Some(before) => value - before,
    }
}

/// What some came to together.
pub(super) fn of_rollups(rollups: &[Rollup], step: i64) -> Vec<Rollup> {
    let whiles = rollups.chunk_by(|a, b| a.last.at.div_euclid(step) == b.last.at.div_euclid(step));
    whiles.filter_map(|some| some.iter().copied().reduce(together)).collect()
}

fn together(one: Rollup, next: Rollup) -> Rollup {
    Rollup {
        last: next.last,
        min: one.min.min(next.min),
        max: one.max.max(next.max),
        sum: one.sum + next.sum,
        count: one.count + next.count,
        gain: one.gain + next.gain,
    }
}

/// Whether a series counts up, by the name of its metric.
pub(super) fn counts(labels: &Labels) -> bool {
    let name = labels.get(NAME);
    ["_total", "_count", "_sum", "_bucket"].iter().any(|end| name.ends_with(end))
}

/// Samples that stand for more of them: the last of each while. Where a counter began again in between, two more show how
/// far it came, so that it grows by as much as it did.
pub(super) fn samples(rollups: &[Rollup], counts: bool) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::with_capacity(rollups.len());
    let mut before: Option<f64> = None;
    for rollup in rollups {
        let last = rollup.last;
        let room = samples.last().is_some_and(|sample| sample.at < last.at - 2);
        if let Some(before) = before.filter(|_| counts && room && !is_stale(last.value)) {
            // Without a new beginning this is nothing, but for what is lost in adding.
            let peak = rollup.gain - (last.value - before);
            if peak > 0.0 && peak >= before * (1.0 - 1e-9) {
                samples.push(Sample { at: last.at - 2, value: peak.max(before) });
                samples.push(Sample { at: last.at - 1, value: 0.0 });
            }
        }
        samples.push(last);
        if !is_stale(last.value) {
            before = Some(last.value);
        }
    }
    samples
}

/// Writes all but the times of the last.
pub(super) fn encode(rollups: &[Rollup], effort: &mut Effort, out: &mut Vec<u8>) {
    let mut column = Vec::new();
    let counts: Vec<i64> = rollups.iter().map(|rollup| rollup.count as i64).collect();
    ints::encode(&counts, effort, &mut column);
    put_bytes(out, &column);
    let columns: [fn(&Rollup) -> f64; 5] = [|of| of.last.value, |of| of.min, |of| of.max, |of| of.sum, |of| of.gain];
    for value in columns {
        column.clear();
        floats::encode(&rollups.iter().map(value).collect::<Vec<_>>(), effort, &mut column);
        put_bytes(out, &column);
    }
}

/// The reverse.
pub(super) fn decode(bytes: &[u8], times: &[i64]) -> Result<Vec<Rollup>, Corrupt> {
    let mut bytes = Bytes(bytes);
    let counts = ints::decode(bytes.bytes()?, times.len())?;
    let mut column = || floats::decode(bytes.bytes()?, times.len());
    let (last, min, max, sum, gain) = (column()?, column()?, column()?, column()?, column()?);
    let rollup = |at: usize| Rollup {
        last: Sample { at: times[at], value: last[at] },
        min: min[at],
        max: max[at],
        sum: sum[at],
        count: counts[at] as u64,
        gain: gain[at],
    };
    Ok((0..times.len()).map(rollup).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Histogram, STALE};

    fn samples_of(values: &[f64]) -> Vec<Sample> {
        (0..).map(|at| at * 100).zip(values).map(|(at, value)| Sample { at, value: *value }).collect()
    }

    fn growth(samples: &[Sample]) -> f64 {
        samples.windows(2).map(|two| grown(Some(two[0].value), two[1].value)).sum()
    }

    #[test]
    fn a_counter_grows_by_as_much_as_it_did() {
        for values in [
            vec![10.0, 12.0, 15.0, 3.0, 50.0, 60.0, 70.0, 80.0],
            vec![10.0, 12.0, 0.0, 0.0, 0.0, 7.0, 1.0, 2.0, 1.0, 9.0],
            vec![5.0, 5.0, 5.0, 5.0, 4.0, 4.0, 4.0, 4.0],
        ] {
            let raw = samples_of(&values);
            let rollups = of_samples(&raw, 400, None);
            let hours = of_rollups(&rollups, 800);
            // What the first while grew is before its last sample.
            let first = growth(&raw) - rollups[0].gain;
            assert_eq!(growth(&samples(&rollups, true)), first, "{values:?}");
            assert_eq!(hours.iter().map(|rollup| rollup.gain).sum::<f64>(), growth(&raw));
            assert_eq!(hours.iter().map(|rollup| rollup.count).sum::<u64>(), values.len() as u64);
            assert_eq!(samples(&rollups, false).len(), rollups.len());
        }
    }

    #[test]
    fn histograms_grow_by_as_much_as_they_did() {
        let raw: Vec<HistogramSample> = [1.0, 4.0, 9.0, 2.0, 3.0, 30.0, 31.0, 32.0, 5.0]
            .iter()
            .zip(0..)
            .map(|(count, at)| {
                let value = Histogram { count: *count, positive: vec![(1, *count)], ..Histogram::default() };
                HistogramSample { at: at * 100, value: Arc::new(value) }
            })
            .collect();
        let grown_by = |all: &[HistogramSample]| {
            let counts: Vec<Sample> = all.iter().map(|one| Sample { at: one.at, value: one.value.count }).collect();
            growth(&counts)
        };
        let some = of_histograms(&raw, 400);
        assert_eq!(some.iter().map(|one| one.at / 100).collect::<Vec<_>>(), [0, 2, 3, 7, 8]);
        assert_eq!(grown_by(&some), grown_by(&raw));
        assert_eq!(grown_by(&of_histograms(&some, 800)), grown_by(&raw));
    }

    #[test]
    fn a_marker_of_an_end_is_no_value() {
        let rollups = of_samples(&samples_of(&[1.0, 3.0, STALE, STALE]), 300, None);
        assert_eq!((rollups[0].min, rollups[0].max, rollups[0].sum, rollups[0].count), (1.0, 3.0, 4.0, 2));
        assert!(is_stale(rollups[0].last.value) && is_stale(rollups[1].last.value));
        assert_eq!(rollups[1].count, 0);
        let mut bytes = Vec::new();
        encode(&rollups, &mut Effort::most(), &mut bytes);
        let times: Vec<i64> = rollups.iter().map(|rollup| rollup.last.at).collect();
        assert_eq!(format!("{:?}", decode(&bytes, &times).unwrap()), format!("{rollups:?}"));
    }
}
