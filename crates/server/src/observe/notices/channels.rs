//! Channels as they are used: what the manifest says of them, with their secrets opened.

use daybook_model::notify::{Address, Channel, Email, Receiver};
use daybook_model::spec::SecretRef;
use daybook_model::{EnvKey, Release};
use daybook_notify::channel::{self, Encryption, Login};
use daybook_notify::{Secret, Target};
use daybook_store::Store;

/// A channel of an environment.
pub(crate) struct Opened {
    /// What the release says of it.
    pub(crate) described: Channel,
    /// The channel with its secrets, or why it cannot be used.
    pub(crate) channel: Result<daybook_notify::Channel, String>,
    /// What PagerDuty signs its own webhooks with.
    pub(crate) webhooks: Option<Secret>,
    /// Those whose own it is: it is told just what wakes them.
    pub(crate) people: Vec<String>,
}

/// The key by which other tools may tell of alerts of an environment, if there is one.
///
/// # Errors
/// It cannot be opened now.
pub(crate) async fn key(store: &Store, release: &Release) -> Result<Option<Secret>, String> {
    let key = &release.spec.key;
    let Some(secret) = release.spec.receive.as_ref() else { return Ok(None) };
    let secret = (Secrets { store, key }).open(secret).await?;
    // Whoever guesses it can wake people.
    if secret.expose().len() < SHORTEST {
        tracing::warn!(%key, "the key of `receive` is shorter than {SHORTEST} characters: nothing is received");
        return Ok(None);
    }
    Ok(Some(secret))
}

/// Characters of a key, at least.
const SHORTEST: usize = 16;

/// Where a channel leads, without what is secret.
pub(crate) fn leads_to(described: &Channel, channel: &Result<daybook_notify::Channel, String>) -> String {
    match (channel, &described.receiver) {
        (Ok(channel), _) => channel.describe(),
        (Err(_), Receiver::Pagerduty { .. }) => "PagerDuty".to_owned(),
        (Err(_), Receiver::Slack { .. }) => "Slack".to_owned(),
        (Err(_), Receiver::Teams { .. }) => "Microsoft Teams".to_owned(),
        (Err(_), Receiver::Email(email)) => format!("e-mail to {} by {}", email.to.join(", "), email.host),
        (Err(_), Receiver::Webhook { .. }) => "webhook".to_owned(),
        (Err(_), Receiver::Ntfy { .. }) => "ntfy".to_owned(),
    }
}

/// The channels of a release, in its order.
pub(crate) async fn open(store: &Store, release: &Release) -> Vec<Opened> {
    let mut all = Vec::with_capacity(release.spec.notify.len());
    for described in &release.spec.notify {
        let channel = open_one(store, &release.spec.key, described).await;
        let webhooks = match &described.receiver {
            Receiver::Pagerduty { webhooks: Some(secret), .. } => {
                (Secrets { store, key: &release.spec.key }).open(secret).await.ok()
            }
            _ => None,
        };
        let people = release.spec.on_call.behind(&described.name).cloned().collect();
        all.push(Opened { described: described.clone(), channel, webhooks, people });
    }
    all
}

async fn open_one(store: &Store, key: &EnvKey, described: &Channel) -> Result<daybook_notify::Channel, String> {
    let secrets = Secrets { store, key };
    let target = match &described.receiver {
        Receiver::Pagerduty { routing_key, server, .. } => Target::Pagerduty {
            routing_key: secrets.open(routing_key).await?,
            server: server.clone().unwrap_or_else(channel::pagerduty),
        },
        Receiver::Slack { url } => Target::Slack { webhook: secrets.open(url).await? },
        Receiver::Teams { url } => Target::Teams { webhook: secrets.open(url).await? },
        Receiver::Email(email) => Target::Email(secrets.email(email).await?),
        Receiver::Webhook { url, key } => {
            let url = match url {
                Address::Plain(url) => Secret::new(url),
                Address::Secret(secret) => secrets.open(secret).await?,
            };
            Target::Webhook { url, key: secrets.open(key).await? }
        }
        Receiver::Ntfy { server, topic, token } => Target::Ntfy {
            server: server.clone().unwrap_or_else(channel::ntfy),
            topic: secrets.open(topic).await?,
            token: match token {
                Some(token) => Some(secrets.open(token).await?),
                None => None,
            },
        },
    };
    let channel =
        daybook_notify::Channel { name: described.name.to_string(), target, authority: described.authority.clone() };
    match channel.problems() {
        problems if problems.is_empty() => Ok(channel),
        problems => Err(problems.join("; ")),
    }
}

/// Opens secrets of an environment.
pub(in crate::observe) struct Secrets<'s> {
    pub(in crate::observe) store: &'s Store,
    pub(in crate::observe) key: &'s EnvKey,
}

impl Secrets<'_> {
    pub(in crate::observe) async fn open(&self, secret: &SecretRef) -> Result<Secret, String> {
        let name = &secret.name;
        let version = secret.version.ok_or_else(|| format!("the secret `{name}` has no value"))?;
        let value = self.store.open_secret(self.key, name, version).await;
        let value = value.map_err(|error| format!("the secret `{name}` cannot be opened: {error}"))?;
        let value = value.ok_or_else(|| format!("version {version} of the secret `{name}` was removed"))?;
        // A file, and what a person types, may end in the end of a line.
        let text = std::str::from_utf8(&value).map_err(|_| format!("the secret `{name}` is no text"))?;
        Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
    }

    async fn email(&self, email: &Email) -> Result<channel::Email, String> {
        let login = match &email.login {
            Some((user, password)) => Some(Login { user: user.clone(), password: self.open(password).await? }),
            None => None,
        };
        Ok(channel::Email {
            host: email.host.clone(),
            port: email.port,
            encryption: if email.starttls { Encryption::Starttls } else { Encryption::Implicit },
            login,
            from: email.from.clone(),
            to: email.to.clone(),
        })
    }
}
