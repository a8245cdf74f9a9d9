//! How far what goes elsewhere is. Pure.

use std::collections::BTreeMap;

use daybook_ingest::remote::Progress;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::observe::standing::Row;

/// Samples get into the store within this time of their own, in milliseconds: a replica may take that long to be asked.
const SETTLE: i64 = 15_000;
/// The time of which samples are read at once, in milliseconds.
const LONGEST: i64 = 60_000;
/// Lines that are read at once.
const LINES: u64 = 2_000;

/// Stores of lines that are remembered; those that were made first are forgotten.
const STORES: usize = 8;

/// How lines go elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    /// As Loki takes them.
    Loki,
    /// By OpenTelemetry's protocol.
    Otlp,
}

impl Way {
    /// Each.
    pub(super) const ALL: [Self; 2] = [Self::Loki, Self::Otlp];
}

/// How far an environment is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Place {
    /// `None`: no samples go anywhere.
    pub(super) metrics: Option<Times>,
    /// The number of the first line that was not sent each way, by the store that has it: servers that share their state have one
    /// each, with numbers of its own. A way that is not there: no lines go that way.
    lines: BTreeMap<Way, BTreeMap<Uuid, u64>>,
}

impl Row for Place {
    const OF: &'static str = "forward";
}

impl Place {
    /// The number of the first line of a store that was not sent this way.
    pub(super) fn line(&self, way: Way, store: Uuid) -> Option<u64> {
        self.lines.get(&way)?.get(&store).copied()
    }

    /// Lines of a store go this way from now on, if they do not yet. `next` is the number of the next line that comes.
    pub(super) fn begin_lines(&mut self, way: Way, store: Uuid, next: u64) {
        let lines = self.lines.entry(way).or_default();
        lines.entry(store).or_insert(next);
        while lines.len() > STORES
            && let Some(oldest) = lines.keys().copied().find(|one| *one != store)
        {
            lines.remove(&oldest);
        }
    }

    /// Lines of a store before this number were sent, if they still go this way.
    pub(super) fn sent_lines(&mut self, way: Way, store: Uuid, until: u64) {
        if let Some(first) = self.lines.get_mut(&way).and_then(|lines| lines.get_mut(&store)) {
            *first = until;
        }
    }

    /// No lines go this way any more.
    pub(super) fn end_lines(&mut self, way: Way) {
        self.lines.remove(&way);
    }

    /// A server begins to lead whose store of lines gives its next one this number. Lines with higher ones are still to come,
    /// whatever had those before; and where lines go, those of a store that is new to it do as well.
    pub(super) fn taken_over(mut self, store: Uuid, next: u64) -> Self {
        let ways: Vec<Way> = self.lines.keys().copied().collect();
        for way in ways {
            self.begin_lines(way, store, next);
        }
        for first in self.lines.values_mut().filter_map(|lines| lines.get_mut(&store)) {
            *first = next.min(*first);
        }
        self
    }
}

/// Which samples were sent.
///
/// What is sent next is written down before, and sent again as it was if nobody knows whether it arrived: a receiver that has
/// it refuses all of a request in which samples that it has come before others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Times {
    /// All from before this time, in milliseconds since 1970.
    before: i64,
    /// Those until this time, which is included, are being sent.
    until: Option<i64>,
}

impl Times {
    /// Nothing from before this time is sent.
    pub(super) fn begin(now: i64) -> Self {
        Self { before: now, until: None }
    }

    /// The times whose samples are sent next, both included. `None`: it is too early.
    pub(super) fn next(self, now: i64) -> Option<(i64, i64)> {
        match self.until {
            Some(until) => Some((self.before, until)),
            None => Progress { before: self.before }.next(now, SETTLE, LONGEST),
        }
    }

    /// Samples until a time are being sent.
    pub(super) fn sending(self, until: i64) -> Self {
        Self { until: Some(until), ..self }
    }

