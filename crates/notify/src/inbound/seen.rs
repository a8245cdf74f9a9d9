//! What was taken in before.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::signature::Untrusted;

/// Ids of what was taken in within a window of time. What is older is refused by its time, so it need not be remembered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    ids: BTreeMap<String, Timestamp>,
}

impl Seen {
    /// Takes in an id that is trusted to be of `at`.
    ///
    /// # Errors
    /// It was taken in before, or it is not within the window of now.
    pub fn take(&mut self, id: &str, at: Timestamp, now: Timestamp, window: Duration) -> Result<(), Untrusted> {
        let age = |at: Timestamp| now.duration_since(at).unsigned_abs();
        if age(at) > window {
            return Err(Untrusted::Stale);
        }
        self.ids.retain(|_, at| age(*at) <= window);
        match self.ids.insert(id.to_owned(), at) {
            Some(_) => Err(Untrusted::Seen),
            None => Ok(()),
        }
    }

    /// Forgets an id of what could not be done after all, so that it is taken in when it is sent again.
    pub fn forget(&mut self, id: &str) {
        self.ids.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r35_what_was_taken_in_is_not_taken_in_again() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let window = Duration::from_mins(5);
        let mut seen = Seen::default();
        assert_eq!(seen.take("a", at(1_000), at(1_000), window), Ok(()));
        assert_eq!(seen.take("a", at(1_000), at(1_300), window), Err(Untrusted::Seen));
        assert_eq!(seen.take("a", at(1_000), at(1_301), window), Err(Untrusted::Stale));
        assert_eq!(seen.take("b", at(1_400), at(1_301), window), Ok(()));
        assert_eq!(seen.ids.len(), 1, "what is refused by its time is forgotten");
    }
}
