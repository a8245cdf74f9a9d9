//! A real PostgreSQL of a test's own, for our own state.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

#[path = "../../../data/tests/common/postgres.rs"]
mod server;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use daybook_store::{DatabaseUrl, KeySource, Store};

pub use server::Postgres;

impl Postgres {
    /// Its database.
    pub fn url(&self) -> DatabaseUrl {
        self.text().parse().unwrap()
    }

    /// The file of a master key, the same each time.
    pub fn key(&self) -> PathBuf {
        key_file(self.directory(), 7)
    }

    /// A store in its database that does not lead.
    pub async fn store(&self) -> Store {
        Store::connect(&self.url(), &KeySource::File(self.key()), Path::new("/"), None).await.unwrap()
    }
}

/// A key file of the same byte all over.
pub fn key_file(dir: &Path, byte: u8) -> PathBuf {
    let path = dir.join(format!("key.{byte}"));
    // Others read it meanwhile: it is there as a whole, or not at all.
    let fresh = tempfile::NamedTempFile::new_in(dir).unwrap();
    std::fs::write(fresh.path(), [byte; 32]).unwrap();
    std::fs::set_permissions(fresh.path(), PermissionsExt::from_mode(0o440)).unwrap();
    fresh.persist(&path).unwrap();
    path
}
