//! Rules are evaluated over what was measured, and what fires becomes incidents.
//!
//! The state of rules is kept in a file beside the measurements, so that a restart neither fires twice nor forgets. Incidents are
//! in the journal, as everything that people are told of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_decide::incident::{self, Incidents, Related};
use daybook_decide::oncall::muted;
use daybook_metrics::store::{Batch, Store};
use daybook_metrics::{Label, Labels, STALE};
use daybook_model::incident::{Alert, IncidentId, Severity};
use daybook_model::oncall::Window;
use daybook_model::{Actor, EnvKey, Target, Timestamp};
use daybook_promql::{Options, Value};
use daybook_rules::{ALERTNAME, Active, Environment, Group, GroupState, State};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::lock;
use super::rules::{Compiled, Owned, Seen};
use super::tend::own_host;
use crate::App;
use crate::error::ApiError;

/// Between two evaluations of the rules.
pub(super) const EVALUATE_EVERY: Duration = Duration::from_secs(15);
/// The file of the state of rules, in the state directory.
const FILE: &str = "alerts.json";
/// How long the rules of a group may take together.
const AT_MOST: Duration = Duration::from_secs(10);
/// Samples that a query of a rule may hold: about 160 MB.
const SAMPLES: usize = 10_000_000;
/// An alert that ended longer ago is told to nobody any more: milliseconds.
const ENDED_FOR: i64 = 15 * 60_000;

/// How rules stand, by group.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) groups: BTreeMap<String, GroupState>,
}

/// An alert, and where it belongs.
#[derive(Debug, Clone)]
pub(crate) struct Fired {
    /// The environment; none for what is about the machine.
    pub(crate) key: Option<EnvKey>,
    /// How it stands.
    pub(crate) state: State,
    /// The alert.
    pub(crate) alert: Alert,
    /// All of its labels, its name and severity among them.
    pub(crate) labels: Labels,
    /// What is to be known of it, with its numbers.
    pub(crate) description: String,
    /// The value of its query.
    pub(crate) value: f64,
    /// What the maintenance is for by which nobody is told of it.
    pub(crate) muted: Option<String>,
}

impl Fired {
    /// An alert that no rule of ours evaluates. Its labels are its own, its name, its severity and where it belongs.
    pub(crate) fn told(key: EnvKey, alert: Alert, description: String, value: f64) -> Self {
        let own = alert.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let place = [("app", key.app.as_str()), ("env", key.env.as_str())];
        let labels =
            Labels::new(own.chain(place).chain([(ALERTNAME, &*alert.name), ("severity", alert.severity.word())]));
        let state = if alert.ended.is_some() { State::Inactive } else { State::Firing };
        Self { key: Some(key), state, alert, labels, description, value, muted: None }
    }

    /// Whether it is worth telling where only these environments are there. What fires of another ends now: nobody is
    /// served by it any more.
    fn is_of(&mut self, there: &[EnvKey], now: Timestamp) -> bool {
        if self.key.as_ref().is_none_or(|key| there.contains(key)) {
            return true;
        }
        if self.state == State::Firing {
            (self.state, self.alert.ended) = (State::Inactive, Some(now));
        }
        self.state == State::Inactive
    }
}

impl App {
    /// Evaluates rules and tends incidents until the server stops.
    pub(super) async fn tend_alerts(self, store: Arc<Store>) {
        let file = self.inner.state.join(FILE);
        let mut standing: Standing = read(&file, "alerts");
        let mut compiled = Compiled::default();
        let mut is_first = true;
        let mut ticks = tokio::time::interval(EVALUATE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let known = async {
                let there = self.try_managed().await?;
                let groups = self.rules(&mut compiled, &there).await?;
                Ok::<_, daybook_store::Error>((there, groups))
            };
            let (there, groups) = match known.await {
                Ok(known) => known,
                Err(error) => {
                    tracing::warn!(%error, "alerts wait");
                    continue;
                }
            };
            let now = self.now().as_millisecond();
            if std::mem::take(&mut is_first) {
                for owned in groups.iter() {
                    let state = standing.groups.get_mut(&owned.name());
                    state.into_iter().for_each(|state| owned.group.resume(state, now));
                }
            }
            let (store, all) = (store.clone(), groups.clone());
            let evaluated = tokio::task::spawn_blocking(move || evaluate(&store, &all, standing, now)).await;
            standing = match evaluated {
                Ok(standing) => standing,
                Err(error) => {
                    tracing::error!(%error, "evaluating rules broke off");
                    standing = read(&file, "alerts");
                    continue;
                }
            };
            if let Err(error) = write(&file, &standing) {
                tracing::warn!(%error, "the state of alerts is not kept");
            }
            let evaluated = Evaluated { groups, standing: standing.clone() };
            let mut fired = fired(&evaluated, now);
            fired.extend(self.received());
            fired.retain_mut(|one| one.is_of(&there, self.now()));
            if let Err(error) = self.mute(&mut fired).await {
                tracing::warn!(%error, "maintenance mutes nothing");
            }
            lock(&self.inner.observatory.fired).clone_from(&fired);
            *lock(&self.inner.observatory.evaluated) = Arc::new(evaluated);
            if let Err(error) = self.tend_incidents(&fired).await {
                tracing::warn!(error = %error.0.message, "incidents wait");
            }
        }
    }

