//! Alerts of Prometheus: what an Alertmanager posts to a webhook (version 4), and what a Prometheus posts to its
//! Alertmanagers (`POST /api/v2/alerts`), so that either may have us in the place of the other.
//!
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>,
//! <https://prometheus.io/docs/alerting/latest/alerts_api/>.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::{Signal, State, severity};
use crate::Link;

/// Until an alert is over that no end is said of, and that is not sent again: Alertmanager's `resolve_timeout`.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_mins(5);
/// Larger bodies are not taken in. A Prometheus sends 256 alerts at a time.
pub const MOST_ALERTS_BYTES: usize = 4 << 20;

/// Why a body is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is larger than it may be.
    #[error("the body is too large")]
    TooLarge,
    /// It has another form.
    #[error("the body has not the form of alerts: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It is of a version that is not known.
    #[error("the body is of version {0}, and version 4 is known here")]
    Version(String),
}

impl Error {
    /// The status of HTTP to answer with. Neither is sent again after it.
    pub fn status(&self) -> u16 {
        match self {
            Self::TooLarge => 413,
            Self::Malformed(_) | Self::Version(_) => 400,
        }
    }
}

/// A group of alerts, as an Alertmanager posts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// What the group is known by.
    pub key: String,
    /// The receiver that it was routed to.
    pub receiver: String,
    /// Alerts that were left out of it.
    pub truncated: u64,
    /// The alerts.
    pub signals: Vec<Signal>,
}

/// Alerts, as a Prometheus posts them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Alerts {
    /// Those that are alerts. They count even where others are wrong.
    pub signals: Vec<Signal>,
    /// What is wrong with the others. Where there is any, answer 400 with it.
    pub problems: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    version: String,
    group_key: String,
    #[serde(default)]
    truncated_alerts: u64,
    #[serde(default)]
    receiver: String,
    #[serde(default, rename = "externalURL")]
    external_url: String,
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    /// `firing` or `resolved`; a Prometheus does not say it.
    status: Option<String>,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    #[serde(default, rename = "generatorURL")]
    generator_url: String,
    #[serde(default)]
    fingerprint: String,
}

/// Reads what an Alertmanager posts to a webhook.
///
/// # Errors
/// See [`Error`].
pub fn webhook(body: &[u8]) -> Result<Group, Error> {
    if body.len() > MOST_ALERTS_BYTES {
        return Err(Error::TooLarge);
    }
    let posted: Posted = serde_json::from_slice(body)?;
    if posted.version != "4" {
        return Err(Error::Version(posted.version));
    }
    let link = Link::new("Alertmanager", &posted.external_url).ok();
    let signals = posted.alerts.into_iter().map(|alert| {
        let state = if alert.status.as_deref() == Some("resolved") { State::Resolved } else { State::Firing };
        let mut signal = alert.signal(state);
        signal.links.extend(link.clone());
        signal
    });
    let signals = signals.collect();
    Ok(Group { key: posted.group_key, receiver: posted.receiver, truncated: posted.truncated_alerts, signals })
}

/// Reads what a Prometheus posts to `/api/v2/alerts`. Without an end an alert is over [`RESOLVE_TIMEOUT`] after now.
///
/// # Errors
/// The body as a whole is no list of alerts. What is wrong with one of them is in [`Alerts::problems`].
pub fn alerts(body: &[u8], now: Timestamp) -> Result<Alerts, Error> {
    if body.len() > MOST_ALERTS_BYTES {
        return Err(Error::TooLarge);
    }
    let posted: Vec<Alert> = serde_json::from_slice(body)?;
    let mut alerts = Alerts::default();
    for alert in posted {
        match alert.checked(now) {
            Ok(signal) => alerts.signals.push(signal),
            Err(problem) => alerts.problems.push(problem),
        }
    }
    Ok(alerts)
}

impl Alert {
    /// Fills in what a Prometheus need not say, as an Alertmanager does.
    fn checked(mut self, now: Timestamp) -> Result<Signal, String> {
        // A label without a value is no label.
        self.labels.retain(|_, value| !value.is_empty());
        self.annotations.retain(|_, value| !value.is_empty());
        if self.labels.is_empty() {
            return Err("at least one label pair required".to_owned());
        }
        if let Some(name) = self.labels.keys().chain(self.annotations.keys()).find(|name| name.is_empty()) {
            return Err(format!("invalid label name {name:?}"));
        }
        self.ends_at = self.ends_at.and_then(known);
        let starts = self.starts_at.and_then(known).unwrap_or_else(|| self.ends_at.map_or(now, |end| end.min(now)));
        let ends = self.ends_at.unwrap_or(now + RESOLVE_TIMEOUT);
        if ends < starts {
            return Err("start time must be before end time".to_owned());
        }
        (self.starts_at, self.ends_at) = (Some(starts), Some(ends));
        let state = if ends <= now { State::Resolved } else { State::Firing };
        Ok(self.signal(state))
    }

    fn signal(self, state: State) -> Signal {
        let annotation = |names: &[&str]| names.iter().find_map(|name| self.annotations.get(*name).cloned());
        let name = self.labels.get("alertname").cloned();
        let title = annotation(&["summary", "title", "message"]).or(name).unwrap_or_else(|| "an alert".to_owned());
        let key = if self.fingerprint.is_empty() { fingerprint(&self.labels) } else { self.fingerprint };
        let mut signal = Signal::new(key, state, crate::text::line(&title));
        signal.text = annotation(&["description"]);
        signal.severity = self.labels.get("severity").and_then(|word| severity(word));
        signal.at = self.starts_at.and_then(known);
        signal.until = self.ends_at.and_then(known);
        signal.source = self.labels.get("instance").cloned();
        let runbook = self.annotations.get("runbook_url").and_then(|url| Link::new("runbook", url).ok());
        signal.links = [Link::new("query", &self.generator_url).ok(), runbook].into_iter().flatten().collect();
        signal.labels = self.labels;
        signal
    }
}

