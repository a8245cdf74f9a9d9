//! Whether a histogram is one, and the form that equal ones have.

use std::sync::Arc;

use super::{CUSTOM, Counts, Histogram, Reset, layout};

/// No bucket has a higher index: those of the finest resolution that a number can be in have lower ones.
const FURTHEST: u32 = 1 << 20;

/// Why a histogram is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Malformed {
    /// Its schema is none that is known.
    #[error("a histogram has a schema that is not from -4 to 8, and not -53")]
    Schema,
    /// Bounds are not finite, do not ascend, or belong to no custom schema.
    #[error("the bounds of a histogram are not finite numbers that ascend, or it may have none")]
    Bounds,
    /// A count is below zero.
    #[error("a count of a histogram is below zero")]
    Negative,
    /// It has buckets that its schema has not.
    #[error("a histogram has buckets that its schema has not")]
    Index,
    /// It has more buckets than any may have.
    #[error("a histogram has too many buckets")]
    TooWide,
}

impl Histogram {
    /// The same in the form that equal ones have: buckets by index, each once, none that is empty. A marker of an end is
    /// nothing else.
    #[must_use]
    pub fn settled(mut self) -> Self {
        if self.is_stale() {
            return Self::stale();
        }
        for side in [&mut self.positive, &mut self.negative] {
            let settled = side.is_sorted_by(|a, b| a.0 < b.0) && side.iter().all(|(_, count)| *count != 0.0);
            if !settled {
                side.sort_by_key(|(index, _)| *index);
                *side = layout::collect(std::mem::take(side).into_iter());
            }
        }
        self
    }

    /// Whether it is one, with at most so many buckets and bounds.
    pub fn check(&self, most: usize) -> Result<(), Malformed> {
        if self.is_stale() {
            return Ok(());
        }
        if !(-4..=8).contains(&self.schema) && self.schema != CUSTOM {
            return Err(Malformed::Schema);
        }
        if self.positive.len() + self.negative.len() > most || self.bounds.len() > most {
            return Err(Malformed::TooWide);
        }
        let ascend = self.bounds.is_sorted_by(|a, b| a < b) && self.bounds.iter().all(|bound| bound.is_finite());
        if !ascend || (!self.is_custom() && !self.bounds.is_empty()) {
            return Err(Malformed::Bounds);
        }
        let negative = |counts: &Counts| counts.iter().any(|(_, count)| *count < 0.0);
        if self.count < 0.0 || self.zero_count < 0.0 || negative(&self.positive) || negative(&self.negative) {
            return Err(Malformed::Negative);
        }
        let far = |counts: &Counts| counts.iter().any(|(index, _)| index.unsigned_abs() > FURTHEST);
        if far(&self.positive) || far(&self.negative) {
            return Err(Malformed::Index);
        }
        let past =
            self.positive.iter().any(|(index, _)| usize::try_from(*index).map_or(true, |at| at > self.bounds.len()));
        let beside = past || !self.negative.is_empty() || self.zero_count != 0.0;
        if self.is_custom() && beside { Err(Malformed::Index) } else { Ok(()) }
    }

    /// The same with what is known of its relation to the one before it in its series, as who reads chunks of Prometheus is
    /// told: a gauge and a reset that somebody told of stay, a continuation is one, and all else is unknown.
    #[must_use]
    pub fn after(self: Arc<Self>, before: Option<&Self>) -> Arc<Self> {
        let before = before.filter(|before| !before.is_stale() && before.reset != Reset::Gauge);
        let reset = match self.reset {
            Reset::Gauge | Reset::Reset => return self,
            Reset::Unknown | Reset::NotReset => before.map_or(Reset::Unknown, |before| self.relation(before)),
        };
        if reset == self.reset {
            return self;
        }
        let mut told = Arc::unwrap_or_clone(self);
        told.reset = reset;
        Arc::new(told)
    }

    fn relation(&self, before: &Self) -> Reset {
        if !self.is_stale() && !self.falls_from(before) { Reset::NotReset } else { Reset::Unknown }
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let counts = self.positive.capacity() + self.negative.capacity();
        size_of::<Self>() + 16 + counts * size_of::<(i32, f64)>() + self.bounds.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_histogram_is_told() {
        let custom = Histogram { schema: CUSTOM, bounds: vec![1.0, 2.0], ..Histogram::default() };
        assert_eq!(Histogram { positive: vec![(2, 1.0)], ..custom.clone() }.check(9), Ok(()));
        assert_eq!(Histogram { positive: vec![(3, 1.0)], ..custom.clone() }.check(9), Err(Malformed::Index));
        assert_eq!(Histogram { bounds: vec![2.0, 1.0], ..custom.clone() }.check(9), Err(Malformed::Bounds));
        assert_eq!(custom.check(1), Err(Malformed::TooWide));
        assert_eq!(Histogram { schema: 9, ..Histogram::default() }.check(9), Err(Malformed::Schema));
        assert_eq!(Histogram { count: -1.0, ..Histogram::default() }.check(9), Err(Malformed::Negative));
        assert_eq!(Histogram::stale().check(0), Ok(()));
    }

    #[test]
    fn buckets_are_in_order_and_none_is_empty() {
        let mixed = Histogram { positive: vec![(2, 1.0), (1, 0.0), (2, 3.0), (-1, 1.0)], ..Histogram::default() };
        assert_eq!(mixed.settled().positive, [(-1, 1.0), (2, 4.0)]);
        let stale = Histogram { count: 7.0, schema: 3, ..Histogram::stale() };
        assert_eq!(stale.settled(), Histogram::stale());
    }

    #[test]
    fn it_is_told_what_continues_the_one_before() {
        let of = |count: f64, reset: Reset| Arc::new(Histogram { count, reset, ..Histogram::default() });
        let told = |now: Arc<Histogram>, before: Option<&Histogram>| now.after(before).reset;
        let before = of(5.0, Reset::Unknown);
        assert_eq!(told(of(6.0, Reset::Unknown), Some(&before)), Reset::NotReset);
        assert_eq!(told(of(4.0, Reset::NotReset), Some(&before)), Reset::Unknown);
        assert_eq!(told(of(6.0, Reset::NotReset), None), Reset::Unknown);
        assert_eq!(told(of(6.0, Reset::Reset), Some(&before)), Reset::Reset);
        assert_eq!(told(of(6.0, Reset::Unknown), Some(&Histogram::stale())), Reset::Unknown);
        assert_eq!(told(of(6.0, Reset::Unknown), Some(&of(5.0, Reset::Gauge))), Reset::Unknown);
    }
}