    /// Marks what is about something that somebody works on.
    async fn mute(&self, fired: &mut [Fired]) -> Result<(), daybook_store::Error> {
        let now = self.now();
        let mut known: BTreeMap<EnvKey, Vec<Window>> = BTreeMap::new();
        for one in fired.iter_mut().filter(|one| one.state != State::Inactive) {
            let Some(key) = &one.key else { continue };
            if !known.contains_key(key) {
                let release = self.inner.store.current_release(key).await?;
                known.insert(key.clone(), release.map(|release| self.windows(&release)).unwrap_or_default());
            }
            let window = muted(&known[key], one.alert.service.as_ref(), now);
            one.muted = window.map(|window| window.title.clone());
        }
        Ok(())
    }

    /// Writes down what alerts make of incidents.
    async fn tend_incidents(&self, fired: &[Fired]) -> Result<(), ApiError> {
        let mut by_place: BTreeMap<Option<EnvKey>, Vec<Alert>> = BTreeMap::new();
        for one in fired.iter().filter(|one| one.state != State::Pending) {
            // What has ended is told all the same: an incident may wait for it.
            if one.state == State::Firing && (one.muted.is_some() || self.silenced(one).is_some()) {
                continue;
            }
            by_place.entry(one.key.clone()).or_default().push(one.alert.clone());
        }
        // Where an incident goes on it has to end, whether anything fires or not.
        for key in self.inner.incidents.open_places() {
            by_place.entry(key).or_default();
        }
        for (key, mut alerts) in by_place {
            let (related, now) = (self.related(key.as_ref()).await?, self.now());
            let known = self.inner.incidents.of(key.as_ref());
            alerts.extend(gone(&known, key.as_ref(), fired, now));
            let ids = &mut || IncidentId(Uuid::now_v7());
            let events = incident::tend(&known, &alerts, &related, &incident::Options::default(), now, ids);
            for (id, event) in events {
                self.note_incident(key.as_ref(), &Actor::daybook("alerts"), id, event).await?;
            }
        }
        Ok(())
    }

    /// Who needs whom, and who is on this machine; nobody, for what is about the machine itself.
    pub(super) async fn related(&self, key: Option<&EnvKey>) -> Result<Related, daybook_store::Error> {
        let Some(key) = key else { return Ok(Related::default()) };
        let Some(release) = self.inner.store.current_release(key).await? else { return Ok(Related::default()) };
        let mut related = Related::of(&release.spec);
        if self.runs_here(key) {
            let host = own_host();
            release.spec.services.keys().for_each(|service| related.place(service, &host));
        }
        Ok(related)
    }

    /// Whether the server's own machine runs an environment.
    pub(super) fn runs_here(&self, key: &EnvKey) -> bool {
        !matches!(self.inner.runtime.capabilities_for(key).target(), Target::Kubernetes(_))
    }

    /// What fires, is about to, or ended not long ago.
    pub(crate) fn fired(&self) -> Vec<Fired> {
        lock(&self.inner.observatory.fired).clone()
    }
}

