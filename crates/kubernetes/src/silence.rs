//! Machines that do not answer.
//!
//! The logs of a replica are followed for as long as it runs, and asked for again where they end; what replicas use is
//! asked for every few seconds. A machine that does not answer would be asked for each of its replicas, and the API server
//! dials it anew each time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many questions in a row remain without an answer before a machine counts as silent: one may be the fault of its
/// replica.
const UNANSWERED: u32 = 3;
/// A silent machine is asked once in so long.
const ASKED_EVERY: Duration = Duration::from_secs(30);

/// Which machines are silent.
#[derive(Default)]
pub(crate) struct Silence(Mutex<BTreeMap<String, Silent>>);

struct Silent {
    unanswered: u32,
    asked: Instant,
}

impl Silence {
    /// Whether a machine is worth asking. Of a silent one, whoever is told so is the one who asks.
    pub(crate) fn may_ask(&self, machine: &str, now: Instant) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(silent) = all.get_mut(machine) else { return true };
        let may = silent.unanswered < UNANSWERED || now.duration_since(silent.asked) >= ASKED_EVERY;
        if may {
            silent.asked = now;
        }
        may
    }

    /// A machine was asked.
    pub(crate) fn asked(&self, machine: &str, has_answered: bool, now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if has_answered {
            all.remove(machine);
        } else {
            let silent = all.entry(machine.to_owned()).or_insert(Silent { unanswered: 0, asked: now });
            silent.unanswered = silent.unanswered.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_does_not_answer_is_asked_once_in_a_while() {
        let (silence, began) = (Silence::default(), Instant::now());
        for _ in 0..UNANSWERED {
            assert!(silence.may_ask("a", began));
            silence.asked("a", false, began);
        }
        assert!(!silence.may_ask("a", began));
        assert!(silence.may_ask("b", began), "others are asked");
        let later = began + ASKED_EVERY;
        assert!(silence.may_ask("a", later));
        assert!(!silence.may_ask("a", later), "by one");
        silence.asked("a", true, later);
        assert!(silence.may_ask("a", later) && silence.may_ask("a", later));
    }
}
