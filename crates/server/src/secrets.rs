//! Opens sealed secrets for replicas that are about to start, and to find them in what replicas print.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use daybook_decide::redact::Redactor;
use daybook_executor::SecretValues;
use daybook_model::spec::SecretRef;
use daybook_model::{EnvKey, SecretName};
use daybook_store::Store;

/// How many versions of a secret are looked for: replicas of earlier releases have older values.
const VERSIONS: u64 = 5;

/// The store's secrets, for the executor alone.
pub(crate) struct SealedSecrets {
    store: Store,
    redactors: Mutex<BTreeMap<EnvKey, Known>>,
}

/// What finds the values of an environment's secrets, and of which versions.
struct Known {
    versions: Vec<(SecretName, u64)>,
    redactor: Arc<Redactor>,
}

impl SealedSecrets {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, redactors: Mutex::default() }
    }

    fn known(&self, key: &EnvKey, versions: &[(SecretName, u64)]) -> Option<Arc<Redactor>> {
        let redactors = self.redactors.lock().expect("no holder of this lock panics");
        redactors.get(key).filter(|known| known.versions == versions).map(|known| known.redactor.clone())
    }

    /// Made anew where a secret was set since it was asked for.
    async fn current(&self, key: &EnvKey) -> daybook_store::Result<Arc<Redactor>> {
        let secrets = self.store.secrets(key).await?;
        let versions: Vec<_> = secrets.into_iter().map(|secret| (secret.name, secret.version)).collect();
        if let Some(redactor) = self.known(key, &versions) {
            return Ok(redactor);
        }
        let mut values = Vec::new();
        for (name, latest) in &versions {
            for version in latest.saturating_sub(VERSIONS - 1).max(1)..=*latest {
                values.extend(self.store.open_secret(key, name, version).await?);
            }
        }
        let redactor = Arc::new(Redactor::new(values.iter().map(|value| value.as_slice())));
        let known = Known { versions, redactor: redactor.clone() };
        self.redactors.lock().expect("no holder of this lock panics").insert(key.clone(), known);
        Ok(redactor)
    }
}

#[async_trait]
impl SecretValues for SealedSecrets {
    async fn secret(&self, key: &EnvKey, secret: &SecretRef) -> Result<Vec<u8>, String> {
        let version = secret.version.ok_or("no version of it was chosen")?;
        let value = self.store.open_secret(key, &secret.name, version).await.map_err(|error| error.to_string())?;
        let value = value.ok_or_else(|| format!("version {version} was removed: set it again and run `daybook up`"))?;
        Ok(value.to_vec())
    }

    async fn redactor(&self, key: &EnvKey) -> Result<Arc<Redactor>, String> {
        self.current(key).await.map_err(|error| error.to_string())
    }
}
