//! Requests to one Vault.

use std::error::Error as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daybook_model::vault::{Login, Vault};
use http::{Method, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::Fields;
use super::error::{Cause, Error};
use super::token::{Lease, Token};

/// Larger answers are none of a Vault.
const MOST_BYTES: usize = 4 << 20;
/// Servers that one may be led on to: a standby names the one that is active.
const REDIRECTS: usize = 3;

/// The way to one Vault.
pub(super) struct Entrance {
    client: Client,
    address: String,
    namespace: Option<String>,
    patience: Duration,
}

/// What is asked, for messages.
#[derive(Clone, Copy)]
enum Asked<'a> {
    Login,
    Token,
    Secret { mount: &'a str, path: &'a str },
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
}

impl Auth {
    fn lease(&self) -> Lease {
        Lease { lasts: Duration::from_secs(self.lease_duration), is_renewable: self.renewable }
    }
}

impl Entrance {
    pub(super) fn new(vault: &Vault, patience: Duration) -> Result<Self, Error> {
        let redirects = Policy::custom(|attempt| {
            let first = attempt.previous().first().map(|url| url.scheme().to_owned());
            match () {
                () if attempt.previous().len() > REDIRECTS => attempt.error("it leads on and on"),
                // The token must not go on in clear.
                () if first.is_some_and(|first| first != attempt.url().scheme()) => attempt.stop(),
                () => attempt.follow(),
            }
        });
        let mut client = Client::builder().timeout(patience).redirect(redirects).no_proxy();
        if let Some(authority) = &vault.authority {
            let certificates = Certificate::from_pem_bundle(authority.as_bytes())
                .ok()
                .filter(|all| !all.is_empty())
                .ok_or_else(|| {
                    let message = format!("the authority of {} is no certificate in PEM form", vault.address);
                    Error::new(
                        Cause::Malformed,
                        message,
                        "`ca` names a file that begins with `-----BEGIN CERTIFICATE-----`",
                    )
                })?;
            client = client.tls_certs_only(certificates);
        }
        let client = client.build().map_err(|error| {
            let message = format!("a client for {} cannot be made: {}", vault.address, whole(&error));
            Error::new(Cause::Malformed, message, "see whether `address` and `ca` are right")
        })?;
        let address = vault.address.trim_end_matches('/').to_owned();
        Ok(Self { client, address, namespace: vault.namespace.clone(), patience })
    }

    /// Gets a token.
    pub(super) async fn login(
        &self,
        login: &Login,
        credential: Option<&str>,
        service_account: &Path,
    ) -> Result<Token, Error> {
        let credential = credential.unwrap_or_default().trim();
        let (mount, body) = match login {
            Login::Token { .. } => return self.given(credential).await,
            Login::AppRole { mount, role, .. } => (mount, json!({"role_id": role, "secret_id": credential})),
            Login::Kubernetes { mount, role } => {
                let token = token_in(service_account).await?;
                (mount, json!({"role": role, "jwt": token.as_str()}))
            }
        };
        let path = format!("auth/{mount}/login");
        let mut answer = self.ask(Method::POST, &path, None, Some(&body), Asked::Login).await?;
        let auth: Auth = self.part(answer["auth"].take(), Asked::Login)?;
        let lease = auth.lease();
        Ok(Token::leased(Arc::new(Zeroizing::new(auth.client_token)), lease))
    }

    /// A token as it is, with what the Vault says of it. Not every token may ask.
    async fn given(&self, token: &str) -> Result<Token, Error> {
        let forever = Lease { lasts: Duration::ZERO, is_renewable: false };
        let lease = match self.ask(Method::GET, "auth/token/lookup-self", Some(token), None, Asked::Token).await {
            Ok(answer) => Lease {
                lasts: Duration::from_secs(answer["data"]["ttl"].as_u64().unwrap_or(0)),
                is_renewable: answer["data"]["renewable"].as_bool().unwrap_or(false),
            },
            Err(error) if error.cause == Cause::Denied => forever,
            Err(error) => return Err(error),
        };
        Ok(Token::leased(Arc::new(Zeroizing::new(token.to_owned())), lease))
    }

