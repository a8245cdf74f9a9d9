//! Which alerts others make needless, after `inhibit/inhibit.go` of Alertmanager.

use std::collections::HashMap;

use daybook_metrics::Labels;

use super::alert::Alert;
use super::config::{Config, Inhibition};

/// The sources that fire now, by rule and the values of its labels.
pub(super) struct Inhibitor<'a> {
    rules: Vec<(&'a Inhibition, HashMap<Vec<String>, Sources>)>,
}

/// Alerts that are sources of a rule with the same values.
#[derive(Default)]
struct Sources {
    /// Labels of one that is a source only; an alert that is a target as well cannot inhibit another such.
    pure: Option<Labels>,
    /// Labels of one that is a target too.
    both: Option<Labels>,
}

impl<'a> Inhibitor<'a> {
    pub(super) fn new<'l>(config: &'a Config, alerts: impl Iterator<Item = &'l Alert>, now: i64) -> Self {
        let mut rules: Vec<_> = config.inhibitions.iter().map(|rule| (rule, HashMap::new())).collect();
        if rules.is_empty() {
            return Self { rules };
        }
        for alert in alerts.filter(|alert| !alert.is_resolved(now)) {
            for (rule, sources) in rules.iter_mut().filter(|(rule, _)| rule.source.choose(&alert.labels)) {
                let sources: &mut Sources = sources.entry(values(rule, &alert.labels)).or_default();
                let place = if rule.target.choose(&alert.labels) { &mut sources.both } else { &mut sources.pure };
                place.get_or_insert_with(|| alert.labels.clone());
            }
        }
        Self { rules }
    }

    /// The labels of an alert that makes this one needless.
    pub(super) fn inhibits(&self, labels: &Labels) -> Option<&Labels> {
        self.rules.iter().filter(|(rule, _)| rule.target.choose(labels)).find_map(|(rule, sources)| {
            let sources = sources.get(&values(rule, labels))?;
            let both = if rule.source.choose(labels) { None } else { sources.both.as_ref() };
            sources.pure.as_ref().or(both)
        })
    }
}

fn values(rule: &Inhibition, labels: &Labels) -> Vec<String> {
    rule.equal.iter().map(|name| labels.get(name).to_owned()).collect()
}
