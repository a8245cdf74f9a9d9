//! Rules that alert: the state machine of their alerts, after `rules/alerting.go` of Prometheus.
//!
//! An alert is *pending* from when its condition is true, *firing* when that has lasted as long as `for` says, and *inactive*
//! when it is true no longer and has not been for as long as `keep_firing_for` says. A pending alert whose condition is no
//! longer true is gone at once; one that fired is remembered for a while, so that its end is told reliably.

use std::collections::{BTreeMap, HashSet};

use daybook_metrics::{Labels, NAME};
use daybook_promql::{Element, Value};
use serde::{Deserialize, Serialize};

use crate::group::{RuleError, Sample};
use crate::labels;
use crate::rule::Alerting;
use crate::state::{Active, RuleState, State};
use crate::template::Scope;

/// The label that holds the name of an alert.
pub const ALERTNAME: &str = "alertname";
/// The series that says which alerts are pending or fire.
pub const ALERTS: &str = "ALERTS";
/// The series that says since when, in seconds.
pub const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";

/// How long an alert that has ended is told.
const RESOLVED_RETENTION: i64 = 900_000;

/// What is told to those who notify: an alert fires, or has ended. It is told again and again; whoever is told tells apart
/// by the labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// The labels of the alert, which say which one it is.
    #[serde(with = "labels::mapping")]
    pub labels: Labels,
    /// What is said about it.
    pub annotations: BTreeMap<String, String>,
    /// Since when it fires.
    pub starts_at: i64,
    /// When it ended; or, while it fires, when it counts as ended if nothing more is heard of it.
    pub ends_at: i64,
    /// The query that it comes of.
    pub query: String,
}

impl Notice {
    /// Whether it has ended.
    pub fn is_resolved(&self, now: i64) -> bool {
        self.ends_at <= now
    }
}

impl Alerting {
    /// Takes what the query answered `at` a time, and answers the series about it, which lie at `sampled_at`. Nothing changes
    /// if there are two alerts with the same labels; all alerts are forgotten if there are more than the limit.
    pub(crate) fn step(
        &self,
        state: &mut RuleState,
        elements: Vec<Element>,
        limit: usize,
        (at, sampled_at): (i64, i64),
        scope: &Scope<'_>,
    ) -> Result<Vec<Sample>, RuleError> {
        let found = self.found(elements, at, scope)?;
        let present: HashSet<Labels> = found.iter().map(|alert| alert.labels.clone()).collect();
        for alert in found {
            match state.active.get_mut(&alert.labels) {
                Some(known) if known.state != State::Inactive => {
                    known.value = alert.value;
                    known.annotations = alert.annotations;
                }
                _ => drop(state.active.insert(alert.labels.clone(), alert)),
            }
        }
        let mut samples = Vec::new();
        let mut alive = 0;
        state.active.retain(|labels, alert| {
            let keep = self.advance(alert, present.contains(labels), at);
            if keep && alert.state != State::Inactive {
                alive += 1;
                samples.extend(self.series(alert, sampled_at));
            }
            keep
        });
        if limit > 0 && alive > limit {
            state.active.clear();
            return Err(RuleError::Limit { limit, found: alive });
        }
        Ok(samples)
    }

    /// The alerts that an answer asks for, as if all were new.
    fn found(&self, elements: Vec<Element>, at: i64, scope: &Scope<'_>) -> Result<Vec<Active>, RuleError> {
        let mut seen = HashSet::with_capacity(elements.len());
        let mut found = Vec::with_capacity(elements.len());
        let name = format!("__alert_{}", self.name);
        for element in elements {
            let expander = scope.about(&name, &element.labels, &element.value, at);
            let of_series = element.labels.iter().filter(|label| label.name != NAME);
            let mut all: Vec<(String, String)> =
                of_series.map(|label| (label.name.to_string(), label.value.to_string())).collect();
            all.extend(self.labels.iter().map(|(name, text)| (name.clone(), expander.expand(text))));
            all.push((ALERTNAME.to_owned(), self.name.clone()));
            let labels = Labels::new(all);
            if !seen.insert(labels.clone()) {
                return Err(RuleError::SameAlerts);
            }
            let annotations = self.annotations.iter().map(|(name, text)| (name.clone(), expander.expand(text)));
            let value = element.value.float().unwrap_or(0.0);
            found.push(Active::pending(labels, annotations.collect(), value, at));
        }
        Ok(found)
    }

    /// Takes an alert to a time; whether it is still to be remembered.
    fn advance(&self, alert: &mut Active, present: bool, at: i64) -> bool {
        if present {
            alert.kept_since = None;
        } else if !self.keeps(alert, at) {
            if alert.state == State::Pending {
                return false;
            }
            if alert.state == State::Firing {
                alert.state = State::Inactive;
                alert.resolved_at = Some(at);
            }
            return alert.resolved_at.is_some_and(|ended| at - ended <= RESOLVED_RETENTION);
        }
        let waited = at - alert.active_at >= self.hold;
        match alert.state {
            State::Pending if waited => {
                alert.state = State::Firing;
                alert.fired_at = Some(at);
            }
            // `for` has been raised.
            State::Firing if !waited => {
                alert.state = State::Pending;
                alert.fired_at = None;
            }
            _ => {}
        }
        true
    }

    /// Whether an alert fires on, though its condition is no longer true.
    fn keeps(&self, alert: &mut Active, at: i64) -> bool {
        alert.state == State::Firing && self.keep > 0 && at - *alert.kept_since.get_or_insert(at) < self.keep
    }

    fn series(&self, alert: &Active, at: i64) -> [Sample; 2] {
        let labels = alert.labels.with(NAME, ALERTS).with(ALERTNAME, &self.name).with("alertstate", alert.state.word());
        let since = alert.active_at.div_euclid(1_000) as f64;
        [
            Sample { labels, at, value: Value::Float(1.0) },
            Sample { labels: alert.labels.with(NAME, ALERTS_FOR_STATE), at, value: Value::Float(since) },
        ]
    }

    /// What there is to tell at a time: what is new, what has ended since it was last told, and the rest again whenever
    /// `resend` has passed. It is marked as told.
    pub(crate) fn notices(&self, state: &mut RuleState, at: i64, resend: i64, interval: i64) -> Vec<Notice> {
        let mut notices = Vec::new();
        for alert in state.active.values_mut() {
            let Some(starts_at) = alert.fired_at.filter(|_| alert.state != State::Pending) else { continue };
            let due = match (alert.sent_at, alert.resolved_at) {
                (None, _) => true,
                (Some(sent), Some(resolved)) if resolved > sent => true,
                (Some(sent), _) => sent + resend < at,
            };
            if !due {
                continue;
            }
            alert.sent_at = Some(at);
            notices.push(Notice {
                labels: alert.labels.clone(),
                annotations: alert.annotations.clone(),
                starts_at,
                ends_at: alert.resolved_at.unwrap_or(at + 4 * resend.max(interval)),
                query: self.query.text.clone(),
            });
        }
        notices
    }
}