/// Alerts that an incident takes for firing and that nobody knows any more, because their rule is gone, or because they
/// ended while nobody looked: as ended now.
fn gone(known: &Incidents, key: Option<&EnvKey>, fired: &[Fired], now: Timestamp) -> Vec<Alert> {
    let there: BTreeSet<_> =
        fired.iter().filter(|one| one.key.as_ref() == key).map(|one| one.alert.identity()).collect();
    let firing = known.open().flat_map(|incident| &incident.alerts).filter(|alert| alert.is_firing());
    let gone = firing.filter(|alert| !there.contains(&alert.identity()));
    gone.map(|alert| Alert { ended: Some(now), ..alert.clone() }).collect()
}

/// Rules, and how they stand.
#[derive(Debug, Default)]
pub(super) struct Evaluated {
    /// The rules.
    pub(super) groups: Arc<Vec<Owned>>,
    /// How they stand.
    pub(super) standing: Standing,
}

/// Evaluates every group that is due, keeps what they record, and answers how they stand now. Groups that are no more are
/// forgotten, and their series end.
fn evaluate(store: &Store, groups: &[Owned], mut standing: Standing, now: i64) -> Standing {
    let labels = Labels::default();
    let mut kept = BTreeMap::new();
    for owned in groups {
        let (name, group) = (owned.name(), &owned.group);
        let mut state = standing.groups.remove(&name).unwrap_or_default();
        if !is_due(group, &state, now) {
            kept.insert(name, state);
            continue;
        }
        // Rules that take too long must not keep others from being evaluated.
        let began = Instant::now();
        let is_too_slow = || began.elapsed() > AT_MOST;
        let options = Options { max_samples: SAMPLES, cancelled: &is_too_slow, ..Options::default() };
        let interval = EVALUATE_EVERY.as_millis() as i64;
        let environment = Environment { interval, options, ..Environment::new(&labels, "") };
        let evaluation = group.evaluate(&mut state, &Seen::by(store, owned.key.as_ref()), now, &environment);
        for outcome in &evaluation.outcomes {
            if let Some(error) = &outcome.error {
                tracing::warn!(group = name, rule = outcome.rule, %error, "a rule fails");
            }
        }
        let mut batch = Batch::default();
        for sample in &evaluation.samples {
            match &sample.value {
                Value::Float(value) => batch.add(sample.labels.clone(), sample.at, *value),
                Value::Histogram(histogram) => {
                    batch.add_histogram(sample.labels.clone(), sample.at, histogram.as_ref().clone());
                }
            }
        }
        keep(store, &batch, &name, now);
        kept.insert(name, state);
    }
    for (name, gone) in &standing.groups {
        let mut batch = Batch::default();
        let series = gone.rules.values().flat_map(|rule| &rule.series);
        series.for_each(|labels| batch.add(labels.clone(), now, STALE));
        keep(store, &batch, name, now);
    }
    Standing { groups: kept }
}

fn keep(store: &Store, batch: &Batch, group: &str, now: i64) {
    if let Err(error) = store.append(batch, now) {
        tracing::debug!(%error, group, "what rules record is not kept");
    }
}

/// Whether the interval of a group has passed, give or take the time that is between two evaluations.
fn is_due(group: &Group, state: &GroupState, now: i64) -> bool {
    let slack = EVALUATE_EVERY.as_millis() as i64 / 2;
    let due = group.interval.zip(state.evaluated_at).map(|(interval, last)| last + interval - slack);
    due.is_none_or(|due| now >= due)
}

fn fired(evaluated: &Evaluated, now: i64) -> Vec<Fired> {
    let states = evaluated
        .groups
        .iter()
        .filter_map(|owned| Some((owned.key.as_ref(), evaluated.standing.groups.get(&owned.name())?)));
    let active = states.flat_map(|(key, group)| {
        group.rules.values().flat_map(|rule| rule.active.values()).map(move |active| (key, active))
    });
    active.filter_map(|(key, active)| alert(key, active, now)).collect()
}

