//! What the executor asks of the store beside the journal.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use daybook_decide::redact::Redactor;
use daybook_model::spec::SecretRef;
use daybook_model::{Entry, EnvKey, Release, ReleaseNumber, ServiceName};
use daybook_store::memory::MemoryJournal;
use daybook_store::{Journal, Result, Store, Write};

/// The journal, and what is derived from it.
#[async_trait]
pub trait Ledger: Journal {
    /// The release of this number.
    async fn release(&self, key: &EnvKey, number: ReleaseNumber) -> Result<Option<Release>>;

    /// Writes `ReleaseAccepted` and keeps the release, as one.
    async fn accept(&self, write: Write, release: &Release) -> Result<Entry>;

    /// The lowest ordinal that was never used, by service.
    async fn next_ordinals(&self, key: &EnvKey) -> Result<BTreeMap<ServiceName, u64>>;
}

/// Who knows the values of secrets.
#[async_trait]
pub trait SecretValues: Send + Sync + 'static {
    /// The value of a secret at its resolved version.
    async fn secret(&self, key: &EnvKey, secret: &SecretRef) -> std::result::Result<Vec<u8>, String>;

    /// What finds the values of an environment's secrets in text.
    async fn redactor(&self, key: &EnvKey) -> std::result::Result<Arc<Redactor>, String>;
}

#[async_trait]
impl Ledger for MemoryJournal {
    async fn release(&self, key: &EnvKey, number: ReleaseNumber) -> Result<Option<Release>> {
        Ok(MemoryJournal::release(self, key, number))
    }

    async fn accept(&self, write: Write, release: &Release) -> Result<Entry> {
        MemoryJournal::accept(self, write, release).await
    }

    async fn next_ordinals(&self, key: &EnvKey) -> Result<BTreeMap<ServiceName, u64>> {
        Ok(MemoryJournal::next_ordinals(self, key))
    }
}

#[async_trait]
impl Ledger for Store {
    async fn release(&self, key: &EnvKey, number: ReleaseNumber) -> Result<Option<Release>> {
        Store::release(self, key, number).await
    }

    async fn accept(&self, write: Write, release: &Release) -> Result<Entry> {
        Store::accept(self, write, release).await
    }

    async fn next_ordinals(&self, key: &EnvKey) -> Result<BTreeMap<ServiceName, u64>> {
        Store::next_ordinals(self, key).await
    }
}
