//! Runs a test.

use std::collections::BTreeMap;

use daybook_metrics::Labels;
use daybook_promql::testfile::Storage;
use daybook_promql::{Answer, Options, Value};

use super::{ExpectedAlerts, ExpectedAnswer, Outcome, Test, TestFile};
use crate::alerting::ALERTNAME;
use crate::duration;
use crate::group::Environment;
use crate::rule::{Group, Rule};
use crate::state::{GroupState, State};

/// How much numbers may differ, as a share: computing in another order is no difference.
const TOLERANCE: f64 = 1e-12;
/// How much where the file allows it.
const FUZZY: f64 = 1e-6;

/// An alert, to be compared: its labels and annotations.
type Shown = (Labels, Vec<(String, String)>);

pub(super) fn test(file: &TestFile, test: &Test, groups: &[&Group]) -> Outcome {
    let name = if test.name.is_empty() { test.place.to_string() } else { test.name.clone() };
    let mut run = Run { file, test, groups, storage: Storage::default(), failures: Vec::new() };
    for (labels, items) in &test.series {
        let values = (0..).zip(items).filter_map(|(n, item): (i64, _)| Some((n * test.interval, item.clone()?)));
        run.storage.append(labels.clone(), values);
    }
    if run.evaluate() {
        test.queries.iter().for_each(|expected| run.query(expected));
    }
    Outcome { test: name, failures: run.failures }
}

struct Run<'a> {
    file: &'a TestFile,
    test: &'a Test,
    groups: &'a [&'a Group],
    storage: Storage,
    failures: Vec<String>,
}

impl Run<'_> {
    /// Evaluates all groups at all times, and compares alerts; whether no rule failed.
    fn evaluate(&mut self) -> bool {
        let test = self.test;
        let mut states: Vec<GroupState> = vec![GroupState::default(); self.groups.len()];
        let environment =
            Environment { interval: self.file.interval, ..Environment::new(&test.external_labels, &test.external_url) };
        let times = test.alerts.iter().map(|alert| alert.at).chain(test.queries.iter().map(|query| query.at));
        let last = times.max().unwrap_or(0);
        let mut at = 0;
        while at <= last {
            let mut failed = false;
            for (group, state) in self.groups.iter().zip(&mut states) {
                let evaluation = group.evaluate(state, &self.storage, at, &environment);
                for sample in evaluation.samples {
                    self.storage.append(sample.labels, [(sample.at, sample.value)]);
                }
                for (outcome, rule) in evaluation.outcomes.iter().zip(&group.rules) {
                    if let Some(error) = &outcome.error {
                        failed = true;
                        let when = duration::format(at);
                        self.failures.push(format!("{}: {} failed at {when}: {error}", rule.place(), outcome.rule));
                    }
                }
            }
            if failed {
                return false;
            }
            let next = at + self.file.interval;
            for expected in test.alerts.iter().filter(|expected| (at..next).contains(&expected.at)) {
                self.alerts(expected, &states);
            }
            at = next;
        }
        true
    }

    fn alerts(&mut self, expected: &ExpectedAlerts, states: &[GroupState]) {
        let mut got: Vec<Shown> = Vec::new();
        for (group, state) in self.groups.iter().zip(states) {
            for (key, rule) in group.keys().iter().zip(&group.rules) {
                let named = matches!(rule, Rule::Alert(rule) if rule.name == expected.name);
                let Some(rule) = state.rules.get(key).filter(|_| named) else { continue };
                let firing = rule.active.values().filter(|alert| alert.state == State::Firing);
                got.extend(firing.map(|alert| (alert.labels.clone(), alert.annotations.clone().into_iter().collect())));
            }
        }
        let mut wanted: Vec<Shown> = (expected.alerts.iter())
            .map(|(labels, annotations)| (labels.with(ALERTNAME, &expected.name), annotations.clone()))
            .collect();
        got.sort();
        wanted.sort();
        if got != wanted {
            let when = duration::format(expected.at);
            let (wanted, got) = (shown(&wanted), shown(&got));
            self.failures.push(format!(
                "{}: the alert {} at {when}: expected {wanted}, got {got}",
                expected.place, expected.name
            ));
        }
    }

    fn query(&mut self, expected: &ExpectedAnswer) {
        let output = expected.query.query.instant(&self.storage, expected.at, &Options::default());
        let head = format!("{}: {} at {}", expected.place, expected.query.text, duration::format(expected.at));
        let elements: BTreeMap<Labels, Value> = match output.map(|output| output.answer) {
            Ok(Answer::Vector(elements)) => {
                elements.into_iter().map(|element| (element.labels, element.value)).collect()
            }
            Ok(Answer::Scalar(value)) => [(Labels::default(), Value::Float(value))].into(),
            Ok(_) => return self.failures.push(format!("{head}: the answer is neither a vector nor a number")),
            Err(error) => return self.failures.push(format!("{head}: {error}")),
        };
        let wanted = expected.samples.iter().filter_map(|(labels, item)| Some((labels.clone(), item.clone()?)));
        let wanted: BTreeMap<Labels, Value> = wanted.collect();
        let tolerance = if self.file.fuzzy { FUZZY } else { TOLERANCE };
        let same = elements.len() == wanted.len()
            && elements.iter().zip(&wanted).all(|(a, b)| a.0 == b.0 && equal(a.1, b.1, tolerance));
        if !same {
            let list = |all: &BTreeMap<Labels, Value>| {
                let all: Vec<String> = all.iter().map(|(labels, value)| format!("{labels} {value}")).collect();
                if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
            };
            self.failures.push(format!("{head}: expected {}, got {}", list(&wanted), list(&elements)));
        }
    }
}

fn equal(a: &Value, b: &Value, tolerance: f64) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => {
            a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance * a.abs().max(b.abs())
        }
        (a, b) => a == b,
    }
}

fn shown(alerts: &[Shown]) -> String {
    let one = |(labels, annotations): &Shown| {
        let annotations: Vec<String> = annotations.iter().map(|(name, text)| format!("{name}: {text:?}")).collect();
        format!("{labels} [{}]", annotations.join(", "))
    };
    let all: Vec<String> = alerts.iter().map(one).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(" and ") }
}
