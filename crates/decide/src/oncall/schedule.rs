//! Layers of rotations.

use daybook_model::Timestamp;
use daybook_model::oncall::{Layer, Restriction, Schedule, Turn};
use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, ToSpan as _};
use serde::{Deserialize, Serialize};

/// A time in which one person is on call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// Who. `None`: nobody.
    pub person: Option<String>,
    /// From then on,
    pub from: Timestamp,
    /// until then, or as far as was asked for.
    pub until: Timestamp,
}

/// A shift that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Who is on call. `None`: nobody.
    pub person: Option<String>,
    /// Until when. `None`: for good.
    pub until: Option<Timestamp>,
}

/// Shifts beyond this many are not looked for.
const MOST_SHIFTS: usize = 2_000;

/// Who is on call at a moment. `None`: nobody. A zone that does not exist is read as UTC.
pub fn on_call(schedule: &Schedule, at: Timestamp) -> Option<&str> {
    if let Some(one) = schedule.overrides.iter().rev().find(|one| one.from <= at && at < one.until) {
        return Some(&one.person);
    }
    let zone = zone(schedule);
    schedule.layers.iter().rev().find_map(|layer| in_turn(layer, at, &zone))
}

/// When the next one takes over, and who; `None` as a person where nobody is on call then. Nothing for a schedule
/// in which nothing changes within a year.
pub fn next_hand_over(schedule: &Schedule, after: Timestamp) -> Option<(Timestamp, Option<String>)> {
    let until = after.checked_add(SignedDuration::from_hours(366 * 24)).ok()?;
    let now = on_call(schedule, after);
    let mut at = after;
    for _ in 0..MOST_SHIFTS {
        at = next_edge(schedule, at).filter(|next| *next <= until)?;
        let then = on_call(schedule, at);
        if then != now {
            return Some((at, then.map(ToOwned::to_owned)));
        }
    }
    None
}

/// The shift that has begun since it was looked last, if one has. `known` is who was on call then; `None`: nobody was, or nobody
/// has looked yet. Of shifts that came and went meanwhile nothing is said.
pub fn begun(schedule: &Schedule, known: Option<&str>, now: Timestamp) -> Option<Begun> {
    let person = on_call(schedule, now);
    if person == known {
        return None;
    }
    let until = next_hand_over(schedule, now).map(|(until, _)| until);
    Some(Begun { person: person.map(ToOwned::to_owned), until })
}

/// Who is on call from one moment to another, one shift after the other.
pub fn shifts(schedule: &Schedule, from: Timestamp, until: Timestamp) -> Vec<Shift> {
    let mut shifts = Vec::new();
    let mut at = from;
    while at < until && shifts.len() < MOST_SHIFTS {
        let next = next_hand_over(schedule, at).map_or(until, |(next, _)| next.min(until));
        shifts.push(Shift { person: on_call(schedule, at).map(ToOwned::to_owned), from: at, until: next });
        at = next;
    }
    shifts
}

fn zone(schedule: &Schedule) -> TimeZone {
    TimeZone::get(&schedule.zone).unwrap_or(TimeZone::UTC)
}

/// The next moment at which anybody might change.
fn next_edge(schedule: &Schedule, after: Timestamp) -> Option<Timestamp> {
    let zone = zone(schedule);
    let of_layers = schedule.layers.iter().filter_map(|layer| edge_of_turns(layer, after, &zone));
    let of_overrides = schedule.overrides.iter().flat_map(|one| [one.from, one.until]);
    of_layers.chain(of_overrides).filter(|at| *at > after).min()
}

/// A moment of a zone; one that a change of the clocks leaves out is as much later.
fn moment(at: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(at).compatible().ok()
}

fn in_turn<'l>(layer: &'l Layer, at: Timestamp, zone: &TimeZone) -> Option<&'l str> {
    let is_over = layer.until.and_then(|until| moment(until, zone)).is_some_and(|until| at >= until);
    let is_asked = layer.only.is_empty() || layer.only.iter().any(|one| covers(one, at, zone));
    let turn = turn_at(layer, at, zone)?;
    if is_over || !is_asked || layer.people.is_empty() {
        return None;
    }
    let place = turn.rem_euclid(i64::try_from(layer.people.len()).ok()?);
    layer.people.get(usize::try_from(place).ok()?).map(String::as_str)
}

