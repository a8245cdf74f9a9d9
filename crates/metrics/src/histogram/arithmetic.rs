//! Sums, differences and multiples of histograms.

use super::layout::{combine, common, rebound};
use super::{Counts, Histogram, Reset};

/// Exponential buckets and custom ones cannot be brought together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a histogram with exponential buckets and one with custom buckets have none in common")]
pub struct Incompatible;

/// What had to be done to bring two histograms together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Merge {
    /// One had been reset and the other had not.
    pub collision: bool,
    /// Their custom bounds differed: the result has those that both had.
    pub reconciled: bool,
}

impl Histogram {
    /// Adds another. The result has the lower resolution and the wider zero bucket of both.
    pub fn add(&mut self, other: &Self) -> Result<Merge, Incompatible> {
        self.combine(other, 1.0)
    }

    /// Subtracts another; as [`add`](Self::add).
    pub fn subtract(&mut self, other: &Self) -> Result<Merge, Incompatible> {
        self.combine(other, -1.0)
    }

    fn combine(&mut self, other: &Self, factor: f64) -> Result<Merge, Incompatible> {
        if self.is_custom() != other.is_custom() {
            return Err(Incompatible);
        }
        let collision = self.meet_reset(other.reset);
        let reconciled = self.is_custom() && self.bounds != other.bounds;
        if self.is_custom() {
            self.combine_custom(other, factor);
        } else {
            self.combine_exponential(other, factor);
        }
        self.count += factor * other.count;
        self.sum += factor * other.sum;
        Ok(Merge { collision, reconciled })
    }

    fn combine_custom(&mut self, other: &Self, factor: f64) {
        if self.bounds == other.bounds {
            self.positive = combine(&self.positive, &other.positive, factor);
            return;
        }
        let bounds = common(&self.bounds, &other.bounds);
        let mine = rebound(&self.positive, &self.bounds, &bounds);
        self.positive = combine(&mine, &rebound(&other.positive, &other.bounds, &bounds), factor);
        self.bounds = bounds;
    }

    fn combine_exponential(&mut self, other: &Self, factor: f64) {
        let mut changed;
        let mut other = other;
        if other.schema > self.schema || other.zero_threshold != self.zero_threshold {
            changed = other.clone();
            while changed.zero_threshold != self.zero_threshold {
                changed.widen_zero(self.zero_threshold);
                self.widen_zero(changed.zero_threshold);
            }
            changed.reduce(self.schema);
            other = &changed;
        }
        self.reduce(other.schema);
        self.zero_count += factor * other.zero_count;
        self.positive = combine(&self.positive, &other.positive, factor);
        self.negative = combine(&self.negative, &other.negative, factor);
    }

    /// What is known of both; whether one contradicts the other.
    fn meet_reset(&mut self, other: Reset) -> bool {
        let (met, collision) = match (self.reset, other) {
            (one, two) if one == two => (one, false),
            (Reset::Gauge, _) | (_, Reset::Gauge) => (Reset::Gauge, false),
            (Reset::Unknown, _) | (_, Reset::Unknown) => (Reset::Unknown, false),
            _ => (Reset::Unknown, true),
        };
        self.reset = met;
        collision
    }

    /// A histogram in whose layout all of some fit, and whether custom bounds differed.
    pub fn common_layout(all: &[&Self]) -> Result<(Self, bool), Incompatible> {
        let Some((first, rest)) = all.split_first() else { return Ok((Self::default(), false)) };
        let mut layout = (*first).clone();
        let mut reconciled = false;
        for other in rest {
            reconciled |= layout.add(other)?.reconciled;
        }
        Ok((layout, reconciled))
    }

    /// Makes each count, and the sum, what `fold` makes of those of some histograms whose common layout this is.
    #[must_use]
    pub fn fold(mut self, all: &[&Self], fold: &dyn Fn(&[f64]) -> f64) -> Self {
        let fitted: Vec<Self> = all.iter().map(|other| self.fit(other)).collect();
        self.zero_count = folded(&fitted, fold, |histogram| histogram.zero_count);
        self.count = folded(&fitted, fold, |histogram| histogram.count);
        self.sum = folded(&fitted, fold, |histogram| histogram.sum);
        self.positive = folded_side(&fitted, fold, |histogram| &histogram.positive);
        self.negative = folded_side(&fitted, fold, |histogram| &histogram.negative);
        self
    }

    /// Another in the layout of this one, which has to be as coarse.
    fn fit(&self, other: &Self) -> Self {
        let mut fitted = other.clone();
        if self.is_custom() {
            if other.bounds != self.bounds {
                fitted.positive = rebound(&other.positive, &other.bounds, &self.bounds);
            }
            return fitted;
        }
        fitted.widen_zero(self.zero_threshold);
        fitted.reduce(self.schema);
        fitted
    }

    /// Multiplies each count and the sum.
    pub fn multiply(&mut self, factor: f64) {
        self.change(factor, |count| count * factor);
    }

    /// Divides each count and the sum; by zero, no bucket remains.
    pub fn divide(&mut self, divisor: f64) {
        if divisor == 0.0 {
            self.positive.clear();
            self.negative.clear();
        }
        self.change(divisor, |count| count / divisor);
    }

    fn change(&mut self, by: f64, change: impl Fn(f64) -> f64) {
        for count in [&mut self.zero_count, &mut self.count, &mut self.sum] {
            *count = change(*count);
        }
        for side in [&mut self.positive, &mut self.negative] {
            side.iter_mut().for_each(|(_, count)| *count = change(*count));
            side.retain(|(_, count)| *count != 0.0);
        }
        if by < 0.0 {
            self.reset = Reset::Gauge;
        }
    }
}

fn folded(all: &[Histogram], fold: &dyn Fn(&[f64]) -> f64, value: impl Fn(&Histogram) -> f64) -> f64 {
    fold(&all.iter().map(value).collect::<Vec<f64>>())
}

/// Each bucket that any of some histograms has on one side.
fn folded_side(all: &[Histogram], fold: &dyn Fn(&[f64]) -> f64, side: fn(&Histogram) -> &Counts) -> Counts {
    let mut indices: Vec<i32> =
        all.iter().flat_map(|histogram| side(histogram).iter().map(|(index, _)| *index)).collect();
    indices.sort_unstable();
    indices.dedup();
    let count = |histogram: &Histogram, index: i32| {
        let counts = side(histogram);
        counts.binary_search_by_key(&index, |(index, _)| *index).map_or(0.0, |at| counts[at].1)
    };
    let counts = indices.into_iter().map(|index| (index, folded(all, fold, |histogram| count(histogram, index))));
    counts.filter(|(_, count)| *count != 0.0).collect()
}
