//! Of which incidents a cause is looked for, and when: in a task of its own, since many questions are asked for it, and neither
//! rules nor whoever is to be told wait for their answers.
//!
//! The journal wakes it. What a server that was killed had not come to is seen in the journal as well: nobody has written
//! down what is suspected since an alert came to the incident last.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use daybook_model::Event;
use daybook_model::incident::{IncidentEvent, IncidentId};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::App;

/// Incidents that are looked at together. Each asks questions that people wait for as well.
const AT_ONCE: usize = 2;
/// Alerts often come together: they are looked at after this time, once.
const SETTLE: Duration = Duration::from_millis(500);
/// What could not be looked at is looked at again after this time.
const AGAIN_AFTER: Duration = Duration::from_secs(15);

/// What an incident is looked at for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    /// What users feel: an alert has ended, and what measurements show of the cause may be over with it.
    Felt,
    /// The cause as well.
    Cause,
}

/// Whose turn it is. An incident is looked at by one at a time; what happens to it meanwhile has it looked at once more.
#[derive(Debug, Default)]
struct Turns {
    waiting: VecDeque<(IncidentId, Look)>,
    under_way: BTreeSet<IncidentId>,
}

impl Turns {
    fn ask(&mut self, id: IncidentId, look: Look) {
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == id) {
            Some((_, known)) => *known = look.max(*known),
            None => self.waiting.push_back((id, look)),
        }
    }

    /// Where whoever is next stands, if there is room for one more.
    fn place(&self) -> Option<usize> {
        let is_free = |(id, _): &(IncidentId, Look)| !self.under_way.contains(id);
        self.waiting.iter().position(is_free).filter(|_| self.under_way.len() < AT_ONCE)
    }

    /// Lets the next begin.
    fn begin(&mut self) -> Option<(IncidentId, Look)> {
        let (id, look) = self.waiting.remove(self.place()?)?;
        self.under_way.insert(id);
        Some((id, look))
    }

    fn end(&mut self, id: IncidentId) {
        self.under_way.remove(&id);
    }
}

impl App {
    /// Looks for causes until the server stops.
    pub(super) async fn tend_suspicions(self) {
        let mut entries = self.inner.store.subscribe();
        let mut turns = Turns::default();
        let mut until = Instant::now();
        let mut looking: FuturesUnordered<BoxFuture<'static, (IncidentId, Option<Look>)>> = FuturesUnordered::new();
        self.unsuspected().for_each(|(id, look)| turns.ask(id, look));
        loop {
            tokio::select! {
                Some((id, undone)) = looking.next() => {
                    turns.end(id);
                    if let Some(look) = undone {
                        turns.ask(id, look);
                        until = Instant::now() + AGAIN_AFTER;
                    }
                }
                entry = entries.recv() => {
                    let asking: Vec<_> = match entry {
                        Ok(entry) => changed(&entry.event).into_iter().collect(),
                        Err(RecvError::Lagged(_)) => self.unsuspected().collect(),
                        Err(RecvError::Closed) => return,
                    };
                    if !asking.is_empty() {
                        until = Instant::now() + SETTLE;
                    }
                    asking.into_iter().for_each(|(id, look)| turns.ask(id, look));
                }
                () = tokio::time::sleep_until(until), if turns.place().is_some() => {
                    while let Some((id, look)) = turns.begin() {
                        looking.push(self.clone().looked_at(id, look).boxed());
                    }
                }
            }
        }
    }

    fn unsuspected(&self) -> impl Iterator<Item = (IncidentId, Look)> + use<> {
        self.inner.incidents.unsuspected().into_iter().map(|id| (id, Look::Cause))
    }

    /// Looks at one. What is to be looked at again, since it could not be done.
    async fn looked_at(self, id: IncidentId, look: Look) -> (IncidentId, Option<Look>) {
        self.inner.incidents.settled().await;
        let looked = self.suspect(id, look).await;
        if let Err(error) = &looked {
            tracing::warn!(incident = id.short(), error = %error.0.message, "its cause is looked for again later");
        }
        (id, looked.is_err().then_some(look))
    }
}

