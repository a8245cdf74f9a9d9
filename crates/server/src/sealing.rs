//! Sealing on the way in: values that look secret never reach a plan, a journal or a log.
//!
//! While planning nothing is written: [`Sealing::of`] foresees which version each value will have, and
//! [`Sealing::commit`] writes them when a run begins.

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::spec::{EnvValue, FileContent, SecretRef, TemplatePart};
use daybook_model::{Actor, EnvKey, SecretName, ServiceName, Spec};
use daybook_store::Store;
use zeroize::Zeroizing;

use crate::error::ApiError;

/// What has to be sealed before a spec may be carried out. Not `Debug`: it holds values.
pub(crate) struct Sealing {
    key: EnvKey,
    /// Secrets that the spec refers to and nobody has set. References to them have no version.
    pub(crate) missing: BTreeSet<SecretName>,
    pending: Vec<Pending>,
}

struct Pending {
    name: SecretName,
    version: u64,
    /// `None`: a random value is to be made.
    value: Option<Zeroizing<Vec<u8>>>,
}

impl Sealing {
    /// Takes in the values that the manifest `provided`, replaces literal secrets of `spec` by
    /// references, and gives every reference a version; see [`Sealing::missing`].
    pub(crate) async fn of(
        store: &Store,
        spec: &mut Spec,
        provided: BTreeMap<SecretName, String>,
    ) -> Result<Self, ApiError> {
        let mut sealing = Self { key: spec.key.clone(), missing: BTreeSet::new(), pending: Vec::new() };
        for (name, value) in provided {
            sealing.take(store, name, value.into_bytes()).await?;
        }
        for (name, service) in &mut spec.services {
            for (variable, value) in &mut service.container.environment {
                if let EnvValue::Text(text) = value
                    && daybook_model::secrecy::is_secret(variable, text)
                {
                    let value_of = std::mem::take(text).into_bytes();
                    *value = EnvValue::Secret(sealing.literal(store, name, variable, value_of).await?);
                }
                sealing.references(store, value).await?;
            }
            for file in &mut service.container.files {
                if let FileContent::Secret(secret) = &mut file.content {
                    sealing.version(store, secret).await?;
                }
            }
        }
        Ok(sealing)
    }

    async fn references(&mut self, store: &Store, value: &mut EnvValue) -> Result<(), ApiError> {
        match value {
            EnvValue::Text(_) => {}
            EnvValue::Secret(secret) => self.version(store, secret).await?,
            EnvValue::Template(parts) => {
                for part in parts {
                    if let TemplatePart::Secret(secret) = part {
                        self.version(store, secret).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn literal(
        &mut self,
        store: &Store,
        service: &ServiceName,
        variable: &str,
        value: Vec<u8>,
    ) -> Result<SecretRef, ApiError> {
        let name = daybook_manifest::secret_of(service, variable);
        let version = self.take(store, name.clone(), value).await?;
        Ok(SecretRef { name, version: Some(version), generate: false })
    }

    /// Takes a value to be sealed, and foresees its version.
    async fn take(&mut self, store: &Store, name: SecretName, value: Vec<u8>) -> Result<u64, ApiError> {
        let value = Zeroizing::new(value);
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
            let version = store.foresee_secret(&self.key, &secret.name, None).await?;
            secret.version = Some(version);
            self.pending.push(Pending { name: secret.name.clone(), version, value: None });
        }
        Ok(())
    }

    /// Seals what is pending. Fails when a secret was set meanwhile, so that a version is not the one
    /// that was planned.
    pub(crate) async fn commit(self, store: &Store, actor: &Actor) -> Result<(), ApiError> {
        for Pending { name, version, value } in self.pending {
            let sealed = match value {
                Some(value) => store.ensure_secret(actor.clone(), &self.key, &name, value).await?,
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
    let in_value = |value: &EnvValue| match value {
        EnvValue::Text(_) => false,
        EnvValue::Secret(secret) => &secret.name == name,
        EnvValue::Template(parts) => {
            parts.iter().any(|part| matches!(part, TemplatePart::Secret(secret) if &secret.name == name))
        }
    };
    let in_file = |content: &FileContent| matches!(content, FileContent::Secret(secret) if &secret.name == name);
    let needing = spec.services.values().find(|service| {
        service.container.environment.values().any(in_value)
            || service.container.files.iter().any(|file| in_file(&file.content))
    });
    needing.map(|service| &service.name)
}
