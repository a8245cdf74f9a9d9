//! Incidents: folded from the journal, and what alerts make of them.
//!
//! [`fold`] makes [`Incidents`] of journal entries. [`tend`] compares them with the alerts of now and says which entries
//! are to be written: nothing is grouped, resolved or opened anywhere else. What people do (acknowledge, note, merge) is
//! an entry too, and [`Incidents::record`] says whether it is allowed.

mod graph;
mod tend;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::incident::{Alert, Ending, Impact, IncidentEvent, IncidentId, Severity, Suspect};
use daybook_model::{Actor, Event, RunId, ServiceName, Timestamp};

pub use graph::Related;
pub use tend::{Options, REOPEN_MS, tend};
pub use words::words;

/// An incident, as the journal tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// In one sentence.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
    /// Whether a person has said how much, which alerts do not change.
    pub is_graded_by_hand: bool,
    /// Whether a person has opened it: then a person ends it.
    pub is_by_hand: bool,
    /// When it was opened.
    pub opened: Timestamp,
    /// Since when users feel it, as far as alerts tell.
    pub onset: Timestamp,
    /// Services that it is about.
    pub services: BTreeSet<ServiceName>,
    /// Its alerts, in the order in which they came; one that fires again keeps its place.
    pub alerts: Vec<Alert>,
    /// How it stands.
    pub standing: Standing,
    /// Who saw to it first since it was opened, or opened again, and when; before that, who did the last time.
    pub acknowledged: Option<(String, Timestamp)>,
    /// Who sees to it.
    pub owner: Option<String>,
    /// When people were woken: the time, the policy, the level, the round, who.
    pub pages: Vec<Page>,
    /// When it was opened again last.
    pub reopened: Option<Timestamp>,
    /// What users felt.
    pub impact: Option<Impact>,
    /// What is suspected, most first.
    pub suspects: Vec<Suspect>,
    /// Whether nobody has written down what is suspected since an alert came to it last.
    pub is_unsuspected: bool,
    /// What was done about it.
    pub actions: Vec<Taken>,
    /// What was told to the public.
    pub published: Vec<(Timestamp, String)>,
    /// Incidents that are a part of it.
    pub merged: BTreeSet<IncidentId>,
    /// Everything that happened, in words, oldest first.
    pub timeline: Vec<Line>,
}

/// How an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It goes on.
    Open,
    /// It is over.
    Resolved {
        /// Since when.
        at: Timestamp,
        /// How that was told.
        ending: Ending,
    },
    /// It is a part of another one.
    Merged {
        /// Which.
        into: IncidentId,
    },
}

/// People who were woken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// When.
    pub at: Timestamp,
    /// The escalation policy, by its name.
    pub policy: String,
    /// Its level, from 1.
    pub level: u32,
    /// How often the policy had begun again.
    pub round: u32,
    /// Who.
    pub who: Vec<String>,
}

/// Something that was done about an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// When.
    pub at: Timestamp,
    /// What, in words.
    pub what: String,
    /// The run that does it, if one does.
    pub run: Option<RunId>,
    /// The rule that had it done. `None`: a person did.
    pub rule: Option<String>,
    /// Who.
    pub by: String,
}

/// A line of a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What, in words.
    pub text: String,
}

impl Incident {
    /// Whether it goes on.
    pub fn is_open(&self) -> bool {
        self.standing == Standing::Open
    }

    /// Whether somebody has acknowledged it since it was opened, or opened again.
    pub fn is_seen_to(&self) -> bool {
        let seen = self.acknowledged.as_ref().map(|(_, at)| *at);
        seen.is_some_and(|seen| self.reopened.is_none_or(|reopened| seen >= reopened))
    }

    /// Who sees to it: whom it was handed over to, or else who acknowledged it last.
    pub fn seen_to_by(&self) -> Option<&str> {
        let (who, _) = self.acknowledged.as_ref().filter(|_| self.is_seen_to())?;
        Some(self.owner.as_deref().unwrap_or(who))
    }

    /// Its alerts that fire.
    pub fn firing(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(|alert| alert.is_firing())
    }

