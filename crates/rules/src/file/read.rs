//! Text to groups of rules.

use std::collections::{BTreeMap, HashMap};

use daybook_metrics::NAME;

use crate::problem::Problems;
use crate::read::{Fields, Reading};
use crate::rule::{Alerting, Group, Recording, Rule};
use crate::template::Template;
use crate::yaml::{Mark, Node};

const ROOT: [&str; 1] = ["groups"];
const GROUP: [&str; 6] = ["name", "interval", "query_offset", "limit", "labels", "rules"];
const RULE: [&str; 7] = ["record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"];

pub(super) fn groups(file: &str, text: &str) -> Result<Vec<Group>, Problems> {
    let (reading, root) = Reading::of(file, text);
    let mut groups = Vec::new();
    if let Some(root) = &root {
        let fields = reading.fields(root, "the file", &ROOT);
        let mut names: HashMap<String, Mark> = HashMap::new();
        for node in fields.items("groups") {
            let group = group(&reading, file, node);
            if let Some(first) = names.insert(group.name.clone(), node.at).filter(|_| !group.name.is_empty()) {
                let message = format!("the group `{}` is there twice, first in line {}", group.name, first.line);
                reading.problem(node.at, message, "give it another name");
            }
            groups.push(group);
        }
    }
    reading.finish(groups)
}

fn group(reading: &Reading, file: &str, node: &Node) -> Group {
    let fields = reading.fields(node, "a group", &GROUP);
    let name = fields.text("name").unwrap_or_default().to_owned();
    if name.is_empty() {
        reading.problem(fields.at, "a group has no name", "add `name: …`");
    }
    let labels = labels(reading, &fields);
    let rules = fields.items("rules").iter().filter_map(|node| rule(reading, node, &labels)).collect();
    Group {
        name,
        file: file.into(),
        interval: fields.duration("interval").filter(|interval| *interval > 0),
        query_offset: fields.duration("query_offset").unwrap_or(0),
        limit: fields.get("limit").and_then(|node| reading.number(node, "`limit`")).unwrap_or(0),
        rules,
    }
}

/// The labels of a group or a rule.
fn labels(reading: &Reading, fields: &Fields<'_, '_>) -> Vec<(String, Mark, String)> {
    let labels = fields.get("labels").map_or_else(Vec::new, |node| reading.texts(node, "`labels`"));
    for (name, at, _) in &labels {
        if name.is_empty() || name == NAME {
            let help = "use `record` for the name of a series, or another label";
            reading.problem(*at, format!("`{name}` cannot be set as a label"), help);
        }
    }
    labels
}

fn rule(reading: &Reading, node: &Node, of_group: &[(String, Mark, String)]) -> Option<Rule> {
    let fields = reading.fields(node, "a rule", &RULE);
    let named = |key| fields.text(key).filter(|name| !name.is_empty());
    let query = match fields.entry("expr") {
        Some(entry) => reading.query(&entry.value, "`expr`"),
        None => {
            reading.problem(fields.at, "a rule has no `expr`", "add `expr:` with a query");
            None
        }
    };
    let own = labels(reading, &fields);
    let mut merged: BTreeMap<&str, (Mark, &str)> = BTreeMap::new();
    for (name, at, value) in of_group.iter().chain(&own) {
        merged.insert(name, (*at, value));
    }
    match (named("record"), named("alert")) {
        (Some(record), None) => recording(reading, &fields, record, &merged, query),
        (None, Some(alert)) => alerting(reading, &fields, alert, &merged, query),
        (None, None) => {
            reading.problem(fields.at, "a rule has neither `record` nor `alert`", "add one of them");
            None
        }
        (Some(_), Some(_)) => {
            reading.problem(fields.at, "a rule has both `record` and `alert`", "make two rules of it");
            None
        }
    }
}

fn recording(
    reading: &Reading,
    fields: &Fields<'_, '_>,
    name: &str,
    labels: &BTreeMap<&str, (Mark, &str)>,
    query: Option<crate::Expression>,
) -> Option<Rule> {
    for key in ["for", "keep_firing_for", "annotations"] {
        if let Some(entry) = fields.entry(key) {
            reading.problem(entry.at, format!("a rule that records has no `{key}`"), "remove it, or write `alert`");
        }
    }
    if name.contains(['{', '}']) {
        let at = fields.get("record").map_or(fields.at, |node| node.at);
        reading.problem(at, format!("`{name}` is no name of a series"), "write selectors into `expr`");
    }
    Some(Rule::Record(Recording {
        name: name.to_owned(),
        query: query?,
        labels: labels.iter().map(|(name, (_, value))| ((*name).to_owned(), (*value).to_owned())).collect(),
        place: reading.place(fields.at),
    }))
}

fn alerting(
    reading: &Reading,
    fields: &Fields<'_, '_>,
    name: &str,
    labels: &BTreeMap<&str, (Mark, &str)>,
    query: Option<crate::Expression>,
) -> Option<Rule> {
    let annotations = fields.get("annotations").map_or_else(Vec::new, |node| reading.texts(node, "`annotations`"));
    let template = |(name, at, text): (&str, Mark, &str)| match Template::parse(text) {
        Ok(template) => Some((name.to_owned(), template)),
        Err(error) => {
            reading.problem(at, format!("the template `{name}` is wrong: {error}"), "correct it");
            None
        }
    };
    let labels = labels.iter().filter_map(|(name, (at, value))| template((name, *at, value))).collect();
    let mut annotations: Vec<_> =
        annotations.iter().filter_map(|(name, at, value)| template((name, *at, value))).collect();
    annotations.sort_by(|a, b| a.0.cmp(&b.0));
    Some(Rule::Alert(Alerting {
        name: name.to_owned(),
        hold: fields.duration("for").unwrap_or(0),
        keep: fields.duration("keep_firing_for").unwrap_or(0),
        labels,
        annotations,
        query: query?,
        place: reading.place(fields.at),
    }))
}
