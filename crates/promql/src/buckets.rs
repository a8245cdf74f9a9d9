//! Quantiles and fractions of histograms: of classic ones, which are series with a label `le`, and of native ones.

use std::collections::HashMap;

use daybook_metrics::{Bucket, Histogram, Labels};

use crate::answer::Value;
use crate::notes::Notes;
use crate::rows::{Row, RowSet, Steps};

/// What is asked of each histogram.
#[derive(Clone, Copy)]
pub(crate) enum Question<'a> {
    /// The value below which a share of observations lies, for each step.
    Quantile(&'a [f64]),
    /// The share of observations between two values, for each step.
    Fraction(&'a [f64], &'a [f64]),
}

/// Asks each histogram at each step. Series of one classic histogram are those that differ in `le` alone.
pub(crate) fn ask(rows: Vec<Row>, question: Question<'_>, steps: Steps, notes: &mut Notes) -> Vec<Row> {
    if let Question::Quantile(q) = question {
        q.iter().for_each(|q| notes.quantile(*q));
    }
    let native: Vec<Row> = rows.iter().filter(|row| has(row, |value| value.histogram().is_some())).cloned().collect();
    let classic = Classic::of(rows, notes);
    let mut answers = Answers(RowSet::new(steps.len()));
    for row in &native {
        let rival = classic.iter().find(|classic| classic.labels == row.labels);
        for step in 0..steps.len() {
            let Some(histogram) = histogram_at(row, step) else { continue };
            if rival.is_none_or(|rival| rival.at(step).is_empty()) {
                answers.add(&row.labels, step, question.native(step, histogram, row.labels.metric(), notes));
            }
        }
    }
    for classic in &classic {
        let rival = native.iter().find(|row| row.labels == classic.labels);
        for step in 0..steps.len() {
            let mut buckets = classic.at(step);
            if buckets.is_empty() {
                continue;
            }
            if rival.is_some_and(|rival| histogram_at(rival, step).is_some()) {
                notes.mixed_buckets(classic.labels.metric());
                continue;
            }
            answers.add(&classic.labels, step, question.classic(step, &mut buckets, classic.labels.metric(), notes));
        }
    }
    answers.0.into_rows()
}

fn has(row: &Row, is: impl Fn(&Value) -> bool) -> bool {
    row.cells.iter().flatten().any(is)
}

fn histogram_at(row: &Row, step: usize) -> Option<&Histogram> {
    row.cells[step].as_ref()?.histogram().map(AsRef::as_ref)
}

impl Question<'_> {
    fn native(self, step: usize, histogram: &Histogram, metric: &str, notes: &mut Notes) -> f64 {
        match self {
            Self::Quantile(q) => quantile(q[step], histogram, metric, notes),
            Self::Fraction(lower, upper) => fraction(lower[step], upper[step], histogram, metric, notes),
        }
    }

    fn classic(self, step: usize, buckets: &mut Vec<(f64, f64)>, metric: &str, notes: &mut Notes) -> f64 {
        match self {
            Self::Quantile(q) => classic_quantile(q[step], buckets, metric, notes),
            Self::Fraction(lower, upper) => classic_fraction(lower[step], upper[step], buckets),
        }
    }
}

/// One classic histogram: its buckets, by bound.
struct Classic {
    labels: Labels,
    buckets: Vec<(f64, Row)>,
}

impl Classic {
    fn of(rows: Vec<Row>, notes: &mut Notes) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let mut index: HashMap<Labels, usize> = HashMap::new();
        for row in rows.into_iter().filter(|row| has(row, |value| value.float().is_some())) {
            let le = row.labels.get("le");
            let Some(bound) = bound(le) else {
                notes.bad_bucket(le, row.labels.metric());
                continue;
            };
            let at = *index.entry(row.labels.with("le", "")).or_insert_with_key(|labels| {
                all.push(Self { labels: labels.clone(), buckets: Vec::new() });
                all.len() - 1
            });
            all[at].buckets.push((bound, row));
        }
        all
    }

    /// The bounds and counts of a step.
    fn at(&self, step: usize) -> Vec<(f64, f64)> {
        self.buckets.iter().filter_map(|(bound, row)| Some((*bound, row.cells[step].as_ref()?.float()?))).collect()
    }
}

