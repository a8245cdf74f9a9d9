//! Groups alerts and says what is to be sent when, after `dispatch/` and `notify/` of Alertmanager.
//!
//! Nothing here waits: the clock is an argument, and what has to be waited for is in the state. A notification that was handed
//! out stays among the unsent until somebody says what became of it, so that after a crash it is sent once more rather than
//! never; what was sent is in the log, so that it is not sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use daybook_metrics::Labels;
use serde::{Deserialize, Serialize};

use super::alert::{Alert, fingerprint};
use super::config::{Config, Integration, Route};
use super::inhibit::Inhibitor;
use super::notification::{Notification, Reason, Status, Told};
use super::silence::{BadSilence, Silence};
use crate::labels::{self, as_map};

/// How long the log and ended silences are kept, at most.
const RETENTION: i64 = 120 * 3_600_000;

/// Everything that a dispatcher remembers. Keep it after each call that changes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The alerts that were heard of and not yet told of to the end.
    #[serde(with = "labels::keyed")]
    pub alerts: BTreeMap<Labels, Alert>,
    /// The groups, by their keys.
    pub groups: BTreeMap<String, Grouped>,
    /// What was sent last, by group, receiver and its way.
    pub log: BTreeMap<String, Entry>,
    /// The silences, by id.
    pub silences: BTreeMap<String, Silence>,
    /// What was handed out and not yet said to be sent, by id.
    pub unsent: BTreeMap<String, Notification>,
    /// The number of the last notification.
    pub sequence: u64,
}

/// A group of alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grouped {
    /// The key of its route.
    pub route: String,
    /// What its alerts have in common.
    #[serde(with = "labels::mapping")]
    pub labels: Labels,
    /// Its alerts.
    #[serde(with = "labels::set")]
    pub members: BTreeSet<Labels>,
    /// When it is looked at next.
    pub next: i64,
    /// Whether it was looked at.
    pub flushed: bool,
    /// Alerts that leave when all of `waiting` were sent, with when they ended.
    pub leaving: Vec<(u64, i64)>,
    /// Notifications that were handed out.
    pub waiting: BTreeSet<String>,
}

/// What was sent last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: i64,
    /// The alerts that fired, by the numbers of their labels.
    pub firing: BTreeSet<u64>,
    /// Those that had ended.
    pub resolved: BTreeSet<u64>,
    /// When it is forgotten.
    pub expires: i64,
}

/// How an alert stands with those who are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// They are told.
    Told,
    /// They are not, because of silences with these ids.
    Silenced(Vec<String>),
    /// They are not, because another alert with these labels fires.
    Inhibited(Labels),
}

/// Says what is to be sent when.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    config: Arc<Config>,
    state: State,
}

impl Dispatcher {
    /// One that goes on from a state.
    pub fn new(config: Config, state: State) -> Self {
        let mut dispatcher = Self { config: Arc::new(config), state };
        dispatcher.regroup();
        dispatcher
    }

    /// What it remembers.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What it follows.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Follows another configuration from now on. What was told under the other one is not told again to the same receiver
    /// about the same group.
    pub fn reconfigure(&mut self, config: Config) {
        self.config = Arc::new(config);
        self.regroup();
    }

    /// Takes in alerts that fire or have ended.
    pub fn observe(&mut self, alerts: impl IntoIterator<Item = Alert>, now: i64) {
        for mut alert in alerts {
            alert.updated_at = now;
            let known = self.state.alerts.get(&alert.labels);
            if alert.is_resolved(now) && known.is_none() && !self.was_told(&alert) {
                continue;
            }
            if let Some(known) = known {
                alert = alert.merged(known, now);
            }
            self.group(&alert, now);
            self.state.alerts.insert(alert.labels.clone(), alert);
        }
    }

    /// What is to be sent now. Each is handed out once, and again by [`unsent`](Self::unsent) until [`sent`](Self::sent) or
    /// [`failed`](Self::failed) is called with its id; until then nothing more is handed out for its group and receiver.
    pub fn due(&mut self, now: i64) -> Vec<Notification> {
        let due: Vec<String> =
            self.state.groups.iter().filter(|(_, group)| group.next <= now).map(|(key, _)| key.clone()).collect();
        let mut all = Vec::new();
        if !due.is_empty() {
            let config = Arc::clone(&self.config);
            let inhibitor = Inhibitor::new(&config, self.state.alerts.values(), now);
            for key in due {
                all.extend(self.flush(&key, &config, &inhibitor, now));
            }
        }
        self.forget(now);
        all
    }

