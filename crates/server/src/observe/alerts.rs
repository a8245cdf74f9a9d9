//! Rules are evaluated over what was measured, and what fires becomes incidents.
//!
//! The state of rules is kept in a file beside the measurements, so that a restart neither fires twice nor forgets. Incidents are
//! in the journal, as everything that people are told of.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use daybook_decide::incident::{self, Related};
use daybook_metrics::store::{Batch, Store};
use daybook_metrics::{Label, Labels};
use daybook_model::incident::{Alert, IncidentId, Severity};
use daybook_model::spec::Slo;
use daybook_model::traffic::LATENCY_BOUNDS_MS;
use daybook_model::{Actor, EnvKey, Release, Timestamp};
use daybook_promql::Value;
use daybook_rules::slo::{Latency, Objective, compile};
use daybook_rules::{ALERTNAME, Active, Environment, Group, GroupState, State, builtin};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::lock;
use crate::App;
use crate::error::ApiError;

/// Between two evaluations of the rules.
const EVALUATE_EVERY: Duration = Duration::from_secs(15);
/// The file of the state of rules, in the state directory.
const FILE: &str = "alerts.json";
/// Whole, in millionths.
const WHOLE: f64 = 1e6;
/// An alert that ended longer ago is told to nobody any more: milliseconds.
const ENDED_FOR: i64 = 15 * 60_000;

/// How rules stand, by group.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct Standing {
    groups: BTreeMap<String, GroupState>,
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
    /// What is to be known of it, with its numbers.
    pub(crate) description: String,
    /// The value of its query.
    pub(crate) value: f64,
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
            let groups = self.rules(&mut compiled).await;
            let now = self.now().as_millisecond();
            if std::mem::take(&mut is_first) {
                for group in groups.iter() {
                    let state = standing.groups.get_mut(&name_of(group));
                    state.into_iter().for_each(|state| group.resume(state, now));
                }
            }
            let (store, all) = (store.clone(), groups.clone());
            let evaluated = tokio::task::spawn_blocking(move || evaluate(&store, &all, standing, now)).await;
            standing = match evaluated {
                Ok(standing) => standing,
                Err(error) => {
                    tracing::error!(%error, "evaluating rules broke off");
                    read(&file, "alerts")
                }
            };
            if let Err(error) = write(&file, &standing) {
                tracing::warn!(%error, "the state of alerts is not kept");
            }
            let mut fired = fired(&standing, now);
            fired.extend(self.received());
            lock(&self.inner.observatory.fired).clone_from(&fired);
            if let Err(error) = self.tend_incidents(&fired).await {
                tracing::warn!(error = %error.0.message, "incidents wait");
            }
        }
    }

    /// The rules of now: those that hold where nobody wrote any, and what services promise.
    async fn rules(&self, compiled: &mut Compiled) -> Arc<Vec<Group>> {
        let mut wanted = BTreeMap::new();
        for key in self.managed().await {
            if let Ok(Some(release)) = self.inner.store.current_release(&key).await {
                wanted.extend(objectives(&release));
            }
        }
        if compiled.groups.is_empty() || compiled.objectives != wanted {
            let bounds: Vec<f64> = LATENCY_BOUNDS_MS.iter().map(|ms| *ms as f64 / 1000.0).collect();
            let mut groups = builtin::groups();
            for objective in wanted.values() {
                let (group, notes) = compile(objective, &bounds);
                notes.iter().for_each(|note| tracing::warn!(service = objective.service, "{note}"));
                groups.push(group);
            }
            *compiled = Compiled { objectives: wanted, groups: groups.into() };
        }
        compiled.groups.clone()
    }

    /// Writes down what alerts make of incidents.
    async fn tend_incidents(&self, fired: &[Fired]) -> Result<(), ApiError> {
        let mut by_place: BTreeMap<Option<EnvKey>, Vec<Alert>> = BTreeMap::new();
        for one in fired.iter().filter(|one| one.state != State::Pending) {
            by_place.entry(one.key.clone()).or_default().push(one.alert.clone());
        }
        // Where an incident goes on it has to end, whether anything fires or not.
        for key in self.inner.incidents.open_places() {
            by_place.entry(key).or_default();
        }
        for (key, alerts) in by_place {
            let related = match &key {
                Some(key) => self.inner.store.current_release(key).await?.map(|release| Related::of(&release.spec)),
                None => None,
            };
            let (related, now) = (related.unwrap_or_default(), self.now());
            let known = self.inner.incidents.of(key.as_ref());
            let ids = &mut || IncidentId(Uuid::now_v7());
            let events = incident::tend(&known, &alerts, &related, &incident::Options::default(), now, ids);
            let mut changed = Vec::new();
            for (id, event) in events {
                self.note_incident(key.as_ref(), &Actor::daybook("alerts"), id, event).await?;
                changed.push(id);
            }
            changed.dedup();
            for id in changed {
                self.suspect(key.as_ref(), id, &related).await?;
            }
        }
        Ok(())
    }

    /// What fires, is about to, or ended not long ago.
    pub(crate) fn fired(&self) -> Vec<Fired> {
        lock(&self.inner.observatory.fired).clone()
    }
}

