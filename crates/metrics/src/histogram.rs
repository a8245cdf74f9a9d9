//! Native histograms: what was observed, by buckets whose bounds follow from a schema.
//!
//! The model is that of Prometheus' sparse histograms: exponential buckets, `2^(2^-schema)` wide, around a bucket of what
//! is nearly zero, or buckets with bounds of their own. Counts are floats, so that rates of histograms are histograms.

mod arithmetic;
mod check;
mod layout;
mod text;

pub use arithmetic::{Incompatible, Merge};
pub use check::Malformed;
pub use layout::{Bucket, Span};

/// The schema of buckets with bounds of their own.
pub const CUSTOM: i32 = -53;

/// What is known of a histogram's relation to the one before it in its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Reset {
    /// Nothing: compare their counts.
    #[default]
    Unknown,
    /// It began anew.
    Reset,
    /// It did not.
    NotReset,
    /// It is no counter: it may fall.
    Gauge,
}

/// Counts of buckets by index, ascending; a bucket that is not named is empty.
pub type Counts = Vec<(i32, f64)>;

/// What was observed, by buckets.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// -4 to 8: buckets grow by `2^(2^-schema)`; or [`CUSTOM`].
    pub schema: i32,
    /// Observations within this of zero are in the zero bucket.
    pub zero_threshold: f64,
    /// How many these are.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// Of observations above zero. Bucket *i* of an exponential schema ends at `2^(i·2^-schema)`; bucket *i* of custom ones
    /// at `bounds[i]`, and the one after all bounds at infinity.
    pub positive: Counts,
    /// Of observations below zero, mirrored.
    pub negative: Counts,
    /// The upper bounds of custom buckets, ascending.
    pub bounds: Vec<f64>,
    /// How it relates to the one before it.
    pub reset: Reset,
}

impl Histogram {
    /// Whether its buckets have bounds of their own.
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM
    }

    /// Whether it marks the end of a series.
    pub fn is_stale(&self) -> bool {
        crate::is_stale(self.sum)
    }

    /// The marker of the end of a series.
    pub fn stale() -> Self {
        Self { sum: crate::STALE, ..Self::default() }
    }

    /// The mean of what was observed.
    pub fn mean(&self) -> f64 {
        self.sum / self.count
    }

    /// Estimates the variance: each observation counts as the middle of its bucket, which is the geometric one for
    /// exponential buckets and zero for a bucket around zero.
    pub fn variance(&self) -> f64 {
        let mean = self.mean();
        let of = |bucket: &Bucket| {
            let middle = match () {
                () if self.is_custom() => f64::midpoint(bucket.upper, bucket.lower),
                () if bucket.lower <= 0.0 && bucket.upper >= 0.0 => 0.0,
                () => (bucket.upper * bucket.lower).sqrt().copysign(bucket.upper),
            };
            bucket.count * (middle - mean) * (middle - mean)
        };
        self.buckets().iter().map(of).sum::<f64>() / self.count
    }

    /// Whether it cannot be a continuation of `before`: some count fell, or the resolution grew.
    pub fn resets(&self, before: &Self) -> bool {
        match self.reset {
            Reset::Reset => true,
            Reset::NotReset => false,
            Reset::Unknown | Reset::Gauge => self.falls_from(before),
        }
    }

    /// Whether some count fell, or the resolution grew.
    fn falls_from(&self, before: &Self) -> bool {
        if self.count < before.count {
            return true;
        }
        if self.is_custom() {
            return !before.is_custom() || self.custom_falls(before);
        }
        if self.schema > before.schema || self.zero_threshold < before.zero_threshold {
            return true;
        }
        let mut before = before.clone();
        before.reduce(self.schema);
        before.widen_zero(self.zero_threshold);
        before.zero_threshold > self.zero_threshold
            || self.zero_count < before.zero_count
            || layout::falls(&self.positive, &before.positive)
            || layout::falls(&self.negative, &before.negative)
    }

    fn custom_falls(&self, before: &Self) -> bool {
        if self.bounds == before.bounds {
            return layout::falls(&self.positive, &before.positive);
        }
        let common = layout::common(&self.bounds, &before.bounds);
        let now = layout::rebound(&self.positive, &self.bounds, &common);
        layout::falls(&now, &layout::rebound(&before.positive, &before.bounds, &common))
    }
}

