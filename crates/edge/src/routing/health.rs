//! Whether an endpoint may be used: a state machine fed by checks and by failed attempts.

use std::time::Duration;

use daybook_model::spec::Check;

/// What is known of one endpoint.
#[derive(Debug)]
pub(crate) struct Health {
    standing: Standing,
    /// Bad answers of the check in a row.
    bad_in_row: u32,
    /// Good answers of the check in a row.
    good_in_row: u32,
    /// Ejections since the endpoint was last steady: the exponent of the back-off.
    ejections: u32,
    /// It was loaded at the start of the edge and has not answered well since: it may be starting too.
    awaited: bool,
    last_failure: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Before the first answer of a check. Trusted when whoever set the table has found it ready.
    New {
        trusted: bool,
    },
    Healthy,
    Ejected,
}

/// Good answers in a row after which earlier ejections are forgotten.
const STEADY_AFTER: u32 = 5;
/// The first wait of the back-off, and between the first questions.
const SOON: Duration = Duration::from_millis(100);
/// While requests wait for the first good answer.
const LONGEST_AT_START: Duration = Duration::from_millis(250);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(10);

impl Health {
    /// A new endpoint. One that comes with a new table was found ready by whoever set it, and is
    /// `trusted` until a check says otherwise; one that was loaded at the start of the edge is not.
    pub(crate) fn new(trusted: bool) -> Self {
        Self {
            standing: Standing::New { trusted },
            bad_in_row: 0,
            good_in_row: 0,
            ejections: 0,
            awaited: !trusted,
            last_failure: None,
        }
    }

    /// Whether requests may be sent to it.
    pub(crate) fn is_usable(&self) -> bool {
        matches!(self.standing, Standing::Healthy | Standing::New { trusted: true })
    }

    /// Whether requests had better wait for its first good answer: after a reboot it may be starting too.
    pub(crate) fn is_awaited(&self) -> bool {
        self.awaited
    }

    /// It has been waited for long enough.
    pub(crate) fn give_up_waiting(&mut self) {
        self.awaited = false;
    }

    /// The standing as it is reported: `None` before the first answer.
    pub(crate) fn reported(&self) -> Option<bool> {
        match self.standing {
            Standing::New { .. } => None,
            Standing::Healthy => Some(true),
            Standing::Ejected => Some(false),
        }
    }

    /// What the last failure was, until a check is good again.
    pub(crate) fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    /// A check was answered well: it may be used.
    pub(crate) fn check_was_good(&mut self) {
        self.awaited = false;
        self.bad_in_row = 0;
        self.good_in_row = self.good_in_row.saturating_add(1);
        if self.good_in_row >= STEADY_AFTER {
            self.ejections = 0;
            self.last_failure = None;
        }
        self.standing = Standing::Healthy;
    }

    /// A check was answered badly or not at all. After `check.retries` in a row it is ejected; one that
    /// never was healthy is ejected at once.
    pub(crate) fn check_was_bad(&mut self, why: String, check: &Check) {
        self.good_in_row = 0;
        self.bad_in_row = self.bad_in_row.saturating_add(1);
        self.last_failure = Some(why);
        if !self.is_usable() || self.bad_in_row >= check.retries.max(1) {
            self.eject();
        }
    }

    /// A connection for a request was refused, or reset before an answer: it is ejected at once.
    pub(crate) fn attempt_failed(&mut self, why: String) {
        self.good_in_row = 0;
        self.last_failure = Some(why);
        if self.standing != Standing::Ejected {
            self.eject();
        }
    }

    /// An answer did not begin in time: it is told of, and whether the endpoint can be used is its check's to say.
    pub(crate) fn answer_was_late(&mut self, why: String) {
        self.good_in_row = 0;
        self.last_failure = Some(why);
    }

    /// How long until the next question. An ejected endpoint is asked soon, and after repeated ejections
    /// ever later, up to the check's interval.
    pub(crate) fn next_check_after(&self, check: &Check) -> Duration {
        let interval = Duration::from_millis(check.interval_ms.max(1));
        if self.awaited {
            return Duration::from_millis(check.start_interval_ms).clamp(SOON, LONGEST_AT_START);
        }
        match self.standing {
            Standing::Healthy => interval,
            Standing::New { .. } => SOON.min(interval),
            Standing::Ejected => {
                let doubled = SOON.saturating_mul(1 << self.ejections.saturating_sub(1).min(10));
                doubled.min(interval.max(SOON)).min(LONGEST_BACK_OFF)
            }
        }
    }

    fn eject(&mut self) {
        self.ejections = self.ejections.saturating_add(1);
        self.standing = Standing::Ejected;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daybook_model::spec::CheckTest;

    fn check() -> Check {
        Check {
            test: CheckTest::Tcp { port: 1 },
            interval_ms: 5_000,
            timeout_ms: 1_000,
            retries: 3,
            start_period_ms: 0,
            start_interval_ms: 500,
        }
    }

    #[test]
    fn a_trusted_endpoint_is_used_before_its_first_check() {
        let mut health = Health::new(true);
        assert!(health.is_usable() && !health.is_awaited());
        assert_eq!(health.reported(), None);
        health.check_was_bad("500".into(), &check());
        assert!(health.is_usable(), "one bad answer of three");
        health.check_was_good();
        assert_eq!(health.reported(), Some(true));
    }

    #[test]
    fn r06_an_untrusted_endpoint_waits_for_its_first_check() {
        let mut health = Health::new(false);
        assert!(!health.is_usable() && health.is_awaited());
        for _ in 0..9 {
            health.check_was_bad("refused".into(), &check());
            assert!(!health.is_usable() && health.is_awaited(), "it may be starting still");
            assert_eq!(health.next_check_after(&check()), LONGEST_AT_START);
        }
        health.check_was_good();
        assert!(health.is_usable() && !health.is_awaited());
    }

    #[test]
    fn checks_eject_after_retries_in_a_row() {
        let mut health = Health::new(true);
        health.check_was_good();
        for answer in [false, false, true, false, false] {
            if answer {
                health.check_was_good();
            } else {
                health.check_was_bad("503".into(), &check());
            }
            assert!(health.is_usable());
        }
        health.check_was_bad("503".into(), &check());
        assert!(!health.is_usable());
        assert_eq!(health.last_failure(), Some("503"));
    }

    #[test]
    fn r07_a_refused_connection_ejects_at_once_until_a_check_is_good() {
        let mut health = Health::new(true);
        health.check_was_good();
        health.attempt_failed("connection refused".into());
        assert_eq!(health.reported(), Some(false));
        health.check_was_good();
        assert!(health.is_usable());
    }

    #[test]
    fn back_off_grows_with_each_ejection_and_is_forgotten_when_steady() {
        let mut health = Health::new(true);
        let mut waits = Vec::new();
        for _ in 0..9 {
            health.attempt_failed("reset".into());
            waits.push(health.next_check_after(&check()).as_millis());
            health.check_was_good();
        }
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        for _ in 0..STEADY_AFTER {
            health.check_was_good();
        }
        health.attempt_failed("reset".into());
        assert_eq!(health.next_check_after(&check()).as_millis(), 100);
    }

    #[test]
    fn failed_checks_of_an_ejected_endpoint_back_off_too() {
        let mut health = Health::new(false);
        health.give_up_waiting();
        let mut last = Duration::ZERO;
        for _ in 0..20 {
            health.check_was_bad("refused".into(), &check());
            assert!(health.next_check_after(&check()) >= last);
            last = health.next_check_after(&check());
        }
        assert_eq!(last, Duration::from_secs(5));
    }
}
