//! PagerDuty's Events API v2 as its server takes it, so that any tool that can page PagerDuty can page us:
//! <https://developer.pagerduty.com/docs/send-alert-event>, <https://developer.pagerduty.com/docs/send-change-event>.
//!
//! Errors are answered in PagerDuty's words, since tools show them, and some look for them.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Answer, MOST_BYTES, Signal, State, label, severity};
use crate::{Link, Secret};

const ROUTING_KEY: usize = 32;
const DEDUP_KEY: usize = 255;
/// PagerDuty's documentation has it; longer ones are clipped, since a page that says too much is better than none.
const SUMMARY: usize = 1_024;
/// Links of one event that are kept.
const LINKS: usize = 50;
/// Fields of the details that are kept.
const DETAILS: usize = 100;

/// An event that was taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which integration it is for. It is the sender's password: look it up before anything else is done.
    pub routing_key: Secret,
    /// What it says.
    pub signal: Signal,
}

/// Why an event is not taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejected {
    /// It is no JSON, or no object.
    Unrecognized,
    /// It is larger than [`MOST_BYTES`].
    TooLarge,
    /// All that is wrong with it.
    Invalid(Vec<String>),
    /// No integration has its routing key.
    RoutingKey,
    /// There are too many.
    Throttled,
}

impl Rejected {
    /// How PagerDuty answers.
    pub fn answer(&self) -> Answer {
        let answer = |status, word: &str, message: &str, errors: &[String]| {
            Answer::new(status, json!({"status": word, "message": message, "errors": errors}))
        };
        let invalid = |errors: &[String]| answer(400, "invalid event", "Event object is invalid", errors);
        match self {
            Self::Unrecognized => {
                let errors = ["JSON parse error".to_owned()];
                answer(400, "Unrecognized object", "Event object format is unrecognized", &errors)
            }
            Self::TooLarge => super::too_large(),
            Self::Invalid(errors) => invalid(errors),
            Self::RoutingKey => {
                answer(400, "invalid event", "Invalid routing key", &["Invalid routing key".to_owned()])
            }
            Self::Throttled => {
                let errors = ["Requests for this service are arriving too quickly".to_owned()];
                answer(429, "throttle exceeded", &errors[0], &errors)
            }
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", label(&self.answer().body["errors"]))
    }
}

impl std::error::Error for Rejected {}

/// Reads a body of `POST /v2/enqueue`. `new_key` is the deduplication key of a trigger that has none, and is to be unique.
///
/// # Errors
/// It is no event: see [`Rejected`].
pub fn enqueue(body: &[u8], new_key: impl FnOnce() -> String) -> Result<Event, Rejected> {
    let event = object(body)?;
    let mut check = Check::default();
    let routing_key = check.routing_key(&event);
    let action = check.text(&event, "event_action");
    let state = match action.as_deref() {
        Some("trigger") => Some(State::Firing),
        Some("acknowledge") => Some(State::Acknowledged),
        Some("resolve") => Some(State::Resolved),
        Some(_) => check.one_of("event_action", "'trigger', 'acknowledge' or 'resolve'"),
        None => None,
    };
    let key = check.field(&event, "dedup_key").filter(|key| !key.trim().is_empty());
    if key.as_ref().is_some_and(|key| key.chars().count() > DEDUP_KEY) {
        check.errors.push(format!("'dedup_key' is too long (maximum is {DEDUP_KEY} characters)"));
    }
    if key.is_none() && matches!(state, Some(State::Acknowledged | State::Resolved)) {
        check.missing("dedup_key");
    }
    let payload = event.get("payload").and_then(Value::as_object);
    let empty = Map::new();
    let mut signal = match (state, payload) {
        (Some(State::Firing), payload) => check.alert(payload.unwrap_or(&empty)),
        // The others need none, and say nothing more if they have one.
        _ => Signal::new("", State::Firing, ""),
    };
    signal.links = links(&event);
    for name in ["client", "client_url"] {
        signal.labels.extend(check.field(&event, name).map(|value| (name.to_owned(), value)));
    }
    match (check.errors.is_empty(), routing_key, state) {
        (true, Some(routing_key), Some(state)) => {
            (signal.state, signal.key) = (state, key.unwrap_or_else(new_key));
            Ok(Event { routing_key, signal })
        }
        _ => Err(Rejected::Invalid(check.errors)),
    }
}

/// Reads a body of `POST /v2/change/enqueue`. `new_key` is what the change is known by, and is to be unique.
///
/// # Errors
/// It is no event: see [`Rejected`].
pub fn enqueue_change(body: &[u8], new_key: impl FnOnce() -> String) -> Result<Event, Rejected> {
    let event = object(body)?;
    let mut check = Check::default();
    let routing_key = check.routing_key(&event);
    let empty = Map::new();
    let payload = event.get("payload").and_then(Value::as_object).unwrap_or(&empty);
    let mut signal = check.change(payload);
    signal.links = links(&event);
    match (check.errors.is_empty(), routing_key) {
        (true, Some(routing_key)) => {
            (signal.state, signal.key) = (State::Change, new_key());
            Ok(Event { routing_key, signal })
        }
        _ => Err(Rejected::Invalid(check.errors)),
    }
}

impl Event {
    /// How PagerDuty answers to what it takes in.
    pub fn accepted(&self) -> Answer {
        Answer::new(
            202,
            match self.signal.state {
                State::Change => json!({"status": "success", "message": "Change event processed"}),
                _ => json!({"status": "success", "message": "Event processed", "dedup_key": self.signal.key}),
            },
        )
    }
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Rejected> {
    if body.len() > MOST_BYTES {
        return Err(Rejected::TooLarge);
    }
    serde_json::from_slice(body).map_err(|_| Rejected::Unrecognized)
}

/// Collects what is wrong with an event.
#[derive(Default)]
struct Check {
    errors: Vec<String>,
}

impl Check {
    fn missing(&mut self, name: &str) -> Option<String> {
        self.errors.push(format!("'{name}' is missing or blank"));
        None
    }

