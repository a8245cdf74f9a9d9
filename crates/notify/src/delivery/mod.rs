//! What is sent when: a queue for each channel.
//!
//! Every notice is delivered at least once. Those of one incident stay in order within a channel; those of different ones do
//! not wait for each other. A channel that fails is asked again after a growing time. One that fails for long, or refuses
//! what moves an incident, is in trouble, and that is told through the next channel that is not.
//!
//! The queue does nothing itself and reads no clock: [`Queue::next`] says what to send, [`Queue::record`] takes in what came
//! of it. Serialize it after each; what was being sent then is sent again.

mod backoff;
mod lane;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Kind, Moment, Notice, Severity, text};

pub use backoff::retry_after;
pub use lane::Health;
use lane::{Entry, Lane, Trouble};

/// Bounds of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Notices that wait for one channel. When there are more, the oldest notes are left out, and then told to be.
    ///
    /// What moves an incident is never left out: of one incident at most the newest of each kind in a row wait beside.
    pub most: usize,
    /// Notices that are sent to one channel at the same time.
    pub at_once: usize,
    /// Until the first retry; each further one takes twice as long.
    pub first_retry: Duration,
    /// The longest time until a retry that a channel did not ask for itself.
    pub last_retry: Duration,
    /// The longest time until a retry that a channel asks for.
    pub longest_wait: Duration,
    /// How long a channel may fail before it is in trouble.
    pub trouble_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            most: 1_000,
            at_once: 4,
            first_retry: Duration::from_secs(2),
            last_retry: Duration::from_mins(5),
            longest_wait: Duration::from_hours(1),
            trouble_after: Duration::from_mins(5),
        }
    }
}

/// What came of sending something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The channel has it.
    Delivered,
    /// It may work later.
    Retry {
        /// How long the channel asks to be left alone.
        after: Option<Duration>,
        /// What happened, without secrets.
        why: String,
    },
    /// It will never work like this.
    Refused {
        /// What happened, without secrets.
        why: String,
    },
}

/// Something to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sending {
    /// Its number, for [`Queue::record`]; the same whenever it is sent again.
    pub id: u64,
    /// The name of the channel.
    pub channel: String,
    /// What to tell there.
    pub notice: Notice,
}

/// What is to be done now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Next {
    /// To be sent, each on its own.
    pub send: Vec<Sending>,
    /// When to ask again, if nothing happens before.
    pub wake: Option<Timestamp>,
}

/// What happened to a queue, for the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A channel has it.
    Delivered {
        /// The channel.
        channel: String,
        /// Which incident it was about.
        key: String,
    },
    /// It is tried again.
    Waits {
        /// The channel.
        channel: String,
        /// When.
        until: Timestamp,
        /// What happened.
        why: String,
    },
    /// It will not be delivered there.
    Lost {
        /// The channel.
        channel: String,
        /// What was not told.
        notice: Box<Notice>,
        /// Why not.
        why: String,
    },
    /// A channel is in trouble.
    Trouble {
        /// The channel.
        channel: String,
        /// What happened last.
        why: String,
        /// The channel through which that is told. `None`: there is none that works.
        through: Option<String>,
    },
    /// A channel works again.
    Works {
        /// The channel.
        channel: String,
    },
}

/// No channel is called so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no channel `{0}`")]
pub struct NoChannel(pub String);

/// What waits for all channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Queue {
    limits: Limits,
    lanes: BTreeMap<String, Lane>,
    /// In which order channels are asked to tell of the trouble of another.
    order: Vec<String>,
    last_id: u64,
}

impl Queue {
    /// An empty one without channels.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Has these channels from now on. Their order is that in which they tell of each other's trouble. What waits for one that is
    /// gone is lost.
    pub fn set_channels(&mut self, names: impl IntoIterator<Item = String>) -> Vec<Told> {
        self.order = names.into_iter().collect();
        let gone: Vec<_> = self.lanes.keys().filter(|name| !self.order.contains(name)).cloned().collect();
        let lost = gone.into_iter().flat_map(|channel| {
            let lane = self.lanes.remove(&channel).unwrap_or_default();
            lane.waiting.into_iter().map(move |entry| Told::Lost {
                channel: channel.clone(),
                notice: Box::new(entry.notice),
                why: "the channel is no longer configured".to_owned(),
            })
        });
        let lost = lost.collect();
        for name in &self.order {
            self.lanes.entry(name.clone()).or_default();
        }
        lost
    }

    /// Its channels, in the order in which they tell of each other's trouble.
    pub fn channels(&self) -> &[String] {
        &self.order
    }

    /// Takes in a notice for a channel. Says which notes are left out because too much waits.
    ///
    /// # Errors
    /// There is no such channel.
    pub fn push(&mut self, channel: &str, notice: Notice) -> Result<Vec<Told>, NoChannel> {
        let lane = self.lanes.get_mut(channel).ok_or_else(|| NoChannel(channel.to_owned()))?;
        self.last_id += 1;
        let left_out = lane.push(Entry::new(self.last_id, notice), self.limits.most);
        let why = "too much waits for the channel".to_owned();
        let told =
            |entry: Entry| Told::Lost { channel: channel.to_owned(), notice: Box::new(entry.notice), why: why.clone() };
        Ok(left_out.into_iter().map(told).collect())
    }

    /// What to send now. It counts as being sent until [`Queue::record`] says what came of it.
    pub fn next(&mut self, now: Timestamp) -> Next {
        let mut next = Next::default();
        for (name, lane) in &mut self.lanes {
            next.send.extend(lane.start(now, self.limits.at_once).into_iter().map(|(id, notice)| Sending {
                id,
                channel: name.clone(),
                notice,
            }));
            next.wake = next.wake.into_iter().chain(lane.wake(now)).min();
        }
        next
    }

