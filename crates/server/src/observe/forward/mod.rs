//! What is measured and printed goes to where a team has it already: Prometheus' remote write 1.0, Loki's push, OpenTelemetry's
//! protocol for logs.
//!
//! The stores are the queues. A lane (`lanes`) for each receiver reads what it was not sent, and hands it over a little at a time; how
//! far each is (`place`) is in the store of our own state, so that another server that leads goes on from there. So a receiver that is
//! away holds nothing in memory and nobody up, and has all when it is back that is still kept here. `outlet` opens what leads there;
//! `record` makes of a line what OpenTelemetry has of it.

mod lanes;
mod outlet;
mod place;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use daybook_model::{Alert, EnvKey, Event, Severity, Timestamp};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::samples::{Base, Samples};
use super::standing::{Kept, Rows};
use super::{Fired, lines, lock};
use crate::App;
use outlet::Opened;
use place::{Place, Times, Way};

/// What cannot be used is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// A receiver that takes nothing for so long is dead.
const DEAD_AFTER: i64 = 5 * 60;
/// What was refused is told for so long.
const TELL_FOR: i64 = 60 * 60;

/// What goes elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    /// Samples.
    Metrics,
    /// Lines, this way.
    Logs(Way),
}

impl Kind {
    /// Each.
    const ALL: [Self; 3] = [Self::Metrics, Self::Logs(Way::Loki), Self::Logs(Way::Otlp)];

    /// As its key in the manifest is called.
    fn word(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Logs(Way::Loki) => "logs",
            Self::Logs(Way::Otlp) => "otlp_logs",
        }
    }
}

type Lane = (EnvKey, Kind);
/// Where a lane leads, or why it cannot be used.
type Leads = Arc<Result<Opened, String>>;

/// What goes elsewhere, and how that goes.
#[derive(Default)]
pub(super) struct Forwarding {
    outlets: Mutex<BTreeMap<Lane, Leads>>,
    places: Arc<Kept<Rows<Place>>>,
    /// By which the store of lines is known.
    here: OnceLock<Uuid>,
    seen: Mutex<BTreeMap<Lane, Seen>>,
    /// Told when a lane leads elsewhere, or nowhere.
    changed: Notify,
}

/// What the releases in force say.
#[derive(Default)]
struct Said {
    outlets: BTreeMap<Lane, Result<Opened, String>>,
    /// Nobody knows now what theirs says: they go on as they were.
    unreadable: BTreeSet<EnvKey>,
}

/// What was seen of a lane since the server began.
#[derive(Debug, Clone, Default)]
struct Seen {
    sent: u64,
    dropped: u64,
    /// Since when something waits.
    waits_since: Option<Timestamp>,
    /// Since when its receiver takes nothing, and why.
    fails: Option<(Timestamp, String)>,
    /// What was refused last, and why.
    refused: Option<(Timestamp, String)>,
}

impl App {
    /// Reads how far each receiver is, before anything is printed into the store: where that was brought back from a backup, the
    /// numbers of its next lines may be those of lines that were sent.
    pub(super) async fn read_places(&self) -> Result<(), daybook_store::Error> {
        let mut places = Rows::<Place>::read(&self.inner.store).await?;
        if let Ok(store) = self.inner.observatory.lines() {
            let (here, next) = (lines::identity(&self.inner.state.join("logs")), store.next());
            for key in places.keys() {
                let taken_over = places.get(&key).cloned().map(|place| place.taken_over(here, next));
                places.replace(&key, taken_over);
            }
            // It is read once.
            let _ = self.forwarding().here.set(here);
        }
        *self.forwarding().places.lock() = places;
        Ok(())
    }