/// Go's zero time means that none is said.
fn known(at: Timestamp) -> Option<Timestamp> {
    (at > Timestamp::UNIX_EPOCH).then_some(at)
}

/// What Alertmanager knows an alert by: FNV-1a, 64 bits wide, over its labels in order of their names.
pub fn fingerprint(labels: &BTreeMap<String, String>) -> String {
    let separated = labels.iter().flat_map(|(name, value)| [name.as_bytes(), &[0xff], value.as_bytes(), &[0xff]]);
    let hash = separated
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Severity;

    fn now() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    fn read(body: &Value) -> Alerts {
        alerts(body.to_string().as_bytes(), now()).unwrap()
    }

    #[test]
    fn a_group_of_an_alertmanager_is_read() {
        let body = json!({
            "receiver": "daybook", "status": "firing", "version": "4", "groupKey": "{}:{alertname=\"Down\"}",
            "truncatedAlerts": 1, "groupLabels": {"alertname": "Down"}, "commonLabels": {}, "commonAnnotations": {},
            "externalURL": "http://am.example.com:9093",
            "alerts": [
                {"status": "firing", "labels": {"alertname": "Down", "severity": "critical", "instance": "a:9100"},
                 "annotations": {"summary": "a is down", "description": "for 5 min", "runbook_url": "https://r.example.com/"},
                 "startsAt": "2026-01-01T11:58:00.5Z", "endsAt": "0001-01-01T00:00:00Z",
                 "generatorURL": "http://p.example.com/graph?g0.expr=up", "fingerprint": "7d5a4f1c0b2e3d4f"},
                {"status": "resolved", "labels": {"alertname": "Down", "instance": "b:9100"}, "annotations": {},
                 "startsAt": "2026-01-01T11:50:00Z", "endsAt": "2026-01-01T11:55:00Z", "generatorURL": "",
                 "fingerprint": "00000000000000aa"},
            ],
        });
        let group = webhook(body.to_string().as_bytes()).unwrap();
        assert_eq!((group.receiver.as_str(), group.truncated), ("daybook", 1));
        let [firing, resolved] = &group.signals[..] else { panic!("two alerts") };
        assert_eq!((firing.key.as_str(), firing.state), ("7d5a4f1c0b2e3d4f", State::Firing));
        assert_eq!((firing.title.as_str(), firing.severity), ("a is down", Some(Severity::Critical)));
        assert_eq!((firing.until, firing.source.as_deref()), (None, Some("a:9100")));
        let links: Vec<_> = firing.links.iter().map(Link::text).collect();
        assert_eq!(links, ["query", "runbook", "Alertmanager"]);
        assert_eq!((resolved.state, resolved.title.as_str()), (State::Resolved, "Down"));
        assert_eq!(resolved.until, Some("2026-01-01T11:55:00Z".parse().unwrap()));
    }

    #[test]
    fn bodies_that_are_none_are_refused() {
        let status = |body: &[u8]| webhook(body).unwrap_err().status();
        assert_eq!(status(b"{}"), 400);
        assert_eq!(status(br#"{"version": "3", "groupKey": "", "alerts": []}"#), 400);
        assert!(alerts(b"{}", now()).is_err());
    }

    #[test]
    fn r35_alerts_that_are_too_large_are_not_read() {
        let large = vec![b' '; MOST_ALERTS_BYTES + 1];
        assert_eq!(webhook(&large).unwrap_err().status(), 413);
        assert_eq!(alerts(&large, now()).unwrap_err().status(), 413);
    }

    #[test]
    fn what_a_prometheus_does_not_say_is_filled_in() {
        let read = read(&json!([{"labels": {"alertname": "Down", "empty": ""}}]));
        let [signal] = &read.signals[..] else { panic!("one alert") };
        assert_eq!(
            (signal.state, signal.at, signal.until),
            (State::Firing, Some(now()), Some(now() + RESOLVE_TIMEOUT))
        );
        assert_eq!(signal.labels.len(), 1);
    }

    #[test]
    fn an_alert_whose_end_is_past_is_over() {
        let alert = json!([{"labels": {"alertname": "Down"}, "startsAt": "2026-01-01T11:00:00Z", "endsAt": "2026-01-01T12:00:00Z"}]);
        assert_eq!(read(&alert).signals[0].state, State::Resolved);
        let alert = json!([{"labels": {"alertname": "Down"}, "endsAt": "2026-01-01T11:00:00Z"}]);
        let signal = &read(&alert).signals[0];
        assert_eq!((signal.state, signal.at), (State::Resolved, signal.until));
    }

    #[test]
    fn one_bad_alert_does_not_keep_the_others_out() {
        let read = read(&json!([
            {"labels": {}},
            {"labels": {"alertname": "Down"}},
            {"labels": {"alertname": "Down"}, "startsAt": "2026-01-01T12:00:00Z", "endsAt": "2026-01-01T11:00:00Z"},
        ]));
        assert_eq!(read.signals.len(), 1);
        assert_eq!(read.problems, ["at least one label pair required", "start time must be before end time"]);
    }

    #[test]
    fn the_same_labels_are_the_same_alert() {
        let labels = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        // The empty set has the hash's own start.
        assert_eq!(fingerprint(&labels(&[])), "cbf29ce484222325");
        assert_eq!(fingerprint(&labels(&[("a", "b"), ("c", "d")])), fingerprint(&labels(&[("c", "d"), ("a", "b")])));
        assert_ne!(fingerprint(&labels(&[("a", "bc")])), fingerprint(&labels(&[("ab", "c")])));
    }
}