/// The number of the turn at a moment, from 0. `None`: before the first.
fn turn_at(layer: &Layer, at: Timestamp, zone: &TimeZone) -> Option<i64> {
    let start = moment(layer.start, zone)?;
    if at < start {
        return None;
    }
    let Some(days) = days(layer) else {
        let hours = i64::from(hours(layer).max(1));
        return Some((at.as_second() - start.as_second()).div_euclid(hours * 3_600));
    };
    // The calendar tells about which one it is; moments tell exactly, whatever the clocks did.
    let local = zone.to_datetime(at);
    let passed = i64::from(local.date().since(layer.start.date()).ok()?.get_days()).div_euclid(days);
    (passed - 1..=passed + 1).rev().find(|turn| begins(layer, *turn, zone).is_some_and(|began| began <= at))
}

fn begins(layer: &Layer, turn: i64, zone: &TimeZone) -> Option<Timestamp> {
    match days(layer) {
        Some(days) => {
            let passed = Span::new().try_days(turn.checked_mul(days)?).ok()?;
            moment(layer.start.checked_add(passed).ok()?, zone)
        }
        None => {
            let hours = SignedDuration::from_hours(turn * i64::from(hours(layer).max(1)));
            moment(layer.start, zone)?.checked_add(hours).ok()
        }
    }
}

fn days(layer: &Layer) -> Option<i64> {
    match layer.turn {
        Turn::Hours(_) => None,
        Turn::Days(days) => Some(i64::from(days.max(1))),
        Turn::Weeks(weeks) => Some(7 * i64::from(weeks.max(1))),
    }
}

fn hours(layer: &Layer) -> u32 {
    match layer.turn {
        Turn::Hours(hours) => hours,
        Turn::Days(_) | Turn::Weeks(_) => 0,
    }
}

fn edge_of_turns(layer: &Layer, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let start = moment(layer.start, zone)?;
    if after < start {
        return Some(start);
    }
    let next = turn_at(layer, after, zone).and_then(|turn| begins(layer, turn + 1, zone));
    let until = layer.until.and_then(|until| moment(until, zone));
    let edges = layer.only.iter().filter_map(|one| edge_of_hours(one, after, zone));
    edges.chain(next).chain(until).filter(|at| *at > after).min()
}

fn covers(one: &Restriction, at: Timestamp, zone: &TimeZone) -> bool {
    around(one, at, zone).any(|(from, until)| from <= at && at < until)
}

fn edge_of_hours(one: &Restriction, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    around(one, after, zone).flat_map(|(from, until)| [from, until]).filter(|at| *at > after).min()
}

/// What begins on the day before a moment, and on those until a week after it.
fn around(one: &Restriction, at: Timestamp, zone: &TimeZone) -> impl Iterator<Item = (Timestamp, Timestamp)> {
    let today = zone.to_datetime(at).date();
    let days = (-1..=7).filter_map(move |day| today.checked_add(i64::from(day).days()).ok());
    days.filter(move |day| begins_on(one, day.weekday())).filter_map(move |day| {
        let last = if one.until > one.from { day } else { day.tomorrow().ok()? };
        Some((moment(day.to_datetime(one.from), zone)?, moment(last.to_datetime(one.until), zone)?))
    })
}

fn begins_on(one: &Restriction, day: Weekday) -> bool {
    one.days.is_empty() || one.days.contains(&day.to_monday_one_offset())
}

#[cfg(test)]
mod tests {
    use daybook_model::oncall::Override;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn layer(people: &[&str], start: &str, turn: Turn) -> Layer {
        Layer {
            people: people.iter().map(|one| (*one).to_owned()).collect(),
            start: start.parse().unwrap(),
            until: None,
            turn,
            only: Vec::new(),
        }
    }

    fn schedule(layers: Vec<Layer>) -> Schedule {
        Schedule {
            name: "web".to_owned(),
            zone: "Europe/Paris".to_owned(),
            layers,
            overrides: Vec::new(),
            handover: true,
        }
    }

