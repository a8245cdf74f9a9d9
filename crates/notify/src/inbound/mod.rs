//! What other tools send to us: read, checked and bounded.
//!
//! A server caps a body at [`MOST_BYTES`] while it reads it, asks the module of its sender for [`Signal`]s, and answers with the
//! [`Answer`] that such a sender expects. Who may send is decided before: by a signature over the body as it came
//! ([`signed`], [`pagerduty_webhook`]), by the routing key in it ([`pagerduty_events`]), or by the server's own tokens
//! ([`alertmanager`]). [`Seen`] knows what was taken in before.

pub mod alertmanager;
pub mod pagerduty_events;
pub mod pagerduty_webhook;
mod seen;
pub mod signed;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{Link, Severity};

pub use seen::Seen;

/// Larger bodies are not taken in. PagerDuty's limit, by which all that can page it abides.
pub const MOST_BYTES: usize = 512 << 10;

/// What an answer is.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status of HTTP.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Answer {
    fn new(status: u16, body: Value) -> Self {
        Self { status, body }
    }
}

/// What another tool says happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// What it is about: the same for all signals about one thing from one sender.
    pub key: String,
    /// What happened.
    pub state: State,
    /// How bad it is, if that is said.
    pub severity: Option<Severity>,
    /// One line.
    pub title: String,
    /// What else is said.
    pub text: Option<String>,
    /// Since when, if that is said.
    pub at: Option<Timestamp>,
    /// It is over then, unless it is said again before.
    pub until: Option<Timestamp>,
    /// Who did it.
    pub by: Option<String>,
    /// The host or system that hurts.
    pub source: Option<String>,
    /// Labels that identify it, and fields of it.
    pub labels: BTreeMap<String, String>,
    /// Where to see more.
    pub links: Vec<Link>,
}

/// What happened to what a [`Signal`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It hurts.
    Firing,
    /// Somebody works on it.
    Acknowledged,
    /// Nobody works on it any more.
    Unacknowledged,
    /// It is over.
    Resolved,
    /// Something was written about it.
    Note,
    /// Something was changed; no trouble.
    Change,
}

impl Signal {
    fn new(key: impl Into<String>, state: State, title: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            state,
            severity: None,
            title: title.into(),
            text: None,
            at: None,
            until: None,
            by: None,
            source: None,
            labels: BTreeMap::new(),
            links: Vec::new(),
        }
    }
}

/// Severities as tools write them in labels.
fn severity(word: &str) -> Option<Severity> {
    Some(match word.to_ascii_lowercase().as_str() {
        "critical" | "page" | "fatal" | "emergency" | "high" => Severity::Critical,
        "error" | "major" => Severity::Error,
        "warning" | "warn" | "minor" | "ticket" => Severity::Warning,
        "info" | "informational" | "none" | "low" => Severity::Info,
        _ => return None,
    })
}

/// A value as a label has it: text as it is, other things as their JSON.
fn label(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The answer to a body that is larger than [`MOST_BYTES`].
pub fn too_large() -> Answer {
    let message = format!("The body is larger than {} KB", MOST_BYTES >> 10);
    Answer::new(413, json!({"status": "invalid event", "message": message, "errors": [message]}))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Documents that look like those that are expected, with anything in each place.
    fn document() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,40}".prop_map(Value::from),
            Just(json!("trigger")),
            Just(json!("4")),
            Just(json!("incident.annotated")),
            Just(json!("2026-01-01T00:00:00Z")),
            Just(json!("-9999-01-02T00:00:00Z")),
            Just(json!("9999-12-30T22:00:00.9Z")),
            Just(json!("e93facc04764012d7bfb002500d5d1a6")),
        ];
        let name = proptest::sample::select(vec![
            "routing_key",
            "event_action",
            "dedup_key",
            "payload",
            "summary",
            "source",
            "severity",
            "timestamp",
            "links",
            "href",
            "custom_details",
            "version",
            "groupKey",
            "alerts",
            "labels",
            "annotations",
            "startsAt",
            "endsAt",
            "event",
            "id",
            "event_type",
            "occurred_at",
            "data",
            "incident",
            "notice",
            "delivery",
            "key",
            "kind",
            "",
        ]);
        leaf.prop_recursive(5, 60, 8, move |inner| {
            let fields = proptest::collection::vec((name.clone(), inner.clone()), 0..12);
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Value::from),
                fields.prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
            ]
        })
    }

    fn read_all(body: &[u8]) {
        let now = Timestamp::from_second(1_767_225_600).unwrap();
        let key = crate::Secret::new("0123456789abcdef");
        let keys = std::slice::from_ref(&key);
        let signature = crate::signature::sign(&key, now, body);
        let mut seen = Seen::default();
        let window = std::time::Duration::from_mins(5);
        let _ = signed::take(keys, &signature, body, &mut seen, now, window);
        let _ = pagerduty_events::enqueue(body, String::new).map_err(|rejected| rejected.answer());
        let _ = pagerduty_events::enqueue_change(body, String::new).map_err(|rejected| rejected.answer());
        let _ = pagerduty_webhook::read(body, &mut seen, now);
        let _ = alertmanager::webhook(body);
        let _ = alertmanager::alerts(body, now);
    }

    proptest! {
        #[test]
        fn r36_no_document_makes_it_panic(document in document()) {
            read_all(document.to_string().as_bytes());
        }

        #[test]
        fn r36_no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            read_all(&bytes);
        }
    }

    #[test]
    fn r36_a_deep_document_is_refused() {
        for body in ["[".repeat(400_000), r#"{"payload":"#.repeat(40_000)] {
            read_all(body.as_bytes());
            assert!(pagerduty_events::enqueue(body.as_bytes(), String::new).is_err());
        }
    }
}
