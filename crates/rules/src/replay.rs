//! What rules would have done over a range of history, for `alert test`.

use daybook_metrics::{Labels, STALE, Source};
use daybook_promql::{Answer, Element, Point, Row, Value};

use crate::alerting::ALERTNAME;
use crate::group::{Environment, RuleError, query};
use crate::overlay::Overlay;
use crate::rule::{Alerting, Group, Recording, Rule};
use crate::state::{RuleState, State};
use crate::template::Scope;

/// A range of times in milliseconds since 1970, both ends included, and the distance of evaluations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first evaluation.
    pub from: i64,
    /// No evaluation is after it.
    pub to: i64,
    /// The distance of evaluations.
    pub step: i64,
}

/// One time that an alert was there.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    /// The labels of the alert.
    pub labels: Labels,
    /// Its summary, or what else its annotations say first, as it was when it began to fire.
    pub summary: String,
    /// When it became pending.
    pub pending_at: i64,
    /// When it fired: then somebody would have been notified. None if it was over before.
    pub fired_at: Option<i64>,
    /// When it ended; none if it lasted on.
    pub ended_at: Option<i64>,
    /// The value of its series when it was last true.
    pub value: f64,
}

/// What a rule did.
#[derive(Debug)]
pub struct Replayed {
    /// The name of the alert.
    pub alert: String,
    /// Each time that it was there, in the order in which they began.
    pub episodes: Vec<Episode>,
    /// Why the rule failed, at the first time that it did.
    pub error: Option<(i64, RuleError)>,
}

impl Replayed {
    /// How often somebody would have been notified.
    pub fn notified(&self) -> usize {
        self.episodes.iter().filter(|episode| episode.fired_at.is_some()).count()
    }
}

impl Group {
    /// What the alerts of a group would have done over a range. What it records is evaluated over the range first, so that
    /// its alerts see it, also where it was not recorded at the time.
    pub fn replay<S: Source>(&self, source: &S, range: Range, environment: &Environment<'_>) -> Vec<Replayed> {
        let mut overlay = Overlay::new(source);
        let mut all = Vec::new();
        for rule in &self.rules {
            match rule {
                Rule::Record(rule) => record(rule, &mut overlay, range, environment),
                Rule::Alert(rule) => all.push(alert(rule, &overlay, range, self.limit, environment)),
            }
        }
        all
    }
}

/// Records what a rule would have over the range. One that fails records nothing: alerts on it then say nothing either.
fn record<S: Source>(rule: &Recording, overlay: &mut Overlay<'_, S>, range: Range, environment: &Environment<'_>) {
    let Ok(rows) = rows(&rule.query.query, overlay, range, environment) else { return };
    for row in rows {
        let mut last = None;
        for Point { at, value } in row.points {
            if let Some(before) = last.filter(|before| at - before > range.step) {
                end(rule, overlay, &row.labels, before + range.step);
            }
            let element = Element { labels: row.labels.clone(), value };
            for sample in rule.record(vec![element], 0, at).unwrap_or_default() {
                overlay.add(sample.labels, sample.at, sample.value);
            }
            last = Some(at);
        }
        if let Some(before) = last.filter(|before| before + range.step <= range.to) {
            end(rule, overlay, &row.labels, before + range.step);
        }
    }
}

fn end<S: Source>(rule: &Recording, overlay: &mut Overlay<'_, S>, labels: &Labels, at: i64) {
    let element = Element { labels: labels.clone(), value: Value::Float(STALE) };
    for sample in rule.record(vec![element], 0, at).unwrap_or_default() {
        overlay.add(sample.labels, sample.at, sample.value);
    }
}

fn rows<S: Source>(
    query: &daybook_promql::Query,
    source: &S,
    range: Range,
    environment: &Environment<'_>,
) -> Result<Vec<Row>, RuleError> {
    match query.range(source, range.from, range.to, range.step, &environment.options)?.answer {
        Answer::Matrix(rows) => Ok(rows),
        _ => Err(RuleError::NoVector),
    }
}

fn alert<S: Source>(
    rule: &Alerting,
    source: &S,
    range: Range,
    limit: usize,
    environment: &Environment<'_>,
) -> Replayed {
    let mut replayed = Replayed { alert: rule.name.clone(), episodes: Vec::new(), error: None };
    let rows = match rows(&rule.query.query, source, range, environment) {
        Ok(rows) => rows,
        Err(error) => {
            replayed.error = Some((range.from, error));
            return replayed;
        }
    };
    let mut state = RuleState::default();
    let mut next = vec![0; rows.len()];
    let mut at = range.from;
    while at <= range.to {
        let mut elements = Vec::new();
        for (row, next) in rows.iter().zip(&mut next) {
            let Some(point) = row.points.get(*next).filter(|point| point.at == at) else { continue };
            elements.push(Element { labels: row.labels.clone(), value: point.value.clone() });
            *next += 1;
        }
        // Most times there is nothing at all.
        if !elements.is_empty() || !state.active.is_empty() {
            let query = |text: &str| query(text, source, at, &environment.options);
            let scope = Scope {
                external_labels: environment.external_labels,
                external_url: environment.external_url,
                query: &query,
            };
            if let Err(error) = rule.step(&mut state, elements, limit, (at, at), &scope) {
                replayed.error.get_or_insert((at, error));
            }
            note(&mut replayed.episodes, &state, at);
        }
        at += range.step;
    }
    replayed
}

/// Notes how alerts stand at a time.
fn note(episodes: &mut Vec<Episode>, state: &RuleState, at: i64) {
    for alert in state.active.values().filter(|alert| alert.state != State::Inactive) {
        let open = episodes.iter_mut().find(|episode| episode.ended_at.is_none() && episode.labels == alert.labels);
        let summary = || {
            let text = alert.annotations.get("summary").or_else(|| alert.annotations.values().next());
            text.cloned().unwrap_or_else(|| alert.labels.get(ALERTNAME).to_owned())
        };
        match open {
            None => episodes.push(Episode {
                labels: alert.labels.clone(),
                summary: summary(),
                pending_at: alert.active_at,
                fired_at: alert.fired_at,
                ended_at: None,
                value: alert.value,
            }),
            Some(episode) => {
                if episode.fired_at.is_none() && alert.fired_at.is_some() {
                    episode.fired_at = alert.fired_at;
                    episode.summary = summary();
                }
                episode.value = alert.value;
            }
        }
    }
    for episode in episodes.iter_mut().filter(|episode| episode.ended_at.is_none()) {
        let alert = state.active.get(&episode.labels).filter(|alert| alert.state != State::Inactive);
        if alert.is_none() {
            episode.ended_at = Some(at);
        }
    }
}

#[cfg(test)]
mod tests;
