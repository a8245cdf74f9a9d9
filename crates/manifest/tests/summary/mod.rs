//! A specification as a short text: what differs from the usual, a line each.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;

use daybook_manifest::Loaded;
use daybook_model::Service;
use serde_json::Value;

pub(crate) fn of(loaded: &Loaded) -> String {
    let Some(spec) = &loaded.spec else { return "no specification".to_owned() };
    let mut out = format!("{}\n", spec.key);
    for service in spec.services.values() {
        out.push_str(&one(service));
    }
    for (name, volume) in &spec.volumes {
        line(&mut out, &format!("volume {name}"), &serde_json::to_value(volume).unwrap());
    }
    for (name, network) in &spec.networks {
        line(&mut out, &format!("network {name}"), &serde_json::to_value(network).unwrap());
    }
    out
}

fn one(service: &Service) -> String {
    let mut out = String::new();
    let value = serde_json::to_value(service).unwrap();
    let _ = writeln!(out, "{} (line {}) {}", service.name, service.line.unwrap_or(0), short(&value["kind"]));
    let usual = usual();
    for (key, value) in value.as_object().unwrap() {
        if matches!(key.as_str(), "name" | "line" | "kind") || usual.get(key) == Some(value) {
            continue;
        }
        if key == "container" {
            for (key, inner) in value.as_object().unwrap() {
                if usual["container"].get(key) != Some(inner) {
                    line(&mut out, &format!("  {key}"), inner);
                }
            }
        } else {
            line(&mut out, &format!("  {key}"), value);
        }
    }
    out
}

/// What a service has that says nothing of itself.
fn usual() -> Value {
    let container = daybook_model::spec::Container::default();
    serde_json::json!({
        "container": container,
        "scale": daybook_model::spec::Scale::default(),
        "stop": daybook_model::spec::Stop::default(),
        "rollout": daybook_model::spec::Rollout::default(),
        "restart": "always", "stopped": false, "generation": 0,
        "ports": [], "routes": [], "depends_on": [], "check": null, "release_hook": null
    })
}

fn line(out: &mut String, name: &str, value: &Value) {
    let _ = writeln!(out, "{name}: {}", short(&pruned(value)));
}

/// Without what is empty.
fn pruned(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().map(|(key, value)| (key.clone(), pruned(value))).filter(|(_, value)| !empty(value));
            Value::Object(kept.collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(pruned).collect()),
        value => value.clone(),
    }
}

fn empty(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false))
        || value == &serde_json::json!([])
        || value == &serde_json::json!({})
}

fn short(value: &Value) -> String {
    value.to_string().replace('"', "")
}