    fn one_of<T>(&mut self, name: &str, words: &str) -> Option<T> {
        self.errors.push(format!("'{name}' is invalid (must be one of the following: {words})"));
        None
    }

    /// A field of an object; the name in messages is that of the whole path.
    fn field(&mut self, object: &Map<String, Value>, path: &str) -> Option<String> {
        match object.get(path.rsplit('.').next().unwrap_or(path)) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            // Tools send numbers where a text belongs, and PagerDuty takes them.
            Some(Value::Number(number)) => Some(number.to_string()),
            Some(_) => {
                self.errors.push(format!("'{path}' must be a string"));
                None
            }
        }
    }

    fn text(&mut self, object: &Map<String, Value>, path: &str) -> Option<String> {
        let before = self.errors.len();
        let text = self.field(object, path).filter(|text| !text.trim().is_empty());
        if text.is_none() && self.errors.len() == before { self.missing(path) } else { text }
    }

    fn routing_key(&mut self, event: &Map<String, Value>) -> Option<Secret> {
        let key = self.text(event, "routing_key")?;
        if key.chars().count() != ROUTING_KEY {
            self.errors.push(format!("Length of 'routing_key' is incorrect (should be {ROUTING_KEY} characters)"));
        }
        if !key.chars().all(|c| c.is_ascii_alphanumeric()) {
            self.errors.push("'routing_key' cannot contain non-alphanumeric characters.".to_owned());
        }
        Some(Secret::new(key))
    }

    /// The payload of an alert.
    fn alert(&mut self, payload: &Map<String, Value>) -> Signal {
        let mut signal = self.summary(payload);
        signal.source = self.text(payload, "payload.source");
        let word = self.text(payload, "payload.severity");
        signal.severity = word.and_then(|word| match word.as_str() {
            "critical" | "error" | "warning" | "info" => severity(&word),
            _ => self.one_of("payload.severity", "'critical', 'warning', 'error' or 'info'"),
        });
        self.describe(&mut signal, payload);
        signal
    }

