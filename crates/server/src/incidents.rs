//! Incidents: what the journal says of them, and what people do about them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use daybook_api::ErrorCode;
use daybook_api::incident::{
    ActionLine, AlertLine, AlertView, ImpactView, IncidentLine, IncidentView, Marking, OpenIncident, RouteImpact,
    SuspectView,
};
use daybook_decide::incident::{Incident, Incidents, Standing, Taken};
use daybook_decide::postmortem::{self, Beside};
use daybook_model::incident::{Ending, IncidentEvent, IncidentId};
use daybook_model::status_page::StatusPage;
use daybook_model::{Actor, Entry, EnvKey, Event, RunId};
use daybook_rules::State;
use daybook_store::{Journal as _, Query, Write};
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::App;
use crate::error::ApiError;
use crate::observe::Fired;
use crate::view::event::Words;

/// Entries that are read at a time.
const PAGE: usize = 1_000;

/// The incidents of every place: an environment, or none, for what is about the machine.
#[derive(Default)]
pub(crate) struct Known {
    all: Mutex<BTreeMap<Option<EnvKey>, Incidents>>,
    /// Whoever writes what happened has this from asking whether it is allowed until it is known: nobody is woken for what
    /// somebody has just acknowledged.
    writing: tokio::sync::Mutex<()>,
}

impl Known {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Option<EnvKey>, Incidents>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of one place.
    pub(crate) fn of(&self, key: Option<&EnvKey>) -> Incidents {
        self.all().get(&key.cloned()).cloned().unwrap_or_default()
    }

    /// Places where an incident goes on.
    pub(crate) fn open_places(&self) -> Vec<Option<EnvKey>> {
        let all = self.all();
        all.iter().filter(|(_, incidents)| incidents.open().next().is_some()).map(|(key, _)| key.clone()).collect()
    }

    /// Waits until everything that the journal has is known: whoever hears of an entry may be earlier.
    pub(crate) async fn settled(&self) {
        drop(self.writing.lock().await);
    }

    /// Those that go on and of which nobody has written down what is suspected.
    pub(crate) fn unsuspected(&self) -> Vec<IncidentId> {
        let all = self.all();
        all.values().flat_map(Incidents::open).filter(|one| one.is_unsuspected).map(|one| one.id).collect()
    }

    /// Takes in what was written.
    fn record(&self, key: Option<&EnvKey>, entry: &Entry, id: IncidentId, event: &IncidentEvent) {
        // What is not allowed changes nothing.
        let _ = self.all().entry(key.cloned()).or_default().record(entry.at, &entry.actor, id, event);
    }

    /// One of them, and where it belongs.
    pub(crate) fn find(&self, id: IncidentId) -> Option<(Option<EnvKey>, Incident)> {
        let all = self.all();
        all.iter().find_map(|(key, incidents)| Some((key.clone(), incidents.get(id)?.clone())))
    }

    /// The incident of this id, or the one that it is a part of now.
    pub(crate) fn whole(&self, id: IncidentId) -> Option<(Option<EnvKey>, Incident)> {
        let all = self.all();
        all.iter().find_map(|(key, incidents)| Some((key.clone(), incidents.whole(id)?.clone())))
    }
}

impl App {
    /// Reads what the journal says of incidents, silences, maintenance and overrides. Once, at the start: whatever happens to them later is written by this server.
    pub(crate) async fn read_incidents(&self) -> Result<(), daybook_store::Error> {
        let mut after = 0;
        loop {
            let query = Query { after, limit: Some(PAGE), ..Query::default() };
            let entries = self.inner.store.read(&query).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            after = last.seq;
            for entry in &entries {
                self.inner.silences.record(entry);
                self.inner.made.record(entry);
                if let Event::Incident { incident, what } = &entry.event {
                    self.inner.incidents.record(entry.key.as_ref(), entry, *incident, what);
                }
            }
        }
    }

