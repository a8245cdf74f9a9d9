//! Requests by HTTP.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode};
use url::Url;

use super::{Reply, Sender, cause};
use crate::channel::{Login, of_url};
use crate::delivery::retry_after;
use crate::render::Request;
use crate::{Channel, Outcome, Secret, text};

/// Bytes of an answer that are read.
const ANSWER: usize = 16 << 10;
/// Characters of what is told of an answer, or of why there is none.
const SAID: usize = 1_000;
/// Bytes of an answer that is quoted; longer ones are pages for a browser.
const QUOTED: usize = 1_000;

/// Something to be posted that is no notice.
#[derive(Debug)]
pub struct Post<'a> {
    /// Where it goes.
    pub url: &'a Secret,
    /// Its headers, in lower case, with that of its type.
    pub headers: Vec<(&'a str, &'a str)>,
    /// What lets it in.
    pub proof: Option<&'a Proof>,
    /// What is posted.
    pub body: Vec<u8>,
    /// Certificates of the authority that the server's own is from, PEM. `None`: those that the machine trusts.
    pub authority: Option<&'a str>,
}

/// What lets somebody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A user and a password.
    Login(Login),
    /// A token.
    Token(Secret),
}

impl Proof {
    fn secret(&self) -> &str {
        match self {
            Self::Login(Login { password: secret, .. }) | Self::Token(secret) => secret.expose(),
        }
    }

    /// The form in which it is sent, if that is another one: who answers with the headers of a request shows it.
    fn sent(&self) -> Option<Secret> {
        match self {
            Self::Login(Login { user, password }) => {
                Some(Secret::new(STANDARD_NO_PAD.encode(format!("{user}:{}", password.expose()))))
            }
            Self::Token(_) => None,
        }
    }
}

/// What was answered to a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The header `Retry-After`, as it came.
    pub retry_after: Option<String>,
    /// The answer in one line, without secrets: its status, and what it says if that is short.
    pub said: String,
    /// Its body as far as it was read. What it quotes may be secret: see [`hidden`].
    pub body: Vec<u8>,
}

/// What a receiver says in one line that is not long, without what is secret of a post to it: what its URL holds, and what lets it in.
pub fn hidden(url: &Secret, proof: Option<&Proof>, said: &str) -> String {
    let sent = proof.and_then(Proof::sent);
    let mut secrets = of_url(url.expose());
    secrets.extend(proof.map(Proof::secret).into_iter().chain(sent.as_ref().map(Secret::expose)));
    secrets.retain(|secret| !secret.is_empty());
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let hidden = secrets.iter().fold(text::line(said), |said, secret| said.replace(secret, "[secret]"));
    text::chars(&hidden, SAID)
}

impl Sender {
    pub(super) async fn post(&self, channel: &Channel, request: Request, now: Timestamp) -> Reply {
        let dress = |post: RequestBuilder| {
            let post = post.header(CONTENT_TYPE, "application/json").body(request.body);
            request.headers.iter().fold(post, |post, (name, value)| post.header(*name, value.expose()))
        };
        match self.exchange(&request.url, channel.authority.as_deref(), dress).await {
            Ok(answer) => outcome(answer, now).await,
            Err(outcome) => outcome.into(),
        }
    }

    /// Posts something that is no notice, once. What is answered is for the caller to judge.
    ///
    /// # Errors
    /// Nobody answered, and why, without what is secret.
    pub async fn deliver(&self, post: Post<'_>) -> Result<Answer, String> {
        let dress = |request: RequestBuilder| {
            let headers = post.headers.iter();
            let request = headers.fold(request.body(post.body), |request, (name, value)| request.header(*name, *value));
            match post.proof {
                None => request,
                Some(Proof::Token(token)) => request.bearer_auth(token.expose()),
                Some(Proof::Login(login)) => request.basic_auth(&login.user, Some(login.password.expose())),
            }
        };
        let exchange = async {
            let answer = self.exchange(post.url, post.authority, dress).await;
            let answer = answer.map_err(|outcome| match outcome {
                Outcome::Refused { why } | Outcome::Retry { why, .. } => why,
                Outcome::Delivered => String::new(),
            })?;
            let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let (status, body) = (answer.status(), body(answer).await);
            Ok(Answer { status: status.as_u16(), retry_after: after, said: format!("{status}{}", said(&body)), body })
        };
        let whole = tokio::time::timeout(self.patience, exchange).await;
        let whole = whole.unwrap_or_else(|_| Err(format!("no answer within {} s", self.patience.as_secs_f32())));
        let hidden = |said: &str| hidden(post.url, post.proof, said);
        match whole {
            Ok(answer) => Ok(Answer { said: hidden(&answer.said), ..answer }),
            Err(why) => Err(hidden(&why)),
        }
    }

    /// Posts what `dress` makes of a request, to an address that was checked.
    async fn exchange(
        &self,
        url: &Secret,
        authority: Option<&str>,
        dress: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, Outcome> {
        let url = match Url::parse(url.expose()) {
            Ok(url) if matches!(url.scheme(), "https" | "http") => url,
            _ => return Err(refused("its URL is none of `https:` or `http:`")),
        };
        let Some((host, port)) = url.host_str().zip(url.port_or_known_default()) else {
            return Err(refused("its URL has no host"));
        };
        let addresses = self.addresses(host, port, url.scheme() == "https").await?;
        let client = self.client(authority, addresses)?;
        // The error has the URL, its causes have not.
        dress(client.post(url))
            .send()
            .await
            .map_err(|error| Outcome::Retry { after: None, why: cause(&error.without_url()) })
    }

    /// A client that connects to these addresses, whatever the name.
    fn client(&self, authority: Option<&str>, addresses: Vec<SocketAddr>) -> Result<Client, Outcome> {
        let builder = Client::builder()
            .timeout(self.patience)
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("daybook/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Checked(addresses));
        let builder = match authority {
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
    let said = format!("{status}{}", said(&body(answer).await));
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

/// The body of an answer, not much further than [`ANSWER`].
async fn body(mut answer: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER {
            break;
        }
    }
    body
}

/// What the body of an answer says, in one line; nothing of a long one.
fn said(body: &[u8]) -> String {
    let said = text::line(&String::from_utf8_lossy(body));
    if said.is_empty() || said.len() > QUOTED { String::new() } else { format!(": {said}") }
}

fn refused(why: &str) -> Outcome {
    Outcome::Refused { why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_as_it_is_sent() {
        let proof =
            |user: &str, password: &str| Proof::Login(Login { user: user.to_owned(), password: Secret::new(password) });
        let sent = |user, password| proof(user, password).sent().map(|sent| sent.expose().to_owned());
        // The example of RFC 7617.
        assert_eq!(sent("Aladdin", "open sesame").as_deref(), Some("QWxhZGRpbjpvcGVuIHNlc2FtZQ"));
        assert_eq!(sent("a", "b").as_deref(), Some("YTpi"));
        assert_eq!(sent("a", "bc?").as_deref(), Some("YTpiYz8"));
        assert_eq!(Proof::Token(Secret::new("token")).sent(), None);
    }
}
