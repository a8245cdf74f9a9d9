//! Work that answers need, beside what the shop does anyway: a fixed amount, which takes longer where others take the processor.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::sha1::sha1;

/// Sums that are made to see how long one takes.
const TRIED: u32 = 2_000;
/// How often that is tried. The fastest counts: the others were held up.
const TIMES: u32 = 10;

/// So many SHA-1 sums.
pub(crate) struct Work(u32);

impl Work {
    /// As much as a processor does in this time when nobody else wants it.
    pub(crate) fn for_time(time: Duration) -> Self {
        if time.is_zero() {
            return Self(0);
        }
        let fastest = (0..TIMES).map(|_| timed(TRIED)).min().unwrap_or_default();
        let one = fastest.as_secs_f64() / f64::from(TRIED);
        Self((time.as_secs_f64() / one.max(1e-9)) as u32)
    }

    /// Does it.
    pub(crate) fn go_through(&self) {
        work(self.0);
    }
}

fn timed(sums: u32) -> Duration {
    let began = Instant::now();
    work(sums);
    began.elapsed()
}

fn work(sums: u32) {
    for number in 0..sums {
        black_box(sha1(black_box(&number.to_be_bytes())));
    }
}

/// Takes a processor for good.
pub(crate) fn forever() -> ! {
    loop {
        work(TRIED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_time_is_more_work() {
        assert_eq!(Work::for_time(Duration::ZERO).0, 0);
        let [little, much] = [1, 100].map(|ms| Work::for_time(Duration::from_millis(ms)).0);
        assert!(little > 0 && much > 10 * little, "{little} and {much}");
    }
}
