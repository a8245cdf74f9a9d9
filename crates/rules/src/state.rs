//! What of a group outlives an evaluation, and a restart.

use std::collections::{BTreeMap, BTreeSet};

use daybook_metrics::{Labels, Matcher, NAME, Op, Source};
use serde::{Deserialize, Serialize};

use crate::alerting::{ALERTNAME, ALERTS_FOR_STATE};
use crate::labels;
use crate::rule::{Alerting, Group, Rule};

/// An outage longer than this leaves nothing of what was pending before it.
const OUTAGE_TOLERANCE: i64 = 3_600_000;
/// The least time that is pending after an outage, for rules that wait at least as long.
const GRACE: i64 = 600_000;

/// The state of a group between its evaluations. Keep it with what an evaluation answers, in one step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupState {
    /// When it was last evaluated.
    pub evaluated_at: Option<i64>,
    /// The state of each rule.
    pub rules: BTreeMap<String, RuleState>,
}

/// The state of a rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleState {
    /// Its alerts by their labels, those that ended not long ago among them.
    #[serde(with = "labels::keyed")]
    pub active: BTreeMap<Labels, Active>,
    /// The series that its last evaluation had.
    #[serde(with = "labels::set")]
    pub series: BTreeSet<Labels>,
    /// Why its last evaluation failed, if it did.
    pub error: Option<String>,
}

/// How an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has ended.
    Inactive,
    /// Its condition is true, but not yet for long enough.
    Pending,
    /// It fires.
    Firing,
}

impl State {
    /// The word for it in the label `alertstate`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// An alert of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Active {
    /// Its labels, `alertname` among them.
    #[serde(with = "labels::mapping")]
    pub labels: Labels,
    /// What is said about it.
    pub annotations: BTreeMap<String, String>,
    /// The last value of its series.
    #[serde(with = "number")]
    pub value: f64,
    /// How it stands.
    pub state: State,
    /// Since when its condition is true.
    pub active_at: i64,
    /// Since when it fires.
    pub fired_at: Option<i64>,
    /// Since when it has ended.
    pub resolved_at: Option<i64>,
    /// Since when it fires on without its condition being true.
    pub kept_since: Option<i64>,
    /// When it was last told to those who notify.
    pub sent_at: Option<i64>,
}

impl labels::keyed::Labelled for Active {
    fn labels(&self) -> &Labels {
        &self.labels
    }
}

impl Active {
    /// One whose condition has just become true.
    pub(crate) fn pending(labels: Labels, annotations: BTreeMap<String, String>, value: f64, at: i64) -> Self {
        Self {
            labels,
            annotations,
            value,
            state: State::Pending,
            active_at: at,
            fired_at: None,
            resolved_at: None,
            kept_since: None,
            sent_at: None,
        }
    }
}

impl Group {
    /// Brings a state that was kept over an outage up to `now`; call it once, before the first evaluation after a start. What
    /// was pending waits on: the outage does not count as waiting, at least ten minutes remain for rules that wait that
    /// long, and after more than an hour the waiting begins anew. What fired goes on firing.
    pub fn resume(&self, state: &mut GroupState, now: i64) {
        let Some(down_at) = state.evaluated_at else { return };
        for (key, rule) in self.keys().into_iter().zip(&self.rules) {
            let (Some(rule_state), Rule::Alert(rule)) = (state.rules.get_mut(&key), rule) else { continue };
            if now.saturating_sub(down_at) > OUTAGE_TOLERANCE {
                rule_state.active.retain(|_, alert| alert.state != State::Pending);
            }
            for alert in rule_state.active.values_mut().filter(|alert| alert.state == State::Pending) {
                alert.active_at = restored(rule, alert.active_at, down_at, now);
            }
        }
    }

    /// Restores a state that was not kept from the series `ALERTS_FOR_STATE`, as Prometheus does; call it before the first
    /// evaluation. What would fire again at once does so at that evaluation.
    pub fn restore<S: Source>(&self, state: &mut GroupState, source: &S, now: i64) -> Result<(), S::Error> {
        for (key, rule) in self.keys().into_iter().zip(&self.rules) {
            let Rule::Alert(rule) = rule else { continue };
            if rule.hold < GRACE {
                continue;
            }
            let equal = |name, value: &str| Matcher::new(name, Op::Equal, value).ok();
            let matchers: Vec<_> =
                [equal(NAME, ALERTS_FOR_STATE), equal(ALERTNAME, &rule.name)].into_iter().flatten().collect();
            let rule_state = state.rules.entry(key).or_default();
            for series in source.select(&matchers, now.saturating_sub(OUTAGE_TOLERANCE), now)? {
                let last = series.samples.iter().rev().find(|sample| !daybook_metrics::is_stale(sample.value));
                let Some(last) = last else { continue };
                let labels = series.labels.with(NAME, "");
                let since = restored(rule, (last.value * 1e3) as i64, last.at, now);
                let alert = Active::pending(labels.clone(), BTreeMap::new(), 0.0, since);
                rule_state.active.entry(labels).or_insert(alert);
            }
        }
        Ok(())
    }
}

/// Since when an alert is pending, if it was since `active_at` when the outage began at `down_at`.
fn restored(rule: &Alerting, active_at: i64, down_at: i64, now: i64) -> i64 {
    let remaining = rule.hold - (down_at - active_at);
    match remaining {
        _ if rule.hold < GRACE => active_at.saturating_add(now - down_at),
        ..=0 => active_at,
        1..GRACE => now + GRACE - rule.hold,
        _ => active_at.saturating_add(now - down_at),
    }
}

/// A number as text, so that what is none survives.
mod number {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
