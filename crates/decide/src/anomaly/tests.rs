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

/// Where alerts begin and end.
fn edges(options: Options, values: impl Iterator<Item = f64>) -> Vec<(usize, State)> {
    let mut detector = Detector::new(options);
    let states = values.enumerate().map(|(index, value)| (index, detector.push(at(index), value).state));
    states.filter(|(_, state)| matches!(state, State::Begins | State::Ends)).collect()
}

#[test]
fn what_comes_back_every_day_is_usual() {
    assert!(edges(Options::default(), (0..14 * DAY).map(usual)).is_empty());
}

#[test]
fn traffic_that_is_gone_begins_once_and_ends_once() {
    let gone = 9 * DAY + 140..9 * DAY + 164;
    let values = (0..11 * DAY).map(|index| if gone.contains(&index) { 4.0 } else { usual(index) });
    let edges = edges(Options::default(), values);
    let [(begins, State::Begins), (ends, State::Ends)] = edges[..] else { panic!("{edges:?}") };
    assert!(begins - gone.start <= 2, "it has lasted for ten minutes: {}", begins - gone.start);
    assert!((gone.end..gone.end + 12).contains(&ends), "{ends} after {}", gone.end);
}

#[test]
fn what_does_not_last_is_not_said() {
    let values = (0..11 * DAY).map(|index| if index == 9 * DAY + 140 { 900.0 } else { usual(index) });
    assert!(edges(Options::default(), values).is_empty());
}

#[test]
fn only_the_way_that_is_asked_for_counts() {
    let high = |index: usize| if (9 * DAY..9 * DAY + 12).contains(&index) { 600.0 } else { usual(index) };
    let down = Options { direction: Direction::Down, ..Options::default() };
    assert!(edges(down, (0..10 * DAY).map(high)).is_empty());
    let up = Options { direction: Direction::Up, ..Options::default() };
    assert_eq!(edges(up, (0..10 * DAY).map(high)).len(), 2);
}

#[test]
fn a_little_traffic_is_no_matter() {
    let values = || (0..6 * DAY).map(|index| if (5 * DAY..5 * DAY + 12).contains(&index) { 9.0 } else { 1.0 });
    assert_eq!(edges(Options { least: 10.0, ..Options::default() }, values()), []);
    assert_eq!(edges(Options::default(), values()).len(), 2);
}

#[test]
fn what_stays_is_usual_after_a_day() {
    let values = (0..14 * DAY).map(|index| if index < 9 * DAY { usual(index) } else { 500.0 + usual(index) });
    let edges = edges(Options::default(), values);
    assert_eq!(edges.first().map(|(_, state)| *state), Some(State::Begins));
    assert!(edges.len() <= 4, "it is said again and again: {edges:?}");
    assert_eq!(edges.last().map(|(_, state)| *state), Some(State::Ends));
}

#[test]
fn nothing_is_said_while_it_learns_and_of_what_is_no_number() {
    let mut detector = Detector::new(Options::default());
    for index in 0..DAY {
        let value = if index == 200 { 1e9 } else { usual(index) };
        assert_eq!(detector.push(at(index), value).state, State::Learning);
    }
    let before = detector.push(at(DAY), 1.0);
    assert_eq!(before.state, State::Learning);
    for value in [f64::NAN, f64::INFINITY] {
        assert!(!detector.push(at(DAY + 1), value).state.is_firing());
    }
    assert_eq!(detector.push(at(3), 5.0).expected, before.expected, "what is late changes nothing");
}

#[test]
fn a_gap_of_weeks_is_no_anomaly_and_takes_no_memory() {
    let mut detector = Detector::new(Options::default());
    (0..4 * DAY).for_each(|index| {
        detector.push(at(index), usual(index));
    });
    let far = 4 * DAY + 1_000_000;
    assert!(!detector.push(at(far), usual(far)).state.is_firing());
}
