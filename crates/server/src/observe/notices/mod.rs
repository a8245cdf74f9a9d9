//! What happens to incidents is told: to the channels of the release in force.
//!
//! What is to be told follows from the journal (`telling`), and is in a queue for each environment until it is told. The queues and how
//! far the journal was read stand in the store, and are written together: so whoever is killed when, and whichever server leads
//! then, everything is told, and maybe some of it twice. `channels` opens what leads there; `view` shows how that goes, and tries it
//! out. `receive` takes in what other tools tell of.

pub(super) mod channels;
mod receive;
mod telling;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use daybook_model::incident::{IncidentEvent, IncidentId};
use daybook_model::name::ChannelName;
use daybook_model::notify::ChannelNote;
use daybook_model::{Actor, Digest, Entry, EnvKey, Event, RunId, Timestamp};
use daybook_notify::delivery::{Sending, Told};
use daybook_notify::guard::Allowed;
use daybook_notify::{Guard, Notice, Outcome, Queue, Reply, Sender};
use daybook_store::{DELIVERIES, Error, Journal as _, Query, Standings, Store, Write};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use uuid::Uuid;

use super::lock;
use super::standing::{Kept, Row, Rows, Stands, text, understood};
use crate::App;
use channels::Opened;
use telling::{Memory, Shift, Telling};

pub(crate) use receive::routes;
pub(crate) use view::Trouble;

/// What the row is of that is about all environments.
const WHOLE: &str = "notices";
/// Entries that are read at a time.
const PAGE: usize = 1_000;
/// What happens to an incident within this time is told as one: a cause is found a moment after it was opened.
const SETTLE: Duration = Duration::from_secs(2);
/// Until the journal is asked again, when it could not be read.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// Channels that cannot be used are looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What is to be told, and where.
#[derive(Default)]
pub(crate) struct Notices {
    sender: OnceLock<Arc<Sender>>,
    standing: Arc<Kept<Standing>>,
    channels: Mutex<BTreeMap<EnvKey, Vec<Opened>>>,
    /// Environments by the digest of the key by which other tools tell of alerts there.
    /// `None`: nobody has looked yet.
    keys: Mutex<Option<BTreeMap<Digest, EnvKey>>>,
    received: Arc<Kept<Rows<receive::Alerts>>>,
}

/// How it stands.
#[derive(Debug)]
struct Standing {
    /// What numbers of notices are of: they begin anew with another one.
    id: Uuid,
    whole: Whole,
    /// The whole and the id are not written yet.
    is_changed: bool,
    places: Rows<Place>,
}

/// What is not of one environment.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Whole {
    /// The last entry of the journal that was looked at. `None`: nobody has looked yet.
    after: Option<u64>,
    memory: Memory,
    /// Webhooks of PagerDuty that were taken in.
    webhooks: daybook_notify::inbound::Seen,
}

/// What waits for the channels of an environment, and what was seen of each.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Place {
    queue: Queue,
    channels: BTreeMap<String, Seen>,
}

impl Row for Place {
    const OF: &'static str = "queues";
}

impl Default for Standing {
    fn default() -> Self {
        Self { id: Uuid::now_v7(), whole: Whole::default(), is_changed: true, places: Rows::default() }
    }
}

impl Standing {
    /// As the store has it.
    async fn read(store: &Store) -> Result<Self, Error> {
        let id = store.standings(DELIVERIES).await?.into_values().find_map(|id| id.parse::<Uuid>().ok());
        let whole = store.standings(WHOLE).await?.into_values().find_map(|body| understood(WHOLE, &body));
        Ok(Self {
            is_changed: id.is_none(),
            id: id.unwrap_or_else(Uuid::now_v7),
            whole: whole.unwrap_or_default(),
            places: Rows::read(store).await?,
        })
    }

    /// What is not of one environment, to be changed.
    fn change(&mut self) -> &mut Whole {
        self.is_changed = true;
        &mut self.whole
    }
}

impl Stands for Standing {
    type Changed = (bool, BTreeSet<EnvKey>);

    fn take_changed(&mut self) -> (Self::Changed, Standings) {
        let is_changed = take(&mut self.is_changed);
        let (changed, mut rows) = self.places.take_changed();
        if is_changed {
            rows.insert((DELIVERIES, String::new()), Some(self.id.to_string()));
            rows.insert((WHOLE, String::new()), Some(text(&self.whole)));
        }
        ((is_changed, changed), rows)
    }

