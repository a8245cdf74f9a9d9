//! Slack's Block Kit: <https://docs.slack.dev/reference/block-kit/blocks>.
//!
//! Limits: 50 blocks, 150 characters of a header, 3,000 of a section, 10 fields of 2,000 each.

use serde_json::{Value, json};

use super::{Request, facts, headline, paragraphs, when};
use crate::{Link, Notice, Secret, text};

const HEADER: usize = 150;
const SECTION: usize = 3_000;
const FIELD: usize = 2_000;
/// Lines of the timeline; all fit into one section.
const MOMENTS: usize = 10;

pub(super) fn render(notice: &Notice, webhook: &Secret) -> Request {
    // What stands in the notification, and what is read out.
    let fallback = escaped(&headline(notice), SECTION);
    Request::new(webhook.expose(), &json!({"text": fallback, "blocks": blocks(notice)}))
}

fn blocks(notice: &Notice) -> Vec<Value> {
    let mut blocks = vec![json!({
        "type": "header",
        "text": {"type": "plain_text", "text": escaped(&headline(notice), HEADER), "emoji": false},
    })];
    let fields: Vec<_> = facts(notice).iter().map(|(name, value)| markdown(&titled(name, value, FIELD))).collect();
    blocks.push(json!({"type": "section", "fields": fields}));
    blocks.extend(paragraphs(notice).iter().map(|(heading, text)| section(&titled(heading, text, SECTION))));
    if !notice.timeline.is_empty() {
        let newest = notice.timeline.iter().skip(notice.timeline.len().saturating_sub(MOMENTS));
        let lines: Vec<_> =
            newest.map(|moment| format!("{}  {}", when(moment.at), text::chars(&moment.text, 200))).collect();
        blocks.push(section(&titled("Timeline", &lines.join("\n"), SECTION)));
    }
    blocks.extend(linked("What you can do", &notice.actions));
    blocks.extend(linked("More", &notice.links));
    blocks
}

/// Text under a heading that is in bold, all in at most `most` characters.
fn titled(heading: &str, text: &str, most: usize) -> String {
    let heading = format!("*{heading}*\n");
    let room = most - heading.chars().count();
    heading + &escaped(text, room)
}

/// Links in a row, as many as fit.
fn linked(heading: &str, links: &[Link]) -> Option<Value> {
    let mut row = format!("*{heading}*  ");
    let start = row.len();
    for link in links {
        // Neither of the two may end the link early.
        let url = escaped(&link.url().replace('|', "%7C"), usize::MAX);
        let one = format!("<{url}|{}>  ", escaped(link.text(), 100).replace('|', "/"));
        if row.chars().count() + one.chars().count() > SECTION {
            break;
        }
        row.push_str(&one);
    }
    (row.len() > start).then(|| section(row.trim_end()))
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": markdown(text)})
}

/// Nothing in it becomes a link or a mention by itself.
fn markdown(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

/// Without the three characters that make links and mentions.
fn escaped(text: &str, most: usize) -> String {
    text::escaped(text, most, |c| if matches!(c, '&' | '<' | '>') { text::markup(c) } else { None })
}
