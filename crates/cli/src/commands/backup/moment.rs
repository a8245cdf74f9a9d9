//! Moments, as people write them.

use daybook_model::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// A moment: with its zone, or in UTC without. A date is its beginning.
pub(in crate::commands) fn parse(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    // A time of one that has a zone would be taken for one in UTC.
    let has_zone = text.ends_with(['Z', 'z']) || text.get(10..).is_some_and(|rest| rest.contains(['+', '-', '[']));
    let civil = match text.len() {
        _ if has_zone => None,
        10 => text.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0)),
        _ => text.parse::<DateTime>().ok(),
    };
    let moment = civil.and_then(|civil| civil.to_zoned(TimeZone::UTC).ok()).map(|zoned| zoned.timestamp());
    moment.ok_or_else(|| "write `2026-11-30T12:00:00Z`, or in UTC `2026-11-30 12:00` or `2026-11-30`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_without_a_zone_is_in_utc() {
        let same = ["2026-11-30T12:00:00Z", "2026-11-30 12:00:00", "2026-11-30T12:00", "2026-11-30T13:00:00+01:00"];
        for text in same {
            assert_eq!(parse(text).map(|at| at.to_string()), Ok("2026-11-30T12:00:00Z".to_owned()), "{text}");
        }
        assert_eq!(parse("2026-11-30").map(|at| at.to_string()), Ok("2026-11-30T00:00:00Z".to_owned()));
        for text in ["yesterday", "2026-11-31", "12:00", "", "2026-11-30 25:00"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
