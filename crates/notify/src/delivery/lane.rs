//! What waits for one channel.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Moment, Notice};

/// How a channel does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Notices that wait.
    pub waiting: usize,
    /// Since when nothing was delivered, if the last attempt failed.
    pub failing_since: Option<Timestamp>,
    /// Whether its trouble was told, and it did not work since.
    pub in_trouble: bool,
}

/// Oldest first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Lane {
    pub(super) waiting: VecDeque<Entry>,
    /// Failures since something was delivered.
    pub(super) failures: u32,
    /// Since when it fails.
    failing_since: Option<Timestamp>,
    /// Nothing is sent before.
    not_before: Option<Timestamp>,
    pub(super) trouble: Option<Trouble>,
    /// Notes that were left out since something was delivered.
    left_out: u32,
}

/// That a channel does not work.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Trouble {
    /// The channel through which that was told. `None`: none worked.
    pub(super) through: Option<String>,
}

/// A notice that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    id: u64,
    pub(super) notice: Notice,
    attempts: u32,
    /// What was being sent when it was written is sent again.
    #[serde(skip)]
    in_flight: bool,
}

impl Entry {
    pub(super) fn new(id: u64, notice: Notice) -> Self {
        Self { id, notice, attempts: 0, in_flight: false }
    }

    fn is_untouched(&self) -> bool {
        self.attempts == 0 && !self.in_flight
    }
}

impl Lane {
    /// Takes one in. Gives back the notes that are left out for it.
    pub(super) fn push(&mut self, entry: Entry, most: usize) -> Vec<Entry> {
        let before = self.waiting.iter_mut().rfind(|other| other.notice.key == entry.notice.key);
        match before {
            // Nobody was told the one before, and this says more.
            Some(before)
                if before.notice.kind == entry.notice.kind
                    && !entry.notice.kind.may_be_left_out()
                    && before.is_untouched() =>
            {
                before.notice = entry.notice;
            }
            _ => self.waiting.push_back(entry),
        }
        let mut left_out = Vec::new();
        while self.waiting.len() > most {
            let is_spare = |entry: &Entry| entry.notice.kind.may_be_left_out() && !entry.in_flight;
            let Some(place) = self.waiting.iter().position(is_spare) else { break };
            left_out.push(self.remove(place));
            self.left_out += 1;
        }
        left_out
    }

    /// Starts what may be sent now: the first of each incident, those first that were tried least.
    pub(super) fn start(&mut self, now: Timestamp, at_once: usize) -> Vec<(u64, Notice)> {
        if self.not_before.is_some_and(|time| time > now) {
            return Vec::new();
        }
        // While it fails, one is enough to see whether it does still.
        let most = if self.failures > 0 { 1 } else { at_once };
        let in_flight = self.waiting.iter().filter(|entry| entry.in_flight).count();
        let mut ready = self.ready();
        ready.sort_by_key(|&place| (self.waiting[place].attempts, self.waiting[place].id));
        ready.truncate(most.saturating_sub(in_flight));
        ready.into_iter().map(|place| self.send(place, now)).collect()
    }

    /// The places of the first notice of each incident of which none is being sent.
    fn ready(&self) -> Vec<usize> {
        let mut seen = BTreeSet::new();
        let firsts = self.waiting.iter().enumerate().filter(|(_, entry)| seen.insert(&entry.notice.key));
        firsts.filter(|(_, entry)| !entry.in_flight).map(|(place, _)| place).collect()
    }

    fn send(&mut self, place: usize, now: Timestamp) -> (u64, Notice) {
        let entry = &mut self.waiting[place];
        entry.in_flight = true;
        let mut notice = entry.notice.clone();
        if self.left_out > 0 {
            let text = format!("{} notes were left out, since too much waited for this channel", self.left_out);
            notice.timeline.push(Moment { at: now, text });
        }
        (entry.id, notice)
    }

    /// When something may be sent that may not yet.
    pub(super) fn wake(&self, now: Timestamp) -> Option<Timestamp> {
        self.not_before.filter(|time| *time > now && !self.waiting.is_empty())
    }

    /// Where the notice of this number is, if it is being sent.
    pub(super) fn position(&self, id: u64) -> Option<usize> {
        self.waiting.iter().position(|entry| entry.id == id && entry.in_flight)
    }

    pub(super) fn remove(&mut self, place: usize) -> Entry {
        self.waiting.remove(place).expect("the place was found in it")
    }

    /// Something was delivered. Gives back the trouble that it was in.
    pub(super) fn works(&mut self) -> Option<Trouble> {
        (self.failures, self.failing_since, self.not_before, self.left_out) = (0, None, None, 0);
        self.trouble.take()
    }

    pub(super) fn failed(&mut self, place: usize, now: Timestamp, until: Timestamp) {
        let entry = &mut self.waiting[place];
        entry.in_flight = false;
        entry.attempts += 1;
        self.failures = self.failures.saturating_add(1);
        self.failing_since.get_or_insert(now);
        self.not_before = self.not_before.max(Some(until));
    }

    pub(super) fn failing_for(&self, now: Timestamp) -> Duration {
        let since = self.failing_since.unwrap_or(now);
        Duration::try_from(now.duration_since(since)).unwrap_or_default()
    }

    /// The titles of what waits that moves an incident.
    pub(super) fn titles(&self) -> Vec<String> {
        let moving = self.waiting.iter().filter(|entry| !entry.notice.kind.may_be_left_out());
        moving.map(|entry| format!("{}: {}", entry.notice.kind, entry.notice.title)).collect()
    }

    pub(super) fn health(&self) -> Health {
        Health { waiting: self.waiting.len(), failing_since: self.failing_since, in_trouble: self.trouble.is_some() }
    }
}
