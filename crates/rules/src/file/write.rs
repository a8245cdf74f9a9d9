//! Groups of rules to the text of a file.

use std::fmt::Write as _;

use crate::duration;
use crate::rule::{Group, Rule};

/// The text of a file with these groups, which Prometheus reads as well.
pub fn write(groups: &[Group]) -> String {
    let mut out = "groups:\n".to_owned();
    for group in groups {
        let _ = writeln!(out, "  - name: {}", quoted(&group.name));
        if let Some(interval) = group.interval {
            let _ = writeln!(out, "    interval: {}", duration::format(interval));
        }
        if group.query_offset != 0 {
            let _ = writeln!(out, "    query_offset: {}", duration::format(group.query_offset));
        }
        if group.limit != 0 {
            let _ = writeln!(out, "    limit: {}", group.limit);
        }
        out.push_str("    rules:\n");
        group.rules.iter().for_each(|one| rule(&mut out, one));
    }
    out
}

fn rule(out: &mut String, rule: &Rule) {
    match rule {
        Rule::Record(rule) => {
            let _ = writeln!(out, "      - record: {}", quoted(&rule.name));
            let _ = writeln!(out, "        expr: {}", quoted(&rule.query.text));
            texts(out, "labels", rule.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        }
        Rule::Alert(rule) => {
            let _ = writeln!(out, "      - alert: {}", quoted(&rule.name));
            let _ = writeln!(out, "        expr: {}", quoted(&rule.query.text));
            if rule.hold > 0 {
                let _ = writeln!(out, "        for: {}", duration::format(rule.hold));
            }
            if rule.keep > 0 {
                let _ = writeln!(out, "        keep_firing_for: {}", duration::format(rule.keep));
            }
            texts(out, "labels", rule.labels.iter().map(|(name, value)| (name.as_str(), value.text())));
            texts(out, "annotations", rule.annotations.iter().map(|(name, value)| (name.as_str(), value.text())));
        }
    }
}

fn texts<'a>(out: &mut String, key: &str, texts: impl Iterator<Item = (&'a str, &'a str)>) {
    for (at, (name, value)) in texts.enumerate() {
        if at == 0 {
            let _ = writeln!(out, "        {key}:");
        }
        let _ = writeln!(out, "          {}: {}", quoted(name), quoted(value));
    }
}

/// A text in double quotes. JSON's escapes are YAML's as well.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