    /// Writes down what happened to an incident, if that is allowed.
    pub(crate) async fn note_incident(
        &self,
        key: Option<&EnvKey>,
        actor: &Actor,
        id: IncidentId,
        event: IncidentEvent,
    ) -> Result<(), ApiError> {
        let writing = self.inner.incidents.writing.lock().await;
        let mut tried = self.inner.incidents.of(key);
        if matches!(event, IncidentEvent::Paged { .. }) && tried.get(id).is_some_and(Incident::is_seen_to) {
            let message = format!("somebody sees to incident {} already", id.short());
            return Err(ApiError::new(ErrorCode::Usage, message));
        }
        let refused = |error: daybook_decide::incident::NotAllowed| ApiError::new(ErrorCode::Usage, error.to_string());
        tried.record(self.now(), actor, id, &event).map_err(refused)?;
        let written = Event::Incident { incident: id, what: Box::new(event.clone()) };
        let write = Write { key: key.cloned(), run: None, actor: actor.clone(), event: written, expected: None };
        let entry = self.inner.store.append(write).await?;
        self.inner.incidents.record(key, &entry, id, &event);
        drop(writing);
        if let Some(key) = key {
            self.write_status_pages(key).await;
        }
        Ok(())
    }

    /// Those of an environment.
    pub(crate) fn incidents_of(&self, key: &EnvKey) -> Incidents {
        self.inner.incidents.of(Some(key))
    }

    /// Incidents, newest first: those of a place, or of all; those that go on, or all.
    pub(crate) fn incidents(&self, key: Option<&EnvKey>, also_ended: bool) -> Vec<IncidentView> {
        let all = self.inner.incidents.all();
        let mut views: Vec<_> = all
            .iter()
            .filter(|(place, _)| key.is_none_or(|key| place.as_ref().is_none_or(|place| place == key)))
            .flat_map(|(place, incidents)| incidents.all().map(move |incident| (place, incident)))
            .filter(|(_, incident)| also_ended || incident.is_open())
            .map(|(place, incident)| view(place.as_ref(), incident))
            .collect();
        views.sort_by_key(|incident| std::cmp::Reverse(incident.opened));
        views
    }

    /// Alerts of an environment and of the machine, or all: those that fire or are about to; also those that ended.
    pub(crate) fn alerts(&self, key: Option<&EnvKey>, also_ended: bool) -> Vec<AlertView> {
        let of = |fired: &Fired| key.is_none_or(|key| fired.key.as_ref().is_none_or(|place| place == key));
        let dead = self.dead_channels().into_iter().map(crate::observe::Trouble::fired);
        let fired = self
            .fired()
            .into_iter()
            .chain(dead)
            .chain(self.dead_outlets())
            .filter(|fired| of(fired) && (also_ended || fired.state != State::Inactive));
        let view = |fired: Fired| AlertView {
            silenced: self.silenced(&fired),
            maintenance: fired.muted.clone(),
            key: fired.key,
            state: fired.state.word().to_owned(),
            alert: alert(&fired.alert),
            description: fired.description,
            value: Some(fired.value).filter(|value| value.is_finite()),
        };
        let mut views: Vec<_> = fired.map(view).collect();
        views.sort_by(|a, b| {
            (&a.state, b.alert.started, &a.alert.name).cmp(&(&b.state, a.alert.started, &b.alert.name))
        });
        views
    }

    /// One incident, by its id or the end of it.
    pub(crate) fn incident(&self, name: &str) -> Result<IncidentView, ApiError> {
        let (key, incident) = self.inner.incidents.find(self.incident_id(name)?).ok_or_else(|| unknown(name))?;
        Ok(IncidentView { left_alone: self.left_alone(incident.id), ..view(key.as_ref(), &incident) })
    }

