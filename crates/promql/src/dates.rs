//! Functions of dates, in UTC.

/// The function of a name: of seconds since 1970.
pub(crate) fn find(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "minute" => |time| seconds(time).div_euclid(60).rem_euclid(60) as f64,
        "hour" => |time| seconds(time).div_euclid(3_600).rem_euclid(24) as f64,
        "day_of_week" => |time| (days(time) + 4).rem_euclid(7) as f64,
        "day_of_month" => |time| date(days(time)).day as f64,
        "day_of_year" => |time| (days(time) - first_of(date(days(time)).year, 1) + 1) as f64,
        "days_in_month" => |time| {
            let date = date(days(time));
            let next = if date.month == 12 { (date.year + 1, 1) } else { (date.year, date.month + 1) };
            (first_of(next.0, next.1) - first_of(date.year, date.month)) as f64
        },
        "month" => |time| date(days(time)).month as f64,
        "year" => |time| date(days(time)).year as f64,
        _ => return None,
    })
}

struct Date {
    year: i64,
    month: i64,
    day: i64,
}

/// Dates are of years that a calendar has: further away, counting days has no meaning and could overflow.
const FURTHEST: f64 = 1e15;

fn seconds(time: f64) -> i64 {
    time.clamp(-FURTHEST, FURTHEST) as i64
}

fn days(time: f64) -> i64 {
    seconds(time).div_euclid(86_400)
}

/// The date of a day since 1970. Years are counted from March, so that the leap day is their last, in eras of 400 years.
fn date(days: i64) -> Date {
    let since = days + 719_468;
    let era = since.div_euclid(146_097);
    let of_era = since.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    Date { year: year + era * 400 + i64::from(month <= 2), month, day }
}

/// The day since 1970 on which a month begins.
fn first_of(year: i64, month: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * from_march + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let of = |name: &str, time: f64| find(name).unwrap()(time);
        let leap = 1_709_208_000.0; // 2024-02-29 12:00
        assert_eq!((of("year", leap), of("month", leap), of("day_of_month", leap)), (2024.0, 2.0, 29.0));
        assert_eq!((of("days_in_month", leap), of("day_of_year", leap), of("day_of_week", leap)), (29.0, 60.0, 4.0));
        assert_eq!((of("hour", leap), of("minute", leap + 61.0)), (12.0, 1.0));
        assert_eq!(
            (of("year", -1.0), of("hour", -1.0), of("minute", -1.0), of("month", -1.0)),
            (1969.0, 23.0, 59.0, 12.0)
        );
        assert_eq!(of("days_in_month", 951_782_400.0), 29.0);
    }

    #[test]
    fn every_first_of_a_month_is_its_first() {
        for year in 1890..2110 {
            for month in 1..=12 {
                let date = date(first_of(year, month));
                assert_eq!((date.year, date.month, date.day), (year, month, 1));
            }
        }
    }
}