    /// When [`due`](Self::due) is to be called next, if nothing is observed before.
    pub fn next(&self) -> Option<i64> {
        self.state.groups.values().map(|group| group.next).min()
    }

    /// What was handed out and is not yet said to be sent: after a restart, all of it has to be sent.
    pub fn unsent(&self) -> impl Iterator<Item = &Notification> {
        self.state.unsent.values()
    }

    /// A notification was sent. One that is not known was said to be sent before.
    pub fn sent(&mut self, id: &str, now: i64) {
        let Some(notification) = self.state.unsent.remove(id) else { return };
        let of = |status| {
            let alerts = notification.alerts.iter().filter(move |alert| alert.status == status);
            alerts.map(|alert| alert.fingerprint).collect::<BTreeSet<u64>>()
        };
        let key = log_key(&notification.group, &notification.receiver, notification.integration);
        let repeat = self.group_route(&notification.group).map_or(RETENTION, |route| route.repeat_interval);
        self.log(key, of(Status::Firing), of(Status::Resolved), repeat, now);
        self.settle(&notification.group, id, true);
    }

    /// A notification could not be sent, and nobody tries any longer: what it says is part of the next one of its group.
    pub fn failed(&mut self, id: &str) {
        if let Some(notification) = self.state.unsent.remove(id) {
            self.settle(&notification.group, id, false);
        }
    }

    /// Silences alerts. One with the same id takes the place of the other.
    pub fn silence(&mut self, silence: Silence, now: i64) -> Result<(), BadSilence> {
        silence.check(now)?;
        self.state.silences.insert(silence.id.clone(), silence);
        Ok(())
    }

    /// Ends a silence; whether there is one with this id that had not ended.
    pub fn expire(&mut self, id: &str, now: i64) -> bool {
        let silence = self.state.silences.get_mut(id).filter(|silence| silence.ends_at > now);
        silence.map(|silence| silence.ends_at = now).is_some()
    }

    /// How an alert stands with those who are told.
    pub fn standing(&self, labels: &Labels, now: i64) -> Standing {
        let silences: Vec<String> = self.silencing(labels, now).map(|silence| silence.id.clone()).collect();
        if !silences.is_empty() {
            return Standing::Silenced(silences);
        }
        let inhibitor = Inhibitor::new(&self.config, self.state.alerts.values(), now);
        inhibitor.inhibits(labels).map_or(Standing::Told, |by| Standing::Inhibited(by.clone()))
    }

    fn silencing<'s>(&'s self, labels: &'s Labels, now: i64) -> impl Iterator<Item = &'s Silence> {
        self.state.silences.values().filter(move |silence| silence.silences(labels, now))
    }

    /// Whether somebody was told that an alert fires, and not yet that it has ended.
    fn was_told(&self, alert: &Alert) -> bool {
        let fingerprint = alert.fingerprint();
        self.state.log.values().any(|entry| entry.firing.contains(&fingerprint))
    }

    /// Puts an alert into the groups of its routes.
    fn group(&mut self, alert: &Alert, now: i64) {
        for route in self.config.route.matching(&alert.labels) {
            let labels = route.group_by.labels(&alert.labels);
            let key = group_key(route, &labels);
            let group = self.state.groups.entry(key).or_insert_with(|| Grouped {
                route: route.key.clone(),
                labels,
                members: BTreeSet::new(),
                next: now.saturating_add(route.group_wait),
                flushed: false,
                leaving: Vec::new(),
                waiting: BTreeSet::new(),
            });
            group.members.insert(alert.labels.clone());
            // It has waited long enough elsewhere.
            if !group.flushed && alert.starts_at.saturating_add(route.group_wait) < now {
                group.next = group.next.min(now);
            }
        }
    }

