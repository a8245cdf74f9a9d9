//! PagerDuty's webhooks of version 3, by which it says what people did there:
//! <https://developer.pagerduty.com/docs/webhooks-overview>.
//!
//! The signature is over the body as it came. It holds no time; the time of the event in the body, which is signed, is what
//! the window of replays is taken from.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{MOST_BYTES, Seen, Signal, State};
use crate::signature::{Untrusted, any_fits, unhex};
use crate::{Link, Secret};

/// The name of the header.
pub const HEADER: &str = "x-pagerduty-signature";
/// How old an event may be: PagerDuty tries again for hours.
pub const WINDOW: Duration = Duration::from_hours(24);

/// Why a webhook is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not from PagerDuty, or was taken in before.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// It is larger than [`MOST_BYTES`].
    #[error("the body is too large")]
    TooLarge,
    /// It is signed, and has not the form of a webhook.
    #[error("the body is no webhook of PagerDuty: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl Error {
    /// The status of HTTP to answer with. PagerDuty sends again after others than 2xx and 4xx.
    pub fn status(&self) -> u16 {
        match self {
            Self::Untrusted(Untrusted::Seen) => 200,
            Self::Untrusted(_) => 403,
            Self::TooLarge => 413,
            Self::Malformed(_) => 400,
        }
    }
}

/// What PagerDuty says happened there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The event's own id.
    pub id: String,
    /// Its type, as `incident.acknowledged`.
    pub event_type: String,
    /// The incident's id at PagerDuty.
    pub incident: Option<String>,
    /// What it says, if it is about an incident's state. Its key is the deduplication key that we gave the incident, where
    /// PagerDuty says it, and else its id there.
    pub signal: Option<Signal>,
}

/// Takes in a body with the header of its signatures. Nothing of the body is read before it is trusted.
///
/// # Errors
/// See [`Error`].
pub fn take(secrets: &[Secret], header: &str, body: &[u8], seen: &mut Seen, now: Timestamp) -> Result<Webhook, Error> {
    if body.len() > MOST_BYTES {
        return Err(Error::TooLarge);
    }
    verify(secrets, header, body)?;
    read(body, seen, now)
}

/// Reads a body that is trusted.
pub(super) fn read(body: &[u8], seen: &mut Seen, now: Timestamp) -> Result<Webhook, Error> {
    let Envelope { event } = serde_json::from_slice(body)?;
    seen.take(&event.id, event.occurred_at, now, WINDOW)?;
    Ok(event.webhook())
}

/// Checks that one of the signatures `v1` fits one of the secrets. There are several while a secret is being changed.
///
/// # Errors
/// None fits.
pub fn verify(secrets: &[Secret], header: &str, body: &[u8]) -> Result<(), Untrusted> {
    let signatures = header.split(',').filter_map(|part| unhex(part.trim().strip_prefix("v1=")?));
    any_fits(secrets, &[body], &signatures.collect::<Vec<_>>())
}

#[derive(Deserialize)]
struct Envelope {
    event: Event,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    event_type: String,
    occurred_at: Timestamp,
    #[serde(default)]
    agent: Value,
    #[serde(default)]
    data: Value,
}

impl Event {
    fn webhook(self) -> Webhook {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        // Notes and status updates hold a reference to their incident; the others are the incident.
        let is_incident = self.data["type"] == "incident";
        let incident = if is_incident { &self.data } else { &self.data["incident"] };
        let id = text(&incident["id"]);
        let signal = state(&self.event_type).zip(id.clone()).map(|(state, id)| {
            let title = text(&incident["title"]).or_else(|| text(&incident["summary"])).unwrap_or_default();
            let key = text(&incident["incident_key"]).filter(|key| !key.is_empty()).unwrap_or(id);
            let mut signal = Signal::new(key, state, title);
            signal.text = text(&self.data["content"]).or_else(|| text(&self.data["message"]));
            signal.at = Some(self.occurred_at);
            signal.by = text(&self.agent["summary"]);
            let url = incident["html_url"].as_str();
            signal.links.extend(url.and_then(|url| Link::new("PagerDuty", url).ok()));
            signal
        });
        Webhook { id: self.id, event_type: self.event_type, incident: id, signal }
    }
}