    /// Lets a token be good for longer.
    pub(super) async fn renew(&self, token: &str) -> Result<Lease, Error> {
        let body = json!({});
        let mut answer =
            self.ask(Method::POST, "auth/token/renew-self", Some(token), Some(&body), Asked::Token).await?;
        Ok(self.part::<Auth>(answer["auth"].take(), Asked::Token)?.lease())
    }

    /// The fields of the newest version of a secret.
    pub(super) async fn secret(&self, token: &str, mount: &str, path: &str) -> Result<Zeroizing<Fields>, Error> {
        let asked = Asked::Secret { mount, path };
        let place = format!("{}/data/{}", encoded(mount), encoded(path));
        let mut answer = self.ask(Method::GET, &place, Some(token), None, asked).await?;
        let is_version_2 = answer["data"]["metadata"]["version"].is_u64();
        match answer["data"]["data"].take() {
            Value::Object(data) if is_version_2 => Ok(Zeroizing::new(Fields::of(data))),
            _ => Err(Error::new(
                Cause::Malformed,
                format!("`{mount}` at {} is no key/value engine of version 2", self.address),
                "the first part of the path is where the engine is mounted, or `mount` of `vault` is; \
                 an engine of version 1 goes on as `vault kv enable-versioning`",
            )),
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
        asked: Asked<'_>,
    ) -> Result<Value, Error> {
        let mut request = self.client.request(method, format!("{}/v1/{path}", self.address));
        request = request.header("X-Vault-Request", "true");
        if let Some(token) = token {
            let mut value = http::HeaderValue::from_str(token).map_err(|_| {
                let message = format!("the token for {} is none: it has characters that no token has", self.address);
                Error::new(Cause::Login, message, "set it again, as one line: `daybook secret set`")
            })?;
            value.set_sensitive(true);
            request = request.header("X-Vault-Token", value);
        }
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        if let Some(body) = body {
            let text = serde_json::to_vec(body).unwrap_or_default();
            request = request.header(http::header::CONTENT_TYPE, "application/json").body(text);
        }
        let mut response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let mut bytes = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MOST_BYTES {
                return Err(self.malformed("its answer does not end"));
            }
        }
        if !status.is_success() {
            return Err(self.refused(status, &bytes, asked));
        }
        serde_json::from_slice::<Map<String, Value>>(&bytes)
            .map(Value::Object)
            .map_err(|_| self.malformed("its answer is not JSON"))
    }

    /// A part of an answer. What does not fit is not repeated: it may hold a token.
    fn part<T: serde::de::DeserializeOwned>(&self, value: Value, asked: Asked<'_>) -> Result<T, Error> {
        serde_json::from_value(value).map_err(|_| match asked {
            Asked::Login => self.malformed("it lets in without a token"),
            Asked::Token | Asked::Secret { .. } => self.malformed("its answer has not the form that its API says"),
        })
    }

    fn malformed(&self, why: &str) -> Error {
        let message = format!("{} does not answer like a Vault: {why}", self.address);
        Error::new(Cause::Malformed, message, "see whether `address` is that of a Vault or an OpenBao, without a path")
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        let address = &self.address;
        if error.is_timeout() {
            let message = format!("{address} has not answered within {} s", self.patience.as_secs());
            return Error::new(Cause::Unreachable, message, "try again; what runs goes on with the values that it has");
        }
        let why = whole(error);
        let hint = match () {
            () if why.contains("certificate") || why.contains("UnknownIssuer") => {
                "name the authority of its certificate: `vault: {ca: FILE}`"
            }
            () => "see whether it runs and `address` is right; what runs goes on with the values that it has",
        };
        Error::new(Cause::Unreachable, format!("cannot reach {address}: {why}"), hint)
    }