/// What is known of an alert, as people and incidents have it. What never fired and has ended is nothing.
fn alert(key: Option<&EnvKey>, active: &Active, now: i64) -> Option<Fired> {
    let labels = &active.labels;
    let severity = labels.get("severity").parse().unwrap_or(Severity::Ticket);
    // It says nothing but that rules are evaluated.
    if labels.get("severity") == "none" {
        return None;
    }
    let ended = active.resolved_at.filter(|_| active.state == State::Inactive);
    if active.state == State::Inactive
        && (active.fired_at.is_none() || ended.is_none_or(|ended| now - ended > ENDED_FOR))
    {
        return None;
    }
    let time = |at: i64| Timestamp::from_millisecond(at).unwrap_or_default();
    let annotation = |name: &str| active.annotations.get(name).cloned();
    let label = |name: &str| Some(labels.get(name)).filter(|value| !value.is_empty());
    let name = labels.get(ALERTNAME).to_owned();
    let own = |label: &&Label| !matches!(label.name.as_str(), "alertname" | "severity");
    let own = labels.iter().filter(own).map(|label| (label.name.to_string(), label.value.to_string()));
    let labelled = || label("app").zip(label("env")).and_then(|(app, env)| format!("{app}/{env}").parse().ok());
    let key = key.cloned().or_else(labelled);
    Some(Fired {
        key,
        state: active.state,
        labels: labels.clone(),
        description: annotation("description").unwrap_or_default(),
        value: active.value,
        muted: None,
        alert: Alert {
            summary: annotation("summary").unwrap_or_else(|| name.clone()),
            name,
            labels: own.collect(),
            severity,
            // What users feel began when the condition did, not when that had lasted long enough.
            started: time(active.active_at),
            ended: ended.map(time),
            service: label("service").or(label("database")).and_then(|name| name.parse().ok()),
            host: label("host").map(ToOwned::to_owned),
            runbook: annotation("runbook"),
        },
    })
}

/// The state of before; an empty one where there is none that can be read. `what` begins anew then.
pub(super) fn read<T: Default + DeserializeOwned>(file: &Path, what: &str) -> T {
    let text = match std::fs::read(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return T::default(),
        Err(error) => {
            tracing::warn!(%error, file = %file.display(), "{what} begin anew");
            return T::default();
        }
    };
    serde_json::from_slice(&text).unwrap_or_else(|error| {
        tracing::warn!(%error, file = %file.display(), "{what} begin anew");
        T::default()
    })
}

/// Replaces the file as a whole.
pub(super) fn write<T: Serialize>(file: &Path, standing: &T) -> std::io::Result<()> {
    let text = serde_json::to_vec(standing).map_err(std::io::Error::other)?;
    let unfinished: PathBuf = file.with_extension("tmp");
    let mut written = File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    written.write_all(&text)?;
    written.sync_all()?;
    std::fs::rename(&unfinished, file)?;
    // Until then a power loss may bring the old one back.
    file.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(test)]
mod tests {
    use daybook_rules::{builtin, file};

    use super::super::rules::owned;
    use super::*;

    const MINUTE: i64 = 60_000;

    fn labels(code: &str) -> Labels {
        Labels::new([
            ("__name__", "daybook_http_requests_total"),
            ("app", "shop"),
            ("env", "production"),
            ("service", "web"),
            ("release", "3"),
            ("code", code),
        ])
    }

    fn by_default() -> Vec<Owned> {
        builtin::groups().into_iter().map(|group| Owned { key: None, group }).collect()
    }

    fn fired(standing: &Standing, now: i64) -> Vec<Fired> {
        super::fired(&Evaluated { groups: by_default().into(), standing: standing.clone() }, now)
    }

    fn store(directory: &Path) -> Store {
        Store::open(&directory.join("metrics"), daybook_metrics::store::Options::default()).unwrap().0
    }

    /// Evaluates every 15 s for some minutes while one of ten requests fails.
    fn errors(store: &Store, mut standing: Standing, from: i64, minutes: i64) -> Standing {
        let groups = by_default();
        for step in 0..=minutes * 4 {
            let at = from + step * 15_000;
            let mut batch = Batch::default();
            let count = (at / 15_000) as f64;
            batch.add(labels("2xx"), at, count * 135.0);
            batch.add(labels("5xx"), at, count * 15.0);
            store.append(&batch, at).unwrap();
            standing = evaluate(store, &groups, standing, at);
        }
        standing
    }

    #[test]
    fn errors_fire_once_and_a_restart_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        let file = directory.path().join(FILE);
        let start = 1_800_000_000_000;
        let standing = errors(&store, Standing::default(), start, 10);
        let now = start + 10 * MINUTE;
        let before = fired(&standing, now);
        let one = before.iter().find(|one| one.state == State::Firing).expect("it fires");
        assert_eq!(one.key.as_ref().map(ToString::to_string).as_deref(), Some("shop/production"));
        assert_eq!(one.alert.service.as_ref().map(ToString::to_string).as_deref(), Some("web"));
        assert!(one.alert.severity == Severity::Page && one.alert.runbook.is_some(), "{one:?}");

