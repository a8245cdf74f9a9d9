//! Where buckets begin and end.

use super::{Counts, Histogram};

/// One bucket of a histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Where it begins.
    pub lower: f64,
    /// Where it ends.
    pub upper: f64,
    /// How many observations it has.
    pub count: f64,
}

/// Buckets side by side, as histograms are exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The index of the first; from the second span on, how many buckets lie between it and the span before.
    pub offset: i32,
    /// How many buckets.
    pub length: u32,
}

impl Histogram {
    /// Every bucket that is not empty, from the lowest to the highest.
    pub fn buckets(&self) -> Vec<Bucket> {
        let mut all = Vec::with_capacity(self.positive.len() + self.negative.len() + 1);
        for (index, count) in self.negative.iter().rev() {
            let Bucket { lower, upper, .. } = self.bucket(*index, *count);
            all.push(Bucket { lower: -upper, upper: -lower, count: *count });
        }
        if self.zero_count != 0.0 {
            all.push(Bucket { lower: -self.zero_threshold, upper: self.zero_threshold, count: self.zero_count });
        }
        all.extend(self.positive.iter().map(|(index, count)| self.bucket(*index, *count)));
        all
    }

    fn bucket(&self, index: i32, count: f64) -> Bucket {
        if !self.is_custom() {
            return Bucket { lower: bound(index - 1, self.schema), upper: bound(index, self.schema), count };
        }
        let at = |index: i32| usize::try_from(index).ok().and_then(|index| self.bounds.get(index).copied());
        Bucket { lower: at(index - 1).unwrap_or(f64::NEG_INFINITY), upper: at(index).unwrap_or(f64::INFINITY), count }
    }

    /// Gives it a lower resolution; one that is not lower changes nothing.
    pub fn reduce(&mut self, schema: i32) {
        if self.is_custom() || schema >= self.schema {
            return;
        }
        let shift = u32::try_from(self.schema - schema).unwrap_or(0).min(31);
        for side in [&mut self.positive, &mut self.negative] {
            *side = collect(side.iter().map(|(index, count)| (((index - 1) >> shift) + 1, *count)));
        }
        self.schema = schema;
    }

    /// Makes the zero bucket reach at least to `threshold`: further, where that is within a bucket.
    pub(super) fn widen_zero(&mut self, threshold: f64) {
        if threshold <= self.zero_threshold {
            return;
        }
        let mut reach = threshold;
        loop {
            let cut = |side: &Counts| {
                side.iter()
                    .map(|(index, count)| self.bucket(*index, *count))
                    .find(|b| b.lower < reach && b.upper > reach)
            };
            match cut(&self.positive).or_else(|| cut(&self.negative)) {
                Some(bucket) => reach = bucket.upper,
                None => break,
            }
        }
        let schema = self.schema;
        for side in [&mut self.positive, &mut self.negative] {
            let within = side.partition_point(|(index, _)| bound(*index, schema) <= reach);
            self.zero_count += side.drain(..within).map(|(_, count)| count).sum::<f64>();
        }
        self.zero_threshold = reach;
    }
}

/// The upper bound of an exponential bucket.
fn bound(index: i32, schema: i32) -> f64 {
    let exponent = f64::from(index) * f64::from(-schema).exp2();
    match exponent {
        1024.0 => f64::MAX,
        exponent => (exponent - exponent.floor()).exp2() * exponent.floor().exp2(),
    }
}

/// Counts by index, of buckets side by side; empty ones are left out.
pub(super) fn of_spans(spans: &[Span], counts: &[f64]) -> Counts {
    let mut all = Counts::new();
    let (mut index, mut counts) = (0_i32, counts.iter());
    for span in spans {
        index = index.saturating_add(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            if *count != 0.0 {
                all.push((index, *count));
            }
            index = index.saturating_add(1);
        }
    }
    all
}

impl Histogram {
    /// Counts by index, of spans of buckets as histograms are exchanged; empty ones are left out.
    pub fn of_spans(spans: &[Span], counts: &[f64]) -> Counts {
        of_spans(spans, counts)
    }
}

/// Adds up what has one index; the indices ascend. What is empty is left out.
pub(super) fn collect(counts: impl Iterator<Item = (i32, f64)>) -> Counts {
    let mut all = Counts::new();
    for (index, count) in counts {
        match all.last_mut() {
            Some(last) if last.0 == index => last.1 += count,
            _ => all.push((index, count)),
        }
    }
    all.retain(|(_, count)| *count != 0.0);
    all
}

/// Both, each bucket the first plus `factor` times the second.
pub(super) fn combine(a: &Counts, b: &Counts, factor: f64) -> Counts {
    let mut both: Counts = a.clone();
    both.extend(b.iter().map(|(index, count)| (*index, factor * count)));
    both.sort_by_key(|(index, _)| *index);
    collect(both.into_iter())
}

/// Whether any bucket has less than it had.
pub(super) fn falls(now: &Counts, before: &Counts) -> bool {
    let mut now = now.iter().peekable();
    before.iter().any(|(index, had)| {
        while now.next_if(|(other, _)| other < index).is_some() {}
        let has = now.peek().filter(|(other, _)| other == index).map_or(0.0, |(_, count)| *count);
        has < *had
    })
}

/// The bounds that both have.
pub(super) fn common(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().filter(|bound| b.contains(bound)).copied().collect()
}

/// The same counts within fewer bounds.
pub(super) fn rebound(counts: &Counts, from: &[f64], to: &[f64]) -> Counts {
    let moved = counts.iter().map(|(index, count)| {
        let upper = usize::try_from(*index).ok().and_then(|index| from.get(index)).copied().unwrap_or(f64::INFINITY);
        (i32::try_from(to.partition_point(|bound| *bound < upper)).unwrap_or(i32::MAX), *count)
    });
    collect(moved)
}
