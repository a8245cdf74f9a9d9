//! Adaptive Cards for a webhook of Microsoft Teams' Workflows: <https://adaptivecards.io/explorer/>.
//!
//! Limits: 28 KB a message, six actions a card. Texts are runs, since a run is no Markdown: nothing in it becomes a link.

use serde_json::{Value, json};

use super::{Request, facts, headline, paragraphs, when};
use crate::{Kind, Notice, Secret, Severity, text};

/// Bytes of a paragraph; JSON may double them.
const PARAGRAPH: usize = 2_000;
const TITLE: usize = 600;
const MOMENTS: usize = 10;
const MOMENT: usize = 220;
const ACTIONS: usize = 6;
/// A longer URL is left out.
const URL: usize = 700;

pub(super) fn render(notice: &Notice, webhook: &Secret) -> Request {
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body(notice),
        "actions": actions(notice),
    });
    let attachment =
        json!({"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card});
    Request::new(webhook.expose(), &json!({"type": "message", "attachments": [attachment]}))
}

fn body(notice: &Notice) -> Vec<Value> {
    let title = text::bytes(&headline(notice), TITLE);
    let mut body = vec![rich(&[run(&title, json!({"size": "Large", "weight": "Bolder", "color": color(notice)}))])];
    for (name, value) in facts(notice) {
        body.push(rich(&[bold(&format!("{name}: ")), run(&text::bytes(&value, TITLE), json!({}))]));
    }
    for (heading, paragraph) in paragraphs(notice) {
        body.push(rich(&[bold(&format!("{heading}: ")), run(&text::bytes(paragraph, PARAGRAPH), json!({}))]));
    }
    let newest = notice.timeline.iter().skip(notice.timeline.len().saturating_sub(MOMENTS));
    body.extend(newest.map(|moment| {
        let time = run(&format!("{}  ", when(moment.at)), json!({"isSubtle": true}));
        rich(&[time, run(&text::bytes(&moment.text, MOMENT), json!({}))])
    }));
    body
}

fn actions(notice: &Notice) -> Vec<Value> {
    let short = notice.actions.iter().chain(&notice.links).filter(|link| link.url().len() <= URL);
    let action = |link: &crate::Link| json!({"type": "Action.OpenUrl", "title": text::bytes(link.text(), 100), "url": link.url()});
    short.take(ACTIONS).map(action).collect()
}

fn rich(runs: &[Value]) -> Value {
    json!({"type": "RichTextBlock", "inlines": runs})
}

fn bold(text: &str) -> Value {
    run(text, json!({"weight": "Bolder"}))
}

fn run(text: &str, look: Value) -> Value {
    let mut run = json!({"type": "TextRun", "text": text});
    if let (Value::Object(run), Value::Object(look)) = (&mut run, look) {
        run.extend(look);
    }
    run
}

fn color(notice: &Notice) -> &'static str {
    match (notice.kind, notice.severity) {
        (Kind::Resolved, _) => "Good",
        (Kind::Triggered, Severity::Error | Severity::Critical) => "Attention",
        (Kind::Triggered, Severity::Warning) => "Warning",
        _ => "Default",
    }
}