    fn not_written(&mut self, (is_changed, changed): Self::Changed) {
        self.is_changed |= is_changed;
        self.places.not_written(changed);
    }
}

/// What was seen of a channel.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Seen {
    /// What was told there last.
    told: Option<(Timestamp, String)>,
    /// What happened when it failed last, since it worked.
    failure: Option<String>,
}

/// Something that was sent.
struct Sent {
    key: EnvKey,
    sending: Sending,
    reply: Reply,
}

type Underway = FuturesUnordered<BoxFuture<'static, Sent>>;

impl Notices {
    pub(super) fn sender(&self) -> Arc<Sender> {
        self.sender.get_or_init(|| Arc::new(Sender::new(Guard::default()))).clone()
    }
}

impl App {
    /// Lets channels lead to networks and hosts that are not public. Once, before anything is told.
    ///
    /// # Errors
    /// One of them is neither.
    pub(crate) fn allow_receivers(&self, allowed: &[String]) -> Result<(), String> {
        let allowed = allowed.iter().map(|text| text.parse()).collect::<Result<Vec<Allowed>, _>>();
        let guard = Guard::with(allowed.map_err(|error| error.to_string())?);
        // Whoever says it first has said it.
        let _ = self.notices().sender.set(Arc::new(Sender::new(guard)));
        Ok(())
    }

