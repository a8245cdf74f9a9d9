//! Channels: where an environment tells of its incidents, and what becomes of what is told there.

use serde::{Deserialize, Serialize};

use crate::incident::Severity;
use crate::name::{ChannelName, SecretName};
use crate::spec::SecretRef;

/// A place where people are told. What must not be seen of it is a secret of the sealed store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// What it is called.
    pub name: ChannelName,
    /// Who receives it.
    pub receiver: Receiver,
    /// Incidents that matter less are not told there.
    pub least: Severity,
    /// Whether releases are told there too.
    pub changes: bool,
    /// Certificates of the authority that the receiver's own is from, PEM. `None`: those that the machine trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Line of the manifest, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// Who receives what is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Receiver {
    /// PagerDuty.
    Pagerduty {
        /// The integration key.
        routing_key: SecretRef,
        /// Where its events go, without a path. `None`: where PagerDuty takes them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<String>,
        /// What it signs its own webhooks with, by which it says what people did there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        webhooks: Option<SecretRef>,
    },
    /// Slack, by an incoming webhook.
    Slack {
        /// Its URL. Whoever has it may post.
        url: SecretRef,
    },
    /// Microsoft Teams, by a webhook of Workflows.
    Teams {
        /// Its URL.
        url: SecretRef,
    },
    /// E-mail.
    Email(Email),
    /// Whoever takes JSON, signed.
    Webhook {
        /// Where it goes.
        url: Address,
        /// What it is signed with.
        key: SecretRef,
    },
    /// An ntfy server.
    Ntfy {
        /// Its URL, without a topic. `None`: that of its authors.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<String>,
        /// The topic. Whoever knows it may read along.
        topic: SecretRef,
        /// An access token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<SecretRef>,
    },
}

/// A URL that may be seen, or one that may not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// As it is.
    Plain(String),
    /// A secret.
    Secret(SecretRef),
}

/// How e-mail is sent, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Email {
    /// The name of the server that takes it.
    pub host: String,
    /// Its port. `None`: the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Encrypted after `STARTTLS`, not from the first byte. There is no way without.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub starttls: bool,
    /// The user and the password to log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<(String, SecretRef)>,
    /// Who it is from: `Daybook <daybook@example.com>`.
    pub from: String,
    /// Who receives it.
    pub to: Vec<String>,
}

impl Channel {
    /// All its secrets.
    pub fn secrets_mut(&mut self) -> impl Iterator<Item = &mut SecretRef> {
        let secrets = match &mut self.receiver {
            Receiver::Pagerduty { routing_key, webhooks, .. } => [Some(routing_key), webhooks.as_mut()],
            Receiver::Slack { url } | Receiver::Teams { url } => [Some(url), None],
            Receiver::Email(email) => [email.login.as_mut().map(|(_, password)| password), None],
            Receiver::Webhook { url: Address::Secret(url), key } => [Some(url), Some(key)],
            Receiver::Webhook { url: Address::Plain(_), key } => [Some(key), None],
            Receiver::Ntfy { topic, token, .. } => [Some(topic), token.as_mut()],
        };
        secrets.into_iter().flatten()
    }

    /// Whether a secret of this name is among those that it needs.
    pub fn needs(&self, name: &SecretName) -> bool {
        self.clone().secrets_mut().any(|secret| secret.name == *name)
    }
}

/// What became of a channel, or of what was told there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelNote {
    /// Its receiver has it.
    Told {
        /// Which incident, or what else, it was about.
        about: String,
        /// What, in one line.
        what: String,
    },
    /// Its receiver will not get it.
    Lost {
        /// What, in one line.
        what: String,
        /// Why not.
        why: String,
    },
    /// It does not work.
    Trouble {
        /// What happened last.
        why: String,
        /// The channel through which that is told. `None`: there is none that works.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        through: Option<String>,
    },
    /// It works again.
    Works,
}
