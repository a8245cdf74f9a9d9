//! Charts: released and taken away as a whole.

use std::collections::BTreeMap;

use daybook_model::fingerprint::Fingerprint;
use daybook_model::observed::ChartState;
use daybook_model::spec::{Chart, ChartObjects};
use daybook_model::{Action, Service, ServiceName, StepId};
use serde_json::Value;

use super::World;
use super::builder::Builder;

/// Lines about values, and about objects, that a plan shows at most.
const MOST_LINES: usize = 12;

impl World<'_> {
    /// Releases a service's chart, unless it is there as it should be.
    pub(super) fn chart(&self, builder: &mut Builder, service: &Service) {
        let fingerprint = Fingerprint::of(service);
        let seen = self.seen.charts.get(&service.name);
        if seen.is_some_and(|seen| seen.state == ChartState::Released && seen.fingerprint == fingerprint) {
            return;
        }
        let why = match seen.map(|seen| seen.state) {
            None => "it is wanted and not there",
            Some(ChartState::Released) => "its configuration changed",
            Some(ChartState::Pending) => "its last release did not come to its end",
            Some(ChartState::Failed) => "its last release failed",
        };
        let action = Action::ReleaseChart { service: service.name.clone(), fingerprint };
        let released = builder.step(action, why, service.line, &self.gates(builder, service));
        builder.reached(&service.name, vec![released], vec![released]);
        builder.end(released);
    }

    /// Takes away what a service has of a chart, if it has any.
    pub(super) fn remove_chart(
        &self,
        builder: &mut Builder,
        service: &ServiceName,
        why: &'static str,
        needs: &[StepId],
    ) -> Option<StepId> {
        self.seen.charts.contains_key(service).then(|| {
            let action = Action::RemoveChart { service: service.clone() };
            builder.step(action, why, None, needs)
        })
    }
}

/// What a chart is, in a line.
pub(super) fn name(chart: &Chart) -> String {
    let version = chart.made.as_ref().map(|made| made.version.clone()).or_else(|| chart.version.clone());
    version.map_or(chart.reference.clone(), |version| format!("{} {version}", chart.reference))
}

/// What a new chart makes: a line of counts, such as "Deployment cache, Service cache".
pub(super) fn objects(chart: &Chart) -> Option<String> {
    let made = chart.made.as_ref()?;
    let names: Vec<_> = made.objects.keys().take(MOST_LINES).map(String::as_str).collect();
    let more = made.objects.len() - names.len();
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("makes {}{tail}", names.join(", ")))
}

/// What differs between two charts: where they come from, their versions, values, and what they make.
pub(super) fn differences(before: &Chart, after: &Chart, say: &mut impl FnMut(String)) {
    let version =
        |chart: &Chart| chart.made.as_ref().map(|made| made.version.clone()).or_else(|| chart.version.clone());
    if before.reference != after.reference {
        say(format!("chart {} → {}", name(before), name(after)));
    } else if version(before) != version(after) {
        let shown = |chart| version(chart).unwrap_or_else(|| "(newest)".to_owned());
        say(format!("chart {} → {}", shown(before), shown(after)));
    } else if before.digest != after.digest {
        say("the chart's files changed".to_owned());
    }
    if before.repository != after.repository {
        let from = |chart: &Chart| chart.repository.clone().unwrap_or_else(|| "(none)".to_owned());
        say(format!("chart repository {} → {}", from(before), from(after)));
    }
    values(&before.values, &after.values, say);
    match (&before.made, &after.made) {
        (Some(old), Some(new)) => changed_objects(old, new, say),
        (_, None) => say("what it makes is known after it is fetched".to_owned()),
        (None, Some(_)) => {}
    }
}

fn changed_objects(old: &ChartObjects, new: &ChartObjects, say: &mut impl FnMut(String)) {
    let mut lines: Vec<String> = Vec::new();
    for (name, digest) in &new.objects {
        match old.objects.get(name) {
            None => lines.push(format!("+ {name}")),
            Some(before) if before != digest => lines.push(format!("~ {name}")),
            Some(_) => {}
        }
    }
    lines.extend(old.objects.keys().filter(|name| !new.objects.contains_key(*name)).map(|name| format!("- {name}")));
    say_some(lines, "objects", say);
}

fn values(before: &Value, after: &Value, say: &mut impl FnMut(String)) {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    flatten("", before, &mut old);
    flatten("", after, &mut new);
    let mut lines = Vec::new();
    for (path, value) in &new {
        match old.get(path) {
            Some(before) if before == value => {}
            before => {
                let before = before.map_or("(none)".to_owned(), |before| shown(path, before));
                lines.push(format!("{path}  {before} → {}", shown(path, value)));
            }
        }
    }
    let gone = old.iter().filter(|(path, _)| !new.contains_key(*path));
    lines.extend(gone.map(|(path, value)| format!("{path}  {} → (none)", shown(path, value))));
    say_some(lines, "values", say);
}

fn say_some(lines: Vec<String>, what: &str, say: &mut impl FnMut(String)) {
    let more = lines.len().saturating_sub(MOST_LINES);
    lines.into_iter().take(MOST_LINES).for_each(&mut *say);
    if more > 0 {
        say(format!("… {more} more {what}"));
    }
}

/// Every leaf by its path: `auth.enabled`, `nodes[0].name`.
fn flatten<'a>(path: &str, value: &'a Value, out: &mut BTreeMap<String, &'a Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => map.iter().for_each(|(key, value)| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            flatten(&path, value, out);
        }),
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(i, value)| flatten(&format!("{path}[{i}]"), value, out));
        }
        Value::Object(_) if path.is_empty() => {}
        leaf => drop(out.insert(path.to_owned(), leaf)),
    }
}

fn shown(path: &str, value: &Value) -> String {
    let name = path.rsplit('.').next().unwrap_or(path);
    match value {
        Value::String(text) => super::changes::shown_text(name, text),
        other => other.to_string(),
    }
}
