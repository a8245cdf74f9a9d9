//! Times in which alerts open nothing, because somebody works on it.

use daybook_model::oncall::{When, Window};
use daybook_model::spec::Schedule;
use daybook_model::{ServiceName, Timestamp};
use jiff::SignedDuration;

use crate::incident::Incident;
use crate::jobs;

/// The time of a window that a moment is in: when it began and ends.
pub fn open(window: &Window, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
    match &window.when {
        When::Once { from, until } => (*from <= at && at < *until).then_some((*from, *until)),
        When::Every { begins, length_ms } => {
            let length = length(*length_ms)?;
            let mut from = begun(begins, length, at)?;
            // One may begin before the one before has ended, and the last of them ends last: it is found by halves, as there
            // may be very many. None begins after `none`.
            let mut none = at;
            while from.as_second() < none.as_second() {
                let middle = Timestamp::from_second((from.as_second() + none.as_second()).div_euclid(2)).ok()?;
                match jobs::next(begins, middle).filter(|next| *next <= at) {
                    Some(next) => from = next,
                    None => none = middle,
                }
            }
            Some((from, from.checked_add(length).ok()?))
        }
    }
}

/// Whether a window is open at a moment.
fn is_open(window: &Window, at: Timestamp) -> bool {
    match &window.when {
        When::Once { from, until } => *from <= at && at < *until,
        When::Every { begins, length_ms } => length(*length_ms).and_then(|length| begun(begins, length, at)).is_some(),
    }
}

/// When the first of those began that have begun at a moment and have not ended.
fn begun(begins: &Schedule, length: SignedDuration, at: Timestamp) -> Option<Timestamp> {
    jobs::next(begins, at.checked_sub(length).ok()?).filter(|from| *from <= at)
}

/// When a window is next, after a moment that it is not in: when it begins and ends.
pub fn next(window: &Window, after: Timestamp) -> Option<(Timestamp, Timestamp)> {
    match &window.when {
        When::Once { from, until } => (*from > after).then_some((*from, *until)),
        When::Every { begins, length_ms } => {
            let from = jobs::next(begins, after)?;
            Some((from, from.checked_add(length(*length_ms)?).ok()?))
        }
    }
}

fn length(ms: u64) -> Option<SignedDuration> {
    Some(SignedDuration::from_millis(i64::try_from(ms).ok()?))
}

/// Whether a window is about a service. What is about none is covered by one that is about all.
pub fn covers(window: &Window, service: Option<&ServiceName>) -> bool {
    window.services.is_empty() || service.is_some_and(|service| window.services.contains(service))
}

/// The window by which nobody is woken for an incident at a moment: all that it is about is worked on.
pub fn muted_incident<'w>(windows: &'w [Window], incident: &Incident, at: Timestamp) -> Option<&'w Window> {
    // Whoever opens one by hand means it.
    if incident.is_by_hand {
        return None;
    }
    if incident.services.is_empty() {
        return muted(windows, None, at);
    }
    let mut all = incident.services.iter().map(|service| muted(windows, Some(service), at));
    let first = all.next()??;
    all.all(|window| window.is_some()).then_some(first)
}

/// The window that mutes what is about a service at a moment, if one does.
pub fn muted<'w>(windows: &'w [Window], service: Option<&ServiceName>, at: Timestamp) -> Option<&'w Window> {
    windows.iter().find(|window| covers(window, service) && is_open(window, at))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn name(text: &str) -> ServiceName {
        ServiceName::new(text).unwrap()
    }

    #[test]
    fn a_window_mutes_its_services_while_it_is_open() {
        let when = When::Once { from: at("2026-11-30T20:00:00Z"), until: at("2026-11-30T21:00:00Z") };
        let windows = [Window { title: "database".to_owned(), services: [name("db")].into(), when }];
        let db = name("db");
        assert!(muted(&windows, Some(&db), at("2026-11-30T20:00:00Z")).is_some());
        assert!(muted(&windows, Some(&db), at("2026-11-30T21:00:00Z")).is_none());
        assert!(muted(&windows, Some(&name("web")), at("2026-11-30T20:30:00Z")).is_none());
        assert!(muted(&windows, None, at("2026-11-30T20:30:00Z")).is_none());
    }

    #[test]
    fn a_window_comes_again_at_the_same_time_of_day() {
        let begins = Schedule { cron: "0 2 * * 0".to_owned(), zone: "Europe/Paris".to_owned() };
        let when = When::Every { begins, length_ms: 2 * 3_600_000 };
        let window = Window { title: "updates".to_owned(), services: BTreeSet::new(), when };
        // A Sunday in summer, and one in winter.
        assert!(open(&window, at("2026-10-18T00:00:00Z")).is_some());
        assert!(open(&window, at("2026-10-18T02:00:00Z")).is_none());
        assert!(open(&window, at("2026-11-01T00:30:00Z")).is_none());
        assert_eq!(
            open(&window, at("2026-11-01T01:30:00Z")),
            Some((at("2026-11-01T01:00:00Z"), at("2026-11-01T03:00:00Z")))
        );
        assert_eq!(
            next(&window, at("2026-11-02T00:00:00Z")),
            Some((at("2026-11-08T01:00:00Z"), at("2026-11-08T03:00:00Z")))
        );
        assert!(muted(std::slice::from_ref(&window), None, at("2026-11-01T02:59:59Z")).is_some());
    }

    #[test]
    fn of_windows_that_overlap_the_last_is_open() {
        let every = |cron: &str, hours: u64| {
            let begins = Schedule { cron: cron.to_owned(), zone: "UTC".to_owned() };
            let when = When::Every { begins, length_ms: hours * 3_600_000 };
            Window { title: "updates".to_owned(), services: BTreeSet::new(), when }
        };
        let began = |window: &Window, time: &str| open(window, at(time)).map(|(from, _)| from);
        let minutes = every("* * * * *", 366 * 24);
        assert_eq!(began(&minutes, "2026-11-01T10:30:00Z"), Some(at("2026-11-01T10:30:00Z")));
        assert_eq!(began(&minutes, "2026-11-01T10:30:59.5Z"), Some(at("2026-11-01T10:30:00Z")));
        assert!(muted(&[minutes], None, at("2026-11-01T10:30:30Z")).is_some());
        let twice = every("0 1,2 * * *", 30);
        assert_eq!(began(&twice, "2026-11-02T00:59:59Z"), Some(at("2026-11-01T02:00:00Z")));
        assert_eq!(began(&twice, "2026-11-02T01:59:59Z"), Some(at("2026-11-02T01:00:00Z")));
    }
}