    fn incident_id(&self, name: &str) -> Result<IncidentId, ApiError> {
        let all = self.inner.incidents.all();
        let ids = all.values().flat_map(Incidents::all).map(|incident| incident.id);
        let named: Vec<_> = ids.filter(|id| id.to_string() == name || id.short() == name).collect();
        match named.as_slice() {
            [id] => Ok(*id),
            [] => Err(unknown(name)),
            _ => Err(ApiError::new(ErrorCode::Usage, format!("{name:.80} may be several incidents"))
                .hint("give the whole id")),
        }
    }

    /// Does what a person says about an incident.
    pub(crate) async fn mark_incident(
        &self,
        name: &str,
        marking: Marking,
        actor: &Actor,
    ) -> Result<IncidentView, ApiError> {
        let id = self.incident_id(name)?;
        let (key, _) = self.inner.incidents.find(id).ok_or_else(|| unknown(name))?;
        let event = match marking {
            Marking::Acknowledge => IncidentEvent::Acknowledged,
            Marking::Resolve { note } => IncidentEvent::Resolved { ending: Ending::ByHand, note },
            Marking::Reopen { why } => IncidentEvent::Reopened { alert: None, why },
            Marking::Note { text } => IncidentEvent::Noted { text },
            Marking::Publish { text } => IncidentEvent::Published { text: publishable(&text)? },
            Marking::HandOver { to, note } => IncidentEvent::HandedOver { to, note },
        };
        self.note_incident(key.as_ref(), actor, id, event).await?;
        self.incident(&id.to_string())
    }

    /// Whoever changes an environment while an incident goes on there does something about it. One that had the run begun
    /// knows that already.
    pub(crate) async fn acted(&self, key: &EnvKey, run: RunId, what: &str, actor: &Actor) {
        for incident in self.inner.incidents.of(Some(key)).open() {
            if incident.actions.iter().any(|taken| taken.run == Some(run)) {
                continue;
            }
            let event = IncidentEvent::Acted { what: what.to_owned(), run: Some(run), rule: None };
            if let Err(error) = self.note_incident(Some(key), actor, incident.id, event).await {
                tracing::warn!(error = %error.0.message, "an incident does not know of a run");
            }
        }
    }

    /// Opens an incident that no alert told of.
    pub(crate) async fn open_incident(&self, asked: OpenIncident, actor: &Actor) -> Result<IncidentView, ApiError> {
        let severity = asked.severity.parse().map_err(|()| {
            ApiError::new(ErrorCode::Usage, format!("{:.80} is no severity", asked.severity))
                .hint("page, ticket or info")
        })?;
        let services = asked.services.iter().map(|name| name.parse()).collect::<Result<_, _>>();
        let services = services
            .map_err(|error: daybook_model::name::InvalidName| ApiError::new(ErrorCode::Usage, error.to_string()))?;
        let id = IncidentId(Uuid::now_v7());
        let event = IncidentEvent::Opened { title: asked.title, severity, services, alert: None };
        self.note_incident(Some(&asked.key), actor, id, event).await?;
        self.incident(&id.to_string())
    }

    /// The draft of a post-mortem, as Markdown.
    pub(crate) async fn postmortem(&self, name: &str) -> Result<String, ApiError> {
        let (key, incident) = self.inner.incidents.find(self.incident_id(name)?).ok_or_else(|| unknown(name))?;
        let events = self.events_around(key.as_ref(), &incident).await?;
        Ok(postmortem::draft(&incident, &Beside { events: &events, zone: TimeZone::UTC, now: self.now() }))
    }

