//! Whether a new version does worse than the old one.

use daybook_model::traffic::ReplicaTraffic;

/// What is known of a group of replicas over the time they were watched.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conduct {
    /// Counts of all replicas of the group, summed, since the watch began.
    pub traffic: ReplicaTraffic,
    /// How often their processes were started again since the watch began.
    pub restarts: u32,
    /// Replicas of the group that have ended for good.
    pub lost: u32,
    /// What the last failed check of the group said, while it fails.
    pub failing: Option<String>,
    /// For how long a check of the group has been failing without a break, milliseconds.
    pub failing_ms: u64,
    /// For how long the group has been [slower](is_slower) without a break, milliseconds.
    pub slow_ms: u64,
}

/// Requests that must have been seen before a share of errors means anything.
const ENOUGH_REQUESTS: u64 = 20;

/// Errors in so many requests that there is no doubt, even with little traffic.
const ERRORS_BEYOND_DOUBT: u64 = 5;

/// A check may fail for so long before it counts, milliseconds: one lost packet is no verdict.
const FAILING_MS: u64 = 1_000;

/// A group may be slow for so long before it counts, milliseconds: one stall of the machine, which later requests
/// outweigh, is no verdict.
const SLOW_MS: u64 = 1_000;

/// Says why `new` is worse than `old`, or `None` if it is not.
///
/// Worse is: a crash; a check that keeps failing; an error share of 5 percentage points more than the
/// old one's, or at least half of all when there is nothing to compare with; a 95th percentile of
/// latency that is and stays certainly three times the old one's and 250 ms above it. The old version's share is
/// that of the same time, so that a failing dependency, which hurts both, is not held against the new.
pub fn worse(new: &Conduct, old: Option<&Conduct>) -> Option<String> {
    if new.lost > 0 {
        return Some(format!("{} of its replicas ended", new.lost));
    }
    if new.restarts > 0 {
        return Some(format!("its process ended {} times since traffic moved", new.restarts));
    }
    if let Some(why) = new.failing.as_ref().filter(|_| new.failing_ms >= FAILING_MS) {
        return Some(format!("its check fails: {why}"));
    }
    let before = old.map(|old| &old.traffic);
    more_errors(&new.traffic, before).or_else(|| slower(&new.traffic, before).filter(|_| new.slow_ms >= SLOW_MS))
}

/// Whether `new` is now so much slower than `old` that it is worse if it stays so. A watch does not end meanwhile.
pub fn is_slower(new: &Conduct, old: Option<&Conduct>) -> bool {
    slower(&new.traffic, old.map(|old| &old.traffic)).is_some()
}

fn more_errors(new: &ReplicaTraffic, old: Option<&ReplicaTraffic>) -> Option<String> {
    let (errors, requests) = (new.errors(), new.requests());
    if errors < ERRORS_BEYOND_DOUBT && requests < ENOUGH_REQUESTS || errors == 0 {
        return None;
    }
    let share = errors as f64 / requests as f64;
    let baseline = old.filter(|old| old.requests() >= ENOUGH_REQUESTS);
    let before = baseline.map(|old| old.errors() as f64 / old.requests() as f64);
    let worse = match before {
        Some(before) => share > before + 0.05,
        None => share >= 0.5 || (requests >= ENOUGH_REQUESTS && share > 0.1),
    };
    let compared = before.map_or(String::new(), |before| format!(", the old version {:.1} %", before * 100.0));
    worse.then(|| format!("{errors} of {requests} requests failed ({:.1} %{compared})", share * 100.0))
}

fn slower(new: &ReplicaTraffic, old: Option<&ReplicaTraffic>) -> Option<String> {
    let old = old.filter(|old| old.requests() >= ENOUGH_REQUESTS)?;
    if new.requests() < ENOUGH_REQUESTS {
        return None;
    }
    let ((certain, new), old) = (new.quantile_bucket_ms(0.95)?, old.quantile_ms(0.95)?);
    (certain >= old * 3 && certain >= old + 250)
        .then(|| format!("95 % of requests take up to {new} ms, with the old version {old} ms"))
}

/// Sums the counts of a group.
pub fn sum<'a>(parts: impl Iterator<Item = &'a ReplicaTraffic>) -> ReplicaTraffic {
    let mut total = ReplicaTraffic::default();
    for part in parts {
        for (sum, n) in total.by_status.iter_mut().zip(part.by_status) {
            *sum += n;
        }
        for (sum, n) in total.latency.iter_mut().zip(part.latency) {
            *sum += n;
        }
        total.failed += part.failed;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(good: u64, bad: u64) -> ReplicaTraffic {
        let mut t = ReplicaTraffic::default();
        t.by_status[1] = good;
        t.by_status[4] = bad;
        t.latency[3] = good + bad;
        t
    }

    fn conduct(good: u64, bad: u64) -> Conduct {
        Conduct { traffic: traffic(good, bad), ..Conduct::default() }
    }

    /// A hundred good answers in one bucket of latency.
    fn in_bucket(bucket: usize, slow_ms: u64) -> Conduct {
        let mut conduct = Conduct { slow_ms, ..Conduct::default() };
        conduct.traffic.by_status[1] = 100;
        conduct.traffic.latency[bucket] = 100;
        conduct
    }

    #[test]
    fn r05_errors_of_the_new_version_alone_are_worse() {
        assert_eq!(
            worse(&conduct(80, 20), Some(&conduct(100, 0))).as_deref(),
            Some("20 of 100 requests failed (20.0 %, the old version 0.0 %)")
        );
        assert_eq!(worse(&conduct(80, 20), Some(&conduct(79, 21))), None, "a failing dependency hurts both");
    }

    #[test]
    fn little_traffic_is_judged_by_failures_beyond_doubt() {
        assert_eq!(worse(&conduct(0, 1), None), None);
        assert!(worse(&conduct(0, 5), None).is_some());
    }

    #[test]
    fn a_crash_is_worse_whatever_the_numbers_say() {
        let crashed = Conduct { restarts: 1, ..conduct(100, 0) };
        assert!(worse(&crashed, Some(&conduct(100, 0))).is_some());
    }

    #[test]
    fn three_times_the_latency_is_worse_when_it_stays() {
        let mut slow = in_bucket(9, 0);
        assert!(is_slower(&slow, Some(&conduct(100, 0))) && !is_slower(&slow, None));
        assert_eq!(worse(&slow, Some(&conduct(100, 0))), None, "a stall may pass");
        slow.slow_ms = SLOW_MS;
        assert!(worse(&slow, Some(&conduct(100, 0))).is_some());
    }

    #[test]
    fn a_latency_that_may_be_only_twice_as_high_is_no_verdict() {
        let [before, doubtful, certain] = [6, 8, 9].map(|bucket| in_bucket(bucket, SLOW_MS));
        assert_eq!(worse(&doubtful, Some(&before)), None, "from 200 ms on, against up to 100 ms");
        assert!(worse(&certain, Some(&before)).is_some(), "from 500 ms on, against up to 100 ms");
    }
}
