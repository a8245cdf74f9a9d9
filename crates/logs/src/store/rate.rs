//! How much of a stream is kept.

use hashbrown::HashMap;

use super::Options;
use super::options::SECOND;
use crate::Stream;

/// So much in a second, after so much at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In each second.
    pub per_second: u64,
    /// At once, when there was nothing for a while.
    pub burst: u64,
}

/// A token bucket: it fills with time, and what is kept takes from it. Times are in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// In millionths, so that nothing is lost to rounding.
    left: u128,
    at: i64,
}

const WHOLE: u128 = SECOND as u128;

impl Bucket {
    /// A full one.
    pub fn full(rate: Rate, now: i64) -> Self {
        Self { left: u128::from(rate.burst) * WHOLE, at: now }
    }

    /// Fills it. A clock that goes back fills nothing, and time counts from there on.
    fn fill(&mut self, rate: Rate, now: i64) {
        let passed = u128::try_from(i128::from(now) - i128::from(self.at)).unwrap_or_default();
        self.left = (self.left + passed * u128::from(rate.per_second)).min(u128::from(rate.burst) * WHOLE);
        self.at = now;
    }

    fn has(&self, amount: u64) -> bool {
        self.left >= u128::from(amount) * WHOLE
    }

    /// Takes so much, if it has that. What is more than a bucket holds is taken from a full one.
    pub fn take(&mut self, rate: Rate, now: i64, amount: u64) -> bool {
        self.fill(rate, now);
        let amount = amount.min(rate.burst);
        let has = self.has(amount);
        if has {
            self.left -= u128::from(amount) * WHOLE;
        }
        has
    }

    /// Puts back what was taken for nothing.
    pub fn give_back(&mut self, rate: Rate, amount: u64) {
        let amount = u128::from(amount.min(rate.burst)) * WHOLE;
        self.left = (self.left + amount).min(u128::from(rate.burst) * WHOLE);
    }

    fn is_full(&mut self, rate: Rate, now: i64) -> bool {
        self.fill(rate, now);
        self.has(rate.burst)
    }
}

/// The buckets of all streams.
#[derive(Default)]
pub(super) struct Limiter {
    all: HashMap<Stream, (Option<Bucket>, Option<Bucket>)>,
}

/// When there are so many, those that are full are forgotten: a new one is full as well.
const MANY: usize = 4096;

impl Limiter {
    /// Whether one more line of a stream is kept.
    pub(super) fn take(&mut self, options: &Options, stream: &Stream, now: i64, bytes: u64) -> bool {
        if options.lines.is_none() && options.rate.is_none() {
            return true;
        }
        if !self.all.contains_key(stream) {
            self.forget(options, now);
            let full = |rate: Option<Rate>| rate.map(|rate| Bucket::full(rate, now));
            self.all.insert(stream.clone(), (full(options.lines), full(options.rate)));
        }
        let Some((lines, rate)) = self.all.get_mut(stream) else { return true };
        let taken = |bucket: &mut Option<Bucket>, rate: Option<Rate>, amount| {
            bucket.as_mut().zip(rate).is_none_or(|(bucket, rate)| bucket.take(rate, now, amount))
        };
        if !taken(lines, options.lines, 1) {
            return false;
        }
        let both = taken(rate, options.rate, bytes);
        if let (false, Some(bucket), Some(rate)) = (both, lines, options.lines) {
            bucket.give_back(rate, 1);
        }
        both
    }

    /// A line that was to be kept is not.
    pub(super) fn give_back(&mut self, options: &Options, stream: &Stream, bytes: u64) {
        let Some((lines, rate)) = self.all.get_mut(stream) else { return };
        for (bucket, rate, amount) in [(lines, options.lines, 1), (rate, options.rate, bytes)] {
            if let (Some(bucket), Some(rate)) = (bucket, rate) {
                bucket.give_back(rate, amount);
            }
        }
    }

    fn forget(&mut self, options: &Options, now: i64) {
        if self.all.len() < MANY || !self.all.len().is_power_of_two() {
            return;
        }
        let full = |bucket: &mut Option<Bucket>, rate: Option<Rate>| {
            bucket.as_mut().zip(rate).is_none_or(|(bucket, rate)| bucket.is_full(rate, now))
        };
        self.all.retain(|_, (lines, rate)| !(full(lines, options.lines) && full(rate, options.rate)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let rate = Rate { per_second: 2, burst: 5 };
        let mut bucket = Bucket::full(rate, 0);
        let mut at = |now: i64| (0..10).filter(|_| bucket.take(rate, now, 1)).count();
        assert_eq!((at(0), at(0), at(SECOND / 2), at(SECOND), at(2 * SECOND)), (5, 0, 1, 1, 2));
        // It holds no more than its burst, and a clock that goes back gives nothing.
        assert_eq!((at(100 * SECOND), at(50 * SECOND), at(50 * SECOND + SECOND / 2)), (5, 0, 1));
        assert_eq!((at(i64::MAX), at(i64::MIN), at(i64::MAX)), (5, 0, 5));
        // What is larger than the bucket needs a full one.
        assert!(!bucket.take(rate, i64::MAX, 9));
        let mut bucket = Bucket::full(rate, 0);
        assert!(bucket.take(rate, 0, 9) && !bucket.take(rate, 0, 1));
        bucket.give_back(rate, 9);
        assert!(bucket.take(rate, 0, 5));
    }

    #[test]
    fn streams_do_not_take_from_each_other_and_full_buckets_are_forgotten() {
        let options = Options {
            lines: Some(Rate { per_second: 1, burst: 2 }),
            rate: Some(Rate { per_second: 10, burst: 100 }),
            ..Options::default()
        };
        let stream = |number: usize| Stream::new([("replica", number.to_string())]);
        let mut limiter = Limiter::default();
        let mut kept =
            |number, now, bytes| (0..5).filter(|_| limiter.take(&options, &stream(number), now, bytes)).count();
        assert_eq!((kept(1, 0, 10), kept(1, 0, 10), kept(2, 0, 10)), (2, 0, 2));
        // Too many bytes leave the lines that are allowed to others.
        assert_eq!((kept(3, 0, 90), kept(3, 0, 5)), (1, 1));
        for number in 0..2 * MANY {
            limiter.take(&options, &stream(number), 3600 * SECOND, 1);
        }
        limiter.take(&options, &stream(usize::MAX), 2 * 3600 * SECOND, 1);
        assert!(limiter.all.len() < 10);
    }
}
