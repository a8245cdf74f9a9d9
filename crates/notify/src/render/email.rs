//! E-mail, as text and as HTML.
//!
//! Mails of one incident are one thread. A mail that is sent again has the same id, so that a server may know it.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::{Stamp, facts, headline, paragraphs, plain, when};
use crate::channel::Email;
use crate::{Kind, Link, Notice, text};

/// What is mailed. None of it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Who it is from.
    pub from: String,
    /// Who receives it.
    pub to: Vec<String>,
    /// The subject: one line.
    pub subject: String,
    /// When it is sent.
    pub at: Timestamp,
    /// Its own id, with `<` and `>`.
    pub id: String,
    /// The id of the thread.
    pub thread: String,
    /// As text.
    pub text: String,
    /// As HTML.
    pub html: String,
}

pub(super) fn render(notice: &Notice, email: &Email, stamp: Stamp<'_>) -> Mail {
    let place = notice.place();
    let subject = if place.is_empty() { headline(notice) } else { format!("{} ({place})", headline(notice)) };
    let domain = email.from.rsplit('@').next().unwrap_or_default().trim_end_matches('>').trim();
    Mail {
        from: email.from.clone(),
        to: email.to.clone(),
        subject: text::chars(&subject, 250),
        at: stamp.at,
        id: format!("<{}@{domain}>", digest(&[&notice.key, stamp.delivery])),
        thread: format!("<{}@{domain}>", digest(&[&notice.key])),
        text: format!("{}\n\n{}\n", headline(notice), plain(notice)),
        html: html(notice),
    }
}

fn digest(parts: &[&str]) -> String {
    text::hex(&Sha256::digest(parts.join("\n").as_bytes())[..16])
}

fn html(notice: &Notice) -> String {
    let mut out = format!(
        "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>{title}</title></head>\
         <body style=\"font-family:sans-serif;line-height:1.4;max-width:48em\">\
         <h1 style=\"font-size:1.3em;border-left:.4em solid {color};padding-left:.5em\">{title}</h1>",
        title = escaped(&headline(notice)),
        color = color(notice),
    );
    out.push_str("<table>");
    for (name, value) in facts(notice) {
        out.push_str(&format!("<tr><th align=\"left\">{name}</th><td>{}</td></tr>", escaped(&value)));
    }
    out.push_str("</table>");
    for (heading, paragraph) in paragraphs(notice) {
        let paragraph = escaped(paragraph).replace('\n', "<br>");
        out.push_str(&format!("<h2 style=\"font-size:1em\">{heading}</h2><p>{paragraph}</p>"));
    }
    out.push_str(&list("What you can do", &notice.actions));
    if !notice.timeline.is_empty() {
        out.push_str("<h2 style=\"font-size:1em\">Timeline</h2><table>");
        for moment in &notice.timeline {
            out.push_str(&format!("<tr><td>{}</td><td>{}</td></tr>", when(moment.at), escaped(&moment.text)));
        }
        out.push_str("</table>");
    }
    out.push_str(&list("Links", &notice.links));
    out.push_str("</body></html>\n");
    out
}

fn list(heading: &str, links: &[Link]) -> String {
    if links.is_empty() {
        return String::new();
    }
    let items: String = links
        .iter()
        .map(|link| format!("<li><a href=\"{}\">{}</a></li>", escaped(link.url()), escaped(link.text())))
        .collect();
    format!("<h2 style=\"font-size:1em\">{heading}</h2><ul>{items}</ul>")
}

fn color(notice: &Notice) -> &'static str {
    match notice.kind {
        Kind::Triggered => "#c0392b",
        Kind::Resolved => "#27ae60",
        Kind::Acknowledged | Kind::Note | Kind::Change => "#2980b9",
    }
}

fn escaped(text: &str) -> String {
    text::escaped(text, usize::MAX, text::markup)
}
