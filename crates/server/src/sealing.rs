//! Sealing on the way in: values that look secret never reach a plan, a journal or a log.
//!
//! While planning nothing is written: [`Sealing::of`] foresees which version each value will have, and
//! [`Sealing::commit`] writes them when a run begins.

use std::collections::{BTreeMap, BTreeSet};

use daybook_executor::authority;
use daybook_model::spec::{EnvValue, SecretRef};
use daybook_model::{Actor, Database, EnvKey, SecretName, ServiceName, Spec};
use daybook_store::Store;
use zeroize::Zeroizing;

use crate::error::ApiError;

/// What has to be sealed before a spec may be carried out. Not `Debug`: it holds values.
pub(crate) struct Sealing {
    key: EnvKey,
    /// Secrets that the spec refers to and nobody has set. References to them have no version.
    pub(crate) missing: BTreeSet<SecretName>,
    /// Secrets that are certificate authorities: those are made otherwise than other random values.
    authorities: BTreeSet<SecretName>,
    pending: Vec<Pending>,
}

/// Values that are to be sealed, by name. Not `Debug`.
#[derive(Default)]
pub(crate) struct Values {
    /// These.
    pub(crate) given: BTreeMap<SecretName, Zeroizing<Vec<u8>>>,
    /// New random ones.
    pub(crate) generated: BTreeSet<SecretName>,
}

impl Values {
    /// Values that are texts.
    pub(crate) fn of_texts(texts: BTreeMap<SecretName, String>) -> Self {
        let given = texts.into_iter().map(|(name, text)| (name, Zeroizing::new(text.into_bytes())));
        Self { given: given.collect(), generated: BTreeSet::new() }
    }
}

struct Pending {
    name: SecretName,
    version: u64,
    /// `None`: a random value is to be made.
    value: Option<Zeroizing<Vec<u8>>>,
}

impl Sealing {
    /// Takes in new `values`, replaces literal secrets of `spec` by references, and gives every reference
    /// a version; see [`Sealing::missing`].
    pub(crate) async fn of(store: &Store, spec: &mut Spec, values: Values) -> Result<Self, ApiError> {
        let kept = spec.databases.values().filter_map(Database::kept);
        let authorities = kept.filter_map(|kept| kept.authority.as_ref()).map(|secret| secret.name.clone()).collect();
        let mut sealing = Self { key: spec.key.clone(), missing: BTreeSet::new(), authorities, pending: Vec::new() };
        for (name, value) in values.given {
            sealing.take(store, name, value).await?;
        }
        for name in values.generated {
            sealing.generate(store, name).await?;
        }
        for (name, service) in &mut spec.services {
            for (variable, value) in &mut service.container.environment {
                if let EnvValue::Text(text) = value
                    && daybook_model::secrecy::is_secret(variable, text)
                {
                    let literal = Zeroizing::new(std::mem::take(text).into_bytes());
                    *value = EnvValue::Secret(sealing.literal(store, name, variable, literal).await?);
                }
            }
        }
        for secret in spec.secrets_mut() {
            sealing.version(store, secret).await?;
        }
        Ok(sealing)
    }

    async fn literal(
        &mut self,
        store: &Store,
        service: &ServiceName,
        variable: &str,
        value: Zeroizing<Vec<u8>>,
    ) -> Result<SecretRef, ApiError> {
        let name = daybook_manifest::secret_of(service, variable);
        let version = self.take(store, name.clone(), value).await?;
        Ok(SecretRef { name, version: Some(version), generate: false })
    }

    /// Takes a value to be sealed, and foresees its version.
    async fn take(&mut self, store: &Store, name: SecretName, value: Zeroizing<Vec<u8>>) -> Result<u64, ApiError> {
        let version = store.foresee_secret(&self.key, &name, Some(&value)).await?;
        self.pending.push(Pending { name, version, value: Some(value) });
        Ok(version)
    }

    async fn version(&mut self, store: &Store, secret: &mut SecretRef) -> Result<(), ApiError> {
        if secret.version.is_some() {
            return Ok(());
        }
        if let Some(pending) = self.pending.iter().find(|pending| pending.name == secret.name) {
            secret.version = Some(pending.version);
            return Ok(());
        }
        secret.version = store.secret_version(&self.key, &secret.name).await?;
        if secret.version.is_none() && !secret.generate {
            self.missing.insert(secret.name.clone());
            return Ok(());
        }
        if secret.version.is_none() {
            secret.version = Some(self.generate(store, secret.name.clone()).await?);
        }
        Ok(())
    }

    /// Has a random value made, and foresees its version.
    async fn generate(&mut self, store: &Store, name: SecretName) -> Result<u64, ApiError> {
        let version = store.foresee_secret(&self.key, &name, None).await?;
        let value = if self.authorities.contains(&name) { Some(self.authority(store, &name).await?) } else { None };
        self.pending.push(Pending { name, version, value });
        Ok(version)
    }

    /// A new certificate authority, which the one before vouches for.
    async fn authority(&self, store: &Store, name: &SecretName) -> Result<Zeroizing<Vec<u8>>, ApiError> {
        let before = match store.secret_version(&self.key, name).await? {
            Some(version) => store.open_secret(&self.key, name, version).await?,
            None => None,
        };
        let before = before.as_deref().and_then(|value| std::str::from_utf8(value).ok());
        let made = authority::make(before);
        let made =
            made.map_err(|error| ApiError::invalid(format!("make the certificate authority {name}: {error}")))?;
        Ok(Zeroizing::new(made.into_bytes()))
    }

    /// The value of a secret that is given with the change and not sealed yet.
    pub(crate) fn value(&self, secret: &SecretRef) -> Option<Vec<u8>> {
        let given = |pending: &&Pending| pending.name == secret.name && Some(pending.version) == secret.version;
        self.pending.iter().find(given).and_then(|pending| pending.value.as_ref()).map(|value| value.to_vec())
    }

    /// Seals what is pending. Fails when a secret was set meanwhile, so that a version is not the one
    /// that was planned.
    pub(crate) async fn commit(self, store: &Store, actor: &Actor) -> Result<(), ApiError> {
        for Pending { name, version, value } in self.pending {
            let sealed = match value {
                Some(value) => store.set_secret(actor.clone(), &self.key, &name, value).await?,
                None => store.generate_secret(actor.clone(), &self.key, &name).await?,
            };
            if sealed != version {
                let message = format!("the secret `{name}` was set meanwhile: plan again");
                return Err(ApiError::new(daybook_api::ErrorCode::Stale, message));
            }
        }
        Ok(())
    }
}

/// The first service of `spec` that needs the secret `name`.
pub(crate) fn refers_to<'a>(spec: &'a Spec, name: &SecretName) -> Option<&'a ServiceName> {
    let needing = spec.services.values().find(|service| service.container.secrets().any(|secret| secret.name == *name));
    needing.map(|service| &service.name)
}
