//! Daybook's own certificate authority, for development: one for each edge, made when it first starts.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Signs certificates on demand.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: PathBuf,
    made: Mutex<HashMap<String, Made>>,
}

struct Made {
    key: Arc<CertifiedKey>,
    at: Instant,
}

/// A certificate is used for half of its life, then made anew.
const LEAF_LIFE: Duration = Duration::from_secs(14 * 24 * 3600);
const AUTHORITY_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Clocks of clients may be behind ours.
const BACKDATE: Duration = Duration::from_secs(24 * 3600);
/// The most names that are remembered; a table that serves every name could be asked for any number.
const MOST_NAMES: usize = 1_000;

impl Authority {
    /// Opens the authority in `directory`, or makes it.
    pub(crate) fn open(directory: &Path) -> io::Result<Arc<Self>> {
        fs::create_dir_all(directory)?;
        let certificate = directory.join("ca.pem");
        let key_file = directory.join("ca.key");
        if !certificate.exists() || !key_file.exists() {
            make(&certificate, &key_file).map_err(io::Error::other)?;
        }
        let key = KeyPair::from_pem(&fs::read_to_string(&key_file)?).map_err(io::Error::other)?;
        let issuer = Issuer::new(authority_params().map_err(io::Error::other)?, key);
        Ok(Arc::new(Self { issuer, certificate, made: Mutex::default() }))
    }

    /// The authority's certificate, for a client to trust.
    pub(crate) fn path(&self) -> &Path {
        &self.certificate
    }

    /// A certificate for a host, made on demand.
    pub(crate) fn certificate(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        let mut made = self.made.lock().expect("no panic while it is held");
        if let Some(there) = made.get(host).filter(|there| there.at.elapsed() < LEAF_LIFE / 2) {
            return Some(there.key.clone());
        }
        let key = match self.sign(host) {
            Ok(key) => Arc::new(key),
            Err(error) => {
                tracing::warn!(host, %error, "make a certificate");
                return None;
            }
        };
        if made.len() >= MOST_NAMES {
            made.clear();
        }
        made.insert(host.to_owned(), Made { key: key.clone(), at: Instant::now() });
        Some(key)
    }

    fn sign(&self, host: &str) -> Result<CertifiedKey, Box<dyn std::error::Error>> {
        let mut names = vec![host.to_owned()];
        if host == "localhost" {
            names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
        }
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, host.chars().take(64).collect::<String>());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        live_for(&mut params, LEAF_LIFE);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = rustls::crypto::ring::default_provider();
        Ok(CertifiedKey::from_der(vec![certificate.der().clone()], private, &provider)?)
    }
}

fn make(certificate: &Path, key_file: &Path) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let key = KeyPair::generate()?;
    let own = authority_params()?.self_signed(&key)?;
    write(key_file, 0o600, &key.serialize_pem())?;
    write(certificate, 0o644, &own.pem())?;
    Ok(())
}

/// The parameters hold the name by which leaves refer to the authority.
fn authority_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Daybook development authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    live_for(&mut params, AUTHORITY_LIFE);
    Ok(params)
}

fn live_for(params: &mut CertificateParams, life: Duration) {
    let now = SystemTime::now();
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + life).into();
}

fn write(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}
