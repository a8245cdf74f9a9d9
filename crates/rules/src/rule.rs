//! Groups of rules, read and checked.

use std::collections::HashMap;
use std::sync::Arc;

use daybook_promql::Query;

use crate::problem::Place;
use crate::state::{GroupState, RuleState};
use crate::template::Template;

/// Rules that are evaluated together, one after the other, at the same times.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name, unique within its file.
    pub name: String,
    /// The file it is from.
    pub file: Arc<str>,
    /// How often it is evaluated, in milliseconds; as often as all others if it does not say.
    pub interval: Option<i64>,
    /// How far in the past its queries look, and its samples lie, in milliseconds.
    pub query_offset: i64,
    /// How many alerts or series a rule may have; zero is no limit.
    pub limit: usize,
    /// The rules. The labels of the group are among theirs.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone)]
pub enum Rule {
    /// One that records.
    Record(Recording),
    /// One that alerts.
    Alert(Alerting),
}

/// A query, as it is written and parsed.
#[derive(Debug, Clone)]
pub struct Expression {
    /// As it is written.
    pub text: String,
    /// Parsed.
    pub query: Query,
}

/// Records what a query answers as series of a new name.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The name.
    pub name: String,
    /// The query.
    pub query: Expression,
    /// Labels that are set; an empty one removes.
    pub labels: Vec<(String, String)>,
    /// Where it is written.
    pub place: Place,
}

/// Alerts about each series that a query answers.
#[derive(Debug, Clone)]
pub struct Alerting {
    /// The name: the label `alertname`.
    pub name: String,
    /// The query.
    pub query: Expression,
    /// How long it has to be true before it fires (`for`), in milliseconds.
    pub hold: i64,
    /// How long it fires on when it is no longer true (`keep_firing_for`), in milliseconds.
    pub keep: i64,
    /// Labels that are set.
    pub labels: Vec<(String, Template)>,
    /// What is said about it.
    pub annotations: Vec<(String, Template)>,
    /// Where it is written.
    pub place: Place,
}

impl Rule {
    /// The name of the series or the alert.
    pub fn name(&self) -> &str {
        match self {
            Self::Record(rule) => &rule.name,
            Self::Alert(rule) => &rule.name,
        }
    }

    /// The query.
    pub fn query(&self) -> &Expression {
        match self {
            Self::Record(rule) => &rule.query,
            Self::Alert(rule) => &rule.query,
        }
    }

    /// Where it is written.
    pub fn place(&self) -> &Place {
        match self {
            Self::Record(rule) => &rule.place,
            Self::Alert(rule) => &rule.place,
        }
    }

    /// What it is known by across changes of its file: its kind, name and labels.
    fn identity(&self) -> String {
        match self {
            Self::Record(rule) => format!("record {} {:?}", rule.name, rule.labels),
            Self::Alert(rule) => {
                let labels: Vec<_> = rule.labels.iter().map(|(name, value)| (name, value.text())).collect();
                format!("alert {} {labels:?}", rule.name)
            }
        }
    }
}

impl Group {
    /// The key of each rule in a [`GroupState`](crate::GroupState): what it is known by, and which one of several it is.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut seen: HashMap<String, usize> = HashMap::new();
        let key = |rule: &Rule| {
            let identity = rule.identity();
            let count = seen.entry(identity.clone()).or_default();
            *count += 1;
            if *count == 1 { identity } else { format!("{identity} {count}") }
        };
        self.rules.iter().map(key).collect()
    }

    /// Each rule with its state, if it was evaluated yet.
    pub fn standing<'a>(&'a self, state: &'a GroupState) -> impl Iterator<Item = (&'a Rule, Option<&'a RuleState>)> {
        let states = self.keys().into_iter().map(|key| state.rules.get(&key));
        self.rules.iter().zip(states)
    }

    /// Gives each alert, and each series that is recorded, a label where its rule sets none of this name.
    pub fn label(&mut self, name: &str, value: &str) {
        for rule in &mut self.rules {
            match rule {
                Rule::Record(rule) if rule.labels.iter().all(|(known, _)| known != name) => {
                    rule.labels.push((name.to_owned(), value.to_owned()));
                }
                Rule::Alert(rule) if rule.labels.iter().all(|(known, _)| known != name) => {
                    rule.labels.push((name.to_owned(), Template::plain(value)));
                }
                Rule::Record(_) | Rule::Alert(_) => {}
            }
        }
    }

    /// The rules that alert.
    pub fn alerts(&self) -> impl Iterator<Item = &Alerting> {
        self.rules.iter().filter_map(|rule| match rule {
            Rule::Alert(rule) => Some(rule),
            Rule::Record(_) => None,
        })
    }
}
