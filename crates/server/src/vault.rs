//! Secrets that a Vault keeps: read when a change is planned, sealed when it is carried out.
//!
//! What runs has the sealed values, so it needs no Vault to start again, and a release that is gone back to has those
//! that it had.

#[cfg(not(feature = "vault"))]
mod none;

use std::collections::BTreeSet;
use std::time::Duration;

use daybook_api::plan::Unresolved;
use daybook_model::vault::{Login, Vault};
use daybook_model::{EnvKey, SecretName, Spec};
use zeroize::Zeroizing;

use crate::App;
use crate::error::ApiError;
use crate::sealing::{Values, refers_to};
use crate::unresolved::missing_secret;

#[cfg(feature = "vault")]
pub(crate) use daybook_connect::vault::Vaults;
#[cfg(not(feature = "vault"))]
pub(crate) use none::Vaults;

/// Until tokens are looked at again: a token that is good for five minutes is renewed in time.
const LOOK_AT_TOKENS: Duration = Duration::from_secs(60);

/// What a Vault keeps and could not be read.
#[derive(Default)]
pub(crate) struct Unread {
    /// Those secrets, and what would let in.
    pub(crate) names: BTreeSet<SecretName>,
    /// Why: one cause may keep many away.
    pub(crate) open: Vec<Unresolved>,
}

impl App {
    /// Puts what a Vault keeps of a spec's secrets into `values`; `only` these of them. Tells what cannot be read, and what
    /// it would need for that.
    pub(crate) async fn read_kept(
        &self,
        spec: &Spec,
        only: Option<&BTreeSet<SecretName>>,
        values: &mut Values,
        patience: Duration,
    ) -> Result<Unread, ApiError> {
        let Some(vault) = &spec.vault else { return Ok(Unread::default()) };
        let mut wanted = vault.values.clone();
        wanted.retain(|name, _| only.is_none_or(|only| only.contains(name)));
        if wanted.is_empty() {
            return Ok(Unread::default());
        }
        let credential = match vault.login.credential() {
            None => None,
            Some(name) => match self.credential(&spec.key, name, values).await? {
                Some(value) => Some(value),
                None => {
                    let names = wanted.into_keys().chain([name.clone()]).collect();
                    return Ok(Unread { names, open: vec![missing_secret(spec, name)] });
                }
            },
        };
        let credential = credential.as_ref().map(|value| value.as_str());
        let read = self.inner.vaults.read(vault, credential, &wanted, patience).await;
        let mut unread = Unread::default();
        for (name, value) in read {
            match value {
                Ok(value) => drop(values.given.insert(name, value)),
                Err(error) => {
                    unread.open.push(Unresolved {
                        kind: "secret".to_owned(),
                        services: refers_to(spec, &name).iter().map(ToString::to_string).collect(),
                        line: wanted.get(&name).and_then(|kept| kept.line).or(vault.line),
                        name: name.to_string(),
                        reason: error.message,
                        hint: Some(error.hint),
                    });
                    unread.names.insert(name);
                }
            }
        }
        Ok(unread)
    }

    /// What lets into a Vault: a value that comes with the change, or else that of the sealed store.
    async fn credential(
        &self,
        key: &EnvKey,
        name: &SecretName,
        values: &Values,
    ) -> Result<Option<Zeroizing<String>>, daybook_store::Error> {
        let given = values.given.get(name).cloned();
        let value = match (given, self.inner.store.secret_version(key, name).await?) {
            (Some(given), _) => Some(given),
            (None, Some(version)) => self.inner.store.open_secret(key, name, version).await?,
            (None, None) => None,
        };
        Ok(value.map(|value| Zeroizing::new(String::from_utf8_lossy(&value).into_owned())))
    }

    /// Keeps the tokens of all Vaults alive, for as long as the server lives: one that was given is lost when it is over.
    pub(crate) async fn tend_vaults(self) {
        if let Err(error) = self.hold_tokens().await {
            tracing::warn!(%error, "the tokens of Vaults are not looked after until they are used");
        }
        loop {
            tokio::time::sleep(LOOK_AT_TOKENS).await;
            self.inner.vaults.renew().await;
        }
    }

    async fn hold_tokens(&self) -> Result<(), daybook_store::Error> {
        for environment in self.inner.store.environments().await? {
            let release = self.inner.store.current_release(&environment.key).await?;
            let Some(vault) = release.as_ref().and_then(|release| release.spec.vault.as_ref()) else { continue };
            if let Login::Token { token } = &vault.login {
                self.hold(&environment.key, vault, token).await?;
            }
        }
        Ok(())
    }

    async fn hold(&self, key: &EnvKey, vault: &Vault, token: &SecretName) -> Result<(), daybook_store::Error> {
        let Some(value) = self.credential(key, token, &Values::default()).await? else { return Ok(()) };
        if let Err(error) = self.inner.vaults.hold(vault, Some(&value)).await {
            tracing::warn!(%key, address = vault.address, %error, "the token of a Vault is not looked after");
        }
        Ok(())
    }
}
