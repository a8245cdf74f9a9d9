//! Evaluates a group of rules at a time.

use std::collections::BTreeSet;

use daybook_metrics::{Labels, STALE, Source};
use daybook_promql::{Answer, Element, Options, Query, Value};

use crate::alerting::Notice;
use crate::overlay::Overlay;
use crate::rule::{Expression, Group, Rule};
use crate::state::{GroupState, RuleState};
use crate::template::Scope;

/// What rules are evaluated with, beside their series.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    /// Labels of this installation, which templates may name.
    pub external_labels: &'a Labels,
    /// Where people reach it, which templates may name.
    pub external_url: &'a str,
    /// How often a group is evaluated that does not say, in milliseconds.
    pub interval: i64,
    /// How often an alert that fires is told again, in milliseconds.
    pub resend: i64,
    /// How queries are evaluated.
    pub options: Options<'a>,
}

impl<'a> Environment<'a> {
    /// One with the intervals of Prometheus: a minute each.
    pub fn new(external_labels: &'a Labels, external_url: &'a str) -> Self {
        Self { external_labels, external_url, interval: 60_000, resend: 60_000, options: Options::default() }
    }
}

/// A sample to store; [`STALE`] where a series has gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The series.
    pub labels: Labels,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// What.
    pub value: Value,
}

/// What an evaluation of a group comes to.
#[derive(Debug, Default)]
pub struct Evaluation {
    /// What to store, in the order in which it was made.
    pub samples: Vec<Sample>,
    /// What to tell those who notify.
    pub notices: Vec<Notice>,
    /// How each rule went, in their order.
    pub outcomes: Vec<Outcome>,
}

/// How the evaluation of a rule went.
#[derive(Debug)]
pub struct Outcome {
    /// Its name.
    pub rule: String,
    /// How many series it had.
    pub series: usize,
    /// What probably makes it wrong.
    pub warnings: Vec<String>,
    /// Why it failed, if it did: its alerts and series stay as they were.
    pub error: Option<RuleError>,
}

/// Why a rule failed. It fails alone.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// Its query failed.
    #[error(transparent)]
    Query(#[from] daybook_promql::Error),
    /// Its query answers something else than numbers: whoever wrote it must act.
    #[error("rule result is not a vector or scalar: the query has to answer one value for each series")]
    NoVector,
    /// Two series would be one: whoever wrote it must keep apart what its labels make equal.
    #[error("vector contains metrics with the same labelset after applying rule labels")]
    SameLabels,
    /// Two alerts would be one: whoever wrote it must keep apart what its labels make equal.
    #[error("vector contains metrics with the same labelset after applying alert labels")]
    SameAlerts,
    /// There are more than the group allows: choose fewer, or raise its `limit`.
    #[error("exceeded limit of {limit} with {found} series or alerts")]
    Limit {
        /// How many are allowed.
        limit: usize,
        /// How many there are.
        found: usize,
    },
}

impl Group {
    /// Evaluates each rule at a time, in milliseconds since 1970; later rules see what earlier ones record. The state says
    /// what happened before, and is that of the next evaluation afterwards.
    pub fn evaluate<S: Source>(
        &self,
        state: &mut GroupState,
        source: &S,
        at: i64,
        environment: &Environment<'_>,
    ) -> Evaluation {
        let mut run = Run {
            group: self,
            overlay: Overlay::new(source),
            at,
            sampled_at: at - self.query_offset,
            environment,
            evaluation: Evaluation::default(),
        };
        let keys = self.keys();
        for (key, rule) in keys.iter().zip(&self.rules) {
            run.rule(rule, state.rules.entry(key.clone()).or_default());
        }
        let gone = state.rules.extract_if(.., |key, _| !keys.contains(key));
        gone.for_each(|(_, rule)| run.end(rule.series.into_iter()));
        state.evaluated_at = Some(at);
        run.evaluation
    }
}