    /// Tells people until the server stops.
    pub(super) async fn tend_notices(self) {
        let mut entries = self.inner.store.subscribe();
        let mut underway = Underway::new();
        let mut done: Vec<(Vec<(EnvKey, Told)>, String)> = Vec::new();
        let mut look = Some(Instant::now());
        let mut open = Instant::now();
        loop {
            let now = Instant::now();
            if look.is_some_and(|at| at <= now) {
                look = None;
                if let Err(error) = self.take_in().await {
                    tracing::warn!(%error, "notices wait");
                    look = Some(now + ASK_AGAIN);
                }
            }
            if open <= now {
                open = now + LOOK_AGAIN;
                if let Err(error) = self.open_channels().await {
                    tracing::warn!(%error, "channels are as they were");
                }
            }
            // What is told was written down before, by a server that leads still.
            let (due, wake) = self.take_due();
            let wake = if self.keep_notices().await {
                underway.extend(due);
                for (told, what) in take(&mut done) {
                    self.note_told(told, Some(&what)).await;
                }
                wake
            } else {
                Some(now + ASK_AGAIN)
            };
            let until = look.into_iter().chain(wake).fold(open, Instant::min);
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                Some(sent) = underway.next(), if !underway.is_empty() => done.extend(self.sent(sent)),
                entry = entries.recv() => match entry {
                    Ok(entry) if !is_told(&entry.event) => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => look = look.or(Some(Instant::now() + SETTLE)),
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    pub(super) fn notices(&self) -> &Notices {
        &self.inner.observatory.notices
    }

    /// Reads how it stood.
    pub(super) async fn read_notices(&self) -> Result<(), Error> {
        let standing = Standing::read(&self.inner.store).await?;
        *self.notices().standing.lock() = standing;
        Ok(())
    }

    /// Reads what the journal has that was not told yet, and puts it into the queues.
    async fn take_in(&self) -> Result<(), Error> {
        // What was before there was anybody to tell is told to nobody.
        let after = self.notices().standing.lock().whole.after;
        let mut after = match after {
            Some(after) => after,
            None => self.last_entry().await?,
        };
        loop {
            let query = Query { after, limit: Some(PAGE), ..Query::default() };
            let entries = self.inner.store.read(&query).await?;
            if entries.iter().any(|entry| changes_channels(&entry.event)) || lock(&self.notices().channels).is_empty() {
                self.open_channels().await?;
            }
            let tellings = self.tellings(&entries).await?;
            after = entries.last().map_or(after, |last| last.seq);
            let lost = self.push(tellings, &entries, after);
            self.note_told(lost, None).await;
            if entries.len() < PAGE {
                return Ok(());
            }
        }
    }

    async fn last_entry(&self) -> Result<u64, Error> {
        let query = Query { limit: Some(1), newest: true, ..Query::default() };
        Ok(self.inner.store.read(&query).await?.last().map_or(0, |last| last.seq))
    }

    /// What is to be told of these entries, except of incidents, with the environment that it is about.
    async fn tellings(&self, entries: &[Entry]) -> Result<Vec<(Option<EnvKey>, Telling)>, Error> {
        let mut told = Vec::new();
        for entry in entries {
            if let (Event::ReleaseAccepted { number }, Some(key)) = (&entry.event, &entry.key) {
                let (why, by) = self.reason(entry.run).await?.unwrap_or_else(|| (None, entry.actor.clone()));
                told.push((Some(key.clone()), telling::of_release(key, *number, why.as_deref(), &by, entry.at)));
            }
            if let (Event::ShiftBegan { schedule, person: Some(person), until }, Some(key)) = (&entry.event, &entry.key)
            {
                let until = match until {
                    Some(until) => Some(self.time_in(key, schedule, *until).await?),
                    None => None,
                };
                let shift = Shift { number: entry.seq, at: entry.at, schedule, person, until };
                told.push((Some(key.clone()), telling::of_shift(key, &shift, &self.inner.incidents.of(Some(key)))));
            }
        }
        Ok(told)
    }

    /// What is to be told of incidents after these entries, with the environment that it is about.
    fn of_incidents(&self, memory: &mut Memory, entries: &[Entry]) -> Vec<(Option<EnvKey>, Telling)> {
        let mut incidents: BTreeMap<IncidentId, Vec<(Timestamp, &Actor, &IncidentEvent)>> = BTreeMap::new();
        let mut acknowledged = BTreeSet::new();
        for entry in entries {
            if let Event::Incident { incident, what } = &entry.event {
                incidents.entry(*incident).or_default().push((entry.at, &entry.actor, what));
                if matches!(**what, IncidentEvent::Acknowledged) {
                    acknowledged.insert(*incident);
                }
            }
        }
        // Who was woken for what is a part of another one now is told of that one.
        let mut incidents: Vec<_> = incidents.into_iter().collect();
        let is_part = |event: &IncidentEvent| matches!(event, IncidentEvent::MergedInto { .. });
        incidents.sort_by_key(|(_, events)| !events.iter().any(|(_, _, event)| is_part(event)));
        let mut told = Vec::new();
        for (id, events) in incidents {
            let Some((key, incident)) = self.inner.incidents.find(id) else { continue };
            let Some((_, whole)) = self.inner.incidents.whole(id) else { continue };
            let of = telling::of_incident(memory, key.as_ref(), &incident, &whole, &acknowledged, &events);
            told.extend(of.into_iter().map(|telling| (key.clone(), telling)));
        }
        told
    }

    /// A time in the zone of a schedule, in words.
    async fn time_in(&self, key: &EnvKey, schedule: &str, at: Timestamp) -> Result<String, Error> {
        let release = self.inner.store.current_release(key).await?;
        let schedules = release.iter().flat_map(|release| &release.spec.on_call.schedules);
        let zone = schedules.filter(|one| one.name == schedule).find_map(|one| TimeZone::get(&one.zone).ok());
        Ok(at.to_zoned(zone.unwrap_or(TimeZone::UTC)).strftime("%a %-d %b %H:%M %Z").to_string())
    }

    /// Why a run was begun, and by whom.
    async fn reason(&self, run: Option<RunId>) -> Result<Option<(Option<String>, Actor)>, Error> {
        let Some(run) = run else { return Ok(None) };
        let query = Query { run: Some(run), limit: Some(1), ..Query::default() };
        let first = self.inner.store.read(&query).await?.into_iter().next();
        Ok(first.map(|entry| match entry.event {
            Event::RunStarted { reason, .. } => (Some(reason), entry.actor),
            _ => (None, entry.actor),
        }))
    }

    /// Puts into the queues what is to be told, and what is of the incidents in these entries, and remembers how far the journal was
    /// read: at once, so that whoever writes meanwhile writes all of that or nothing. Answers what there was no room for.
    fn push(&self, mut tellings: Vec<(Option<EnvKey>, Telling)>, entries: &[Entry], after: u64) -> Vec<(EnvKey, Told)> {
        let (channels, mut standing) = (lock(&self.notices().channels), self.notices().standing.lock());
        tellings.extend(self.of_incidents(&mut standing.change().memory, entries));
        let mut lost = Vec::new();
        for (about, telling) in tellings {
            for (key, channel, notice) in receivers(&channels, about.as_ref(), &telling) {
                let queue = &mut standing.places.begin(key).queue;
                let told = queue.push(channel.described.name.as_str(), notice).unwrap_or_default();
                lost.extend(told.into_iter().map(|told| (key.clone(), told)));
            }
        }
        standing.change().after = Some(after);
        lost
    }

    /// Looks at which channels there are now. What waits for one that is no more is lost.
    async fn open_channels(&self) -> Result<(), Error> {
        let (mut all, mut keys) = (BTreeMap::new(), BTreeMap::new());
        for environment in self.inner.store.environments().await? {
            if environment.retired {
                continue;
            }
            if let Some(release) = self.inner.store.current_release(&environment.key).await? {
                match channels::key(&self.inner.store, &release).await {
                    Ok(Some(key)) => drop(keys.insert(digest(key.expose()), environment.key.clone())),
                    Ok(None) => {}
                    // What cannot be opened now is what it was.
                    Err(why) => {
                        tracing::warn!(key = %environment.key, why, "the key of `receive` is as it was");
                        let before = lock(&self.notices().keys);
                        let mut before = before.iter().flatten().filter(|(_, of)| **of == environment.key);
                        keys.extend(before.next().map(|(digest, of)| (*digest, of.clone())));
                    }
                }
                all.insert(environment.key, channels::open(&self.inner.store, &release).await);
            }
        }
        *lock(&self.notices().keys) = Some(keys);
        let lost = {
            let (mut channels, mut standing) = (lock(&self.notices().channels), self.notices().standing.lock());
            let places = &mut standing.places;
            let mut lost = Vec::new();
            for (key, opened) in &all {
                // Trouble of a channel is told through those first that are nobody's own: it is no reason to wake somebody.
                let (own, of_all): (Vec<_>, Vec<_>) = opened.iter().partition(|one| !one.people.is_empty());
                let names: Vec<_> =
                    of_all.into_iter().chain(own).map(|one: &Opened| one.described.name.to_string()).collect();
                let known = places.get(key).map(|place| place.queue.channels()).unwrap_or_default();
                if known == names {
                    continue;
                }
                let place = places.begin(key);
                place.channels.retain(|name, _| names.contains(name));
                lost.extend(place.queue.set_channels(names).into_iter().map(|told| (key.clone(), told)));
            }
            for key in places.keys().iter().filter(|key| !all.contains_key(*key)) {
                let told = places.remove(key).map(|mut place| place.queue.set_channels([])).unwrap_or_default();
                lost.extend(told.into_iter().map(|told| (key.clone(), told)));
            }
            *channels = all;
            lost
        };
        self.note_told(lost, None).await;
        Ok(())
    }

    /// What is due, to be sent once it is written that nobody else does. Answers when more may be.
    fn take_due(&self) -> (Vec<BoxFuture<'static, Sent>>, Option<Instant>) {
        let now = self.now();
        let (channels, mut standing) = (lock(&self.notices().channels), self.notices().standing.lock());
        let id = standing.id;
        let mut wake: Option<Timestamp> = None;
        let mut due = Vec::new();
        let mut begun = BTreeSet::new();
        for (key, place) in standing.places.each() {
            let next = place.queue.next(now);
            wake = wake.into_iter().chain(next.wake).min();
            for sending in next.send {
                begun.insert(key.clone());
                let mut opened = channels.get(key).into_iter().flatten();
                let opened = opened.find(|one| one.described.name.as_str() == sending.channel);
                let channel = match opened {
                    Some(opened) => opened.channel.clone(),
                    None => Err("there is no such channel any more".to_owned()),
                };
                let (app, key, sender) = (self.clone(), key.clone(), self.notices().sender());
                let sending = async move {
                    let delivery = format!("{id}-{key}-{}", sending.id);
                    let reply = match channel {
                        Ok(channel) => sender.ask(&channel, &sending.notice, &delivery, app.now()).await,
                        // It can be mended, and then this is told.
                        Err(why) => Outcome::Retry { after: None, why }.into(),
                    };
                    Sent { key, sending, reply }
                };
                due.push(sending.boxed());
            }
        }
        // Something is written then, which only who leads may do: who was paused, and leads no more, sends nothing.
        for key in &begun {
            standing.places.change(key);
        }
        let wait = wake.map(|wake| Duration::try_from(wake.duration_since(now)).unwrap_or_default());
        (due, wait.map(|wait| Instant::now() + wait.max(Duration::from_millis(10))))
    }

    /// Takes in what came of sending something. Answers what became of it, to be noted once that is written, and what it was.
    fn sent(&self, sent: Sent) -> Option<(Vec<(EnvKey, Told)>, String)> {
        let Sent { key, sending, reply } = sent;
        let what = headline(&sending.notice);
        let mut standing = self.notices().standing.lock();
        let place = standing.places.change(&key)?;
        let seen = place.channels.entry(sending.channel.clone()).or_default();
        match &reply.outcome {
            Outcome::Delivered => *seen = Seen { told: Some((self.now(), what.clone())), failure: None },
            Outcome::Retry { why, .. } | Outcome::Refused { why } => seen.failure = Some(why.clone()),
        }
        let chance = f64::from(Uuid::now_v7().as_u128() as u16) / f64::from(u16::MAX);
        let told = place.queue.record(sending.id, reply.outcome, self.now(), chance);
        Some((told.into_iter().map(|told| (key.clone(), told)).collect(), what))
    }

    /// Writes down what became of notices. `what` is what was delivered, if something was.
    async fn note_told(&self, told: Vec<(EnvKey, Told)>, what: Option<&str>) {
        for (key, told) in told {
            let (channel, note) = match told {
                Told::Delivered { channel, key: about } => {
                    (channel, ChannelNote::Told { about, what: what.unwrap_or_default().to_owned() })
                }
                Told::Lost { channel, notice, why } => (channel, ChannelNote::Lost { what: headline(&notice), why }),
                Told::Trouble { channel, why, through } => (channel, ChannelNote::Trouble { why, through }),
                Told::Works { channel } => (channel, ChannelNote::Works),
                // It is seen in the list of channels; the journal would have one entry for each attempt.
                Told::Waits { channel, why, .. } => {
                    tracing::warn!(%key, channel, why, "a notice waits");
                    continue;
                }
            };
            let Ok(channel) = ChannelName::new(&channel) else { continue };
            self.note_channel(&key, &Actor::daybook("notify"), channel, note).await;
        }
    }

    async fn note_channel(&self, key: &EnvKey, actor: &Actor, channel: ChannelName, note: ChannelNote) {
        let event = Event::Channel { channel, note };
        let write = Write { key: Some(key.clone()), run: None, actor: actor.clone(), event, expected: None };
        if let Err(error) = self.inner.store.append(write).await {
            tracing::warn!(%error, "what became of a notice is not in the journal");
        }
    }

    /// Writes down what has changed. Answers whether this server may go on: whoever leads now tells the rest.
    async fn keep_notices(&self) -> bool {
        match self.notices().standing.write(&self.inner.store).await {
            Ok(()) => true,
            Err(Error::Deposed { .. }) => false,
            // It is no reason to tell nobody that there is no room to write.
            Err(error) => {
                tracing::warn!(%error, "how notices stand is not kept: some of it may be told, or taken in, again");
                true
            }
        }
    }
}

/// By which a key is looked up: how long that takes says nothing about it.
fn digest(key: &str) -> Digest {
    Digest::of(key.as_bytes())
}

/// Whether something is told of it.
fn is_told(event: &Event) -> bool {
    matches!(event, Event::Incident { .. } | Event::ShiftBegan { .. }) || changes_channels(event)
}

fn changes_channels(event: &Event) -> bool {
    matches!(event, Event::ReleaseAccepted { .. } | Event::EnvironmentRetired | Event::SecretSet { .. })
}

/// Who is told of something about an environment; of something about the machine, everybody, and nobody twice.
fn receivers<'c>(
    channels: &'c BTreeMap<EnvKey, Vec<Opened>>,
    about: Option<&EnvKey>,
    telling: &Telling,
) -> Vec<(&'c EnvKey, &'c Opened, Notice)> {
    let all = channels.iter().filter(|(key, _)| about.is_none_or(|about| about == *key));
    let mut seen: Vec<&daybook_notify::Target> = Vec::new();
    let mut receivers = Vec::new();
    for (key, opened) in all.flat_map(|(key, all)| all.iter().map(move |one| (key, one))) {
        let Some(notice) = telling.to(&opened.described, &opened.people) else { continue };
        if let (None, Ok(channel)) = (about, &opened.channel) {
            if seen.contains(&&channel.target) {
                continue;
            }
            seen.push(&channel.target);
        }
        receivers.push((key, opened, notice));
    }
    receivers
}

/// A notice in one line.
fn headline(notice: &Notice) -> String {
    format!("{}: {}", notice.kind.to_string().to_lowercase(), notice.title)
}