/// To the bit, so that what is no number is equal to itself. The hint of a reset does not count.
impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        let bits = |h: &Self| [h.zero_threshold, h.zero_count, h.count, h.sum].map(f64::to_bits);
        let same = |a: &Counts, b: &Counts| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && a.1.to_bits() == b.1.to_bits())
        };
        self.schema == other.schema
            && bits(self) == bits(other)
            && self.bounds == other.bounds
            && same(&self.positive, &other.positive)
            && same(&self.negative, &other.negative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(schema: i32, positive: &[(i32, f64)]) -> Histogram {
        let count = positive.iter().map(|(_, count)| count).sum();
        Histogram { schema, count, sum: count, positive: positive.to_vec(), ..Histogram::default() }
    }

    #[test]
    fn a_sum_has_the_lower_resolution() {
        let mut sum = of(1, &[(1, 1.0), (2, 2.0), (3, 3.0)]);
        sum.add(&of(0, &[(1, 10.0)])).unwrap();
        assert_eq!(sum.to_string(), "{count:16, sum:16, (1,2]:13, (2,4]:3}");
        assert!(sum.add(&Histogram { schema: CUSTOM, ..Histogram::default() }).is_err());
    }

    #[test]
    fn buckets_within_a_wider_zero_become_part_of_it() {
        let mut narrow = of(0, &[(-1, 2.0), (3, 1.0)]);
        let wide = Histogram { zero_threshold: 0.4, zero_count: 5.0, count: 5.0, ..Histogram::default() };
        narrow.add(&wide).unwrap();
        assert_eq!((narrow.zero_threshold, narrow.zero_count), (0.5, 7.0));
        assert_eq!(narrow.positive, [(3, 1.0)]);
    }

    #[test]
    fn custom_buckets_meet_at_common_bounds() {
        let custom =
            |bounds: &[f64], counts: &[(i32, f64)]| Histogram { bounds: bounds.to_vec(), ..of(CUSTOM, counts) };
        let mut sum = custom(&[1.0, 2.0, 5.0], &[(0, 1.0), (1, 2.0), (3, 4.0)]);
        let merge = sum.add(&custom(&[2.0, 5.0], &[(0, 10.0), (1, 1.0)])).unwrap();
        assert!(merge.reconciled);
        assert_eq!((sum.bounds, sum.positive), (vec![2.0, 5.0], vec![(0, 13.0), (1, 1.0), (2, 4.0)]));
    }

    #[test]
    fn a_reset_is_a_fall_anywhere() {
        let before = of(0, &[(1, 2.0), (2, 2.0)]);
        assert!(!of(0, &[(1, 2.0), (2, 3.0)]).resets(&before));
        assert!(of(0, &[(1, 1.0), (2, 4.0)]).resets(&before));
        assert!(of(1, &[(1, 9.0)]).resets(&before));
        assert!(!of(-1, &[(1, 9.0)]).resets(&before));
        assert!(!Histogram { reset: Reset::NotReset, ..Histogram::default() }.resets(&before));
    }

    #[test]
    fn bounds_do_not_overflow() {
        let last = of(0, &[(1024, 1.0), (1025, 1.0)]).buckets();
        assert_eq!((last[0].upper, last[1].upper), (f64::MAX, f64::INFINITY));
        let spans = [Span { offset: -1, length: 2 }, Span { offset: 1, length: 1 }];
        assert_eq!(layout::of_spans(&spans, &[1.0, 0.0, 3.0]), [(-1, 1.0), (2, 3.0)]);
    }
}
