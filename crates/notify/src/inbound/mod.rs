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