/// What was answered so far.
struct Answers(RowSet);

impl Answers {
    fn add(&mut self, labels: &Labels, step: usize, answer: f64) {
        let row = self.0.row(labels.clone(), true);
        let added = self.0.set(row, step, Value::Float(answer));
        debug_assert!(added.is_ok(), "one histogram of each name was asked at each step");
    }
}

fn bound(le: &str) -> Option<f64> {
    match le {
        "+Inf" => Some(f64::INFINITY),
        le => le.parse().ok().filter(|bound: &f64| !bound.is_nan()),
    }
}

/// Sorts buckets by bound, adds up those of one bound, and says whether the last has all observations.
fn sorted(buckets: &mut Vec<(f64, f64)>) -> bool {
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut merged: Vec<(f64, f64)> = Vec::with_capacity(buckets.len());
    for (bound, count) in buckets.drain(..) {
        match merged.last_mut() {
            Some(last) if last.0 == bound => last.1 += count,
            _ => merged.push((bound, count)),
        }
    }
    *buckets = merged;
    buckets.last().is_some_and(|last| last.0 == f64::INFINITY)
}

/// Counts of buckets include those below, so none may be less than the one before. Differences that rounding explains are
/// removed silently; whether there were others is returned.
fn make_monotonic(buckets: &mut [(f64, f64)]) -> bool {
    const TOLERANCE: f64 = 1e-12;
    let mut forced = false;
    let mut before = buckets[0].1;
    for (_, count) in &mut buckets[1..] {
        let small = (before - *count).abs() / (before.abs() + count.abs()) < TOLERANCE;
        if *count < before || small {
            forced |= *count < before && !small;
            *count = before;
        } else if *count > before {
            before = *count;
        }
    }
    forced
}

fn classic_quantile(q: f64, buckets: &mut Vec<(f64, f64)>, metric: &str, notes: &mut Notes) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&q) {
        return f64::INFINITY.copysign(q);
    }
    if !sorted(buckets) {
        return f64::NAN;
    }
    if make_monotonic(buckets) {
        notes.forced_monotonicity(metric);
    }
    let last = buckets.len() - 1;
    let all = buckets[last].1;
    if last == 0 || all == 0.0 {
        return f64::NAN;
    }
    let rank = q * all;
    let at = buckets[..last].partition_point(|(_, count)| *count < rank);
    if at == last {
        return buckets[last - 1].0;
    }
    let (end, count) = buckets[at];
    if at == 0 {
        return if end <= 0.0 { end } else { end * (rank / count) };
    }
    let (start, below) = buckets[at - 1];
    start + (end - start) * ((rank - below) / (count - below))
}

fn classic_fraction(lower: f64, upper: f64, buckets: &mut Vec<(f64, f64)>) -> f64 {
    if !sorted(buckets) {
        return f64::NAN;
    }
    let all = buckets.last().map_or(0.0, |last| last.1);
    if all == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let mut start = if buckets[0].0 <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    let mut below = 0.0;
    let ranges: Vec<(Bucket, f64)> = buckets
        .iter()
        .map(|(end, count)| {
            let bucket = Bucket { lower: start, upper: *end, count: count - below };
            let range = (bucket, below);
            start = *end;
            below = *count;
            range
        })
        .collect();
    let rank = |value: f64| rank(value, &ranges, all, |bucket, below| linear(value, bucket, below));
    (rank(upper) - rank(lower)) / all
}

/// How many observations are below a value; `within` says it of the bucket the value is in.
fn rank(value: f64, buckets: &[(Bucket, f64)], all: f64, within: impl Fn(&Bucket, f64) -> f64) -> f64 {
    for (bucket, below) in buckets {
        if bucket.lower >= value {
            return below.min(all);
        }
        if bucket.upper > value {
            return within(bucket, *below).min(all);
        }
    }
    all
}

