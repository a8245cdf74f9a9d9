//! Where notices are told, as it was configured.
//!
//! A channel is read, and never written: what of it is secret has no form to be written in. The URL of a webhook is a secret
//! as a whole, since whoever has it may post; of it only the host is shown.

use serde::Deserialize;
use url::Url;

use crate::{Kind, Secret};

/// A place where notices are told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// What it is called here.
    pub name: String,
    /// Who receives it.
    pub target: Target,
    /// Certificates, PEM, of the authority that the server's own is from. `None`: those that the machine trusts.
    #[serde(default)]
    pub authority: Option<String>,
}

/// Who receives notices, with what is needed to get there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// PagerDuty, by its Events API v2.
    Pagerduty {
        /// The integration key: 32 letters and digits.
        routing_key: Secret,
        /// Where its events go, without a path. Accounts in Europe have another.
        #[serde(default = "pagerduty")]
        server: String,
    },
    /// Slack, by an incoming webhook.
    Slack {
        /// `https://hooks.slack.com/services/…`
        webhook: Secret,
    },
    /// Microsoft Teams, by a webhook of Workflows.
    Teams {
        /// The URL that the workflow shows.
        webhook: Secret,
    },
    /// E-mail.
    Email(Email),
    /// Whoever takes JSON, signed as [`crate::signature`] says.
    Webhook {
        /// Where it goes.
        url: Secret,
        /// What it is signed with.
        key: Secret,
    },
    /// An ntfy server.
    Ntfy {
        /// Its URL, without a topic.
        #[serde(default = "ntfy")]
        server: String,
        /// The topic. Whoever knows it may read along, so it is a secret.
        topic: Secret,
        /// An access token, where the server wants one.
        #[serde(default)]
        token: Option<Secret>,
    },
}

/// How e-mail is sent, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// The name of the server that takes it.
    pub host: String,
    /// Its port. `None`: the usual one.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is encrypted. There is no way without.
    #[serde(default)]
    pub encryption: Encryption,
    /// The user and the password to log in with.
    #[serde(default)]
    pub login: Option<Login>,
    /// Who it is from: `Daybook <daybook@example.com>`.
    pub from: String,
    /// Who receives it.
    pub to: Vec<String>,
}

impl Email {
    /// The port that is connected to.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.encryption {
            Encryption::Implicit => 465,
            Encryption::Starttls => 587,
        })
    }
}

/// How a connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// From its first byte.
    #[default]
    Implicit,
    /// After `STARTTLS`, without which nothing is sent.
    Starttls,
}

/// Who logs in to a mail server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

impl Channel {
    /// What it is, in words that hold no secret: `Slack at hooks.slack.com`.
    pub fn describe(&self) -> String {
        match &self.target {
            Target::Pagerduty { server, .. } => format!("PagerDuty at {}", host(server)),
            Target::Slack { webhook } => format!("Slack at {}", host(webhook.expose())),
            Target::Teams { webhook } => format!("Microsoft Teams at {}", host(webhook.expose())),
            Target::Email(email) => format!("e-mail to {} by {}", email.to.join(", "), email.host),
            Target::Webhook { url, .. } => format!("webhook at {}", host(url.expose())),
            Target::Ntfy { server, .. } => format!("ntfy at {}", host(server)),
        }
    }

    /// Whether it has a way to tell this. PagerDuty's events have none for notes.
    pub fn takes(&self, kind: Kind) -> bool {
        !(matches!(self.target, Target::Pagerduty { .. }) && kind == Kind::Note)
    }

    /// What is wrong with it, all at once; nothing if it can be used.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        match &self.target {
            Target::Pagerduty { routing_key, server } => {
                let key = routing_key.expose();
                if key.len() != 32 || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    problems.push("`routing_key` must be the 32 letters and digits of an integration".to_owned());
                }
                problems.extend(bad_url("server", server));
            }
            Target::Slack { webhook } | Target::Teams { webhook } => {
                problems.extend(bad_url("webhook", webhook.expose()));
            }
            Target::Email(email) => problems.extend(bad_email(email)),
            Target::Webhook { url, key } => {
                problems.extend(bad_url("url", url.expose()));
                if key.expose().len() < 16 {
                    problems.push("`key` must have at least 16 characters".to_owned());
                }
            }
            Target::Ntfy { server, topic, .. } => {
                problems.extend(bad_url("server", server));
                let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
                if !(1..=64).contains(&topic.expose().len()) || !topic.expose().bytes().all(is_good) {
                    problems.push("`topic` must be 1 to 64 letters, digits, `-` or `_`".to_owned());
                }
            }
        }
        problems
    }

    /// All its secrets, and the parts of them that would be recognised, for what must not show them.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        let mut secrets = match &self.target {
            Target::Pagerduty { routing_key, .. } => vec![routing_key.expose()],
            Target::Slack { webhook } | Target::Teams { webhook } => of_url(webhook.expose()),
            Target::Email(email) => email.login.iter().map(|login| login.password.expose()).collect(),
            Target::Webhook { url, key } => of_url(url.expose()).into_iter().chain([key.expose()]).collect(),
            Target::Ntfy { topic, token, .. } => {
                [topic.expose()].into_iter().chain(token.iter().map(Secret::expose)).collect()
            }
        };
        secrets.retain(|secret| !secret.is_empty());
        // The longest first, so that no rest of one is left where another is a part of it.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }

    /// A text in which its secrets are not.
    pub(crate) fn redact(&self, text: &str) -> String {
        self.secrets().into_iter().fold(text.to_owned(), |text, secret| text.replace(secret, "[secret]"))
    }
}