    /// Makes the groups that the configuration asks for; those that were there go on.
    fn regroup(&mut self) {
        let before = std::mem::take(&mut self.state.groups);
        let alerts: Vec<Alert> = self.state.alerts.values().cloned().collect();
        for alert in &alerts {
            // Alerts that left a group which is still there do not come back into it.
            let routes = self.config.route.matching(&alert.labels);
            let left = |route: &&Route| {
                let group = before.get(&group_key(route, &route.group_by.labels(&alert.labels)));
                group.is_some_and(|group| !group.members.contains(&alert.labels))
            };
            if !routes.is_empty() && !routes.iter().all(left) {
                self.group(alert, alert.updated_at);
            }
        }
        for (key, group) in before {
            if let Some(now) = self.state.groups.get_mut(&key) {
                *now = Grouped { members: now.members.clone(), ..group };
            }
        }
        let (groups, config) = (&self.state.groups, &self.config);
        self.state.unsent.retain(|_, notification| {
            let receiver = config.receiver(&notification.receiver);
            groups.contains_key(&notification.group)
                && receiver.is_some_and(|receiver| notification.integration < receiver.integrations.len())
        });
        let unsent = &self.state.unsent;
        for group in self.state.groups.values_mut() {
            group.waiting.retain(|id| unsent.contains_key(id));
        }
    }

    fn group_route(&self, group: &str) -> Option<&Route> {
        self.config.route.find(&self.state.groups.get(group)?.route)
    }

    /// Looks at a group: what is to be sent about it.
    fn flush(&mut self, key: &str, config: &Config, inhibitor: &Inhibitor<'_>, now: i64) -> Vec<Notification> {
        let Some(group) = self.state.groups.get(key).cloned() else { return Vec::new() };
        let Some(route) = config.route.find(&group.route) else { return Vec::new() };
        let members: Vec<&Alert> = group.members.iter().filter_map(|labels| self.state.alerts.get(labels)).collect();
        let ended = members.iter().filter(|alert| alert.is_resolved(now));
        let leaving: Vec<(u64, i64)> = ended.map(|alert| (alert.fingerprint(), alert.ends_at)).collect();
        let mut visible: Vec<Alert> = Vec::new();
        if !config.is_muted(route, now) {
            let told = |alert: &&&Alert| {
                inhibitor.inhibits(&alert.labels).is_none() && self.silencing(&alert.labels, now).next().is_none()
            };
            visible = members.iter().filter(told).map(|alert| (*alert).clone()).collect();
            visible.sort_by_key(|alert| (alert.is_resolved(now), alert.starts_at, alert.labels.clone()));
        }
        let mut notifications = Vec::new();
        let ways = config.receiver(&route.receiver).map_or(&[][..], |receiver| &receiver.integrations);
        if !visible.is_empty() {
            for (at, way) in ways.iter().enumerate() {
                notifications.extend(self.notify(key, &group, route, (at, way), &visible, now));
            }
        }
        for notification in &notifications {
            self.state.unsent.insert(notification.id.clone(), notification.clone());
        }
        if let Some(group) = self.state.groups.get_mut(key) {
            group.next = now.saturating_add(route.group_interval);
            group.flushed = true;
            group.waiting.extend(notifications.iter().map(|notification| notification.id.clone()));
            group.leaving = leaving;
        }
        self.leave(key);
        notifications
    }

    /// The notification in one of the receiver's ways, if there has to be one.
    fn notify(
        &mut self,
        key: &str,
        group: &Grouped,
        route: &Route,
        (at, way): (usize, &Integration),
        alerts: &[Alert],
        now: i64,
    ) -> Option<Notification> {
        let waits = |id: &String| self.state.unsent.get(id).is_some_and(|unsent| unsent.integration == at);
        if group.waiting.iter().any(waits) {
            return None;
        }
        let numbers = |resolved| {
            let of = alerts.iter().filter(move |alert| alert.is_resolved(now) == resolved);
            of.map(Alert::fingerprint).collect::<BTreeSet<u64>>()
        };
        let (firing, resolved) = (numbers(false), numbers(true));
        let log_key = log_key(key, &route.receiver, at);
        let entry = self.state.log.get(&log_key).filter(|entry| entry.expires > now);
        let reason = reason(entry, &firing, &resolved, way.send_resolved, route.repeat_interval, now)?;
        if firing.is_empty() && !way.send_resolved {
            self.log(log_key, firing, resolved, route.repeat_interval, now);
            return None;
        }
        let told: Vec<Told> = alerts
            .iter()
            .filter(|alert| way.send_resolved || !alert.is_resolved(now))
            .map(|alert| told(alert, now))
            .collect();
        self.state.sequence += 1;
        let status = if firing.is_empty() { Status::Resolved } else { Status::Firing };
        Some(Notification {
            id: format!("{:016x}-{at}-{}", fingerprint(&group.labels), self.state.sequence),
            group: key.to_owned(),
            receiver: route.receiver.clone(),
            integration: at,
            status,
            reason,
            group_labels: as_map(&group.labels),
            common_labels: common(told.iter().map(|alert| &alert.labels)),
            common_annotations: common(told.iter().map(|alert| &alert.annotations)),
            alerts: told,
        })
    }

