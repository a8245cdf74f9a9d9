//! PagerDuty's Events API v2: <https://developer.pagerduty.com/docs/events-api-v2-overview>.
//!
//! Limits: 512 KB a body, 1,024 characters of summary, 255 of the deduplication key.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Request, at};
use crate::{Kind, Notice, Secret, text};

const SUMMARY: usize = 1_024;
const KEY: usize = 255;

pub(super) fn render(notice: &Notice, routing_key: &Secret, server: &str) -> Request {
    match notice.kind {
        Kind::Change => Request::new(at(server, "/v2/change/enqueue"), &change(notice, routing_key)),
        _ => Request::new(at(server, "/v2/enqueue"), &event(notice, routing_key)),
    }
}

fn event(notice: &Notice, routing_key: &Secret) -> Value {
    let action = match notice.kind {
        Kind::Acknowledged => "acknowledge",
        Kind::Resolved => "resolve",
        Kind::Triggered | Kind::Note | Kind::Change => "trigger",
    };
    let mut event = json!({
        "routing_key": routing_key.expose(),
        "event_action": action,
        "dedup_key": dedup_key(&notice.key),
    });
    if notice.kind == Kind::Triggered {
        event["client"] = json!("Daybook");
        if let Some(link) = notice.links.first() {
            event["client_url"] = json!(link.url());
        }
        event["payload"] = payload(notice);
        event["links"] = links(notice);
    }
    event
}

fn change(notice: &Notice, routing_key: &Secret) -> Value {
    let payload = json!({
        "summary": text::chars(&notice.title, SUMMARY),
        "source": source(notice),
        "timestamp": notice.at.to_string(),
        "custom_details": details(notice),
    });
    json!({"routing_key": routing_key.expose(), "payload": payload, "links": links(notice)})
}

fn payload(notice: &Notice) -> Value {
    let mut payload = json!({
        "summary": text::chars(&notice.title, SUMMARY),
        "source": source(notice),
        "severity": notice.severity.word(),
        "timestamp": notice.at.to_string(),
        "custom_details": details(notice),
    });
    if let Some(service) = &notice.service {
        payload["component"] = json!(service);
    }
    if let Some(app) = &notice.app {
        payload["group"] = json!(app);
    }
    payload
}

/// PagerDuty refuses an empty one.
fn source(notice: &Notice) -> String {
    let place = notice.place();
    if place.is_empty() { "daybook".to_owned() } else { place }
}

fn details(notice: &Notice) -> Map<String, Value> {
    let mut details = Map::new();
    let paragraphs = super::paragraphs(notice).into_iter().map(|(heading, text)| (heading.to_lowercase(), json!(text)));
    details.extend(paragraphs);
    details.extend(notice.by.iter().map(|by| ("by".to_owned(), json!(by))));
    if !notice.timeline.is_empty() {
        let lines = notice.timeline.iter().map(|moment| format!("{} {}", moment.at, moment.text));
        details.insert("timeline".to_owned(), lines.collect());
    }
    if !notice.labels.is_empty() {
        details.insert("labels".to_owned(), json!(notice.labels));
    }
    details
}

fn links(notice: &Notice) -> Value {
    let all = notice.links.iter().chain(&notice.actions);
    all.map(|link| json!({"href": link.url(), "text": link.text()})).collect()
}

/// The key as it is, or where it is too long its beginning and its digest, so that two never become one.
fn dedup_key(key: &str) -> String {
    if key.chars().count() <= KEY {
        return key.to_owned();
    }
    let begin: String = key.chars().take(KEY - 65).collect();
    format!("{begin}-{}", text::hex(&Sha256::digest(key.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_key_stays_the_same_and_its_own() {
        assert_eq!(dedup_key(&"é".repeat(255)), "é".repeat(255));
        let long = "é".repeat(300);
        assert_eq!(dedup_key(&long).chars().count(), 255);
        assert_eq!(dedup_key(&long), dedup_key(&long));
        assert_ne!(dedup_key(&long), dedup_key(&format!("{long}x")));
    }
}