    /// They were sent, or given up.
    pub(super) fn sent(self, until: i64) -> Self {
        Self { before: Progress { before: self.before }.sent(until).before, until: None }
    }
}

/// The numbers of the lines that are sent next: from the first on, and before the second. `end` is the number of the next line that
/// comes. `None`: there are none.
pub(super) fn next_lines(first: u64, end: u64) -> Option<(u64, u64)> {
    (first < end).then(|| (first, end.min(first.saturating_add(LINES))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_have_arrived_is_sent_again_as_it_was() {
        let times = Times::begin(1_000_000);
        assert_eq!(times.next(1_010_000), None, "samples may still come");
        let (from, to) = times.next(1_020_000).unwrap();
        assert_eq!((from, to), (1_000_000, 1_004_999));
        let killed = times.sending(to);
        let kept: Times = serde_json::from_str(&serde_json::to_string(&killed).unwrap()).unwrap();
        assert_eq!(kept.next(9_000_000), Some((from, to)), "however late it is");
        let after = kept.sent(to);
        assert_eq!(after.next(9_000_000), Some((1_005_000, 1_064_999)), "and then the rest, a minute at a time");
    }

    #[test]
    fn all_lines_are_sent_once() {
        let (mut first, mut sent) = (7, Vec::new());
        while let Some((from, end)) = next_lines(first, 9_000) {
            sent.extend(from..end);
            first = end;
        }
        assert!(sent.into_iter().eq(7..9_000));
        assert_eq!(next_lines(12, 3), None);
    }

    #[test]
    fn whoever_takes_over_sends_the_lines_of_its_own_store() {
        let [first, second] = [1, 2].map(Uuid::from_u128);
        assert_eq!(Place::default().taken_over(first, 3), Place::default(), "nothing goes anywhere");
        let way = Way::Otlp;
        let mut place = Place::default();
        place.begin_lines(way, first, 12);
        place.begin_lines(way, first, 30);
        assert_eq!(place.clone().taken_over(first, 30).line(way, first), Some(12));
        assert_eq!(place.clone().taken_over(first, 3).line(way, first), Some(3), "a store that went back");
        let mut place = place.taken_over(second, 5);
        assert_eq!(place.line(way, second), Some(5), "its lines from now on");
        place.sent_lines(way, second, 9);
        let place = place.taken_over(first, 40);
        assert_eq!(
            (place.line(way, first), place.line(way, second)),
            (Some(12), Some(9)),
            "what it had not sent when it led before"
        );
        assert_eq!(place.line(Way::Loki, first), None, "nothing goes that way");
    }

    #[test]
    fn each_way_is_as_far_as_it_is() {
        let store = Uuid::from_u128(1);
        let mut place = Place::default();
        place.begin_lines(Way::Loki, store, 3);
        place.begin_lines(Way::Otlp, store, 7);
        place.sent_lines(Way::Loki, store, 20);
        let mut place: Place = serde_json::from_str(&serde_json::to_string(&place).unwrap()).unwrap();
        assert_eq!(Way::ALL.map(|way| place.line(way, store)), [Some(20), Some(7)]);
        place.end_lines(Way::Loki);
        assert_eq!(Way::ALL.map(|way| place.line(way, store)), [None, Some(7)]);
        place.end_lines(Way::Otlp);
        assert_eq!(place, Place::default());
    }

    #[test]
    fn stores_that_are_long_gone_are_forgotten() {
        let mut place = Place::default();
        (0..20).map(Uuid::from_u128).for_each(|store| place.begin_lines(Way::Loki, store, 1));
        assert_eq!(place.lines[&Way::Loki].len(), STORES);
        place.begin_lines(Way::Loki, Uuid::from_u128(0), 7);
        assert_eq!([0, 19].map(|store| place.line(Way::Loki, Uuid::from_u128(store))), [Some(7), Some(1)]);
    }
}
