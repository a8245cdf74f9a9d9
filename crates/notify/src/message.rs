//! What is told.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

/// Something about an incident, or about a release, that people are told.
///
/// Its JSON is what a generic webhook gets as `notice`, and what we take from one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Which incident it is about: the same in all notices of one incident, and never used for another.
    pub key: String,
    /// What happened.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// One line that names the trouble.
    pub title: String,
    /// When it happened.
    pub at: Timestamp,
    /// The app that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What users feel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<String>,
    /// The suspected cause, with what speaks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Who acknowledged, resolved or wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What happened so far, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Moment>,
    /// Where to see more; the first is the incident itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Pages on which something can be done about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Link>,
    /// Labels of the alerts that it is about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Notice {
    /// One that says only this.
    pub fn new(
        key: impl Into<String>,
        kind: Kind,
        severity: Severity,
        title: impl Into<String>,
        at: Timestamp,
    ) -> Self {
        Self {
            key: key.into(),
            kind,
            severity,
            title: title.into(),
            at,
            app: None,
            environment: None,
            service: None,
            impact: None,
            cause: None,
            by: None,
            timeline: Vec::new(),
            links: Vec::new(),
            actions: Vec::new(),
            labels: BTreeMap::new(),
        }
    }

    /// Where it is, in as many words as are known: `shop/production/web`.
    pub fn place(&self) -> String {
        let parts = [&self.app, &self.environment, &self.service].into_iter().flatten();
        parts.map(String::as_str).collect::<Vec<_>>().join("/")
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It hurts: an incident was opened, or there is more to say while it is.
    Triggered,
    /// Somebody works on it.
    Acknowledged,
    /// It is over.
    Resolved,
    /// Something was found or done.
    Note,
    /// A release, or another change that is no trouble.
    Change,
}

impl Kind {
    /// Whether it may be left out when too much waits: what moves an incident may not.
    pub fn may_be_left_out(self) -> bool {
        matches!(self, Self::Note | Self::Change)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Triggered => "Triggered",
            Self::Acknowledged => "Acknowledged",
            Self::Resolved => "Resolved",
            Self::Note => "Note",
            Self::Change => "Change",
        })
    }
}

/// How bad it is. The words are those of PagerDuty's common event format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Will hurt.
    Warning,
    /// Hurts some.
    Error,
    /// Hurts all.
    Critical,
}

impl Severity {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// A line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When it was.
    pub at: Timestamp,
    /// What happened.
    pub text: String,
}

/// A page in the web, by `https:` or `http:`, without credentials in its URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "LinkText")]
pub struct Link {
    text: String,
    url: String,
}

#[derive(Deserialize)]
struct LinkText {
    text: String,
    url: String,
}

/// It is no page that can be linked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a link must be a URL of `https:` or `http:`, without a user or password")]
pub struct NotALink;

impl Link {
    /// # Errors
    /// The URL is none, is of another scheme, or has credentials.
    pub fn new(text: impl Into<String>, url: &str) -> Result<Self, NotALink> {
        let url = Url::parse(url).map_err(|_| NotALink)?;
        let is_open = url.username().is_empty() && url.password().is_none();
        if !matches!(url.scheme(), "https" | "http") || !is_open {
            return Err(NotALink);
        }
        Ok(Self { text: text.into(), url: url.into() })
    }

    /// What it says.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it leads.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl TryFrom<LinkText> for Link {
    type Error = NotALink;

    fn try_from(link: LinkText) -> Result<Self, NotALink> {
        Self::new(link.text, &link.url)
    }
}

/// What the test button sends: an incident that opens, and is over at once.
pub fn trial(channel: &str, by: &str, at: Timestamp) -> [Notice; 2] {
    let key = format!("daybook-test-{channel}-{}", at.as_millisecond());
    let title = format!("This is a test of the channel {channel}");
    let opened = Notice {
        impact: Some("Nothing is wrong: somebody asked whether messages arrive here.".to_owned()),
        by: Some(by.to_owned()),
        ..Notice::new(key, Kind::Triggered, Severity::Info, title, at)
    };
    let over = Notice { kind: Kind::Resolved, ..opened.clone() };
    [opened, over]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_can_be_linked_to() {
        assert_eq!(Link::new("a", "https://example.com").unwrap().url(), "https://example.com/");
        for bad in ["javascript:alert(1)", "/incidents/1", "https://u:p@example.com/", "data:text/html,x", ""] {
            assert_eq!(Link::new("a", bad), Err(NotALink), "{bad}");
        }
        let read = serde_json::from_str::<Link>(r#"{"text": "a", "url": "javascript:alert(1)"}"#);
        assert!(read.unwrap_err().to_string().starts_with("a link must be"));
    }

    #[test]
    fn a_test_opens_an_incident_and_ends_it() {
        let [opened, over] = trial("pager", "ada", Timestamp::UNIX_EPOCH);
        assert_eq!((opened.kind, over.kind), (Kind::Triggered, Kind::Resolved));
        assert_eq!(opened.key, over.key);
    }

    #[test]
    fn a_notice_reads_what_it_wrote() {
        let mut notice = Notice::new("i-1", Kind::Triggered, Severity::Critical, "web fails", Timestamp::UNIX_EPOCH);
        notice.links.push(Link::new("incident", "https://example.com/i/1").unwrap());
        let text = serde_json::to_string(&notice).unwrap();
        assert!(text.contains(r#""at":"1970-01-01T00:00:00Z""#), "{text}");
        assert_eq!(serde_json::from_str::<Notice>(&text).unwrap(), notice);
    }
}