/// Where PagerDuty takes events.
pub fn pagerduty() -> String {
    "https://events.pagerduty.com".to_owned()
}

/// The server that ntfy's authors run.
pub fn ntfy() -> String {
    "https://ntfy.sh".to_owned()
}

/// A URL, and the parts of it that would be recognised.
pub(crate) fn of_url(url: &str) -> Vec<&str> {
    let (_, rest) = url.split_once("://").unwrap_or(("", url));
    let path = rest.find(['/', '?']).map_or("", |start| &rest[start..]);
    // What is shorter is a word, and words are told.
    let parts = path.split(['/', '?', '&', '=']).chain([path.trim_matches('/')]).filter(|part| part.len() >= 8);
    std::iter::once(url).chain(parts).collect()
}

/// The host of a URL, which is all of it that is shown.
fn host(url: &str) -> String {
    let parsed = Url::parse(url).ok();
    parsed.as_ref().and_then(Url::host_str).unwrap_or("a URL that is none").to_owned()
}

fn bad_url(name: &str, url: &str) -> Option<String> {
    let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
    match parsed {
        None => Some(format!("`{name}` must be a URL of `https:` or `http:`")),
        Some(url) if !url.username().is_empty() || url.password().is_some() => {
            Some(format!("`{name}` must have no user and no password"))
        }
        Some(_) => None,
    }
}

fn bad_email(email: &Email) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |name: &str, address: &str| {
        if address.parse::<lettre::message::Mailbox>().is_err() {
            problems.push(format!("`{name}` must be an address like `Daybook <daybook@example.com>`"));
        }
    };
    check("from", &email.from);
    email.to.iter().for_each(|address| check("to", address));
    if email.to.is_empty() {
        problems.push("`to` must name somebody".to_owned());
    }
    if email.host.is_empty() {
        problems.push("`host` must name the mail server".to_owned());
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Channel {
        serde_json::from_str(text).unwrap()
    }

    /// One of each, with `canary` in all that is secret.
    fn all() -> Vec<Channel> {
        [
            r#"{"name": "a", "target": {"pagerduty": {"routing_key": "canary0000000000000000000000000k"}}}"#,
            r#"{"name": "b", "target": {"slack": {"webhook": "https://hooks.slack.com/services/T0/B0/canary"}}}"#,
            r#"{"name": "c", "target": {"teams": {"webhook": "https://example.com/workflows?sig=canary"}}}"#,
            r#"{"name": "d", "target": {"email": {"host": "mail.example.com", "from": "a@example.com",
                "to": ["b@example.com"], "login": {"user": "u", "password": "canary"}}}}"#,
            r#"{"name": "e", "target": {"webhook": {"url": "https://example.com/canary", "key": "canary0000000000"}}}"#,
            r#"{"name": "f", "target": {"ntfy": {"topic": "canary", "token": "canary"}}}"#,
        ]
        .map(read)
        .into()
    }

    #[test]
    fn r31_nothing_secret_is_shown_of_a_channel() {
        for channel in all() {
            let shown = format!("{channel:?} {}", channel.describe());
            assert!(!shown.contains("canary"), "{shown}");
            assert!(channel.secrets().iter().any(|secret| secret.contains("canary")), "{}", channel.name);
            assert!(channel.problems().is_empty(), "{}: {:?}", channel.name, channel.problems());
        }
    }

    #[test]
    fn r31_what_a_service_echoes_is_shown_without_the_secrets() {
        let slack = read(
            r#"{"name": "b", "target": {"slack": {"webhook": "https://hooks.slack.com/services/T0/B0/canarycanary"}}}"#,
        );
        let shown = slack.redact("no /services/T0/B0/canarycanary here, nor canarycanary");
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn what_cannot_be_used_is_told_all_at_once() {
        let bad = read(r#"{"name": "d", "target": {"email": {"host": "", "from": "nobody", "to": []}}}"#);
        assert_eq!(bad.problems().len(), 3, "{:?}", bad.problems());
        let bad = read(r#"{"name": "e", "target": {"webhook": {"url": "ftp://example.com", "key": "short"}}}"#);
        assert_eq!(bad.problems().len(), 2);
        let bad = read(r#"{"name": "a", "target": {"pagerduty": {"routing_key": "e+23"}}}"#);
        assert_eq!(bad.problems(), ["`routing_key` must be the 32 letters and digits of an integration"]);
    }

    #[test]
    fn a_mail_server_has_the_port_of_its_encryption() {
        let text = r#"{"host": "h", "from": "a@example.com", "to": [], "encryption": "starttls"}"#;
        let email: Email = serde_json::from_str(text).unwrap();
        assert_eq!(email.port(), 587);
        assert_eq!(Email { encryption: Encryption::Implicit, ..email }.port(), 465);
    }
}