/// The incident whose alerts an entry changes, and what it is looked at for.
fn changed(event: &Event) -> Option<(IncidentId, Look)> {
    let Event::Incident { incident, what } = event else { return None };
    match **what {
        IncidentEvent::Opened { alert: Some(_), .. }
        | IncidentEvent::Joined { .. }
        | IncidentEvent::Reopened { alert: Some(_), .. } => Some((*incident, Look::Cause)),
        IncidentEvent::MergedInto { other, .. } => Some((other, Look::Cause)),
        IncidentEvent::AlertEnded { .. } => Some((*incident, Look::Felt)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use daybook_model::{Alert, Severity, Timestamp};
    use uuid::Uuid;

    use super::*;
    use crate::observe::remedies::tests::Scene;

    fn id(number: u128) -> IncidentId {
        IncidentId(Uuid::from_u128(number))
    }

    #[test]
    fn few_are_looked_at_together_and_each_by_one_at_a_time() {
        let mut turns = Turns::default();
        for number in [1, 2, 1, 3] {
            turns.ask(id(number), Look::Cause);
        }
        let cause = |number| Some((id(number), Look::Cause));
        assert_eq!([turns.begin(), turns.begin(), turns.begin()], [cause(1), cause(2), None], "two at a time");
        turns.ask(id(1), Look::Felt);
        turns.end(id(2));
        assert_eq!([turns.begin(), turns.begin()], [cause(3), None]);
        turns.end(id(3));
        assert_eq!(turns.begin(), None, "the first is under way still");
        turns.end(id(1));
        let again = [turns.begin(), turns.begin()];
        assert_eq!(again, [Some((id(1), Look::Felt)), None], "it changed meanwhile, so it is looked at once more");
    }

    #[test]
    fn whoever_waits_is_looked_at_for_all_that_was_asked() {
        for looks in [[Look::Cause, Look::Felt], [Look::Felt, Look::Cause]] {
            let mut turns = Turns::default();
            looks.into_iter().for_each(|look| turns.ask(id(1), look));
            assert_eq!([turns.begin(), turns.begin()], [Some((id(1), Look::Cause)), None]);
        }
    }

    #[test]
    fn only_alerts_have_an_incident_looked_at() {
        let event = |what| Event::Incident { incident: id(1), what: Box::new(what) };
        let ended = IncidentEvent::AlertEnded { alert: "Slow{}".to_owned(), ended: Timestamp::UNIX_EPOCH };
        assert_eq!(changed(&event(ended)), Some((id(1), Look::Felt)), "what caused it may be over with it");
        let merged = IncidentEvent::MergedInto { other: id(2), why: String::new() };
        assert_eq!(changed(&event(merged)), Some((id(2), Look::Cause)), "the other has its alerts now");
        assert_eq!(changed(&event(IncidentEvent::Suspected { suspects: Vec::new() })), None, "or it would never end");
        assert_eq!(changed(&event(IncidentEvent::Acknowledged)), None);
    }

    #[tokio::test]
    async fn what_a_killed_server_had_not_come_to_is_looked_at_by_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let scene = Scene::new(directory.path()).await;
        let alert = Alert {
            name: "HighErrorRate".to_owned(),
            labels: Default::default(),
            severity: Severity::Page,
            summary: "report fails".to_owned(),
            started: Timestamp::now(),
            ended: None,
            service: "report".parse().ok(),
            host: None,
            runbook: None,
        };
        scene.note(IncidentEvent::Joined { alert, why: "it is about report".to_owned() }).await;
        assert_eq!(scene.app.inner.incidents.unsuspected(), [scene.incident]);
        let mut entries = scene.store.subscribe();
        scene.app.spawn(scene.app.clone().tend_suspicions());
        let suspects = loop {
            if let Event::Incident { what, .. } = entries.recv().await.unwrap().event
                && let IncidentEvent::Suspected { suspects } = *what
            {
                break suspects;
            }
        };
        assert_eq!(suspects[0].kind, "configuration", "{suspects:?}");
        scene.app.inner.incidents.settled().await;
        assert!(scene.app.inner.incidents.unsuspected().is_empty());

        // The end of the alert changes nothing of what is suspected.
        let (_, incident) = scene.app.inner.incidents.find(scene.incident).unwrap();
        let alert = incident.alerts[0].identity();
        scene.note(IncidentEvent::AlertEnded { alert, ended: Timestamp::now() }).await;
        scene.note(IncidentEvent::Suspected { suspects: vec![suspects[0].clone(); 2] }).await;
        scene.app.inner.incidents.settled().await;
        for look in [Look::Felt, Look::Cause] {
            assert!(scene.app.suspect(scene.incident, look).await.is_ok());
        }
        scene.app.inner.incidents.settled().await;
        let (_, incident) = scene.app.inner.incidents.find(scene.incident).unwrap();
        assert_eq!(incident.suspects.len(), 2, "{:?}", incident.suspects);
    }
}