/// What services promise, and all rules with it.
#[derive(Default)]
struct Compiled {
    objectives: BTreeMap<(EnvKey, String), Objective>,
    groups: Arc<Vec<Group>>,
}

fn objectives(release: &Release) -> BTreeMap<(EnvKey, String), Objective> {
    let key = &release.spec.key;
    let services =
        release.spec.services.values().filter_map(|service| Some((service.name.to_string(), service.slo.as_ref()?)));
    services.map(|(service, slo)| ((key.clone(), service.clone()), objective(key, service, slo))).collect()
}

fn objective(key: &EnvKey, service: String, slo: &Slo) -> Objective {
    let latency = slo
        .latency
        .iter()
        .map(|goal| Latency { quantile: f64::from(goal.share) / WHOLE, seconds: goal.within_ms as f64 / 1000.0 });
    Objective {
        app: key.app.to_string(),
        env: key.env.to_string(),
        service,
        availability: slo.availability.map(|share| f64::from(share) / WHOLE),
        latency: latency.collect(),
    }
}

fn name_of(group: &Group) -> String {
    format!("{}:{}", group.file, group.name)
}

/// Evaluates every group, keeps what they record, and answers how they stand now. Groups that are no more are forgotten.
fn evaluate(store: &Store, groups: &[Group], mut standing: Standing, now: i64) -> Standing {
    let labels = Labels::default();
    let environment = Environment { interval: EVALUATE_EVERY.as_millis() as i64, ..Environment::new(&labels, "") };
    let mut kept = BTreeMap::new();
    for group in groups {
        let name = name_of(group);
        let mut state = standing.groups.remove(&name).unwrap_or_default();
        let evaluation = group.evaluate(&mut state, store, now, &environment);
        for outcome in &evaluation.outcomes {
            if let Some(error) = &outcome.error {
                tracing::warn!(rule = outcome.rule, %error, "a rule fails");
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
        if let Err(error) = store.append(&batch, now) {
            tracing::debug!(%error, group = name, "what rules record is not kept");
        }
        kept.insert(name, state);
    }
    Standing { groups: kept }
}

fn fired(standing: &Standing, now: i64) -> Vec<Fired> {
    let rules = standing.groups.values().flat_map(|group| group.rules.values());
    rules.flat_map(|rule| rule.active.values()).filter_map(|active| alert(active, now)).collect()
}

/// What is known of an alert, as people and incidents have it. What never fired and has ended is nothing.
fn alert(active: &Active, now: i64) -> Option<Fired> {
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
    let key = label("app").zip(label("env")).and_then(|(app, env)| format!("{app}/{env}").parse().ok());
    Some(Fired {
        key,
        state: active.state,
        description: annotation("description").unwrap_or_default(),
        value: active.value,
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
    std::fs::rename(&unfinished, file)
}

#[cfg(test)]
mod tests {
    use daybook_metrics::store::Options;

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

    /// Evaluates every 15 s for some minutes while one of ten requests fails.
    fn errors(store: &Store, mut standing: Standing, from: i64, minutes: i64) -> Standing {
        let groups = builtin::groups();
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
        let (store, _) = Store::open(&directory.path().join("metrics"), Options::default()).unwrap();
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
    fn a_state_that_cannot_be_read_begins_anew() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(FILE);
        assert!(read::<Standing>(&file, "alerts").groups.is_empty());
        std::fs::write(&file, "{").unwrap();
        assert!(read::<Standing>(&file, "alerts").groups.is_empty());
    }
}