    /// Sends what is measured and printed elsewhere until the server stops.
    pub(super) async fn tend_forward(self) {
        let mut entries = self.inner.store.subscribe();
        let mut lanes: JoinSet<Lane> = JoinSet::new();
        let mut running: BTreeSet<Lane> = BTreeSet::new();
        let mut ticks = tokio::time::interval(LOOK_AGAIN);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Some(ended) = lanes.join_next() => match ended {
                    Ok(lane) => drop(running.remove(&lane)),
                    Err(error) => {
                        tracing::error!(%error, "sending something elsewhere broke off");
                        lanes.abort_all();
                        while lanes.join_next().await.is_some() {}
                        running.clear();
                        // What breaks off at once again is not begun again at once.
                        ticks.reset();
                        continue;
                    }
                },
                entry = entries.recv() => match entry {
                    Ok(entry) if !changes_outlets(&entry.event) => continue,
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                },
            }
            if let Err(error) = self.open_outlets().await {
                tracing::warn!(%error, "what goes elsewhere is as it was");
            }
            let there: Vec<Lane> = lock(&self.forwarding().outlets).keys().cloned().collect();
            for lane in there {
                if running.insert(lane.clone()) {
                    lanes.spawn(self.clone().run_lane(lane));
                }
            }
        }
    }

    fn forwarding(&self) -> &Forwarding {
        &self.inner.observatory.forward
    }

    /// Looks at which outlets there are now. What is new begins now; what is no more is forgotten.
    async fn open_outlets(&self) -> Result<(), daybook_store::Error> {
        let Said { outlets: all, unreadable } = self.said_outlets().await?;
        let next_line = self.forwarding().here.get().copied().zip(self.next_line().await);
        let is_changed = {
            let (mut outlets, mut places) = (lock(&self.forwarding().outlets), self.forwarding().places.lock());
            let of_outlets = all.keys().map(|(key, _)| key.clone());
            let keys: BTreeSet<EnvKey> = places.keys().into_iter().chain(of_outlets).collect();
            for key in keys.iter().filter(|key| !unreadable.contains(*key)) {
                let goes = |kind| all.contains_key(&(key.clone(), kind));
                let mut place = places.get(key).cloned().unwrap_or_default();
                let begun = place.metrics.unwrap_or_else(|| Times::begin(self.now().as_millisecond()));
                place.metrics = goes(Kind::Metrics).then_some(begun);
                for way in Way::ALL {
                    match next_line {
                        _ if !goes(Kind::Logs(way)) => place.end_lines(way),
                        Some((here, next)) => place.begin_lines(way, here, next),
                        None => {}
                    }
                }
                places.replace(key, Some(place).filter(|place| *place != Place::default()));
            }
            let as_they_were = outlets.iter().filter(|(lane, _)| unreadable.contains(&lane.0));
            let mut now: BTreeMap<Lane, Leads> =
                as_they_were.map(|(lane, leads)| (lane.clone(), leads.clone())).collect();
            for (lane, opened) in all {
                // A lane that goes on as it was is not disturbed.
                let known = outlets.get(&lane).filter(|known| ***known == opened).cloned();
                now.insert(lane, known.unwrap_or_else(|| Arc::new(opened)));
            }
            let goes_on = |lane: &Lane, leads: &Leads| now.get(lane).is_some_and(|other| Arc::ptr_eq(other, leads));
            let is_changed = outlets.iter().any(|(lane, leads)| !goes_on(lane, leads));
            *outlets = now;
            is_changed
        };
        lock(&self.forwarding().seen).retain(|lane, _| lock(&self.forwarding().outlets).contains_key(lane));
        if is_changed {
            self.forwarding().changed.notify_waiters();
        }
        self.keep_places().await;
        Ok(())
    }

    async fn said_outlets(&self) -> Result<Said, daybook_store::Error> {
        let mut said = Said::default();
        for environment in self.inner.store.environments().await? {
            if environment.retired {
                continue;
            }
            let key = environment.key;
            let release = match self.inner.store.current_release(&key).await {
                Ok(Some(release)) => release,
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(%key, %error, "where its measurements and lines go is as it was");
                    said.unreadable.insert(key);
                    continue;
                }
            };
            for kind in Kind::ALL {
                if let Some(opened) = outlet::open(&self.inner.store, &release, kind).await {
                    said.outlets.insert((key.clone(), kind), opened);
                }
            }
        }
        Ok(said)
    }

    /// The number of the next line, where lines are kept.
    async fn next_line(&self) -> Option<u64> {
        let lines = self.inner.observatory.lines().ok()?;
        tokio::task::spawn_blocking(move || lines.next()).await.ok()
    }

    /// Writes down how far receivers are, where that has changed.
    async fn keep_places(&self) {
        if let Err(error) = self.forwarding().places.write(&self.inner.store).await {
            tracing::warn!(%error, "how far receivers are is not kept: after a restart they get some of it again");
        }
    }

    /// Adds what was seen of each lane.
    pub(super) fn forwarded(&self, samples: &mut Samples) {
        let now = self.now();
        for ((key, kind), seen) in lock(&self.forwarding().seen).iter() {
            let of = Base::new([("app", &key.app), ("env", &key.env), ("of", &kind.word())]);
            samples.add(&of, "daybook_forward_sent_total", seen.sent as f64);
            samples.add(&of, "daybook_forward_dropped_total", seen.dropped as f64);
            let behind = seen.waits_since.map_or(0, |since| now.as_second() - since.as_second());
            samples.add(&of, "daybook_forward_behind_seconds", behind as f64);
        }
    }

    /// Receivers that take nothing, or refused something, as alerts.
    pub(crate) fn dead_outlets(&self) -> Vec<Fired> {
        let now = self.now();
        let seen = lock(&self.forwarding().seen);
        let troubles = seen.iter().filter_map(|(lane, seen)| Some((lane, trouble(lane.1, seen, now)?)));
        troubles.map(|((key, kind), (since, summary, why))| fired(key, *kind, since, summary, why)).collect()
    }
}

