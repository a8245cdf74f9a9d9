//! Who is on call, whom to wake, and when nobody is to be woken: as the manifest and people say it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::{DateTime, Time};
use serde::{Deserialize, Serialize};

use crate::name::{ChannelName, ServiceName};
use crate::spec::Schedule as Cron;

/// Who is on call for an environment.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OnCall {
    /// People, each with the channels through which they are woken. Such a channel is told nothing else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub people: BTreeMap<String, Vec<ChannelName>>,
    /// Schedules, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Schedule>,
    /// Policies; the first that fits an incident is its.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Policy>,
}

impl OnCall {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.people.is_empty() && self.schedules.is_empty() && self.policies.is_empty()
    }

    /// Those whose channel this is.
    pub fn behind<'a>(&'a self, channel: &'a ChannelName) -> impl Iterator<Item = &'a String> {
        self.people.iter().filter(move |(_, channels)| channels.contains(channel)).map(|(person, _)| person)
    }
}

/// Who is on call when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// IANA name of the time zone in which its times are read.
    pub zone: String,
    /// The later ones cover the earlier.
    pub layers: Vec<Layer>,
    /// Who takes over for a while; these cover all layers, and the later ones the earlier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Whether whoever goes on call is told so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub handover: bool,
}

/// One rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Those who take turns, in their order.
    pub people: Vec<String>,
    /// When the first turn of the first begins, in the zone of the schedule. Its time of day is that of hand-overs.
    pub start: DateTime,
    /// When it ends, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime>,
    /// How long a turn is.
    pub turn: Turn,
    /// When somebody is on call at all. Empty: always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<Restriction>,
}

/// How long a turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// So many hours, by the clock of physics.
    Hours(u32),
    /// So many days, by the calendar.
    Days(u32),
    /// So many weeks.
    Weeks(u32),
}

/// Hours of days. One whose end is not after its beginning goes on into the next day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restriction {
    /// Days on which it begins, from 1 for Monday to 7. Empty: every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<i8>,
    /// When it begins.
    pub from: Time,
    /// When it ends.
    pub until: Time,
}

/// Somebody takes over for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Who.
    pub person: String,
    /// From then on,
    pub from: Timestamp,
    /// until then.
    pub until: Timestamp,
}

/// Levels that are gone through until somebody acknowledges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Services whose incidents it is for. Empty: those that no other policy is for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub services: BTreeSet<ServiceName>,
    /// In their order.
    pub levels: Vec<Level>,
    /// How often it begins again after the last level.
    #[serde(default)]
    pub repeat: u32,
}

/// One level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// Whom it wakes.
    pub targets: Vec<Target>,
    /// How long it waits for an acknowledgement before the next is woken: milliseconds.
    pub wait_ms: u64,
}

/// Whom a level wakes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Somebody by name.
    Person(String),
    /// Who is on call in the schedule of this name.
    Schedule(String),
}

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
