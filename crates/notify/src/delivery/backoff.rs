//! How long to wait before something is tried again.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use super::Limits;

/// The wait after this many failures in a row before: twice as long each time, spread over its upper half, and not shorter than
/// what the channel asks for.
pub(super) fn wait(limits: &Limits, failures: u32, asked: Option<Duration>, chance: f64) -> Duration {
    let grown = limits.first_retry.saturating_mul(1 << failures.min(30)).min(limits.last_retry);
    let spread = grown.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
    asked.map_or(spread, |asked| spread.max(asked.min(limits.longest_wait)))
}

/// The time in a header `Retry-After`: seconds, or a date.
pub fn retry_after(header: &str, now: Timestamp) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTimeParser::new().parse_timestamp(header).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_are_spread() {
        let limits = Limits::default();
        let waits = [0, 1, 2, 20, u32::MAX].map(|failures| wait(&limits, failures, None, 1.0).as_secs());
        assert_eq!(waits, [2, 4, 8, 300, 300]);
        assert_eq!(wait(&limits, 0, None, 0.0), Duration::from_secs(1));
        assert_eq!(wait(&limits, 0, None, f64::INFINITY), Duration::from_secs(2));
    }

    #[test]
    fn a_channel_may_ask_for_more_time_and_not_for_ever() {
        let limits = Limits::default();
        assert_eq!(wait(&limits, 0, Some(Duration::from_secs(30)), 1.0), Duration::from_secs(30));
        assert_eq!(wait(&limits, 5, Some(Duration::ZERO), 1.0), Duration::from_secs(64));
        assert_eq!(wait(&limits, 0, Some(Duration::MAX), 1.0), Duration::from_hours(1));
    }

    #[test]
    fn the_header_has_seconds_or_a_date() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(retry_after(" 120 ", now), Some(Duration::from_mins(2)));
        assert_eq!(retry_after("Thu, 01 Jan 2026 00:01:00 GMT", now), Some(Duration::from_mins(1)));
        assert_eq!(retry_after("Wed, 31 Dec 2025 00:01:00 GMT", now), Some(Duration::ZERO));
        assert_eq!((retry_after("soon", now), retry_after("-1", now)), (None, None));
    }
}
