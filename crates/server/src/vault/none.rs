//! Without the feature `vault`: nothing can be read.

use std::collections::BTreeMap;
use std::time::Duration;

use daybook_model::SecretName;
use daybook_model::vault::{Kept, Vault};
use zeroize::Zeroizing;

/// No Vault was ever spoken to.
#[derive(Default)]
pub(crate) struct Vaults(());

/// Why there is no value.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Error {
    pub(crate) message: String,
    pub(crate) hint: String,
}

fn without() -> Error {
    Error {
        message: "this build of Daybook reads no Vault".to_owned(),
        hint: "build it with the feature `vault`".to_owned(),
    }
}

impl Vaults {
    pub(crate) async fn read(
        &self,
        _: &Vault,
        _: Option<&str>,
        wanted: &BTreeMap<SecretName, Kept>,
        _: Duration,
    ) -> BTreeMap<SecretName, Result<Zeroizing<Vec<u8>>, Error>> {
        wanted.keys().map(|name| (name.clone(), Err(without()))).collect()
    }

    pub(crate) async fn hold(&self, _: &Vault, _: Option<&str>) -> Result<(), Error> {
        Err(without())
    }

    pub(crate) async fn renew(&self) {}
}
