//! What is measured and printed goes to where a team has it already: Prometheus' remote write 1.0, and Loki's push.
//!
//! The stores are the queues. A lane (`lanes`) for each receiver reads what it was not sent, and hands it over a little at a time; how
//! far each is (`place`) is in a file, which is replaced as a whole. So a receiver that is away holds nothing in memory and nobody
//! up, and has all when it is back that is still kept here. `outlet` opens what leads there.

mod lanes;
mod outlet;
mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use daybook_model::{Alert, EnvKey, Event, Severity, Timestamp};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use super::samples::{Base, Samples};
use super::{Fired, alerts, lock};
use crate::App;
use outlet::Opened;
use place::{Place, Times};

/// The file of how far each receiver is, in the state directory.
const FILE: &str = "forward.json";
/// What cannot be used is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// A receiver that takes nothing for so long is dead.
const DEAD_AFTER: i64 = 5 * 60;
/// What was refused is told for so long.
const TELL_FOR: i64 = 60 * 60;

/// What goes elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// Samples.
    Metrics,
    /// Lines.
    Logs,
}

impl Kind {
    /// Each.
    const ALL: [Self; 2] = [Self::Metrics, Self::Logs];

    fn word(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Logs => "logs",
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
    places: Mutex<BTreeMap<EnvKey, Place>>,
    seen: Mutex<BTreeMap<Lane, Seen>>,
    /// Whoever writes the file has this meanwhile, so that no older state replaces a newer one.
    writing: Mutex<()>,
    /// Told when outlets are others.
    changed: Notify,
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
    /// Sends what is measured and printed elsewhere until the server stops.
    pub(super) async fn tend_forward(self) {
        let mut entries = self.inner.store.subscribe();
        *lock(&self.forwarding().places) = alerts::read(&self.inner.state.join(FILE), "what goes elsewhere");
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
        let mut all = BTreeMap::new();
        for environment in self.inner.store.environments().await? {
            if environment.retired {
                continue;
            }
            let Some(release) = self.inner.store.current_release(&environment.key).await? else { continue };
            for kind in Kind::ALL {
                if let Some(opened) = outlet::open(&self.inner.store, &release, kind).await {
                    all.insert((environment.key.clone(), kind), opened);
                }
            }
        }
        let next_line = self.next_line().await;
        let mut is_other = false;
        {
            let (mut outlets, mut places) = (lock(&self.forwarding().outlets), lock(&self.forwarding().places));
            let before = places.clone();
            places.retain(|key, place| {
                place.metrics = place.metrics.filter(|_| all.contains_key(&(key.clone(), Kind::Metrics)));
                place.logs = place.logs.filter(|_| all.contains_key(&(key.clone(), Kind::Logs)));
                *place != Place::default()
            });
            for (key, kind) in all.keys() {
                let place = places.entry(key.clone()).or_default();
                match kind {
                    Kind::Metrics => {
                        place.metrics.get_or_insert_with(|| Times::begin(self.now().as_millisecond()));
                    }
                    Kind::Logs => place.logs = place.logs.or(next_line),
                }
            }
            is_other |= before != *places;
            let mut now = BTreeMap::new();
            for (lane, opened) in all {
                // A lane that goes on as it was is not disturbed.
                let known = outlets.get(&lane).filter(|known| ***known == opened).cloned();
                now.insert(lane, known.unwrap_or_else(|| Arc::new(opened)));
            }
            *outlets = now;
        }
        lock(&self.forwarding().seen).retain(|lane, _| lock(&self.forwarding().outlets).contains_key(lane));
        self.forwarding().changed.notify_waiters();
        if is_other {
            self.keep_places().await;
        }
        Ok(())
    }

    /// The number of the next line, where lines are kept.
    async fn next_line(&self) -> Option<u64> {
        let lines = self.inner.observatory.lines().ok()?;
        tokio::task::spawn_blocking(move || lines.next()).await.ok()
    }

    async fn keep_places(&self) {
        let app = self.clone();
        let kept = tokio::task::spawn_blocking(move || {
            let _one = lock(&app.forwarding().writing);
            let places = lock(&app.forwarding().places).clone();
            alerts::write(&app.inner.state.join(FILE), &places)
        });
        if let Ok(Err(error)) = kept.await {
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
        let said = |seen: &Seen, now| trouble(Kind::Logs, seen, at(now)).map(|(_, summary, why)| (summary, why));
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