/// What an event does to an incident. Others, as of services and responders, do nothing that is known here.
fn state(event_type: &str) -> Option<State> {
    Some(match event_type {
        "incident.triggered" | "incident.reopened" => State::Firing,
        "incident.acknowledged" => State::Acknowledged,
        "incident.unacknowledged" => State::Unacknowledged,
        "incident.resolved" => State::Resolved,
        "incident.annotated" | "incident.status_update_published" => State::Note,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::hex;

    fn now() -> Timestamp {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    fn body(event_type: &str, data: &Value) -> Vec<u8> {
        let agent = json!({"id": "P1", "summary": "Ada", "type": "user_reference"});
        let event = json!({"id": "e-1", "event_type": event_type, "resource_type": "incident",
            "occurred_at": "2026-01-01T11:59:00.169Z", "agent": agent, "client": null, "data": data});
        json!({ "event": event }).to_string().into_bytes()
    }

    fn incident() -> Value {
        json!({"id": "PGR0VU2", "type": "incident", "html_url": "https://acme.pagerduty.com/incidents/PGR0VU2",
            "number": 2, "status": "acknowledged", "incident_key": "i-1", "title": "web fails"})
    }

    fn header(secret: &str, body: &[u8]) -> String {
        use hmac::{Hmac, KeyInit as _, Mac as _};
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body);
        format!("v1={}", hex(&mac.finalize().into_bytes()))
    }

    fn accept(body: &[u8]) -> Webhook {
        take(&[Secret::new("s")], &header("s", body), body, &mut Seen::default(), now()).unwrap()
    }

    #[test]
    fn what_people_did_there_is_known_here() {
        for (event_type, state) in [
            ("incident.triggered", State::Firing),
            ("incident.acknowledged", State::Acknowledged),
            ("incident.unacknowledged", State::Unacknowledged),
            ("incident.reopened", State::Firing),
            ("incident.resolved", State::Resolved),
        ] {
            let webhook = accept(&body(event_type, &incident()));
            let signal = webhook.signal.unwrap();
            assert_eq!((signal.key.as_str(), signal.state), ("i-1", state));
            assert_eq!((signal.by.as_deref(), signal.title.as_str()), (Some("Ada"), "web fails"));
        }
    }

    #[test]
    fn a_note_is_that_of_its_incident() {
        let data = json!({"incident": {"id": "PGR0VU2", "summary": "web fails", "type": "incident_reference"},
            "id": "P2LA89X", "content": "it was the disk", "trimmed": false, "type": "incident_note"});
        let webhook = accept(&body("incident.annotated", &data));
        let signal = webhook.signal.unwrap();
        assert_eq!((signal.state, signal.text.as_deref()), (State::Note, Some("it was the disk")));
        assert_eq!((signal.key.as_str(), webhook.incident.as_deref()), ("PGR0VU2", Some("PGR0VU2")));
    }

    #[test]
    fn events_that_are_not_known_are_taken_in_and_do_nothing() {
        let webhook = accept(&body("service.updated", &json!({"id": "PF9KMXH", "type": "service"})));
        assert_eq!((webhook.event_type.as_str(), webhook.signal), ("service.updated", None));
        assert_eq!(accept(&body("pagey.ping", &Value::Null)).signal, None);
    }

    #[test]
    fn r35_one_of_several_signatures_is_enough() {
        let body = body("incident.resolved", &incident());
        let header = format!("v0=00,v1=00, {},{}", header("other", &body), header("s", &body));
        assert!(verify(&[Secret::new("old"), Secret::new("s")], &header, &body).is_ok());
    }

    #[test]
    fn r35_what_is_not_signed_changed_or_seen_is_not_taken_in() {
        let body = body("incident.resolved", &incident());
        let secrets = [Secret::new("s")];
        let mut seen = Seen::default();
        let mut status = |header: &str, body: &[u8], now| match take(&secrets, header, body, &mut seen, now) {
            Ok(_) => 202,
            Err(error) => error.status(),
        };
        let good = header("s", &body);
        for bad in ["", "v1=", "v2=00", &good[3..], &header("other", &body)] {
            assert_eq!(status(bad, &body, now()), 403, "{bad}");
        }
        assert_eq!(status(&good, &[&body[..], b"\n"].concat(), now()), 403);
        assert_eq!(status(&good, &body, now() + Duration::from_hours(25)), 403);
        assert_eq!(status(&good, &body, now()), 202);
        assert_eq!(status(&good, &body, now()), 200, "once is enough, and it need not be sent again");
        assert_eq!(status(&header("s", b"{}"), b"{}", now()), 400);
        let large = vec![b' '; MOST_BYTES + 1];
        assert_eq!(status(&header("s", &large), &large, now()), 413);
    }
}