fn changes_outlets(event: &Event) -> bool {
    matches!(event, Event::ReleaseAccepted { .. } | Event::EnvironmentRetired | Event::SecretSet { .. })
}

/// What is wrong with a lane: since when, in a sentence, and why.
fn trouble(kind: Kind, seen: &Seen, now: Timestamp) -> Option<(Timestamp, String, String)> {
    let what = kind.word();
    let age = |since: Timestamp| now.as_second() - since.as_second();
    if let Some((since, why)) = seen.fails.as_ref().filter(|(since, _)| age(*since) >= DEAD_AFTER) {
        let summary = format!("the receiver of {what} takes nothing: they wait here");
        return Some((*since, summary, why.clone()));
    }
    let (at, why) = seen.refused.as_ref().filter(|(at, _)| age(*at) < TELL_FOR)?;
    let summary = format!("the receiver of {what} refused some: {} were dropped since the server began", seen.dropped);
    Some((*at, summary, why.clone()))
}

/// As an alert. It opens no incident: nobody is served worse by it.
fn fired(key: &EnvKey, kind: Kind, started: Timestamp, summary: String, why: String) -> Fired {
    let alert = Alert {
        name: "ForwardDead".to_owned(),
        labels: [("of".to_owned(), kind.word().to_owned())].into(),
        severity: Severity::Ticket,
        summary,
        started,
        ended: None,
        service: None,
        host: None,
        runbook: None,
    };
    Fired::told(key.clone(), alert, why, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_dead_after_some_time_and_what_it_refused_is_told_for_some() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let said =
            |seen: &Seen, now| trouble(Kind::Logs(Way::Loki), seen, at(now)).map(|(_, summary, why)| (summary, why));
        let fails = Seen { fails: Some((at(1_000), "it answers 503".to_owned())), ..Seen::default() };
        assert_eq!(said(&fails, 1_299), None);
        let told = ("the receiver of logs takes nothing: they wait here".to_owned(), "it answers 503".to_owned());
        assert_eq!(said(&fails, 1_300), Some(told));
        let refused = Seen { refused: Some((at(1_000), "it answers 400".to_owned())), dropped: 7, ..Seen::default() };
        let told = "the receiver of logs refused some: 7 were dropped since the server began".to_owned();
        assert_eq!(said(&refused, 1_000), Some((told, "it answers 400".to_owned())));
        assert_eq!(said(&refused, 4_600), None);
        assert_eq!(said(&Seen::default(), 4_600), None);
    }
}
