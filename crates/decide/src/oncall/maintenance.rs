//! Times in which alerts open nothing, because somebody works on it.

use std::collections::BTreeSet;

use daybook_model::spec::Schedule as Cron;
use daybook_model::{ServiceName, Timestamp};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::jobs;

/// A maintenance window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// What it is for; the public status page shows it.
    pub title: String,
    /// Services that are worked on. Empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub services: BTreeSet<ServiceName>,
    /// When.
    pub when: When,
}

/// When a window is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Once.
    Once {
        /// From then on,
        from: Timestamp,
        /// until then.
        until: Timestamp,
    },
    /// Again and again.
    Every {
        /// When it begins.
        begins: Cron,
        /// How long it is: milliseconds.
        length_ms: u64,
    },
}

impl Window {
    /// The time of it that a moment is in: when it began and ends.
    pub fn at(&self, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
        match &self.when {
            When::Once { from, until } => (*from <= at && at < *until).then_some((*from, *until)),
            When::Every { begins, length_ms } => {
                let length = SignedDuration::from_millis(i64::try_from(*length_ms).ok()?);
                let mut from = jobs::next(begins, at.checked_sub(length).ok()?)?;
                if from > at {
                    return None;
                }
                // One may begin before the one before has ended; the last of them ends last.
                while let Some(next) = jobs::next(begins, from).filter(|next| *next <= at) {
                    from = next;
                }
                Some((from, from.checked_add(length).ok()?))
            }
        }
    }

    /// When it is next, after a moment that it is not in.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.when {
            When::Once { from, .. } => (*from > after).then_some(*from),
            When::Every { begins, .. } => jobs::next(begins, after),
        }
    }

    /// Whether it is about a service. What is about none is covered by a window that is about all.
    pub fn covers(&self, service: Option<&ServiceName>) -> bool {
        self.services.is_empty() || service.is_some_and(|service| self.services.contains(service))
    }
}

/// The window that mutes what is about a service at a moment, if one does.
pub fn muted<'w>(windows: &'w [Window], service: Option<&ServiceName>, at: Timestamp) -> Option<&'w Window> {
    windows.iter().find(|window| window.covers(service) && window.at(at).is_some())
}

#[cfg(test)]
mod tests {
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
        let begins = Cron { cron: "0 2 * * 0".to_owned(), zone: "Europe/Paris".to_owned() };
        let when = When::Every { begins, length_ms: 2 * 3_600_000 };
        let window = Window { title: "updates".to_owned(), services: BTreeSet::new(), when };
        // A Sunday in summer, and one in winter.
        assert!(window.at(at("2026-10-18T00:00:00Z")).is_some());
        assert!(window.at(at("2026-10-18T02:00:00Z")).is_none());
        assert!(window.at(at("2026-11-01T00:30:00Z")).is_none());
        assert_eq!(
            window.at(at("2026-11-01T01:30:00Z")),
            Some((at("2026-11-01T01:00:00Z"), at("2026-11-01T03:00:00Z")))
        );
        assert_eq!(window.next(at("2026-11-02T00:00:00Z")), Some(at("2026-11-08T01:00:00Z")));
        assert!(muted(std::slice::from_ref(&window), None, at("2026-11-01T02:59:59Z")).is_some());
    }
}
