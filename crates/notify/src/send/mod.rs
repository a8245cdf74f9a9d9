//! Sends what [`crate::render()`] made. This is the part that touches the network.
//!
//! The name of a server is resolved here, all its addresses are checked by the [`Guard`], and the connection goes to one that was
//! checked. No proxy is used and no redirect is followed, since either would lead past the check.

mod http;
mod mail;
mod resolver;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::render::{Rendered, Stamp, render};
use crate::{Channel, Guard, Notice, Outcome};

pub use http::{Answer, Post, Proof, hidden};
pub use resolver::{Resolver, System};

/// Until an attempt is given up, where nothing else is said.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// What came of sending something, and what the receiver said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// What came of it.
    pub outcome: Outcome,
    /// The answer in one line, without secrets: its status, and what it says if that is short. Empty: there was none.
    pub said: String,
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, said: String::new() }
    }
}

/// Sends notices.
pub struct Sender {
    guard: Guard,
    resolver: Arc<dyn Resolver>,
    patience: Duration,
}

impl Sender {
    /// One that asks the system for addresses.
    pub fn new(guard: Guard) -> Self {
        Self { guard, resolver: Arc::new(System), patience: PATIENCE }
    }

    /// Asks somebody else for addresses.
    #[must_use]
    pub fn with_resolver(self, resolver: Arc<dyn Resolver>) -> Self {
        Self { resolver, ..self }
    }

    /// Gives an attempt up after another time.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Tells a notice through a channel, once. What is told of it in the outcome holds no secret of the channel.
    ///
    /// `delivery` is the same whenever the same notice is sent again.
    pub async fn send(&self, channel: &Channel, notice: &Notice, delivery: &str, now: Timestamp) -> Outcome {
        self.ask(channel, notice, delivery, now).await.outcome
    }

    /// The same, with what the receiver answered.
    pub async fn ask(&self, channel: &Channel, notice: &Notice, delivery: &str, now: Timestamp) -> Reply {
        let sending = async {
            match render(notice, channel, Stamp { at: now, delivery }) {
                None => Reply { outcome: Outcome::Delivered, said: "it has no way to tell this".to_owned() },
                Some(Rendered::Request(request)) => self.post(channel, request, now).await,
                Some(Rendered::Mail(mail)) => self.mail(channel, &mail).await,
            }
        };
        match tokio::time::timeout(self.patience, sending).await {
            Ok(reply) => Reply { outcome: redacted(channel, reply.outcome), said: channel.redact(&reply.said) },
            Err(_) => {
                let why = format!("{}: no answer within {} s", channel.describe(), self.patience.as_secs_f32());
                Outcome::Retry { after: None, why }.into()
            }
        }
    }

    /// The addresses of a server that may all be connected to.
    async fn addresses(&self, host: &str, port: u16, is_encrypted: bool) -> Result<Vec<SocketAddr>, Outcome> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = match bare.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => self.resolver.resolve(host.to_owned()).await.map_err(|error| Outcome::Retry {
                after: None,
                why: format!("the name {host} does not resolve: {error}"),
            })?,
        };
        match self.guard.check_host(bare, &addresses, is_encrypted) {
            Ok(()) => Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect()),
            // A name without an address may get one.
            Err(error @ crate::guard::Refused::NoAddress) => {
                Err(Outcome::Retry { after: None, why: format!("{host}: {error}") })
            }
            Err(error) => Err(Outcome::Refused { why: format!("{host} is not connected to: {error}") }),
        }
    }
}

fn redacted(channel: &Channel, outcome: Outcome) -> Outcome {
    let told = |why: String| format!("{}: {}", channel.describe(), channel.redact(&why));
    match outcome {
        Outcome::Delivered => Outcome::Delivered,
        Outcome::Retry { after, why } => Outcome::Retry { after, why: told(why) },
        Outcome::Refused { why } => Outcome::Refused { why: told(why) },
    }
}

/// The innermost cause of an error, which says the most and repeats the least.
fn cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(inner) = error.source() {
        error = inner;
    }
    error.to_string()
}