    /// The payload of a change.
    fn change(&mut self, payload: &Map<String, Value>) -> Signal {
        let mut signal = self.summary(payload);
        signal.source = self.field(payload, "payload.source");
        self.describe(&mut signal, payload);
        signal
    }

    fn summary(&mut self, payload: &Map<String, Value>) -> Signal {
        let title = self.text(payload, "payload.summary").unwrap_or_default();
        Signal::new("", State::Firing, crate::text::chars(&title, SUMMARY))
    }

    fn describe(&mut self, signal: &mut Signal, payload: &Map<String, Value>) {
        // PagerDuty takes an event whose time it cannot read, as one of now.
        signal.at = self.field(payload, "payload.timestamp").and_then(|text| time(&text));
        signal.labels = details(payload.get("custom_details"));
        for name in ["component", "group", "class"] {
            let value = self.field(payload, &format!("payload.{name}"));
            signal.labels.extend(value.map(|value| (name.to_owned(), value)));
        }
    }
}

/// A time of ISO 8601. PagerDuty's own examples have an offset without a colon.
fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| {
        let formats = ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%d %H:%M:%S%.f%z"];
        formats.iter().find_map(|format| Timestamp::strptime(format, text).ok())
    })
}

fn details(details: Option<&Value>) -> BTreeMap<String, String> {
    match details {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(Value::Object(fields)) => {
            fields.iter().take(DETAILS).map(|(name, value)| (name.clone(), label(value))).collect()
        }
        Some(other) => [("details".to_owned(), label(other))].into(),
    }
}