        write(&file, &standing).unwrap();
        let again = errors(&store, read(&file, "alerts"), now + 15_000, 1);
        let after = fired(&again, now + MINUTE);
        let same = after.iter().find(|other| other.alert.identity() == one.alert.identity()).expect("it still fires");
        assert_eq!(same.alert.started, one.alert.started, "it is the same alert as before the restart");
    }

    #[test]
    fn rules_of_an_environment_see_what_is_of_it_and_of_none() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path());
        let start = 1_800_000_000_000;
        let text = "groups:\n- name: all\n  interval: 1m\n  rules:\n  - {record: 'seen:sum', expr: sum(seen)}\n  - {alert: Seen, expr: 'seen:sum > 0', labels: {severity: page}}\n";
        let groups: Vec<Owned> = ["shop/production", "shop/staging"]
            .iter()
            .flat_map(|key| {
                let key: EnvKey = key.parse().unwrap();
                file::read("all.yaml", text)
                    .unwrap()
                    .into_iter()
                    .map(move |group| owned(&key, group))
                    .collect::<Vec<_>>()
            })
            .collect();
        let mut batch = Batch::default();
        let seen = |labels: &[(&str, &str)]| Labels::new([("__name__", "seen")].iter().chain(labels).copied());
        batch.add(seen(&[("app", "shop"), ("env", "production")]), start, 1.0);
        batch.add(seen(&[("app", "shop"), ("env", "staging")]), start, 10.0);
        batch.add(seen(&[("app", "other"), ("env", "production")]), start, 100.0);
        batch.add(seen(&[]), start, 1000.0);
        store.append(&batch, start).unwrap();
        let standing = evaluate(&store, &groups, Standing::default(), start);
        let evaluated = Evaluated { groups: groups.clone().into(), standing: standing.clone() };
        let mut told: Vec<_> = super::fired(&evaluated, start)
            .into_iter()
            .map(|one| (one.key.unwrap().to_string(), one.value, one.alert.labels.get("env").cloned()))
            .collect();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        let env = |env: &str| Some(env.to_owned());
        assert_eq!(
            told,
            [
                ("shop/production".to_owned(), 1001.0, env("production")),
                ("shop/staging".to_owned(), 1010.0, env("staging"))
            ]
        );
        // A minute has not passed.
        let again = evaluate(&store, &groups, standing, start + 15_000);
        assert!(again.groups.values().all(|state| state.evaluated_at == Some(start)), "{again:?}");
        // Nobody wants them any more.
        assert!(evaluate(&store, &[], again, start + 30_000).groups.is_empty());
    }

    #[test]
    fn what_nobody_knows_any_more_has_ended() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let alert = |name: &str| Alert {
            name: name.to_owned(),
            labels: BTreeMap::new(),
            severity: Severity::Page,
            summary: name.to_owned(),
            started: Timestamp::UNIX_EPOCH,
            ended: None,
            service: None,
            host: None,
            runbook: None,
        };
        let mut known = Incidents::default();
        let (id, key) = (IncidentId(Uuid::now_v7()), "shop/production".parse::<EnvKey>().unwrap());
        let severity = Severity::Page;
        let opened = |alert| daybook_model::incident::IncidentEvent::Opened {
            title: "web fails".to_owned(),
            severity,
            services: BTreeSet::new(),
            alert: Some(alert),
        };
        known.record(now, &Actor::daybook("alerts"), id, &opened(alert("Mine"))).unwrap();
        let fired = Fired::told(key.clone(), alert("Mine"), String::new(), 1.0);
        assert!(gone(&known, Some(&key), &[fired], now).is_empty(), "it fires");
        let ended = gone(&known, Some(&key), &[], now);
        assert_eq!(
            ended.iter().map(|alert| (alert.name.as_str(), alert.ended)).collect::<Vec<_>>(),
            [("Mine", Some(now))]
        );
    }

    #[test]
    fn a_state_that_cannot_be_read_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        assert!(read::<Standing>(&file, "alerts").groups.is_empty());
        std::fs::write(&file, "{").unwrap();
        assert!(read::<Standing>(&file, "alerts").groups.is_empty());
    }
}
