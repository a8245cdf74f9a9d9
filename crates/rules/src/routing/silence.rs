//! Silences: alerts that nobody is told of for a time, and why.

use daybook_metrics::Labels;
use serde::{Deserialize, Serialize};

use super::matchers::Matchers;

/// Nobody is told of the alerts that it chooses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// What it is known by.
    pub id: String,
    /// Which alerts; all of the matchers have to hold.
    pub matchers: Matchers,
    /// From when on, in milliseconds since 1970.
    pub starts_at: i64,
    /// Until when.
    pub ends_at: i64,
    /// Who made it.
    pub created_by: String,
    /// Why.
    pub comment: String,
}

/// A silence that is none: whoever makes it must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSilence {
    /// It would silence everything.
    #[error("a silence needs a matcher that not every alert fulfils: name a label and its value")]
    Everything,
    /// It would never hold.
    #[error("a silence has to end after it starts, and not in the past: choose a later end")]
    Never,
    /// Nobody is responsible for it.
    #[error("a silence says who made it and why: name both")]
    Nobody,
}

impl Silence {
    /// Whether it may be made now.
    pub fn check(&self, now: i64) -> Result<(), BadSilence> {
        if self.matchers.0.iter().all(|matcher| matcher.takes("")) {
            return Err(BadSilence::Everything);
        }
        if self.ends_at <= self.starts_at || self.ends_at <= now {
            return Err(BadSilence::Never);
        }
        if self.created_by.is_empty() || self.comment.is_empty() {
            return Err(BadSilence::Nobody);
        }
        Ok(())
    }

    /// Whether it holds at a time.
    pub fn is_active(&self, now: i64) -> bool {
        (self.starts_at..self.ends_at).contains(&now)
    }

    /// Whether it silences an alert at a time.
    pub fn silences(&self, labels: &Labels, now: i64) -> bool {
        self.is_active(now) && self.matchers.choose(labels)
    }
}
