//! Time intervals: hours, weekdays, days of the month, months and years, in a time zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Times that have to lie in one of each kind of ranges; a kind without ranges is any.
#[derive(Debug, Clone)]
pub struct TimeInterval {
    /// Minutes of the day, without the last.
    pub(crate) times: Vec<(i64, i64)>,
    /// From Sunday, which is zero.
    pub(crate) weekdays: Vec<(i64, i64)>,
    /// From one; from the end of the month where negative.
    pub(crate) days_of_month: Vec<(i64, i64)>,
    /// From one.
    pub(crate) months: Vec<(i64, i64)>,
    /// With the century.
    pub(crate) years: Vec<(i64, i64)>,
    /// Where.
    pub(crate) zone: TimeZone,
}

const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl TimeInterval {
    /// All times.
    pub(crate) fn any() -> Self {
        Self {
            times: Vec::new(),
            weekdays: Vec::new(),
            days_of_month: Vec::new(),
            months: Vec::new(),
            years: Vec::new(),
            zone: TimeZone::UTC,
        }
    }

    /// Whether a time lies in it, in milliseconds since 1970.
    pub fn contains(&self, at: i64) -> bool {
        let Ok(time) = Timestamp::from_millisecond(at) else { return false };
        let time = time.to_zoned(self.zone.clone());
        let within = |ranges: &[(i64, i64)], value: i64| {
            ranges.is_empty() || ranges.iter().any(|(from, to)| (*from..=*to).contains(&value))
        };
        let minute = i64::from(time.hour()) * 60 + i64::from(time.minute());
        let in_times = self.times.is_empty() || self.times.iter().any(|(from, to)| (*from..*to).contains(&minute));
        let (day, last) = (i64::from(time.day()), i64::from(time.days_in_month()));
        let from_start = |day: i64| if day < 0 { last + day + 1 } else { day };
        let in_month = |(from, to): &(i64, i64)| (from_start(*from)..=from_start(*to).min(last)).contains(&day);
        in_times
            && within(&self.weekdays, i64::from(time.weekday().to_sunday_zero_offset()))
            && (self.days_of_month.is_empty() || self.days_of_month.iter().any(in_month))
            && within(&self.months, i64::from(time.month()))
            && within(&self.years, i64::from(time.year()))
    }
}

/// `09:30`, or `24:00` as the end of a day, in minutes.
pub(crate) fn minutes(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |text: &str| (text.len() == 2).then(|| text.parse::<i64>().ok()).flatten();
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    let valid = (0..24).contains(&hours) && (0..60).contains(&minutes) || (hours, minutes) == (24, 0);
    valid.then_some(hours * 60 + minutes)
}

/// `monday:friday`, or one day.
pub(crate) fn weekdays(text: &str) -> Option<(i64, i64)> {
    range(text, |day| position(&WEEKDAYS, day)).filter(|(from, to)| from <= to)
}

/// `1:5`, `-3:-1`, or one day.
pub(crate) fn days_of_month(text: &str) -> Option<(i64, i64)> {
    let valid = |day: &i64| *day != 0 && (-31..=31).contains(day);
    let (from, to) = range(text, |day| day.parse().ok().filter(valid))?;
    // A range from the start to before the end may be empty only in short months.
    let ordered = if (from < 0) == (to < 0) { from <= to } else { from > 0 };
    ordered.then_some((from, to))
}

/// `january:march`, `1:3`, or one month.
pub(crate) fn months(text: &str) -> Option<(i64, i64)> {
    let month = |text: &str| {
        let numbered = text.parse().ok().filter(|month| (1..=12).contains(month));
        numbered.or_else(|| position(&MONTHS, text).map(|at| at + 1))
    };
    range(text, month).filter(|(from, to)| from <= to)
}

/// `2026:2028`, or one year.
pub(crate) fn years(text: &str) -> Option<(i64, i64)> {
    range(text, |year| year.parse().ok()).filter(|(from, to)| from <= to)
}

fn range(text: &str, of: impl Fn(&str) -> Option<i64>) -> Option<(i64, i64)> {
    let text = text.trim().to_lowercase();
    match text.split_once(':') {
        Some((from, to)) => Some((of(from)?, of(to)?)),
        None => of(&text).map(|one| (one, one)),
    }
}

fn position(names: &[&str], name: &str) -> Option<i64> {
    names.iter().position(|known| *known == name).map(|at| at as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn a_time_has_to_lie_in_a_range_of_each_kind() {
        let office = TimeInterval {
            times: vec![(minutes("09:00").unwrap(), minutes("17:00").unwrap())],
            weekdays: vec![weekdays("monday:Friday").unwrap()],
            zone: TimeZone::get("Europe/Paris").unwrap(),
            ..TimeInterval::any()
        };
        // Paris is two hours ahead in summer, and one in winter.
        assert!(office.contains(at("2026-07-06T07:00:00Z")) && !office.contains(at("2026-07-06T06:59:59Z")));
        assert!(!office.contains(at("2026-01-05T07:30:00Z")) && office.contains(at("2026-01-05T08:00:00Z")));
        assert!(!office.contains(at("2026-07-06T15:00:00Z")) && !office.contains(at("2026-07-05T10:00:00Z")));
        let month_end = TimeInterval { days_of_month: vec![days_of_month("-2:-1").unwrap()], ..TimeInterval::any() };
        assert!(month_end.contains(at("2026-02-27T00:00:00Z")) && !month_end.contains(at("2026-02-26T23:59:59Z")));
        let late = TimeInterval { days_of_month: vec![days_of_month("30:31").unwrap()], ..TimeInterval::any() };
        assert!(!late.contains(at("2026-02-28T00:00:00Z")) && late.contains(at("2026-01-31T00:00:00Z")));
        let spring = TimeInterval { months: vec![months("march:5").unwrap()], ..TimeInterval::any() };
        assert!(spring.contains(at("2026-05-31T23:00:00Z")) && !spring.contains(at("2026-06-01T00:00:00Z")));
        let night = TimeInterval { times: vec![(minutes("22:00").unwrap(), 1_440)], ..TimeInterval::any() };
        assert!(night.contains(at("2026-01-01T23:59:59Z")));
    }

    #[test]
    fn ranges_that_are_none_are_refused() {
        assert!(["9:00", "24:01", "12:60", "x"].into_iter().all(|text| minutes(text).is_none()));
        assert!(["friday:monday", "mon"].into_iter().all(|text| weekdays(text).is_none()));
        assert!(["0", "5:1", "-1:1", "32"].into_iter().all(|text| days_of_month(text).is_none()));
        assert!(["13", "march:january"].into_iter().all(|text| months(text).is_none()));
    }
}
