//! What alerts make of incidents.

use std::collections::BTreeSet;

use daybook_model::incident::{Alert, Ending, IncidentEvent, IncidentId, Severity};
use daybook_model::{Actor, Timestamp};

use super::{Incident, Incidents, Related, Standing};
use crate::backups::lies_back;
use crate::text::seconds;

/// How long a resolved incident takes back what belongs to it, milliseconds.
pub const REOPEN_MS: u64 = 30 * 60_000;

/// How incidents are tended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// An alert joins a related incident whose last alert began or ceased not longer ago: milliseconds. What still
    /// fires holds an incident together however long it lasts, as long as the services are the same.
    pub join_ms: u64,
    /// An incident ends by itself when all its alerts have ceased for so long: milliseconds.
    pub quiet_ms: u64,
    /// A related alert reopens an incident that ended not longer ago: milliseconds.
    pub reopen_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { join_ms: 60 * 60_000, quiet_ms: 10 * 60_000, reopen_ms: REOPEN_MS }
    }
}

/// What is to be written about incidents now, in this order: nothing where all is as the alerts say.
///
/// `alerts` are those that fire, and those that ceased since the last call; others do no harm. Leave out those that are
/// silenced or fall into a maintenance window. `ids` gives an id for each incident that is opened. Alerts that only
/// inform open nothing, and join what they belong to.
pub fn tend(
    incidents: &Incidents,
    alerts: &[Alert],
    related: &Related,
    options: &Options,
    now: Timestamp,
    ids: &mut dyn FnMut() -> IncidentId,
) -> Vec<(IncidentId, IncidentEvent)> {
    let mut tended = Tended { state: incidents.clone(), events: Vec::new(), related, options, now };
    let mut alerts: Vec<_> = alerts.iter().collect();
    // The worst of one instant gives an incident its title.
    alerts.sort_by_key(|alert| (alert.started, std::cmp::Reverse(alert.severity), alert.identity()));
    for alert in alerts {
        tended.alert(alert, ids);
    }
    tended.end_what_is_quiet();
    tended.events
}

struct Tended<'a> {
    /// With everything in it that is to be written.
    state: Incidents,
    events: Vec<(IncidentId, IncidentEvent)>,
    related: &'a Related,
    options: &'a Options,
    now: Timestamp,
}

impl Tended<'_> {
    fn write(&mut self, id: IncidentId, event: IncidentEvent) {
        let written = self.state.record(self.now, &Actor::daybook("alerts"), id, &event);
        debug_assert!(written.is_ok(), "{written:?}");
        self.events.push((id, event));
    }

    fn alert(&mut self, alert: &Alert, ids: &mut dyn FnMut() -> IncidentId) {
        let identity = alert.identity();
        if let Some((id, known)) = self.known(&identity) {
            if let (Some(ended), true) = (alert.ended, known.is_firing() && alert.started == known.started) {
                self.write(id, IncidentEvent::AlertEnded { alert: identity, ended });
                return;
            }
            // What somebody has called over while it fired is over until it fires anew.
            if alert.started <= known.started {
                return;
            }
        }
        if !alert.is_firing() {
            return;
        }
        if let Some((id, why)) = self.open_one_for(alert) {
            self.write(id, IncidentEvent::Joined { alert: alert.clone(), why });
            self.merge_what_it_links(alert, id);
            return;
        }
        if let Some((id, why)) = self.recent_one_for(alert) {
            self.write(id, IncidentEvent::Reopened { alert: Some(alert.clone()), why });
            return;
        }
        if alert.severity > Severity::Info {
            let opened = IncidentEvent::Opened {
                title: alert.summary.clone(),
                severity: alert.severity,
                services: BTreeSet::new(),
                alert: Some(alert.clone()),
            };
            self.write(ids(), opened);
        }
    }

    /// The alert as the newest incident that has it knows it. What was merged is known where it went.
    fn known(&self, identity: &str) -> Option<(IncidentId, Alert)> {
        let whole = self.state.all().rev().filter(|incident| !matches!(incident.standing, Standing::Merged { .. }));
        whole
            .filter_map(|incident| Some((incident.id, incident.alerts[incident.alert(identity)?].clone())))
            .max_by_key(|(_, alert)| alert.started)
    }

    /// The oldest open incident that an alert belongs to.
    fn open_one_for(&self, alert: &Alert) -> Option<(IncidentId, String)> {
        self.state.open().find_map(|incident| Some((incident.id, self.link(alert, incident)?)))
    }

    fn link(&self, alert: &Alert, incident: &Incident) -> Option<String> {
        let is_recent = lies_back(incident.last_change(), alert.started) <= self.options.join_ms;
        let is_same = alert.service.as_ref().is_some_and(|service| incident.services.contains(service));
        let goes_on = incident.firing().next().is_some() || incident.is_by_hand;
        if incident.alert(&alert.identity()).is_some() {
            return Some("again".to_owned());
        }
        (is_recent || (is_same && goes_on)).then(|| self.related.link(alert, incident)).flatten()
    }

    /// Open incidents that turn out to be one. What people have opened they merge themselves.
    fn merge_what_it_links(&mut self, alert: &Alert, into: IncidentId) {
        let others: Vec<_> = self.state.open().filter(|other| other.id != into && !other.is_by_hand).collect();
        let linked = others.into_iter().filter_map(|other| Some((other.id, self.link(alert, other)?)));
        for (id, why) in linked.collect::<Vec<_>>() {
            self.write(id, IncidentEvent::MergedInto { other: into, why: format!("{}: {why}", alert.name) });
        }
    }

    /// The newest incident that is over, not for long, and about the same service or the same alert.
    fn recent_one_for(&self, alert: &Alert) -> Option<(IncidentId, String)> {
        let is_recent = |at| lies_back(at, alert.started) <= self.options.reopen_ms;
        let recent = self.state.all().rev().filter_map(|incident| Some((incident, incident.resolved()?)));
        recent.filter(|(_, at)| is_recent(*at)).find_map(|(incident, at)| {
            let is_same = incident.alert(&alert.identity()).is_some()
                || alert.service.as_ref().is_some_and(|service| incident.services.contains(service));
            let after = seconds(lies_back(at, alert.started));
            is_same.then(|| (incident.id, format!("{} fires {after} after it ended", alert.name)))
        })
    }

    fn end_what_is_quiet(&mut self) {
        let is_quiet = |incident: &&Incident| {
            incident.quiet_since().is_some_and(|since| lies_back(since, self.now) >= self.options.quiet_ms)
        };
        let over: Vec<_> = self
            .state
            .open()
            .filter(|incident| !incident.is_by_hand && !incident.alerts.is_empty())
            .filter(is_quiet)
            .map(|incident| incident.id)
            .collect();
        for id in over {
            let note = format!("quiet for {}", seconds(self.options.quiet_ms));
            self.write(id, IncidentEvent::Resolved { ending: Ending::Quiet, note });
        }
    }
}