    /// Takes in what came of sending something. `chance` is from 0 to 1, another one each time: it spreads retries.
    pub fn record(&mut self, id: u64, outcome: Outcome, now: Timestamp, chance: f64) -> Vec<Told> {
        let found = self.lanes.iter_mut().find_map(|(name, lane)| Some((name.clone(), lane.position(id)?)));
        let Some((channel, place)) = found else { return Vec::new() };
        match outcome {
            Outcome::Delivered => self.delivered(&channel, place, now),
            Outcome::Retry { after, why } => self.failed(&channel, place, after, &why, now, chance),
            Outcome::Refused { why } => self.refused(&channel, place, why, now),
        }
    }

    /// How each channel does, by name.
    pub fn health(&self) -> BTreeMap<&str, Health> {
        self.lanes.iter().map(|(name, lane)| (name.as_str(), lane.health())).collect()
    }

    fn lane(&mut self, channel: &str) -> &mut Lane {
        self.lanes.entry(channel.to_owned()).or_default()
    }

    fn delivered(&mut self, channel: &str, place: usize, now: Timestamp) -> Vec<Told> {
        let lane = self.lane(channel);
        let entry = lane.remove(place);
        let trouble = lane.works();
        let mut told = vec![Told::Delivered { channel: channel.to_owned(), key: entry.notice.key }];
        if let Some(trouble) = trouble {
            told.push(Told::Works { channel: channel.to_owned() });
            told.extend(self.tell(trouble.through.as_deref(), over(channel, now)));
        }
        told
    }

    fn failed(
        &mut self,
        channel: &str,
        place: usize,
        after: Option<Duration>,
        why: &str,
        now: Timestamp,
        chance: f64,
    ) -> Vec<Told> {
        let limits = self.limits;
        let lane = self.lane(channel);
        let wait = backoff::wait(&limits, lane.failures, after, chance);
        let until = now + wait;
        lane.failed(place, now, until);
        let is_long = lane.failing_for(now) >= limits.trouble_after;
        let mut told = vec![Told::Waits { channel: channel.to_owned(), until, why: why.to_owned() }];
        if is_long {
            told.extend(self.trouble(channel, why, None, now));
        }
        told
    }

    /// What was refused will not be tried again. The lane goes on at once: the next notice may be fine.
    fn refused(&mut self, channel: &str, place: usize, why: String, now: Timestamp) -> Vec<Told> {
        let entry = self.lane(channel).remove(place);
        let trouble = if entry.notice.kind.may_be_left_out() {
            Vec::new()
        } else {
            self.trouble(channel, &why, Some(&entry.notice), now)
        };
        let lost = Told::Lost { channel: channel.to_owned(), notice: Box::new(entry.notice), why };
        [lost].into_iter().chain(trouble).collect()
    }

    /// Tells of a channel's trouble through another one: once, and again for each notice that is lost.
    fn trouble(&mut self, channel: &str, why: &str, lost: Option<&Notice>, now: Timestamp) -> Vec<Told> {
        let before = self.lane(channel).trouble.clone();
        let told_through = before.as_ref().and_then(|trouble| trouble.through.clone());
        if lost.is_none() && told_through.is_some() {
            return Vec::new();
        }
        let works = |name: &&String| *name != channel && self.lanes[*name].trouble.is_none();
        let same = told_through.filter(|name| works(&name));
        let through = same.or_else(|| self.order.iter().find(works).cloned());
        if lost.is_none() && before.is_some() && through.is_none() {
            return Vec::new();
        }
        let notice = in_trouble(channel, why, lost, &self.lane(channel).titles(), now);
        self.lane(channel).trouble = Some(Trouble { through: through.clone() });
        let mut told = self.tell(through.as_deref(), notice);
        told.insert(0, Told::Trouble { channel: channel.to_owned(), why: why.to_owned(), through });
        told
    }

    fn tell(&mut self, through: Option<&str>, notice: Notice) -> Vec<Told> {
        through.and_then(|channel| self.push(channel, notice).ok()).unwrap_or_default()
    }
}

/// Titles of what waits that are told.
const TITLES: usize = 10;

fn in_trouble(channel: &str, why: &str, lost: Option<&Notice>, waiting: &[String], now: Timestamp) -> Notice {
    let title = match lost {
        Some(notice) => format!("The channel {channel} refused a notice: {}", text::chars(&notice.title, 200)),
        None => format!("The channel {channel} does not work"),
    };
    let severity = lost.map_or(Severity::Error, |notice| notice.severity.max(Severity::Error));
    let moment = |title: &String| Moment { at: now, text: format!("not told there: {title}") };
    Notice {
        impact: Some(match lost {
            Some(_) => "Nobody was told there, and it is not tried again.".to_owned(),
            None => format!("Nobody is told there: {} wait.", waiting.len()),
        }),
        cause: Some(why.to_owned()),
        timeline: waiting.iter().take(TITLES).map(moment).collect(),
        ..Notice::new(key(channel), Kind::Triggered, severity, title, now)
    }
}

fn over(channel: &str, now: Timestamp) -> Notice {
    Notice::new(key(channel), Kind::Resolved, Severity::Info, format!("The channel {channel} works again"), now)
}

/// The incident that a channel's trouble is.
fn key(channel: &str) -> String {
    format!("daybook-channel-{channel}")
}
