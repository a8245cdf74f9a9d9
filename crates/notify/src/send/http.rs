//! Requests by HTTP.

use std::net::SocketAddr;

use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, StatusCode};
use url::Url;

use super::{Reply, Sender, cause};
use crate::delivery::retry_after;
use crate::render::Request;
use crate::{Channel, Outcome, text};

/// Bytes of an answer that are read.
const ANSWER: usize = 16 << 10;
/// Bytes of an answer that is quoted; longer ones are pages for a browser.
const QUOTED: usize = 1_000;

impl Sender {
    pub(super) async fn post(&self, channel: &Channel, request: Request, now: Timestamp) -> Reply {
        let url = match Url::parse(request.url.expose()) {
            Ok(url) if matches!(url.scheme(), "https" | "http") => url,
            _ => return refused("its URL is none of `https:` or `http:`").into(),
        };
        let Some((host, port)) = url.host_str().zip(url.port_or_known_default()) else {
            return refused("its URL has no host").into();
        };
        let addresses = match self.addresses(host, port, url.scheme() == "https").await {
            Ok(addresses) => addresses,
            Err(outcome) => return outcome.into(),
        };
        let client = match self.client(channel, addresses) {
            Ok(client) => client,
            Err(outcome) => return outcome.into(),
        };
        let mut post = client.post(url).header(CONTENT_TYPE, "application/json").body(request.body);
        for (name, value) in &request.headers {
            post = post.header(*name, value.expose());
        }
        match post.send().await {
            Ok(answer) => outcome(answer, now).await,
            // The error has the URL, its causes have not.
            Err(error) => Outcome::Retry { after: None, why: cause(&error.without_url()) }.into(),
        }
    }

    /// A client that connects to these addresses, whatever the name.
    fn client(&self, channel: &Channel, addresses: Vec<SocketAddr>) -> Result<Client, Outcome> {
        let builder = Client::builder()
            .timeout(self.patience)
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("daybook/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Checked(addresses));
        let builder = match &channel.authority {
            None => builder,
            Some(authority) => builder.tls_certs_only(certificates(authority)?),
        };
        builder.build().map_err(|error| refused(&format!("no client can be made: {}", cause(&error))))
    }
}

fn certificates(authority: &str) -> Result<Vec<Certificate>, Outcome> {
    let certificates = Certificate::from_pem_bundle(authority.as_bytes()).unwrap_or_default();
    if certificates.is_empty() { Err(refused("its authority is no certificate in PEM form")) } else { Ok(certificates) }
}

/// Answers with the addresses that were checked.
struct Checked(Vec<SocketAddr>);

impl Resolve for Checked {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(async move { Ok(addresses) })
    }
}

async fn outcome(answer: Response, now: Timestamp) -> Reply {
    let status = answer.status();
    let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let after = header(RETRY_AFTER).and_then(|value| retry_after(&value, now));
    if status.is_redirection() {
        let leads = header(LOCATION).and_then(|to| Url::parse(&to).ok()?.host_str().map(str::to_owned));
        let leads = leads.unwrap_or_else(|| "another address".to_owned());
        let outcome = refused(&format!("it answers {status} and leads to {leads}: redirects are not followed"));
        return Reply { outcome, said: status.to_string() };
    }
    let said = format!("{status}{}", said(answer).await);
    if status.is_success() {
        return Reply { outcome: Outcome::Delivered, said };
    }
    let why = format!("it answers {said}");
    let may_work_later =
        matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS);
    let outcome = if status.is_server_error() || may_work_later {
        Outcome::Retry { after, why }
    } else {
        Outcome::Refused { why }
    };
    Reply { outcome, said }
}

/// What the answer says, in one line; nothing of a long one.
async fn said(mut answer: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER {
            break;
        }
    }
    let said = text::line(&String::from_utf8_lossy(&body));
    if said.is_empty() || said.len() > QUOTED { String::new() } else { format!(": {said}") }
}

fn refused(why: &str) -> Outcome {
    Outcome::Refused { why: why.to_owned() }
}
