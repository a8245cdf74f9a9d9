use daybook_model::Timestamp;

use super::*;

const STEP_MS: i64 = 5 * 60_000;
const DAY: usize = 288;

fn at(index: usize) -> Timestamp {
    Timestamp::from_millisecond(1_790_000_000_000 + i64::try_from(index).unwrap() * STEP_MS).unwrap()
}

/// A day as shops have it, with noise that is always the same.
fn usual(index: usize) -> f64 {
    let hour = (index % DAY) as f64 / DAY as f64 * std::f64::consts::TAU;
    let noise = ((index * 7_919) % 101) as f64 / 101.0 - 0.5;
    100.0 - 60.0 * hour.cos() + 10.0 * noise
}

/// How far away each sample is: nothing of one that nothing is said of.
fn away(options: Options, values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut detector = Detector::new(options);
    let verdicts = values.enumerate().map(|(index, value)| detector.push(at(index), value));
    verdicts.map(|verdict| verdict.map_or(0.0, |verdict| verdict.away)).collect()
}

/// What is said of the last sample of these.
fn said_last(indices: impl Iterator<Item = usize>) -> Verdict {
    let mut detector = Detector::new(Options::default());
    indices.fold(None, |_, index| detector.push(at(index), usual(index))).unwrap()
}

/// When two samples in a row are unusual.
fn unusual(away: &[f64]) -> Vec<usize> {
    let pairs = away.windows(2).enumerate();
    pairs.filter(|(_, pair)| pair.iter().all(|away| away.abs() > 1.0)).map(|(index, _)| index).collect()
}

#[test]
fn what_comes_back_every_day_is_usual() {
    assert!(unusual(&away(Options::default(), (0..14 * DAY).map(usual))).is_empty());
}

#[test]
fn traffic_that_is_gone_is_unusual_until_it_is_back() {
    let gone = 9 * DAY + 140..9 * DAY + 164;
    let values = (0..11 * DAY).map(|index| if gone.contains(&index) { 4.0 } else { usual(index) });
    let away = away(Options::default(), values);
    assert!(away[gone.start..gone.start + 6].iter().all(|away| *away < -1.0), "{:?}", &away[gone.clone()]);
    let unusual = unusual(&away);
    assert!(unusual.iter().all(|index| (gone.start..gone.end + 12).contains(index)), "{unusual:?}");
}

#[test]
fn an_outage_is_told_as_long_as_nobody_takes_it_for_usual() {
    let gone = 9 * DAY + 140..9 * DAY + 170;
    let values = (0..gone.end).map(|index| if gone.contains(&index) { 4.0 } else { usual(index) });
    let away = away(Options::default(), values);
    assert!(away[gone.clone()].iter().all(|away| *away < -1.0), "{:?}", &away[gone]);
}

#[test]
fn an_outage_changes_nothing_of_how_far_is_usual() {
    let tolerance = |gone: std::ops::Range<usize>| {
        let mut detector = Detector::new(Options::default());
        let value = |index: usize| if gone.contains(&index) { 4.0 } else { usual(index) };
        let last = (0..=10 * DAY + 140).fold(None, |_, index| detector.push(at(index), value(index)));
        last.unwrap().tolerance
    };
    let (never, an_hour) = (tolerance(0..0), tolerance(9 * DAY + 140..9 * DAY + 152));
    assert!(an_hour < 1.2 * never, "{an_hour} instead of {never}");
}

#[test]
fn an_outlier_changes_nothing_of_what_is_expected() {
    let values = (0..11 * DAY).map(|index| if index == 9 * DAY + 140 { 900.0 } else { usual(index) });
    let away = away(Options::default(), values);
    assert!(away[9 * DAY + 140] > 1.0);
    assert!(unusual(&away).is_empty());
}

