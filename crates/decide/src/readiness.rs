//! When a new replica is ready.

use daybook_model::Timestamp;
use daybook_model::spec::{Check, CheckTest};

/// Good answers in a row that make a replica ready.
pub const ANSWERS_IN_A_ROW: u32 = 3;

/// A replica must have answered well for at least so long, milliseconds: one that answers once and
/// falls over is not ready.
pub const MINIMUM_MS: i64 = 300;

/// Between the first questions, milliseconds.
pub const SOONEST_MS: u64 = 20;

/// A replica that nobody can ask must have run for so long, milliseconds.
pub const RUNNING_MS: i64 = 2_000;

/// How sure one must be of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// It has answered well once.
    Answer,
    /// It is ready: [`ANSWERS_IN_A_ROW`] over [`MINIMUM_MS`].
    Ready,
}

/// Folds the answers of one replica's check.
#[derive(Debug, Clone)]
pub struct Readiness {
    since: Timestamp,
    limit_ms: i64,
    start_period_ms: i64,
    retries: u32,
    rule: Rule,
    wanted: Wanted,
    good_since: Option<Timestamp>,
    good: u32,
    bad: u32,
    last_bad: Option<String>,
    first_restarts: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Answers,
    Running,
    Started,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The check was answered well.
    Good,
    /// The check was answered badly, or not.
    Bad(String),
    /// Its process has ended and is not started again: exit code, and what is known of it.
    Ended(String),
}

/// Whether a check asks the replica itself, so that an answer of it says that it serves.
pub fn is_answered(check: &Check) -> bool {
    matches!(check.test, CheckTest::Http { .. } | CheckTest::Tcp { .. } | CheckTest::Command(_))
}

/// What the answers so far amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Ask again.
    NotYet,
    /// It is ready.
    Ready,
    /// It will not get ready.
    Never(String),
}

impl Readiness {
    /// Begins to listen, at `since`, for a replica that may take `limit_ms`.
    pub fn new(check: &Check, wanted: Wanted, since: Timestamp, limit_ms: u64) -> Self {
        let rule = match check.test {
            CheckTest::Running => Rule::Running,
            CheckTest::Disabled => Rule::Started,
            CheckTest::Http { .. } | CheckTest::Tcp { .. } | CheckTest::Command(_) => Rule::Answers,
        };
        let start_period_ms = i64::try_from(check.start_period_ms).unwrap_or(i64::MAX);
        let limit_ms = i64::try_from(limit_ms).unwrap_or(i64::MAX).max(start_period_ms);
        Self {
            since,
            limit_ms,
            start_period_ms,
            retries: check.retries.max(1),
            rule,
            wanted,
            good_since: None,
            good: 0,
            bad: 0,
            last_bad: None,
            first_restarts: None,
        }
    }

    /// Takes an answer heard at `now`, and how often the replica has been started again.
    pub fn hear(&mut self, heard: Heard, restarts: u32, now: Timestamp) -> Stage {
        let first = *self.first_restarts.get_or_insert(restarts);
        match heard {
            Heard::Ended(how) => return Stage::Never(how),
            Heard::Good if self.rule == Rule::Started => return Stage::Ready,
            Heard::Good => {
                self.good_since.get_or_insert(now);
                self.good += 1;
            }
            Heard::Bad(why) => {
                self.good_since = None;
                self.good = 0;
                self.bad += 1;
                self.last_bad = Some(why);
            }
        }
        let crashes = restarts - first.min(restarts);
        if crashes >= 3 {
            return Stage::Never(format!("it ended {crashes} times while it was starting"));
        }
        if self.is_ready(now) { Stage::Ready } else { self.not_yet(now) }
    }

    fn is_ready(&self, now: Timestamp) -> bool {
        let Some(since) = self.good_since else { return false };
        let held = now.as_millisecond() - since.as_millisecond();
        match self.rule {
            Rule::Answers if self.wanted == Wanted::Answer => true,
            Rule::Answers => self.good >= ANSWERS_IN_A_ROW && held >= MINIMUM_MS,
            Rule::Running => held >= RUNNING_MS,
            Rule::Started => true,
        }
    }

    fn not_yet(&self, now: Timestamp) -> Stage {
        let waited = now.as_millisecond() - self.since.as_millisecond();
        if waited < self.limit_ms {
            return Stage::NotYet;
        }
        let last = self.last_bad.as_deref().unwrap_or("its check never answered");
        Stage::Never(format!("it was not ready within {}: {last}", crate::text::seconds(waited.unsigned_abs())))
    }

    /// How long to wait at `now` before the next question: a quarter of the time that it has taken so
    /// far, so that a replica is found soon and one that takes long is not asked too often, between
    /// [`SOONEST_MS`] and `interval_ms`.
    pub fn pause_ms(&self, now: Timestamp, interval_ms: u64) -> u64 {
        let waited = now.as_millisecond() - self.since.as_millisecond();
        (waited.max(0).unsigned_abs() / 4).clamp(SOONEST_MS, interval_ms.max(SOONEST_MS))
    }

    /// The last bad answer, for progress.
    pub fn last_bad(&self) -> Option<&str> {
        self.last_bad.as_deref()
    }

    /// Whether failures count yet: after the start period, `retries` bad answers in a row.
    pub fn is_failing(&self, now: Timestamp) -> bool {
        now.as_millisecond() - self.since.as_millisecond() > self.start_period_ms && self.bad >= self.retries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> Check {
        let test = CheckTest::Http { path: "/".to_owned(), port: 80 };
        Check { test, interval_ms: 2_000, timeout_ms: 2_000, retries: 3, start_period_ms: 0, start_interval_ms: 100 }
    }

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + ms).unwrap()
    }

    #[test]
    fn ready_takes_several_answers_over_a_while_and_a_first_answer_takes_one() {
        let stages = |wanted: Wanted, times: &[i64]| {
            let mut readiness = Readiness::new(&check(), wanted, at(0), 10_000);
            times.iter().map(|ms| readiness.hear(Heard::Good, 0, at(*ms))).collect::<Vec<_>>()
        };
        use Stage::{NotYet, Ready};
        assert_eq!(stages(Wanted::Answer, &[5]), [Ready]);
        assert_eq!(stages(Wanted::Ready, &[5, 25, 45, 304, 305]), [NotYet, NotYet, NotYet, NotYet, Ready]);
        assert_eq!(stages(Wanted::Ready, &[5, 400, 401]), [NotYet, NotYet, Ready]);
    }

    #[test]
    fn a_process_that_only_runs_has_not_answered() {
        let running = Check { test: CheckTest::Running, ..check() };
        assert!(!is_answered(&running) && is_answered(&check()));
        let mut readiness = Readiness::new(&running, Wanted::Ready, at(0), 10_000);
        assert_eq!(readiness.hear(Heard::Good, 0, at(0)), Stage::NotYet);
        assert_eq!(readiness.hear(Heard::Good, 0, at(RUNNING_MS)), Stage::Ready);
    }

    #[test]
    fn questions_come_soon_at_first_and_never_more_often_than_need_be() {
        let readiness = Readiness::new(&check(), Wanted::Ready, at(0), 10_000);
        let pauses: Vec<_> = [0, 100, 200, 400, 60_000].map(|ms| readiness.pause_ms(at(ms), 100)).into();
        assert_eq!(pauses, [20, 25, 50, 100, 100]);
        assert_eq!(readiness.pause_ms(at(60_000), 5), SOONEST_MS);
    }
}