    /// When the last of its alerts ceased. `None`: one fires, or it has none.
    pub fn quiet_since(&self) -> Option<Timestamp> {
        let ends = self.alerts.iter().map(|alert| alert.ended);
        ends.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// When it ended, if it has.
    pub fn resolved(&self) -> Option<Timestamp> {
        match self.standing {
            Standing::Resolved { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Until when users felt it: until the last alert ceased where that has ended it. `None`: they still do.
    pub fn felt_until(&self) -> Option<Timestamp> {
        match self.standing {
            Standing::Resolved { at, ending: Ending::Quiet } => {
                Some(self.quiet_since().map_or(at, |since| since.min(at)))
            }
            Standing::Resolved { at, ending: Ending::ByHand } => Some(at),
            Standing::Open | Standing::Merged { .. } => None,
        }
    }

    /// When anything of it began or ceased last.
    pub fn last_change(&self) -> Timestamp {
        let times = self.alerts.iter().flat_map(|alert| [Some(alert.started), alert.ended]).flatten();
        times.max().map_or(self.opened, |last| last.max(self.opened))
    }

    fn alert(&self, identity: &str) -> Option<usize> {
        self.alerts.iter().position(|alert| alert.identity() == identity)
    }

    fn take(&mut self, alert: &Alert) {
        self.is_unsuspected = true;
        self.services.extend(alert.service.clone());
        self.onset = self.onset.min(alert.started);
        if !self.is_graded_by_hand {
            self.severity = self.severity.max(alert.severity);
        }
        match self.alert(&alert.identity()) {
            Some(at) => self.alerts[at] = alert.clone(),
            None => self.alerts.push(alert.clone()),
        }
    }
}

/// Why something cannot happen to an incident.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// There is none of this id.
    #[error("there is no incident {}", .0.short())]
    Unknown(IncidentId),
    /// The id is taken.
    #[error("incident {} is there already", .0.short())]
    Known(IncidentId),
    /// It is over.
    #[error("incident {} is over: reopen it first", .0.short())]
    Over(IncidentId),
    /// It is not over.
    #[error("incident {} is open already", .0.short())]
    Open(IncidentId),
    /// It is a part of another.
    #[error("incident {} is a part of {}", id.short(), into.short())]
    Merged {
        /// This one.
        id: IncidentId,
        /// The other.
        into: IncidentId,
    },
    /// It cannot be a part of itself.
    #[error("incident {} cannot be merged into itself", .0.short())]
    Itself(IncidentId),
    /// It has no such alert.
    #[error("incident {} has no alert {alert}", id.short())]
    NoAlert {
        /// The incident.
        id: IncidentId,
        /// What was meant.
        alert: String,
    },
}

/// The incidents of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Incidents(BTreeMap<IncidentId, Incident>);

/// The incidents of an environment, from what its journal says of them. An entry that is not allowed changes nothing:
/// two servers may have written at one time.
pub fn fold<'e>(entries: impl IntoIterator<Item = (Timestamp, &'e Actor, &'e Event)>) -> Incidents {
    let mut all = Incidents::default();
    for (at, actor, event) in entries {
        if let Event::Incident { incident, what } = event {
            let _ = all.record(at, actor, *incident, what);
        }
    }
    all
}

impl Incidents {
    /// One of them.
    pub fn get(&self, id: IncidentId) -> Option<&Incident> {
        self.0.get(&id)
    }

    /// The one of this id, or the one that it is a part of now.
    pub fn whole(&self, id: IncidentId) -> Option<&Incident> {
        let mut found = self.get(id)?;
        // What becomes a part does so of one that goes on, and never goes on itself: there are no circles.
        while let Standing::Merged { into } = found.standing {
            found = self.get(into)?;
        }
        Some(found)
    }

    /// All of them, oldest first. Those that are a part of another are among them.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Incident> {
        self.0.values()
    }

    /// Those that go on, oldest first.
    pub fn open(&self) -> impl DoubleEndedIterator<Item = &Incident> {
        self.all().filter(|incident| incident.is_open())
    }

    /// Takes what happened to an incident. An error leaves everything as it was: ask before the entry is written.
    pub fn record(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        id: IncidentId,
        event: &IncidentEvent,
    ) -> Result<(), NotAllowed> {
        if matches!(event, IncidentEvent::Opened { .. }) {
            return self.open_new(at, actor, id, event);
        }
        let incident = self.0.get(&id).ok_or(NotAllowed::Unknown(id))?;
        allowed(incident, event)?;
        if let IncidentEvent::MergedInto { other, .. } = event {
            self.merge(at, actor, id, *other, event)?;
        }
        let incident = self.0.get_mut(&id).expect("it was just found");
        incident.timeline.push(line(at, actor, event));
        change(incident, at, actor, event);
        Ok(())
    }

    fn open_new(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        id: IncidentId,
        event: &IncidentEvent,
    ) -> Result<(), NotAllowed> {
        let IncidentEvent::Opened { title, severity, services, alert } = event else { return Ok(()) };
        if self.0.contains_key(&id) {
            return Err(NotAllowed::Known(id));
        }
        let mut incident = Incident {
            id,
            title: title.clone(),
            severity: *severity,
            is_graded_by_hand: alert.is_none(),
            is_by_hand: alert.is_none(),
            opened: at,
            onset: at,
            services: services.clone(),
            alerts: Vec::new(),
            standing: Standing::Open,
            acknowledged: None,
            owner: None,
            pages: Vec::new(),
            reopened: None,
            impact: None,
            suspects: Vec::new(),
            is_unsuspected: false,
            actions: Vec::new(),
            published: Vec::new(),
            merged: BTreeSet::new(),
            timeline: vec![line(at, actor, event)],
        };
        alert.iter().for_each(|alert| incident.take(alert));
        self.0.insert(id, incident);
        Ok(())
    }

    /// Gives the alerts, pages and actions of one to another.
    fn merge(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        id: IncidentId,
        other: IncidentId,
        event: &IncidentEvent,
    ) -> Result<(), NotAllowed> {
        if id == other {
            return Err(NotAllowed::Itself(id));
        }
        match self.0.get(&other).map(|target| target.standing) {
            None => return Err(NotAllowed::Unknown(other)),
            Some(Standing::Merged { into }) => return Err(NotAllowed::Merged { id: other, into }),
            Some(Standing::Resolved { .. }) => return Err(NotAllowed::Over(other)),
            Some(Standing::Open) => {}
        }
        let part = self.0.get(&id).cloned().ok_or(NotAllowed::Unknown(id))?;
        let whole = self.0.get_mut(&other).expect("it was just found");
        part.alerts.iter().for_each(|alert| whole.take(alert));
        whole.services.extend(part.services);
        whole.onset = whole.onset.min(part.onset);
        whole.merged.extend(part.merged.into_iter().chain([id]));
        whole.pages.extend(part.pages);
        whole.pages.sort_by_key(|page| page.at);
        whole.actions.extend(part.actions);
        whole.actions.sort_by_key(|taken| taken.at);
        whole.acknowledged = whole.acknowledged.take().or(part.acknowledged);
        whole.owner = whole.owner.take().or(part.owner);
        let IncidentEvent::MergedInto { why, .. } = event else { return Ok(()) };
        let text = format!("took in incident {}, {}: {why}", id.short(), part.title);
        whole.timeline.push(Line { at, by: actor.name.clone(), text });
        Ok(())
    }
}

/// Whether something may happen to an incident as it stands.
fn allowed(incident: &Incident, event: &IncidentEvent) -> Result<(), NotAllowed> {
    let id = incident.id;
    if let IncidentEvent::AlertEnded { alert, .. } = event
        && incident.alert(alert).is_none()
    {
        return Err(NotAllowed::NoAlert { id, alert: alert.clone() });
    }
    match (incident.standing, event) {
        (Standing::Merged { into }, _) => Err(NotAllowed::Merged { id, into }),
        (Standing::Open, IncidentEvent::Reopened { .. }) => Err(NotAllowed::Open(id)),
        (Standing::Open, _) => Ok(()),
        // What is found out or told later belongs to it all the same.
        (
            Standing::Resolved { .. },
            IncidentEvent::Reopened { .. }
            | IncidentEvent::Noted { .. }
            | IncidentEvent::Published { .. }
            | IncidentEvent::Felt { .. }
            | IncidentEvent::Suspected { .. }
            | IncidentEvent::AlertEnded { .. },
        ) => Ok(()),
        (Standing::Resolved { .. }, _) => Err(NotAllowed::Over(id)),
    }
}

fn line(at: Timestamp, actor: &Actor, event: &IncidentEvent) -> Line {
    // An alert ceased when it did, whenever that was written down.
    let at = match event {
        IncidentEvent::AlertEnded { ended, .. } => *ended,
        _ => at,
    };
    Line { at, by: actor.name.clone(), text: words(event) }
}

fn change(incident: &mut Incident, at: Timestamp, actor: &Actor, event: &IncidentEvent) {
    match event {
        IncidentEvent::Opened { .. } | IncidentEvent::Noted { .. } => {}
        IncidentEvent::Joined { alert, .. } => incident.take(alert),
        IncidentEvent::AlertEnded { alert, ended } => {
            if let Some(place) = incident.alert(alert) {
                incident.alerts[place].ended = Some(*ended);
            }
        }
        IncidentEvent::Regraded { severity, .. } => {
            incident.severity = *severity;
            incident.is_graded_by_hand = true;
        }
        IncidentEvent::Paged { policy, level, round, who } => {
            let (policy, who) = (policy.clone(), who.clone());
            incident.pages.push(Page { at, policy, level: *level, round: *round, who });
        }
        IncidentEvent::Acknowledged => {
            if !incident.is_seen_to() {
                incident.acknowledged = Some((actor.name.clone(), at));
            }
            incident.owner = Some(actor.name.clone());
        }
        IncidentEvent::HandedOver { to, .. } => incident.owner = Some(to.clone()),
        IncidentEvent::Published { text } => incident.published.push((at, text.clone())),
        IncidentEvent::Felt { impact } => incident.impact = Some(impact.clone()),
        IncidentEvent::Suspected { suspects } => {
            incident.suspects.clone_from(suspects);
            incident.is_unsuspected = false;
        }
        IncidentEvent::Acted { what, run, rule } => {
            let by = actor.name.clone();
            incident.actions.push(Taken { at, what: what.clone(), run: *run, rule: rule.clone(), by });
        }
        IncidentEvent::MergedInto { other, .. } => incident.standing = Standing::Merged { into: *other },
        IncidentEvent::Resolved { ending, .. } => incident.standing = Standing::Resolved { at, ending: *ending },
        IncidentEvent::Reopened { alert, .. } => {
            incident.standing = Standing::Open;
            incident.reopened = Some(at);
            alert.iter().for_each(|alert| incident.take(alert));
        }
    }
}

#[cfg(test)]
mod tests;
