//! When to bring an environment back to its release.

use daybook_model::Timestamp;

/// The first wait after a heal run that did not help, milliseconds; it doubles with each further one.
pub const FIRST_WAIT_MS: i64 = 5_000;

/// The longest wait, milliseconds.
pub const LONGEST_WAIT_MS: i64 = 10 * 60 * 1_000;

/// Looks in a row that must find the same thing amiss: one look may fall into a change.
pub const LOOKS: u32 = 2;

/// What is remembered of an environment between looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Healing {
    amiss: u32,
    tries: u32,
    last_try: Option<Timestamp>,
}

impl Healing {
    /// Takes one look's result at `now` and says whether to start a heal run.
    pub fn look(&mut self, amiss: bool, now: Timestamp) -> bool {
        if !amiss {
            self.amiss = 0;
            if self.rested(now) {
                self.tries = 0;
            }
            return false;
        }
        self.amiss += 1;
        if self.amiss < LOOKS || !self.rested(now) {
            return false;
        }
        self.amiss = 0;
        self.tries += 1;
        self.last_try = Some(now);
        true
    }

    /// How long to wait after the tries so far, milliseconds.
    pub fn wait_ms(&self) -> i64 {
        match self.tries {
            0 => 0,
            n => FIRST_WAIT_MS.saturating_mul(1 << (n - 1).min(20)).min(LONGEST_WAIT_MS),
        }
    }

    fn rested(&self, now: Timestamp) -> bool {
        self.last_try.is_none_or(|last| now.as_millisecond() - last.as_millisecond() >= self.wait_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(ms).unwrap()
    }

    #[test]
    fn r07_one_look_is_not_enough_and_tries_back_off() {
        let mut healing = Healing::default();
        assert!(!healing.look(true, at(0)));
        assert!(healing.look(true, at(1_000)));
        assert!(!healing.look(true, at(2_000)));
        assert!(!healing.look(true, at(3_000)), "the first try is not over");
        assert!(healing.look(true, at(6_000)));
        assert_eq!(healing.wait_ms(), 10_000);
    }

    #[test]
    fn health_that_lasts_forgets_the_tries() {
        let mut healing = Healing::default();
        healing.look(true, at(0));
        assert!(healing.look(true, at(1)));
        assert!(!healing.look(false, at(60_000)));
        assert_eq!(healing.wait_ms(), 0);
    }
}
