//! Opens sealed secrets for replicas that are about to start.

use async_trait::async_trait;
use daybook_executor::Vault;
use daybook_model::EnvKey;
use daybook_model::spec::SecretRef;
use daybook_store::Store;

/// The store's secrets, for the executor alone.
pub(crate) struct SealedSecrets(pub(crate) Store);

#[async_trait]
impl Vault for SealedSecrets {
    async fn secret(&self, key: &EnvKey, secret: &SecretRef) -> Result<Vec<u8>, String> {
        let version = secret.version.ok_or("no version of it was chosen")?;
        let value = self.0.open_secret(key, &secret.name, version).await.map_err(|error| error.to_string())?;
        let value = value.ok_or_else(|| format!("version {version} was removed: set it again and run `daybook up`"))?;
        Ok(value.to_vec())
    }
}
