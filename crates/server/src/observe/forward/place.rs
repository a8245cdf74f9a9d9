//! How far what goes elsewhere is. Pure.

use daybook_ingest::remote::Progress;
use serde::{Deserialize, Serialize};

/// Samples get into the store within this time of their own, in milliseconds: a replica may take that long to be asked.
const SETTLE: i64 = 15_000;
/// The time of which samples are read at once, in milliseconds.
const LONGEST: i64 = 60_000;
/// Lines that are read at once.
const LINES: u64 = 2_000;

/// How far an environment is, as the file has it. `None`: nothing goes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) metrics: Option<Times>,
    /// The number of the first line that was not sent.
    pub(super) logs: Option<u64>,
}

impl Place {
    /// The same where the next line has this number. Lines with higher ones are still to come, whatever had those before.
    pub(super) fn within(self, next: u64) -> Self {
        Self { logs: self.logs.map(|first| first.min(next)), ..self }
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
    #[serde(default)]
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
        let place = Place { logs: Some(12), ..Place::default() };
        assert_eq!((place.within(3).logs, place.within(30).logs), (Some(3), Some(12)), "a store that went back");
        assert_eq!(Place::default().within(3), Place::default());
    }
}
