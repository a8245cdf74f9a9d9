//! Where the marks of an axis stand.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::{Grid, Unit};

/// At most so many marks of values.
const VALUES: f64 = 5.0;
/// More marks of values than these are never made, whatever the values are.
const MARKS: usize = 20;
/// Beyond this, values stand at the edge: the distance of two would be infinite.
const LARGEST: f64 = f64::MAX / 4.0;
/// At most so many marks of times.
const TIMES: i64 = 7;

/// Distances between times that people count in, in seconds.
const SPANS: [i64; 23] = [
    1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    1_209_600, 2_592_000, 7_776_000, 31_536_000,
];

/// Marks of an axis of values that has every one of `values` that is no larger than [`LARGEST`], and zero: bottom first,
/// evenly apart.
pub(crate) fn values(values: impl Iterator<Item = f64>, unit: Unit) -> Vec<f64> {
    let (least, most) = values.fold((0.0_f64, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
    let (least, most) = (least.max(-LARGEST), most.min(LARGEST));
    let span = Some(most - least).filter(|span| span.is_normal()).unwrap_or(1.0);
    let step = distance(span / VALUES, unit);
    let (first, last) = ((least / step).floor() as i64, (most / step - 1e-9).ceil() as i64);
    (first..=last.max(first.saturating_add(1))).take(MARKS).map(|at| at as f64 * step).collect()
}

/// The next round number that is not less.
fn distance(least: f64, unit: Unit) -> f64 {
    let (scale, rounds): (f64, &[f64]) = match unit {
        Unit::Bytes | Unit::BytesPerSecond => {
            let scale = 1024_f64.powf(least.max(1.0).log(1024.0).floor());
            (scale, &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0])
        }
        Unit::Seconds if least > 5.0 => match least {
            ..60.0 => (1.0, &[10.0, 15.0, 30.0, 60.0]),
            ..3_600.0 => (60.0, &[1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0]),
            ..86_400.0 => (3_600.0, &[1.0, 2.0, 3.0, 6.0, 12.0, 24.0]),
            _ => (86_400.0 * 10_f64.powf((least / 86_400.0).log10().floor()), &[1.0, 2.0, 5.0, 10.0]),
        },
        _ => (10_f64.powf(least.log10().floor()), &[1.0, 2.0, 2.5, 5.0, 10.0]),
    };
    let at_least = |round: &&f64| **round * scale >= least * 0.999_999;
    rounds.iter().find(at_least).map_or(least, |round| round * scale)
}

/// Marks of an axis of times, in milliseconds, with what stands there.
pub(crate) fn times(grid: Grid) -> Vec<(i64, String)> {
    let span = (grid.to - grid.from).max(1_000) / 1_000;
    let step = SPANS.into_iter().find(|step| span / step < TIMES).unwrap_or(SPANS[SPANS.len() - 1]);
    let (first, last) = (grid.from.div_euclid(1_000 * step) + 1, grid.to.div_euclid(1_000 * step));
    (first..=last).map(|at| at * step).map(|second| (second * 1_000, clock(second, step))).collect()
}

/// A time as it stands at an axis whose marks are so many seconds apart, in UTC.
fn clock(second: i64, step: i64) -> String {
    let Ok(at) = Timestamp::from_second(second) else { return String::new() };
    let at = at.to_zoned(TimeZone::UTC);
    let is_midnight = second.rem_euclid(86_400) == 0;
    let format = match step {
        31_536_000.. => "%Y",
        86_400.. => "%-d %b",
        _ if is_midnight => "%-d %b",
        60.. => "%H:%M",
        _ => "%H:%M:%S",
    };
    at.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_at_round_numbers_and_have_zero() {
        let marks = |all: &[f64], unit| values(all.iter().copied(), unit);
        assert_eq!(marks(&[3.0, 11.0], Unit::Number), [0.0, 2.5, 5.0, 7.5, 10.0, 12.5]);
        assert_eq!(marks(&[0.0], Unit::Number), [0.0, 0.2]);
        assert_eq!(marks(&[-4.0, 4.0], Unit::Number), [-4.0, -2.0, 0.0, 2.0, 4.0]);
        let mega = 1_048_576.0;
        assert_eq!(marks(&[100.0 * mega], Unit::Bytes), [0.0, 32.0 * mega, 64.0 * mega, 96.0 * mega, 128.0 * mega]);
        assert_eq!(marks(&[600.0], Unit::Seconds), [0.0, 120.0, 240.0, 360.0, 480.0, 600.0]);
        for (most, unit) in [(1e-9, Unit::Number), (1e15, Unit::Bytes), (1e9, Unit::Seconds), (0.3, Unit::Share)] {
            let marks = marks(&[most], unit);
            assert!(marks.len() <= 7 && marks.last().is_some_and(|last| *last >= most), "{most}: {marks:?}");
        }
        let extremes: [&[f64]; 5] =
            [&[5e-324], &[f64::MAX], &[-f64::MAX], &[-f64::MAX, f64::MAX], &[-5e-324, f64::MIN_POSITIVE]];
        for unit in [Unit::Number, Unit::Bytes, Unit::Seconds, Unit::Share] {
            for all in extremes {
                let marks = marks(all, unit);
                assert!((2..=MARKS).contains(&marks.len()), "{all:?}: {marks:?}");
                let span = marks[marks.len() - 1] - marks[0];
                assert!(span > 0.0 && span.is_finite(), "{all:?}: {marks:?}");
            }
        }
    }

    #[test]
    fn times_stand_at_round_times() {
        let hour = 3_600_000;
        let shown = |from, to| {
            let marks = times(Grid { from, to, step: 1 });
            marks.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown(hour * 10 + 120_000, hour * 11 + 120_000), "10:10 10:20 10:30 10:40 10:50 11:00");
        assert_eq!(shown(hour * 20, hour * 30), "22:00 2 Jan 02:00 04:00 06:00");
        assert_eq!(shown(0, hour * 24 * 10), "3 Jan 5 Jan 7 Jan 9 Jan 11 Jan");
        assert!(times(Grid { from: 0, to: 60_000, step: 1 }).len() <= 7);
    }
}
