//! Values that a HashiCorp Vault or an OpenBao keeps, by its HTTP API: <https://openbao.org/api-docs/>.
//!
//! Of its engines only key/value of version 2 is read. A token that was got for a role is used until it is nearly over,
//! and renewed where that is allowed; one that was given is renewed as well, for as long as the server lives.

mod error;
mod http;
mod token;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use daybook_model::SecretName;
use daybook_model::vault::{Kept, Login, Vault};
use futures::stream::{self, StreamExt as _};
use serde_json::Value;
use zeroize::Zeroizing;

pub use error::{Cause, Error};
use http::Entrance;
use token::{Token, Tokens};

/// Secrets that are asked for at once.
const AT_ONCE: usize = 8;
/// Until an answer is given up, where nothing else is said.
const USUAL: Duration = Duration::from_secs(10);

/// What is read: by the name in the sealed store, the value or why there is none.
pub type Read = BTreeMap<SecretName, Result<Zeroizing<Vec<u8>>, Error>>;

/// Where a pod has the token of the service account that it runs as.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Every Vault that was spoken to, with the tokens that are good there.
pub struct Vaults {
    tokens: Mutex<Tokens>,
    service_account: PathBuf,
}

impl Default for Vaults {
    fn default() -> Self {
        Self::with_service_account(Path::new(SERVICE_ACCOUNT))
    }
}

impl Vaults {
    /// None was spoken to yet. For [`Login::Kubernetes`] the token in this file is used.
    pub fn with_service_account(file: &Path) -> Self {
        Self { tokens: Mutex::default(), service_account: file.to_owned() }
    }

    /// Reads `wanted`, each within `patience`.
    ///
    /// `credential` is the value of [`Login::credential`].
    pub async fn read(
        &self,
        vault: &Vault,
        credential: Option<&str>,
        wanted: &BTreeMap<SecretName, Kept>,
        patience: Duration,
    ) -> Read {
        let all_fail = |error: Error| wanted.keys().map(|name| (name.clone(), Err(error.clone()))).collect();
        let entrance = match Entrance::new(vault, patience) {
            Ok(entrance) => entrance,
            Err(error) => return all_fail(error),
        };
        // A secret is read once, however many of its fields are wanted.
        let mut secrets: BTreeMap<(&str, &str), Vec<(&SecretName, &Kept)>> = BTreeMap::new();
        for (name, kept) in wanted {
            secrets.entry((&kept.mount, &kept.path)).or_default().push((name, kept));
        }
        let token = match self.token(&entrance, vault, credential).await {
            Ok(token) => token,
            Err(error) => return all_fail(error),
        };
        let read = secrets.into_iter().map(|((mount, path), fields)| {
            let (entrance, token) = (&entrance, &token);
            async move {
                let secret = self.secret(entrance, vault, credential, token, mount, path).await;
                fields.into_iter().map(move |(name, kept)| {
                    let value = secret.as_ref().map_err(Clone::clone).and_then(|secret| field(secret, vault, kept));
                    (name.clone(), value)
                })
            }
        });
        let read: Vec<_> = stream::iter(read.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect().await;
        read.into_iter().flatten().collect()
    }

    /// Keeps a token that was given alive from now on: see [`Vaults::renew`].
    ///
    /// # Errors
    /// The Vault cannot be reached, or does not know the token.
    pub async fn hold(&self, vault: &Vault, credential: Option<&str>) -> Result<(), Error> {
        let entrance = Entrance::new(vault, USUAL)?;
        self.token(&entrance, vault, credential).await.map(drop)
    }

    /// Renews every token of which more than half is over. To be called every now and then.
    pub async fn renew(&self) {
        let due = self.tokens().due(Instant::now());
        for (vault, token) in due {
            let renewed = async { Entrance::new(&vault, USUAL)?.renew(&token.value).await }.await;
            match renewed {
                Ok(lease) => self.tokens().keep(&vault, &Token::leased(token.value.clone(), lease)),
                // One that was got for a role is got anew when it is needed.
                Err(error) if !matches!(vault.login, Login::Token { .. }) => {
                    tracing::debug!(address = vault.address, %error, "a token is not renewed");
                    self.tokens().forget(&vault);
                }
                Err(error) => {
                    tracing::warn!(address = vault.address, %error, "the token of a Vault is not renewed, and will be over");
                }
            }
        }
    }

    fn tokens(&self) -> std::sync::MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A token that is good: one that is known, or else a new one.
    async fn token(&self, entrance: &Entrance, vault: &Vault, credential: Option<&str>) -> Result<Token, Error> {
        if let Some(token) = self.tokens().good(vault, credential, Instant::now()) {
            return Ok(token);
        }
        let token = entrance.login(&vault.login, credential, &self.service_account).await?;
        self.tokens().take_in(vault, credential, &token);
        Ok(token)
    }

    /// All fields of one secret. A token may be over before its time: for a role a new one is got, once.
    async fn secret(
        &self,
        entrance: &Entrance,
        vault: &Vault,
        credential: Option<&str>,
        token: &Token,
        mount: &str,
        path: &str,
    ) -> Result<Zeroizing<Fields>, Error> {
        match entrance.secret(&token.value, mount, path).await {
            Err(error) if error.cause == Cause::Denied && !matches!(vault.login, Login::Token { .. }) => {
                let again = entrance.login(&vault.login, credential, &self.service_account).await?;
                self.tokens().take_in(vault, credential, &again);
                entrance.secret(&again.value, mount, path).await
            }
            other => other,
        }
    }
}

/// The fields of a secret, by name.
#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl zeroize::Zeroize for Fields {
    fn zeroize(&mut self) {
        self.0.values_mut().for_each(zeroize::Zeroize::zeroize);
    }
}

impl Fields {
    /// What is no text is its JSON.
    fn of(data: serde_json::Map<String, Value>) -> Self {
        let text = |value: Value| match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Self(data.into_iter().map(|(name, value)| (name, text(value))).collect())
    }
}

fn field(secret: &Zeroizing<Fields>, vault: &Vault, kept: &Kept) -> Result<Zeroizing<Vec<u8>>, Error> {
    match secret.0.get(&kept.field) {
        Some(value) => Ok(Zeroizing::new(value.clone().into_bytes())),
        None => Err(Error::no_field(&vault.address, kept, secret.0.keys())),
    }
}
