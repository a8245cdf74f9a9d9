//! TLS with one certificate, for what else of this program listens.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::files::{CertificateError, Loaded};
use super::{acceptor, shake_hands};

/// Takes TLS connections with a certificate from files, whatever name a client asks for. What replaces the files is used
/// for the next connection.
pub struct FileTls {
    acceptor: TlsAcceptor,
}

/// A connection that was encrypted on its way here.
pub type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

impl FileTls {
    /// With the files of a certificate chain and of its key, in PEM.
    ///
    /// # Errors
    /// They cannot be read, or do not belong together.
    pub fn open(cert: &Path, key: &Path) -> Result<Self, CertificateError> {
        let loaded = Mutex::new(Loaded::read(cert, key)?);
        let files = Files { cert: cert.to_owned(), key: key.to_owned(), loaded };
        let failed = |error: rustls::Error| CertificateError { path: cert.to_owned(), why: error.to_string() };
        Ok(Self { acceptor: acceptor(Arc::new(files)).map_err(failed)? })
    }

    /// `None` for a client that does not understand us, or is too slow.
    pub async fn accept(&self, stream: TcpStream) -> Option<TlsStream> {
        shake_hands(&self.acceptor, stream).await
    }
}

#[derive(Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
    loaded: Mutex<Loaded>,
}

impl Files {
    /// What the files hold. While one is there and the other is not yet, what they held before.
    fn current(&self) -> Arc<CertifiedKey> {
        let mut loaded = self.loaded.lock().expect("no panic while it is held");
        if !loaded.is_current(&self.cert, &self.key) {
            match Loaded::read(&self.cert, &self.key) {
                Ok(new) => *loaded = new,
                Err(error) => tracing::warn!(%error, "the certificate before is used"),
            }
        }
        loaded.key.clone()
    }
}

impl ResolvesServerCert for Files {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::{Duration, SystemTime};

    use super::*;

    /// Writes a new certificate, or only its key, as of so many seconds from now.
    fn write(directory: &Path, names: &[&str], later: u64) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        for (name, text) in [("cert", made.cert.pem()), ("key", made.signing_key.serialize_pem())] {
            if names.contains(&name) {
                fs::write(directory.join(name), text).unwrap();
                let file = fs::File::options().write(true).open(directory.join(name)).unwrap();
                file.set_modified(SystemTime::now() + Duration::from_secs(later)).unwrap();
            }
        }
    }

    #[test]
    fn what_replaces_a_certificate_is_used_as_soon_as_both_files_are_there() {
        let directory = tempfile::tempdir().unwrap();
        let (cert, key) = (directory.path().join("cert"), directory.path().join("key"));
        write(directory.path(), &["cert", "key"], 0);
        let loaded = Mutex::new(Loaded::read(&cert, &key).unwrap());
        let files = Files { cert: cert.clone(), key: key.clone(), loaded };
        let first = files.current();
        assert!(Arc::ptr_eq(&first, &files.current()), "it is read once");
        write(directory.path(), &["key"], 1);
        assert!(Arc::ptr_eq(&first, &files.current()), "they do not belong together");
        write(directory.path(), &["cert", "key"], 2);
        assert_ne!(first.cert, files.current().cert);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let (cert, key) = (directory.path().join("cert"), directory.path().join("key"));
        let error = |cert: &Path| FileTls::open(cert, &key).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error(&cert).contains("cert: "), "{}", error(&cert));
        write(directory.path(), &["cert"], 0);
        assert!(error(&cert).contains("key: "), "{}", error(&cert));
        write(directory.path(), &["key"], 0);
        assert!(error(&cert).contains("cert: "), "of another certificate: {}", error(&cert));
    }
}