    /// What the journal says of the time from a little before an incident to its end.
    async fn events_around(
        &self,
        key: Option<&EnvKey>,
        incident: &Incident,
    ) -> Result<Vec<daybook_decide::incident::Line>, ApiError> {
        let from = incident.onset.checked_sub(jiff::SignedDuration::from_mins(30)).unwrap_or(incident.onset);
        let until = incident.resolved().unwrap_or_else(|| self.now());
        let query = Query { key: key.cloned(), limit: Some(5 * PAGE), newest: true, ..Query::default() };
        let entries = self.inner.store.read(&query).await?;
        let mut words = Words::new(self.inner.store.clone());
        let mut lines = Vec::new();
        for entry in entries.iter().filter(|entry| (from..=until).contains(&entry.at)) {
            // What the incident says of itself is in its own timeline, and steps of runs are too many.
            if matches!(entry.event, Event::Incident { .. } | Event::StepStarted { .. } | Event::StepFinished { .. }) {
                continue;
            }
            let said = words.entry(entry).await;
            lines.push(daybook_decide::incident::Line { at: entry.at, by: said.actor.name.clone(), text: said.text });
        }
        Ok(lines)
    }
}

/// What the public is told is short, and says something.
fn publishable(text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err(ApiError::new(ErrorCode::Usage, "nothing is said to the public")),
        length if length > StatusPage::LONGEST_TEXT => {
            let message = format!("{length} characters are too many for a status page");
            Err(ApiError::new(ErrorCode::Usage, message).hint(format!("at most {}", StatusPage::LONGEST_TEXT)))
        }
        _ => Ok(text.to_owned()),
    }
}

fn unknown(name: &str) -> ApiError {
    ApiError::not_found(format!("there is no incident {name:.80}")).hint("see `daybook incident ls --all`")
}

fn view(key: Option<&EnvKey>, incident: &Incident) -> IncidentView {
    let (state, ended) = match &incident.standing {
        Standing::Open if incident.acknowledged.is_some() => ("acknowledged", None),
        Standing::Open => ("open", None),
        Standing::Resolved { at, .. } => ("resolved", Some(*at)),
        Standing::Merged { .. } => ("merged", incident.resolved()),
    };
    IncidentView {
        id: incident.id.to_string(),
        short: incident.id.short(),
        key: key.cloned(),
        title: incident.title.clone(),
        severity: incident.severity.word().to_owned(),
        state: state.to_owned(),
        opened: incident.opened,
        onset: incident.onset,
        ended,
        services: incident.services.iter().map(ToString::to_string).collect(),
        acknowledged_by: incident.acknowledged.as_ref().map(|(who, _)| who.clone()),
        owner: incident.owner.clone(),
        alerts: incident.alerts.iter().map(alert).collect(),
        impact: incident.impact.as_ref().map(|impact| ImpactView {
            requests: impact.requests,
            failed: impact.failed,
            p95_ms: impact.p95_ms,
            routes: impact
                .routes
                .iter()
                .map(|(route, failed)| RouteImpact { route: route.clone(), failed: *failed })
                .collect(),
        }),
        suspects: incident.suspects.iter().map(suspect).collect(),
        actions: incident.actions.iter().map(action).collect(),
        left_alone: Vec::new(),
        timeline: incident
            .timeline
            .iter()
            .map(|line| IncidentLine { at: line.at, by: line.by.clone(), text: line.text.clone() })
            .collect(),
    }
}

fn action(taken: &Taken) -> ActionLine {
    ActionLine {
        at: taken.at,
        by: taken.by.clone(),
        what: taken.what.clone(),
        run: taken.run,
        rule: taken.rule.clone(),
    }
}

fn alert(alert: &daybook_model::Alert) -> AlertLine {
    AlertLine {
        name: alert.name.clone(),
        severity: alert.severity.word().to_owned(),
        summary: alert.summary.clone(),
        labels: alert.labels.clone(),
        started: alert.started,
        ended: alert.ended,
        runbook: alert.runbook.clone(),
    }
}

fn suspect(suspect: &daybook_model::incident::Suspect) -> SuspectView {
    let next = suspect.next.as_ref().map(daybook_model::incident::NextStep::choice);
    SuspectView {
        kind: suspect.kind.clone(),
        title: suspect.title.clone(),
        at: suspect.at,
        share: suspect.share,
        evidence: suspect.evidence.clone(),
        next: next.as_ref().map(|choice| choice.text.clone()),
        command: next.map(|choice| choice.command),
    }
}