#[test]
fn more_and_less_are_told_apart() {
    let high = (0..10 * DAY).map(|index| if index == 9 * DAY { 600.0 } else { usual(index) });
    let verdict = away(Options::default(), high)[9 * DAY];
    assert!(verdict > 1.0, "{verdict}");
    let low = (0..10 * DAY).map(|index| if index == 9 * DAY + 144 { 0.0 } else { usual(index) });
    let verdict = away(Options::default(), low)[9 * DAY + 144];
    assert!(verdict < -1.0, "{verdict}");
}

#[test]
fn the_band_is_around_what_is_expected() {
    let last = said_last(0..9 * DAY);
    assert!((last.expected - usual(9 * DAY - 1)).abs() < 15.0, "{last:?}");
    assert!(last.lower() < last.expected && last.expected < last.upper(), "{last:?}");
    assert!(last.upper() < 3.0 * last.expected, "{last:?}");
}

#[test]
fn a_little_traffic_is_no_matter() {
    let values = || (0..6 * DAY).map(|index| if (5 * DAY..5 * DAY + 12).contains(&index) { 9.0 } else { 1.0 });
    assert!(unusual(&away(Options { least: 10.0, ..Options::default() }, values())).is_empty());
    assert!(unusual(&away(Options::default(), values())).contains(&(5 * DAY)));
}

#[test]
fn what_stays_is_usual_after_a_day() {
    let values = (0..12 * DAY).map(|index| if index < 9 * DAY { usual(index) } else { 500.0 + usual(index) });
    let away = away(Options::default(), values);
    assert!(away[9 * DAY..9 * DAY + 3].iter().all(|away| *away > 1.0), "{:?}", &away[9 * DAY..9 * DAY + 3]);
    let later = unusual(&away[10 * DAY..]);
    assert!(later.is_empty(), "{later:?}");
}

#[test]
fn what_stays_away_is_usual_after_a_day() {
    let noon = 9 * DAY + 140;
    let values = (0..12 * DAY).map(|index| if index < noon { usual(index) } else { 0.3 * usual(index) });
    let away = away(Options::default(), values);
    assert!(away[noon..noon + 3].iter().all(|away| *away < -1.0), "{:?}", &away[noon..noon + 3]);
    let later = unusual(&away[noon + DAY..]);
    assert!(later.is_empty(), "{later:?}");
}

#[test]
fn nothing_is_said_while_it_learns_and_of_what_is_no_number() {
    let mut detector = Detector::new(Options::default());
    for index in 0..DAY {
        let value = if index == 200 { 1e9 } else { usual(index) };
        assert_eq!(detector.push(at(index), value), None);
    }
    (DAY..4 * DAY).for_each(|index| _ = detector.push(at(index), usual(index)));
    let mut same = detector.clone();
    for value in [f64::NAN, f64::INFINITY] {
        assert_eq!(detector.push(at(4 * DAY), value), None);
    }
    assert_eq!(detector.push(at(3), 5.0), None, "what is late changes nothing");
    let (one, other) = (detector.push(at(4 * DAY), 5.0), same.push(at(4 * DAY), 5.0));
    assert_eq!(one, other);
    assert!(one.is_some_and(|verdict| verdict.away < 0.0), "{one:?}");
}

#[test]
fn a_gap_is_not_nothing() {
    let gap = 6 * DAY + 100..6 * DAY + 200;
    let last = said_last((0..7 * DAY + 150).filter(|index| !gap.contains(index)));
    assert!((last.expected - usual(7 * DAY + 149)).abs() < 20.0, "{last:?}");
}

#[test]
fn a_gap_of_weeks_is_no_anomaly_and_takes_no_memory() {
    let mut detector = Detector::new(Options::default());
    (0..4 * DAY).for_each(|index| _ = detector.push(at(index), usual(index)));
    let far = 4 * DAY + 1_000_000;
    assert!(detector.push(at(far), usual(far)).is_none_or(|verdict| verdict.away.abs() <= 1.0));
}