    /// Statuses: <https://openbao.org/api-docs/#http-status-codes>.
    fn refused(&self, status: StatusCode, body: &[u8], asked: Asked<'_>) -> Error {
        let address = &self.address;
        let said = said(body);
        let with_said = |message: String| if said.is_empty() { message } else { format!("{message}: {said}") };
        let token_hint = "get another token and set it: `daybook secret set`";
        match (status.as_u16(), asked) {
            (503, _) => Error::new(
                Cause::Sealed,
                with_said(format!("{address} is sealed or not set up")),
                "unseal it: `bao operator unseal`; what runs goes on with the values that it has",
            ),
            (472 | 473, _) => Error::new(
                Cause::Unreachable,
                format!("{address} is a standby that answers no questions"),
                "`address` has to lead to the one that is active",
            ),
            (429 | 500..=599, _) => Error::new(
                Cause::Unreachable,
                with_said(format!("{address} answers {status}")),
                "try again; what runs goes on with the values that it has",
            ),
            (404, Asked::Login) => Error::new(
                Cause::Login,
                format!("{address} has no such way in"),
                "see where the method is mounted, `bao auth list`, and say it with `mount`",
            ),
            (_, Asked::Login) => Error::new(
                Cause::Login,
                with_said(format!("{address} does not let in")),
                "see whether the role is right and its secret is still good",
            ),
            (403, Asked::Token) => {
                Error::new(Cause::Denied, with_said(format!("{address} does not take the token")), token_hint)
            }
            (403, Asked::Secret { mount, path }) => Error::new(
                Cause::Denied,
                format!("{address} does not let {mount}/{path} be read"),
                format!(
                    "its token needs a policy: path \"{mount}/data/{path}\" {{ capabilities = [\"read\"] }}; or it is \
                     over: {token_hint}"
                ),
            ),
            (404, Asked::Secret { mount, path }) if is_deleted(body) => Error::new(
                Cause::Missing,
                format!("the newest version of {mount}/{path} at {address} was deleted"),
                format!("bring it back: `bao kv undelete`, or write it again: `bao kv put {mount}/{path} …`"),
            ),
            (404, Asked::Secret { mount, path }) => Error::new(
                Cause::Missing,
                format!("{address} has no secret {mount}/{path}"),
                format!("write it: `bao kv put {mount}/{path} …`; the first part is where the engine is mounted"),
            ),
            _ => Error::new(
                Cause::Malformed,
                with_said(format!("{address} answers {status}")),
                "see whether `address` and `namespace` are right",
            ),
        }
    }
}

/// The errors that a body names, on one line.
fn said(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        errors: Vec<String>,
    }
    let errors = serde_json::from_slice::<Said>(body).map(|said| said.errors).unwrap_or_default();
    let words = errors.iter().flat_map(|error| error.split_whitespace());
    let line = words.collect::<Vec<_>>().join(" ");
    line.chars().take(200).collect()
}

/// A version that was deleted is there, without its data.
fn is_deleted(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|body| body["data"]["metadata"]["version"].is_u64())
}

/// A path in a URL, its slashes kept.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.trim_matches('/').bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

async fn token_in(service_account: &Path) -> Result<Zeroizing<String>, Error> {
    let read = tokio::fs::read_to_string(service_account).await;
    read.map(|token| Zeroizing::new(token.trim().to_owned())).map_err(|error| {
        let file = service_account.display();
        let message = format!("the server has no service account to get in with: {file}: {error}");
        Error::new(
            Cause::Login,
            message,
            "that way in is for a server that runs in a cluster: use `approle` or `token`",
        )
    })
}

/// An error with everything that caused it.
fn whole(error: &reqwest::Error) -> String {
    let mut words = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        words.push(cause.to_string());
        next = cause.source();
    }
    // The first is the URL again, and each repeats less than the one before.
    words.pop().unwrap_or_else(|| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_keeps_its_slashes_and_nothing_else_of_a_url() {
        assert_eq!(encoded("/shop/a b?c#d%/é/"), "shop/a%20b%3Fc%23d%25/%C3%A9");
    }

    #[test]
    fn what_a_vault_says_is_one_short_line() {
        let body = json!({"errors": ["1 error occurred:\n\t* permission denied\n\n", "x".repeat(500)]}).to_string();
        let said = said(body.as_bytes());
        assert!(said.starts_with("1 error occurred: * permission denied x"), "{said}");
        assert_eq!(said.len(), 200);
        assert_eq!(super::said(b"<html>"), "");
    }
}
