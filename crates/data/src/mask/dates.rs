//! Days that move, and days that are invented.

use super::keyed::{Draws, Key};

/// The first and last days that are moved to: those that PostgreSQL and MySQL both write with four digits.
const FIRST: i64 = days(1000, 1, 1);
const LAST: i64 = days(9999, 12, 31);

/// By how many days everything moves: at most `most` either way, and never 0.
///
/// It depends on the seed and `most` alone, so that the same day moves alike in every table, and what came after
/// something else still does.
pub(super) fn shift(key: &Key, most: u32) -> i64 {
    let mut draws = key.draws(&most.to_le_bytes(), 0);
    let by = 1 + draws.below(most.max(1) as usize) as i64;
    if draws.byte().is_multiple_of(2) { by } else { -by }
}

/// The day moved, with whatever follows it: a time, a zone. Not if it is no day, as `infinity` or MySQL's `0000-00-00`.
///
/// Years before 1000 and after 9999 move by as many years, as if they were of the present.
pub(super) fn moved(value: &str, by: i64) -> Option<String> {
    let (year, month, day, rest) = parts(value)?;
    let era = if (1000..=9999).contains(&year) { 0 } else { (year - 2000).div_euclid(400) * 400 };
    let from = days(year - era, month, day);
    let to = if (FIRST..=LAST).contains(&(from + by)) { from + by } else { from - by };
    let (new_year, month, day) = civil(to);
    Some(format!("{:04}-{month:02}-{day:02}{rest}", new_year + era))
}

fn parts(value: &str) -> Option<(i64, i64, i64, &str)> {
    let (year, after) = value.split_once('-')?;
    let (month, day) = (after.get(..2)?, after.get(3..5)?);
    let rest = after.get(5..)?;
    let (year, month, day) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some((year, month, day, rest))
}

/// A day of somebody's birth.
pub(super) fn invented(draws: &mut Draws) -> String {
    let span = days(2005, 1, 1) - days(1940, 1, 1);
    let (year, month, day) = civil(days(1940, 1, 1) + draws.below(span.unsigned_abs() as usize) as i64);
    format!("{year:04}-{month:02}-{day:02}")
}

/// A time of the day.
pub(super) fn time(draws: &mut Draws) -> String {
    let seconds = draws.below(86_400);
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Days since 1970 of a date, by Howard Hinnant's `days_from_civil`.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The date of days since 1970, by the same author's `civil_from_days`.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_over_leap_years() {
        assert_eq!(moved("2024-02-28", 2).as_deref(), Some("2024-03-01"));
        assert_eq!(moved("2023-12-31 23:59:59.5+00", 1).as_deref(), Some("2024-01-01 23:59:59.5+00"));
        assert_eq!(moved("2000-03-01", -1).as_deref(), Some("2000-02-29"));
        assert_eq!(moved("9999-12-31", 1).as_deref(), Some("9999-12-30"));
        for day in (FIRST..LAST).step_by(997) {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }

    #[test]
    fn what_is_no_day_does_not_move() {
        for value in ["infinity", "-infinity", "0000-00-00", "soon", "2024-13-01"] {
            assert_eq!(moved(value, 3), None, "{value}");
        }
        assert_eq!(moved("0044-03-15 BC", 1).as_deref(), Some("0044-03-16 BC"));
        assert_eq!(moved("12345-01-01", 1).as_deref(), Some("12345-01-02"));
    }

    #[test]
    fn a_shift_is_bounded_and_never_nothing() {
        for seed in 0..200_u32 {
            let by = shift(&Key::new(&seed.to_le_bytes()), 3);
            assert!(by != 0 && by.abs() <= 3);
            assert_eq!(shift(&Key::new(&seed.to_le_bytes()), 1).abs(), 1);
        }
    }
}