fn linear(value: f64, bucket: &Bucket, below: f64) -> f64 {
    if bucket.lower == f64::NEG_INFINITY {
        return below + bucket.count;
    }
    below + bucket.count * (value - bucket.lower) / (bucket.upper - bucket.lower)
}

/// The buckets of a native histogram. One around zero reaches to zero only, where there are buckets on one side alone; the
/// first of custom ones begins at zero if it ends above it.
fn native(histogram: &Histogram) -> Vec<Bucket> {
    let mut buckets = histogram.buckets();
    if histogram.is_custom() {
        let first = buckets.first_mut().filter(|bucket| bucket.lower == f64::NEG_INFINITY && bucket.upper > 0.0);
        first.into_iter().for_each(|bucket| bucket.lower = 0.0);
        return buckets;
    }
    for bucket in buckets.iter_mut().filter(|bucket| bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        match (histogram.negative.is_empty(), histogram.positive.is_empty()) {
            (true, false) => bucket.lower = 0.0,
            (false, true) => bucket.upper = 0.0,
            _ => {}
        }
    }
    buckets
}

fn quantile(q: f64, histogram: &Histogram, metric: &str, notes: &mut Notes) -> f64 {
    if !q.is_nan() && !(0.0..=1.0).contains(&q) {
        return f64::INFINITY.copysign(q);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return f64::NAN;
    }
    // Observations that are no numbers are in no bucket, so then ranks are only right from below.
    let has_nan = histogram.sum.is_nan();
    let from_below = has_nan || q < 0.5;
    let mut buckets = if histogram.is_custom() { histogram.buckets() } else { native(histogram) };
    if !from_below {
        buckets.reverse();
    }
    let wanted = if from_below { q * histogram.count } else { (1.0 - q) * histogram.count };
    let mut count = 0.0;
    let mut bucket = Bucket { lower: 0.0, upper: 0.0, count: 0.0 };
    for next in &buckets {
        bucket = *next;
        count += bucket.count;
        if count >= wanted {
            break;
        }
    }
    if histogram.is_custom() {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return bucket.upper;
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return bucket.lower;
        }
    }
    count = count.min(histogram.count);
    if count < wanted {
        if has_nan {
            notes.nan_quantile(metric);
            return f64::NAN;
        }
        return bucket.upper;
    }
    if has_nan && buckets.iter().map(|bucket| bucket.count).sum::<f64>() < histogram.count {
        notes.nan_skew(metric);
    }
    let within = if from_below { wanted - (count - bucket.count) } else { count - wanted };
    between(&bucket, within / bucket.count, histogram.is_custom())
}

/// A point of a bucket: exponential between its ends, unless they are custom or have zero between them.
fn between(bucket: &Bucket, fraction: f64, custom: bool) -> f64 {
    let Bucket { lower, upper, .. } = *bucket;
    if custom || (lower <= 0.0 && upper >= 0.0) {
        return lower + (upper - lower) * fraction;
    }
    let (low, high) = (lower.abs().log2(), upper.abs().log2());
    if lower > 0.0 {
        return (low + (high - low) * fraction).exp2();
    }
    -(high + (low - high) * (1.0 - fraction)).exp2()
}

fn fraction(lower: f64, upper: f64, histogram: &Histogram, metric: &str, notes: &mut Notes) -> f64 {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let mut below = 0.0;
    let buckets: Vec<(Bucket, f64)> = native(histogram)
        .into_iter()
        .map(|bucket| {
            let range = (bucket, below);
            below += bucket.count;
            range
        })
        .collect();
    let mut all = histogram.count;
    if histogram.sum.is_nan() {
        all = below;
        if all < histogram.count {
            notes.nan_fraction(metric);
        }
    }
    let rank = |value: f64| {
        rank(value, &buckets, all, |bucket, below| {
            if histogram.is_custom() || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
                return linear(value, bucket, below);
            }
            let (low, high) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
            below + bucket.count * (value.abs().log2() - low) / (high - low)
        })
    };
    (rank(upper) - rank(lower)) / histogram.count
}
