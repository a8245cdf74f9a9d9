//! Whoever is on call is woken for an incident, level by level, until somebody sees to it; and whoever goes on call is told so,
//! where a schedule asks for it.
//!
//! That somebody is woken is in the journal before it is told (`notices`), so a server that is killed meanwhile wakes nobody twice.

use std::time::Duration;

use daybook_decide::oncall::{Begun, Due, begun, due, muted_incident, policy_for};
use daybook_model::incident::IncidentEvent;
use daybook_model::{Actor, EnvKey, Event, Timestamp};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::App;
use crate::error::ApiError;

/// Until the next look, whatever happens: windows end, and shifts begin.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// What happens to an incident is looked at after this time, when everybody knows of it.
const SETTLE: Duration = Duration::from_millis(500);

impl App {
    /// Wakes people until the server stops.
    pub(super) async fn tend_escalations(self) {
        let mut entries = self.inner.store.subscribe();
        let mut shifts = Instant::now();
        loop {
            // Whoever is to be woken waits for nothing else.
            let next = match self.escalate().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(error = %error.0.message, "whoever is on call waits");
                    None
                }
            };
            let wait = next.map_or(LOOK_AGAIN, |next| {
                Duration::try_from(next.duration_since(self.now())).unwrap_or_default().clamp(SETTLE, LOOK_AGAIN)
            });
            let mut until = Instant::now() + wait;
            if shifts <= Instant::now() {
                shifts = Instant::now() + LOOK_AGAIN;
                if let Err(error) = self.note_all_shifts().await {
                    tracing::warn!(error = %error.0.message, "whoever goes on call is told later");
                }
            }
            until = until.min(shifts);
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(until) => break,
                    entry = entries.recv() => match entry {
                        Ok(entry) if !is_about_it(&entry.event) => {}
                        Ok(entry) => {
                            until = until.min(Instant::now() + SETTLE);
                            if changes_shifts(&entry.event) {
                                shifts = shifts.min(until);
                            }
                        }
                        Err(RecvError::Lagged(_)) => {
                            until = until.min(Instant::now() + SETTLE);
                            shifts = shifts.min(until);
                        }
                        Err(RecvError::Closed) => return,
                    },
                }
            }
        }
    }

    /// Writes down which shifts have begun, wherever that can be told.
    async fn note_all_shifts(&self) -> Result<(), ApiError> {
        for key in self.try_managed().await? {
            if let Err(error) = self.note_shifts(&key).await {
                tracing::warn!(error = %error.0.message, %key, "whoever goes on call is told later");
            }
        }
        Ok(())
    }

    /// Writes down which shifts have begun, in schedules that tell of them: so each is told once.
    async fn note_shifts(&self, key: &EnvKey) -> Result<(), ApiError> {
        let Some(release) = self.inner.store.current_release(key).await? else { return Ok(()) };
        if !release.spec.on_call.schedules.iter().any(|schedule| schedule.handover) {
            return Ok(());
        }
        for schedule in self.on_call_by(&release).schedules.iter().filter(|schedule| schedule.handover) {
            let known = self.inner.made.last_on_call(key, &schedule.name);
            let Some(Begun { person, until }) = begun(schedule, known.as_deref(), self.now()) else { continue };
            let event = Event::ShiftBegan { schedule: schedule.name.clone(), person, until };
            self.note_made(key, &Actor::daybook("on-call"), event).await?;
        }
        Ok(())
    }

    /// Wakes whoever is due, wherever that can be told. Answers when somebody else may be.
    async fn escalate(&self) -> Result<Option<Timestamp>, ApiError> {
        let mut next: Option<Timestamp> = None;
        let places = self.inner.incidents.open_places();
        if places.is_empty() {
            return Ok(None);
        }
        let there = self.try_managed().await?;
        // What is about the machine has no policy: it is told to everybody.
        for key in places.into_iter().flatten().filter(|key| there.contains(key)) {
            match self.escalate_in(&key).await {
                Ok(at) => next = next.into_iter().chain(at).min(),
                Err(error) => tracing::warn!(error = %error.0.message, %key, "whoever is on call waits"),
            }
        }
        Ok(next)
    }

    /// Wakes whoever is due for the incidents of an environment. Answers when somebody else may be.
    async fn escalate_in(&self, key: &EnvKey) -> Result<Option<Timestamp>, ApiError> {
        let mut next: Option<Timestamp> = None;
        let Some(release) = self.inner.store.current_release(key).await? else { return Ok(None) };
        let (on_call, windows) = (self.on_call_by(&release), self.windows(&release));
        let open: Vec<_> = self.inner.incidents.of(Some(key)).open().map(|incident| incident.id).collect();
        for id in open {
            // Read anew: somebody may have seen to it while others were woken.
            let Some((_, incident)) = self.inner.incidents.find(id) else { continue };
            let (now, policy) = (self.now(), policy_for(&on_call.policies, &incident));
            let Some(policy) = policy.filter(|_| muted_incident(&windows, &incident, now).is_none()) else {
                continue;
            };
            let at = match due(policy, &on_call.schedules, &incident, now) {
                Due::Page { level, round, who } => {
                    let (actor, policy) = (Actor::daybook("on-call"), policy.name.clone());
                    let event = IncidentEvent::Paged { policy, level, round, who };
                    // Somebody may have ended it meanwhile, or see to it now.
                    if let Err(error) = self.note_incident(Some(key), &actor, id, event).await {
                        tracing::warn!(error = %error.0.message, "nobody is woken");
                        continue;
                    }
                    now
                }
                Due::Wait(until) => until,
                Due::Nothing => continue,
            };
            next = next.into_iter().chain([at]).min();
        }
        Ok(next)
    }
}

/// Whether somebody may be due after it.
fn is_about_it(event: &Event) -> bool {
    matches!(event, Event::Incident { .. } | Event::MaintenanceEnded { .. }) || changes_shifts(event)
}

/// Whether somebody else may be on call after it.
fn changes_shifts(event: &Event) -> bool {
    matches!(event, Event::ReleaseAccepted { .. } | Event::OverrideAdded { .. } | Event::OverrideEnded { .. })
}
