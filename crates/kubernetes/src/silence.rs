//! Machines that do not answer.
//!
//! The logs of a replica are followed for as long as it runs, and asked for again where they end; what replicas use is
//! asked for every few seconds. A machine that does not answer would be asked for each of its replicas, and the API server
//! dials it anew each time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A silent machine is asked once in so long.
const ASKED_EVERY: Duration = Duration::from_secs(30);

/// Which machines are silent.
pub(crate) struct Silence {
    /// So many of those who ask have to get no answer, since one alone may have itself to blame.
    askers: usize,
    machines: Mutex<BTreeMap<String, Silent>>,
}

struct Silent {
    unanswered: BTreeSet<String>,
    asked: Instant,
}

impl Silence {
    /// Machines are silent that do not answer so many.
    pub(crate) fn of(askers: usize) -> Self {
        Self { askers, machines: Mutex::default() }
    }

    /// Whether a machine is worth asking. Of a silent one, whoever is told so is the one who asks.
    pub(crate) fn may_ask(&self, machine: &str, now: Instant) -> bool {
        let mut all = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(silent) = all.get_mut(machine) else { return true };
        let may = silent.unanswered.len() < self.askers || now.duration_since(silent.asked) >= ASKED_EVERY;
        if may {
            silent.asked = now;
        }
        may
    }

    /// A machine was asked by somebody.
    pub(crate) fn asked(&self, machine: &str, by: &str, has_answered: bool, now: Instant) {
        let mut all = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        if has_answered {
            all.remove(machine);
            return;
        }
        let silent = all.entry(machine.to_owned()).or_insert(Silent { unanswered: BTreeSet::new(), asked: now });
        if silent.unanswered.len() < self.askers {
            silent.unanswered.insert(by.to_owned());
        }
    }
}

/// Whether a machine has answered what the API server asked it. `None`: the API server itself has not.
pub(crate) fn machine_has_answered<T>(told: &kube::Result<T>) -> Option<bool> {
    match told {
        Ok(_) => Some(true),
        Err(kube::Error::Api(status)) => match status.code {
            429 => None,
            500.. => Some(false),
            _ => Some(true),
        },
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_answers_nobody_is_asked_once_in_a_while() {
        let (silence, began) = (Silence::of(2), Instant::now());
        for _ in 0..5 {
            assert!(silence.may_ask("a", began), "one who is not answered may have itself to blame");
            silence.asked("a", "web-1", false, began);
        }
        silence.asked("a", "web-2", false, began);
        assert!(!silence.may_ask("a", began));
        assert!(silence.may_ask("b", began), "others are asked");
        let later = began + ASKED_EVERY;
        assert!(silence.may_ask("a", later));
        assert!(!silence.may_ask("a", later), "by one");
        silence.asked("a", "web-1", true, later);
        assert!(silence.may_ask("a", later) && silence.may_ask("a", later));
    }
}