struct Run<'a, S> {
    group: &'a Group,
    overlay: Overlay<'a, S>,
    at: i64,
    sampled_at: i64,
    environment: &'a Environment<'a>,
    evaluation: Evaluation,
}

impl<S: Source> Run<'_, S> {
    fn rule(&mut self, rule: &Rule, state: &mut RuleState) {
        let mut warnings = Vec::new();
        let result = self.samples(rule, state, &mut warnings);
        let (series, error) = match result {
            Ok(samples) => {
                let series = samples.len();
                self.keep(samples, state);
                (series, None)
            }
            Err(error) => (0, Some(error)),
        };
        state.error = error.as_ref().map(ToString::to_string);
        let failed = error.is_some();
        self.evaluation.outcomes.push(Outcome { rule: rule.name().to_owned(), series, warnings, error });
        if let (Rule::Alert(rule), false) = (rule, failed) {
            let interval = self.group.interval.unwrap_or(self.environment.interval);
            let notices = rule.notices(state, self.at, self.environment.resend, interval);
            self.evaluation.notices.extend(notices);
        }
    }

    fn samples(
        &self,
        rule: &Rule,
        state: &mut RuleState,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Sample>, RuleError> {
        let options = &self.environment.options;
        let elements = answer(rule.query(), &self.overlay, self.sampled_at, options, warnings)?;
        match rule {
            Rule::Record(rule) => rule.record(elements, self.group.limit, self.sampled_at),
            Rule::Alert(rule) => {
                let query = |text: &str| query(text, &self.overlay, self.at, options);
                let scope = Scope {
                    external_labels: self.environment.external_labels,
                    external_url: self.environment.external_url,
                    query: &query,
                };
                rule.step(state, elements, self.group.limit, (self.at, self.sampled_at), &scope)
            }
        }
    }

    /// Keeps what a rule made, and ends the series that it no longer has.
    fn keep(&mut self, samples: Vec<Sample>, state: &mut RuleState) {
        let now: BTreeSet<Labels> = samples.iter().map(|sample| sample.labels.clone()).collect();
        for sample in samples {
            self.add(sample);
        }
        let before = std::mem::replace(&mut state.series, now);
        let gone: Vec<Labels> = before.difference(&state.series).cloned().collect();
        self.end(gone.into_iter());
    }

    fn end(&mut self, series: impl Iterator<Item = Labels>) {
        for labels in series {
            self.add(Sample { labels, at: self.sampled_at, value: Value::Float(STALE) });
        }
    }

    fn add(&mut self, sample: Sample) {
        self.overlay.add(sample.labels.clone(), sample.at, sample.value.clone());
        self.evaluation.samples.push(sample);
    }
}

/// What the query of a rule answers: a number is a series without labels.
fn answer<S: Source>(
    expression: &Expression,
    source: &S,
    at: i64,
    options: &Options<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Element>, RuleError> {
    let output = expression.query.instant(source, at, options)?;
    *warnings = output.warnings;
    match output.answer {
        Answer::Vector(elements) => Ok(elements),
        Answer::Scalar(value) => Ok(vec![Element { labels: Labels::default(), value: Value::Float(value) }]),
        Answer::Text(_) | Answer::Matrix(_) => Err(RuleError::NoVector),
    }
}

/// The function `query` of templates.
pub(crate) fn query<S: Source>(text: &str, source: &S, at: i64, options: &Options<'_>) -> Result<Vec<Element>, String> {
    let query = Query::parse(text).map_err(|error| error.to_string())?;
    let output = query.instant(source, at, options).map_err(|error| error.to_string())?;
    match output.answer {
        Answer::Vector(elements) => Ok(elements),
        Answer::Scalar(value) => Ok(vec![Element { labels: Labels::default(), value: Value::Float(value) }]),
        Answer::Text(_) | Answer::Matrix(_) => Err("query result is not a vector or scalar".to_owned()),
    }
}

#[cfg(test)]
mod tests;