/// Links that can be followed; others are left out, since they are no reason not to page.
fn links(event: &Map<String, Value>) -> Vec<Link> {
    let all = event.get("links").and_then(Value::as_array).into_iter().flatten();
    let link = |link: &Value| {
        let href = link["href"].as_str()?;
        Link::new(link["text"].as_str().unwrap_or(href), href).ok()
    };
    all.take(LINKS).filter_map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Severity;

    const KEY: &str = "e93facc04764012d7bfb002500d5d1a6";

    fn take(body: &Value) -> Result<Event, Rejected> {
        enqueue(body.to_string().as_bytes(), || "new".to_owned())
    }

    fn errors(body: &Value) -> Vec<String> {
        match take(body) {
            Err(Rejected::Invalid(errors)) => errors,
            other => panic!("{other:?}"),
        }
    }

    fn trigger() -> Value {
        json!({
            "routing_key": KEY,
            "event_action": "trigger",
            "payload": {"summary": "disk is full", "source": "db1", "severity": "critical"},
        })
    }

    #[test]
    fn a_trigger_is_taken_in_with_all_it_says() {
        let mut body = trigger();
        body["dedup_key"] = json!("db1/disk");
        body["client"] = json!("a monitor");
        body["payload"]["timestamp"] = json!("2026-01-01T00:00:00.500+0000");
        body["payload"]["component"] = json!("mysql");
        body["payload"]["custom_details"] = json!({"free": "1%", "load": 0.75, "more": {"a": 1}});
        body["links"] = json!([{"href": "https://example.com/", "text": "more"}, {"href": "javascript:x"}, 7]);
        let event = take(&body).unwrap();
        assert_eq!(event.accepted().status, 202);
        assert_eq!(
            event.accepted().body,
            json!({"status": "success", "message": "Event processed", "dedup_key": "db1/disk"})
        );
        let signal = event.signal;
        assert_eq!((signal.state, signal.severity), (State::Firing, Some(Severity::Critical)));
        assert_eq!((signal.title.as_str(), signal.source.as_deref()), ("disk is full", Some("db1")));
        assert_eq!(signal.at, Some("2026-01-01T00:00:00.5Z".parse().unwrap()));
        assert_eq!(signal.labels["load"], "0.75");
        assert_eq!(signal.labels["more"], r#"{"a":1}"#);
        assert_eq!((&*signal.labels["component"], &*signal.labels["client"]), ("mysql", "a monitor"));
        assert_eq!(signal.links, [Link::new("more", "https://example.com/").unwrap()]);
    }

    #[test]
    fn a_trigger_without_a_key_gets_one_and_is_told_it() {
        let event = take(&trigger()).unwrap();
        assert_eq!(event.accepted().body["dedup_key"], "new");
    }

    #[test]
    fn what_follows_needs_no_payload_and_a_key() {
        for (action, state) in [("acknowledge", State::Acknowledged), ("resolve", State::Resolved)] {
            let body = json!({"routing_key": KEY, "event_action": action, "dedup_key": "a"});
            assert_eq!(take(&body).unwrap().signal.state, state);
            let body = json!({"routing_key": KEY, "event_action": action});
            assert_eq!(errors(&body), ["'dedup_key' is missing or blank"]);
        }
    }

    #[test]
    fn errors_are_told_in_the_words_of_pagerduty_and_all_at_once() {
        assert_eq!(errors(&json!({})), ["'routing_key' is missing or blank", "'event_action' is missing or blank"]);
        assert_eq!(
            errors(&json!({"routing_key": "e+23", "event_action": "trigger", "payload": {"severity": "none"}})),
            [
                "Length of 'routing_key' is incorrect (should be 32 characters)",
                "'routing_key' cannot contain non-alphanumeric characters.",
                "'payload.summary' is missing or blank",
                "'payload.source' is missing or blank",
                "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')",
            ]
        );
        let mut body = trigger();
        body["dedup_key"] = json!("x".repeat(256));
        body["event_action"] = json!("page");
        assert_eq!(
            errors(&body),
            [
                "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')",
                "'dedup_key' is too long (maximum is 255 characters)",
            ]
        );
    }

    #[test]
    fn answers_have_the_form_of_pagerdutys() {
        let answer = |rejected: Rejected| (rejected.answer().status, rejected.answer().body);
        assert_eq!(
            answer(enqueue(b"{", String::new).unwrap_err()),
            (
                400,
                json!({
                    "status": "Unrecognized object",
                    "message": "Event object format is unrecognized",
                    "errors": ["JSON parse error"],
                })
            )
        );
        assert_eq!(
            answer(take(&json!({"routing_key": KEY, "event_action": ""})).unwrap_err()),
            (
                400,
                json!({
                    "status": "invalid event",
                    "message": "Event object is invalid",
                    "errors": ["'event_action' is missing or blank"],
                })
            )
        );
        assert_eq!(answer(Rejected::RoutingKey).0, 400);
        assert_eq!(answer(Rejected::Throttled).0, 429);
    }

    #[test]
    fn r35_an_event_that_is_too_large_is_not_read() {
        let mut body = trigger();
        body["payload"]["custom_details"] = json!("x".repeat(MOST_BYTES));
        assert_eq!(take(&body), Err(Rejected::TooLarge));
        assert_eq!(Rejected::TooLarge.answer().status, 413);
    }

    #[test]
    fn r31_an_event_does_not_show_its_routing_key() {
        assert!(!format!("{:?}", take(&trigger()).unwrap()).contains(KEY));
    }

    #[test]
    fn a_change_needs_a_summary_and_a_routing_key() {
        let body = json!({"routing_key": KEY, "payload": {"summary": "release 7", "source": "ci"}});
        let event = enqueue_change(body.to_string().as_bytes(), || "c".to_owned()).unwrap();
        assert_eq!((event.signal.state, event.signal.title.as_str()), (State::Change, "release 7"));
        assert_eq!(event.accepted().body, json!({"status": "success", "message": "Change event processed"}));
        let rejected = enqueue_change(b"{}", String::new).unwrap_err();
        let errors = ["'routing_key' is missing or blank", "'payload.summary' is missing or blank"];
        assert_eq!(rejected, Rejected::Invalid(errors.map(str::to_owned).into()));
    }
}
