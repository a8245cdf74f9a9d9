//! ntfy, published as JSON: <https://docs.ntfy.sh/publish/#publish-as-json>.
//!
//! Limits: 4,096 bytes of message, three actions.

use serde_json::json;

use super::{Request, at, headline, plain};
use crate::{Kind, Link, Notice, Secret, Severity, text};

const TITLE: usize = 250;
const MESSAGE: usize = 4_096;
const ACTIONS: usize = 3;

pub(super) fn render(notice: &Notice, server: &str, topic: &Secret, token: Option<&Secret>) -> Request {
    let mut body = json!({
        "topic": topic.expose(),
        "title": text::chars(&headline(notice), TITLE),
        "message": text::bytes(&plain(notice), MESSAGE),
        "priority": priority(notice),
        "tags": [tag(notice)],
    });
    if let Some(link) = notice.links.first() {
        body["click"] = json!(link.url());
    }
    let view = |link: &Link| json!({"action": "view", "label": text::chars(link.text(), 60), "url": link.url()});
    let actions: Vec<_> = notice.actions.iter().take(ACTIONS).map(view).collect();
    if !actions.is_empty() {
        body["actions"] = json!(actions);
    }
    let mut request = Request::new(at(server, "/"), &body);
    request.headers.extend(token.map(|token| ("authorization", Secret::new(format!("Bearer {}", token.expose())))));
    request
}

/// From 1 to 5; 5 does not stop ringing.
fn priority(notice: &Notice) -> u8 {
    match (notice.kind, notice.severity) {
        (Kind::Triggered, Severity::Critical) => 5,
        (Kind::Triggered, Severity::Error) => 4,
        (Kind::Triggered | Kind::Resolved, _) => 3,
        _ => 2,
    }
}

/// The name of a picture that ntfy shows.
fn tag(notice: &Notice) -> &'static str {
    match (notice.kind, notice.severity) {
        (Kind::Triggered, Severity::Error | Severity::Critical) => "rotating_light",
        (Kind::Triggered, _) => "warning",
        (Kind::Acknowledged, _) => "eyes",
        (Kind::Resolved, _) => "white_check_mark",
        (Kind::Note, _) => "memo",
        (Kind::Change, _) => "package",
    }
}
