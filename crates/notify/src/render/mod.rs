//! What a channel takes: a notice becomes a request, or an e-mail.
//!
//! Everything fits by construction: [`bounded`] clips what a notice holds, and each module clips further where its service
//! documents less. What is cut ends in an ellipsis.

mod email;
mod ntfy;
mod pagerduty;
mod slack;
mod teams;
#[cfg(test)]
mod tests;
mod webhook;

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use crate::{Channel, Kind, Link, Moment, Notice, Secret, Severity, Target, text};

pub use email::Mail;
pub(crate) use webhook::{Envelope, VERSION};

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rendered {
    /// A `POST` by HTTP.
    Request(Request),
    /// An e-mail.
    Mail(Mail),
}

/// A `POST` with a body of JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Where it goes.
    pub url: Secret,
    /// Headers, beside the type of the content.
    pub headers: Vec<(&'static str, Secret)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    fn new(url: impl Into<String>, body: &Value) -> Self {
        Self { url: Secret::new(url), headers: Vec::new(), body: body.to_string().into_bytes() }
    }
}

/// Keys of PagerDuty and topics of ntfy are in the body.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} bytes)", self.body.len())
    }
}

/// What makes one delivery another than the next.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// Now.
    pub at: Timestamp,
    /// The same whenever the same notice is sent again, so that a receiver knows it.
    pub delivery: &'a str,
}

/// Makes of a notice what the channel takes. `None`: the channel has no way to tell it ([`Channel::takes`]).
pub fn render(notice: &Notice, channel: &Channel, stamp: Stamp<'_>) -> Option<Rendered> {
    if !channel.takes(notice.kind) {
        return None;
    }
    let notice = &bounded(notice);
    let request = match &channel.target {
        Target::Email(to) => return Some(Rendered::Mail(email::render(notice, to, stamp))),
        Target::Pagerduty { routing_key, server } => pagerduty::render(notice, routing_key, server),
        Target::Slack { webhook } => slack::render(notice, webhook),
        Target::Teams { webhook } => teams::render(notice, webhook),
        Target::Webhook { url, key } => webhook::render(notice, url, key, stamp),
        Target::Ntfy { server, topic, token } => ntfy::render(notice, server, topic, token.as_ref()),
    };
    Some(Rendered::Request(request))
}

/// Characters of what users feel, and of the cause.
const PARAGRAPH: usize = 4_000;
/// Lines of the timeline; the newest are kept.
const MOMENTS: usize = 50;
/// Characters of a line of the timeline.
const MOMENT: usize = 500;
/// Links, and actions.
const LINKS: usize = 20;
/// Characters of a URL; a longer one is left out, since a part of it leads nowhere.
const URL: usize = 2_000;
/// Labels.
const LABELS: usize = 64;

/// A notice without control characters and of a bounded size, whatever was in it.
fn bounded(notice: &Notice) -> Notice {
    let word = |text: &Option<String>| text.as_deref().map(|text| text::chars(&text::line(text), 200));
    let paragraph = |text: &Option<String>| text.as_deref().map(|text| text::chars(&text::lines(text), PARAGRAPH));
    let links = |links: &[Link]| {
        let short = links.iter().filter(|link| link.url().len() <= URL).take(LINKS);
        short.filter_map(|link| Link::new(text::chars(&text::line(link.text()), 200), link.url()).ok()).collect()
    };
    let title = text::chars(&text::line(&notice.title), 1_000);
    let newest = notice.timeline.iter().skip(notice.timeline.len().saturating_sub(MOMENTS));
    let moment = |moment: &Moment| Moment { at: moment.at, text: text::chars(&text::line(&moment.text), MOMENT) };
    let labels = notice.labels.iter().take(LABELS);
    Notice {
        key: notice.key.clone(),
        kind: notice.kind,
        severity: notice.severity,
        title: if title.is_empty() { "an incident without a title".to_owned() } else { title },
        at: notice.at,
        app: word(&notice.app),
        environment: word(&notice.environment),
        service: word(&notice.service),
        impact: paragraph(&notice.impact),
        cause: paragraph(&notice.cause),
        by: word(&notice.by),
        timeline: newest.map(moment).collect(),
        links: links(&notice.links),
        actions: links(&notice.actions),
        labels: labels
            .map(|(name, value)| (text::chars(&text::line(name), 200), text::chars(&text::line(value), 500)))
            .collect(),
    }
}

/// What happened, in one line: `Critical: one in ten requests fails`.
fn headline(notice: &Notice) -> String {
    let word = match (notice.kind, notice.severity) {
        (Kind::Triggered, Severity::Info) => "Info".to_owned(),
        (Kind::Triggered, Severity::Warning) => "Warning".to_owned(),
        (Kind::Triggered, Severity::Error) => "Error".to_owned(),
        (Kind::Triggered, Severity::Critical) => "Critical".to_owned(),
        (kind, _) => kind.to_string(),
    };
    format!("{word}: {}", notice.title)
}

/// What is known beside the paragraphs: a word and its value.
fn facts(notice: &Notice) -> Vec<(&'static str, String)> {
    let place = notice.place();
    let by = match notice.kind {
        Kind::Acknowledged => "Acknowledged by",
        Kind::Resolved => "Resolved by",
        _ => "By",
    };
    let mut facts = Vec::new();
    if !place.is_empty() {
        facts.push(("Where", place));
    }
    facts.push(("When", when(notice.at)));
    facts.extend(notice.by.clone().map(|name| (by, name)));
    facts
}

/// The paragraphs, each with its heading.
fn paragraphs(notice: &Notice) -> Vec<(&'static str, &str)> {
    let both = [("What users feel", &notice.impact), ("Suspected cause", &notice.cause)];
    both.into_iter().filter_map(|(heading, text)| Some((heading, text.as_deref()?))).collect()
}

/// A time that people read.
fn when(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// All of it as plain text, without the headline.
fn plain(notice: &Notice) -> String {
    let mut blocks =
        vec![facts(notice).iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n")];
    blocks.extend(paragraphs(notice).iter().map(|(heading, text)| format!("{heading}: {text}")));
    let listed = |heading: &str, lines: Vec<String>| {
        (!lines.is_empty()).then(|| format!("{heading}:\n  {}", lines.join("\n  ")))
    };
    let links = |links: &[Link]| links.iter().map(|link| format!("{}: {}", link.text(), link.url())).collect();
    let moments = notice.timeline.iter().map(|moment| format!("{}  {}", when(moment.at), moment.text)).collect();
    blocks.extend(listed("What you can do", links(&notice.actions)));
    blocks.extend(listed("Timeline", moments));
    blocks.extend(listed("Links", links(&notice.links)));
    blocks.join("\n\n")
}

/// The URL of a path at a server.
fn at(server: &str, path: &str) -> String {
    format!("{}{path}", server.trim_end_matches('/'))
}
