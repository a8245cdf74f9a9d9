//! Certificates from files.

use std::collections::HashMap;
use std::collections::hash_map::Entry::Vacant;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use daybook_model::RouteTable;
use daybook_model::route::Entry;
use daybook_model::spec::Tls;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::routing::table::backends;

/// Certificates by the paths of their files.
#[derive(Clone, Default)]
pub(crate) struct LoadedFiles(HashMap<(String, String), Loaded>);

/// A certificate as its files were when they were read.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) key: Arc<CertifiedKey>,
    /// When the files had last changed then.
    changed: [Option<SystemTime>; 2],
}

/// A certificate that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("certificate {path}: {why}")]
pub struct CertificateError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

impl LoadedFiles {
    /// The certificate of these files.
    pub(crate) fn get(&self, cert: &str, key: &str) -> Option<Arc<CertifiedKey>> {
        self.0.get(&(cert.to_owned(), key.to_owned())).map(|loaded| loaded.key.clone())
    }

    /// Paths of the certificates.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|(cert, _)| cert.as_str())
    }

    /// Loads what a table names. Files that have not changed since `before` are not read again.
    pub(crate) fn load(table: &RouteTable, before: &Self) -> Result<Self, CertificateError> {
        let mut loaded = Self::default();
        for entry in backends(table).flat_map(|(_, _, backend)| &backend.entries) {
            if let Entry::Domain { tls: Tls::Files { cert, key }, .. } = entry {
                let names = (cert.clone(), key.clone());
                let Vacant(place) = loaded.0.entry(names) else { continue };
                let (cert, key) = (Path::new(cert), Path::new(key));
                let same = before.0.get(place.key()).filter(|loaded| loaded.is_current(cert, key)).cloned();
                place.insert(match same {
                    Some(same) => same,
                    None => Loaded::read(cert, key)?,
                });
            }
        }
        Ok(loaded)
    }
}

impl Loaded {
    pub(super) fn read(cert: &Path, key: &Path) -> Result<Self, CertificateError> {
        let changed = changed(cert, key);
        Ok(Self { key: Arc::new(read(cert, key)?), changed })
    }

    /// Whether the files have not changed since.
    pub(super) fn is_current(&self, cert: &Path, key: &Path) -> bool {
        self.changed == changed(cert, key)
    }
}

fn changed(cert: &Path, key: &Path) -> [Option<SystemTime>; 2] {
    [cert, key].map(|path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok())
}

fn read(cert: &Path, key: &Path) -> Result<CertifiedKey, CertificateError> {
    let failed = |path: &Path, why: String| CertificateError { path: path.to_owned(), why };
    let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| failed(cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(failed(cert, "it holds no certificate".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| failed(key, error.to_string()))?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, private, &provider).map_err(|error| failed(cert, error.to_string()))
}