    fn log(&mut self, key: String, firing: BTreeSet<u64>, resolved: BTreeSet<u64>, repeat: i64, now: i64) {
        let expires = now.saturating_add(RETENTION.min(repeat.saturating_mul(2)));
        self.state.log.insert(key, Entry { at: now, firing, resolved, expires });
    }

    /// A notification of a group is no longer waited for.
    fn settle(&mut self, group: &str, id: &str, sent: bool) {
        let Some(grouped) = self.state.groups.get_mut(group) else { return };
        grouped.waiting.remove(id);
        if !sent {
            // They stay until they are told of.
            grouped.leaving.clear();
        }
        self.leave(group);
    }

    /// Lets ended alerts go that everybody was told of, unless they have begun again since. A group without alerts is gone, so
    /// that the next alert of its kind waits no longer than the first did.
    fn leave(&mut self, key: &str) {
        let Some(group) = self.state.groups.get_mut(key).filter(|group| group.waiting.is_empty()) else { return };
        let (leaving, alerts) = (std::mem::take(&mut group.leaving), &self.state.alerts);
        group.members.retain(|labels| {
            let alert = alerts.get(labels);
            alert.is_some_and(|alert| !leaving.contains(&(alert.fingerprint(), alert.ends_at)))
        });
        if group.members.is_empty() {
            self.state.groups.remove(key);
        }
    }

    /// Forgets what nothing depends on any longer.
    fn forget(&mut self, now: i64) {
        let grouped: BTreeSet<&Labels> = self.state.groups.values().flat_map(|group| &group.members).collect();
        self.state.alerts.retain(|labels, alert| grouped.contains(labels) || !alert.is_resolved(now));
        self.state.log.retain(|_, entry| entry.expires > now);
        self.state.silences.retain(|_, silence| silence.ends_at.saturating_add(RETENTION) > now);
    }
}

/// Why something has to be sent, if it has to.
fn reason(
    entry: Option<&Entry>,
    firing: &BTreeSet<u64>,
    resolved: &BTreeSet<u64>,
    send_resolved: bool,
    repeat: i64,
    now: i64,
) -> Option<Reason> {
    let Some(entry) = entry else { return (!firing.is_empty()).then_some(Reason::First) };
    if !firing.is_subset(&entry.firing) {
        return Some(if entry.firing.is_empty() { Reason::First } else { Reason::MoreFire });
    }
    if firing.is_empty() {
        // What fired and ended since nobody knows of.
        return (!entry.firing.is_empty()).then_some(Reason::AllEnded);
    }
    if send_resolved && !resolved.is_subset(&entry.resolved) {
        return Some(Reason::SomeEnded);
    }
    (entry.at < now.saturating_sub(repeat)).then_some(Reason::Repeat)
}

fn group_key(route: &Route, labels: &Labels) -> String {
    format!("{}:{labels}", route.key)
}

fn log_key(group: &str, receiver: &str, integration: usize) -> String {
    format!("{group} {receiver} {integration}")
}

fn told(alert: &Alert, now: i64) -> Told {
    let resolved = alert.is_resolved(now);
    Told {
        status: if resolved { Status::Resolved } else { Status::Firing },
        labels: as_map(&alert.labels),
        annotations: alert.annotations.clone(),
        starts_at: alert.starts_at,
        ends_at: resolved.then_some(alert.ends_at),
        source: alert.source.clone(),
        fingerprint: alert.fingerprint(),
    }
}

/// What all of them have.
fn common<'a>(mut all: impl Iterator<Item = &'a BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let mut common = all.next().cloned().unwrap_or_default();
    for other in all {
        common.retain(|name, value| other.get(name) == Some(value));
    }
    common
}