    fn told(schedule: &Schedule, from: &str, until: &str) -> String {
        let shifts = shifts(schedule, at(from), at(until));
        let zone = zone(schedule);
        let line =
            |one: &Shift| format!("{}  {}", zone.to_datetime(one.from), one.person.as_deref().unwrap_or("nobody"));
        shifts.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn weeks_are_handed_over_at_the_same_time_of_day_across_changes_of_the_clocks() {
        let schedule = schedule(vec![layer(&["ada", "bob"], "2026-10-19T09:00", Turn::Weeks(1))]);
        insta::assert_snapshot!(told(&schedule, "2026-10-20T00:00:00Z", "2026-11-10T00:00:00Z"), @"
        2026-10-20T02:00:00  ada
        2026-10-26T09:00:00  bob
        2026-11-02T09:00:00  ada
        2026-11-09T09:00:00  bob
        ");
        // The clocks went back on the 25th: nine o'clock is eight o'clock UTC from then on.
        assert_eq!(on_call(&schedule, at("2026-10-26T07:59:59Z")), Some("ada"));
        assert_eq!(on_call(&schedule, at("2026-10-26T08:00:00Z")), Some("bob"));
        assert_eq!(on_call(&schedule, at("2026-10-19T06:59:59Z")), None, "before the first turn");
    }

    #[test]
    fn a_hand_over_in_the_hour_that_comes_twice_is_once() {
        let schedule = schedule(vec![layer(&["ada", "bob"], "2026-10-24T02:30", Turn::Days(1))]);
        let shifts = shifts(&schedule, at("2026-10-24T12:00:00Z"), at("2026-10-25T12:00:00Z"));
        assert_eq!(shifts.len(), 2, "{shifts:?}");
        assert_eq!(shifts[1].from, at("2026-10-25T00:30:00Z"));
    }

    #[test]
    fn a_hand_over_in_the_hour_that_never_comes_is_an_hour_later() {
        let schedule = schedule(vec![layer(&["ada", "bob"], "2026-03-28T02:30", Turn::Days(1))]);
        let shifts = shifts(&schedule, at("2026-03-28T12:00:00Z"), at("2026-03-29T12:00:00Z"));
        assert_eq!(shifts.len(), 2, "{shifts:?}");
        assert_eq!(shifts[1].from, at("2026-03-29T01:30:00Z"));
    }

    #[test]
    fn later_layers_cover_earlier_ones_in_their_hours_and_overrides_cover_all() {
        let nights = Restriction { days: Vec::new(), from: "18:00".parse().unwrap(), until: "08:00".parse().unwrap() };
        let night = Layer { only: vec![nights], ..layer(&["cy"], "2026-11-02T08:00", Turn::Weeks(1)) };
        let mut schedule = schedule(vec![layer(&["ada", "bob"], "2026-11-02T08:00", Turn::Days(1)), night]);
        schedule.overrides.push(Override {
            person: "dee".to_owned(),
            from: at("2026-11-03T09:00:00Z"),
            until: at("2026-11-03T20:00:00Z"),
        });
        insta::assert_snapshot!(told(&schedule, "2026-11-02T08:00:00Z", "2026-11-04T12:00:00Z"), @"
        2026-11-02T09:00:00  ada
        2026-11-02T18:00:00  cy
        2026-11-03T08:00:00  bob
        2026-11-03T10:00:00  dee
        2026-11-03T21:00:00  cy
        2026-11-04T08:00:00  ada
        ");
    }

    #[test]
    fn outside_of_its_hours_nobody_is_on_call() {
        let office =
            Restriction { days: vec![1, 2, 3, 4, 5], from: "09:00".parse().unwrap(), until: "17:00".parse().unwrap() };
        let schedule =
            schedule(vec![Layer { only: vec![office], ..layer(&["ada"], "2026-11-02T09:00", Turn::Weeks(1)) }]);
        assert_eq!(on_call(&schedule, at("2026-11-06T15:59:00Z")), Some("ada"));
        assert_eq!(on_call(&schedule, at("2026-11-07T12:00:00Z")), None, "a Saturday");
        let next = next_hand_over(&schedule, at("2026-11-06T16:30:00Z"));
        assert_eq!(next, Some((at("2026-11-09T08:00:00Z"), Some("ada".to_owned()))));
    }

    #[test]
    fn each_shift_begins_once_and_one_that_came_and_went_never() {
        let mut schedule = schedule(vec![layer(&["ada", "bob"], "2026-11-02T09:00", Turn::Days(1))]);
        let mut known: Option<String> = None;
        let mut look = |schedule: &Schedule, time: &str| {
            let begun = begun(schedule, known.as_deref(), at(time))?;
            known.clone_from(&begun.person);
            let until = begun.until.as_ref().map(ToString::to_string).unwrap_or_default();
            Some(format!("{} until {until}", begun.person.as_deref().unwrap_or("nobody")))
        };
        assert_eq!(look(&schedule, "2026-11-01T12:00:00Z"), None, "nobody was on call before");
        let first = Some("ada until 2026-11-03T08:00:00Z".to_owned());
        assert_eq!(look(&schedule, "2026-11-02T08:00:00Z"), first);
        assert_eq!(look(&schedule, "2026-11-03T07:59:59Z"), None);
        assert_eq!(
            look(&schedule, "2026-11-04T12:00:00Z"),
            None,
            "it is her turn again, and nobody was told of another"
        );
        let (from, until) = (at("2026-11-04T13:00:00Z"), at("2026-11-04T14:00:00Z"));
        schedule.overrides.push(Override { person: "cy".to_owned(), from, until });
        assert_eq!(look(&schedule, "2026-11-04T13:00:07Z").as_deref(), Some("cy until 2026-11-04T14:00:00Z"));
        assert_eq!(look(&schedule, "2026-11-04T14:00:07Z").as_deref(), Some("ada until 2026-11-05T08:00:00Z"));
        schedule.layers.clear();
        assert_eq!(look(&schedule, "2026-11-04T15:00:00Z").as_deref(), Some("nobody until "));
        assert_eq!(look(&schedule, "2026-11-04T15:00:10Z"), None);
    }

    #[test]
    fn turns_of_hours_and_of_several_days() {
        let hours = schedule(vec![layer(&["ada", "bob", "cy"], "2026-11-02T00:00", Turn::Hours(8))]);
        assert_eq!(on_call(&hours, at("2026-11-02T07:00:00Z")), Some("bob"));
        let days = schedule(vec![layer(&["ada", "bob"], "2026-11-02T00:00", Turn::Days(3))]);
        assert_eq!(on_call(&days, at("2026-11-04T22:59:00Z")), Some("ada"));
        assert_eq!(on_call(&days, at("2026-11-04T23:00:00Z")), Some("bob"));
    }

    #[test]
    fn a_turn_beyond_the_calendar_is_the_only_one() {
        let long = schedule(vec![layer(&["ada", "bob"], "2026-11-02T00:00", Turn::Weeks(u32::MAX))]);
        let now = at("2026-11-03T00:00:00Z");
        assert_eq!((on_call(&long, now), next_hand_over(&long, now)), (Some("ada"), None));
    }

    #[test]
    fn a_schedule_that_never_changes_has_no_hand_over() {
        let alone = schedule(vec![layer(&["ada"], "2026-11-02T00:00", Turn::Weeks(1))]);
        assert_eq!(next_hand_over(&alone, at("2026-11-03T00:00:00Z")), None);
        let nobody = schedule(Vec::new());
        assert_eq!(
            (on_call(&nobody, at("2026-11-03T00:00:00Z")), next_hand_over(&nobody, at("2026-11-03T00:00:00Z"))),
            (None, None)
        );
        let ends = Layer {
            until: Some("2026-11-04T00:00".parse().unwrap()),
            ..layer(&["ada"], "2026-11-02T00:00", Turn::Weeks(1))
        };
        let ends = schedule(vec![ends]);
        assert_eq!(next_hand_over(&ends, at("2026-11-03T00:00:00Z")), Some((at("2026-11-03T23:00:00Z"), None)));
    }
}
