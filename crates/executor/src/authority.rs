//! Certificate authorities of databases: made once, sealed like any secret, and used whenever a server starts.
//!
//! What is sealed is PEM: the authority's key, its certificate, and where there was an authority before, a certificate
//! for the new key by that one. A server shows it along with its own, so that whoever still trusts the one before lets
//! the server in while services are replaced.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use daybook_model::Digest;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// No authority is used for so long: a new one is a rotation like any other.
const LIFE: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// A server has a new certificate each time it starts.
const SERVER_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// Clocks of clients may be behind ours.
const BACKDATE: Duration = DAY;

const KEY: &str = "PRIVATE KEY";
const CERTIFICATE: &str = "CERTIFICATE";

/// Why an authority cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is sealed is something else.
    #[error("it holds no {0} in PEM")]
    Missing(&'static str),
    /// A key or a name is unusable.
    #[error("{0}")]
    Unusable(#[from] rcgen::Error),
}

type Result<T> = std::result::Result<T, Error>;

/// Makes an authority, to be sealed. The one `before` it vouches for it, where it can be read.
pub fn make(before: Option<&str>) -> Result<String> {
    let key = KeyPair::generate()?;
    let own = params(&key, LIFE)?.self_signed(&key)?;
    let mut text = key.serialize_pem() + &own.pem();
    if let Some(issuer) = before.and_then(|before| issuer(before).ok()) {
        let mut params = params(&key, LIFE)?;
        params.use_authority_key_identifier_extension = true;
        text += &params.signed_by(&key, &issuer)?.pem();
    }
    Ok(text)
}

/// The certificate by which others know the authority.
pub fn certificate(authority: &str) -> Result<String> {
    let own = blocks(authority, CERTIFICATE).next().ok_or(Error::Missing("certificate"))?;
    Ok(format!("{own}\n"))
}

/// A key and a certificate of a server with these names and addresses, and what leads from there to the authority before.
pub fn server(authority: &str, names: impl IntoIterator<Item = String>) -> Result<String> {
    let issuer = issuer(authority)?;
    let key = KeyPair::generate()?;
    let names: Vec<String> = names.into_iter().collect();
    let mut params = CertificateParams::new(names.clone())?;
    let common = names.into_iter().find(|name| name.parse::<IpAddr>().is_err()).unwrap_or_default();
    params.distinguished_name.push(DnType::CommonName, common.chars().take(64).collect::<String>());
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    live_for(&mut params, SERVER_LIFE);
    let mut text = params.signed_by(&key, &issuer)?.pem();
    for by_others in blocks(authority, CERTIFICATE).skip(1) {
        text = text + by_others + "\n";
    }
    Ok(text + &key.serialize_pem())
}

fn issuer(authority: &str) -> Result<Issuer<'static, KeyPair>> {
    let key = KeyPair::from_pem(blocks(authority, KEY).next().ok_or(Error::Missing("key"))?)?;
    Ok(Issuer::new(params(&key, LIFE)?, key))
}

/// An authority is called by its key, so that no two have one name.
fn params(key: &KeyPair, life: Duration) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    let digest = Digest::of(&key.subject_public_key_info());
    params.distinguished_name.push(DnType::CommonName, format!("Daybook database authority {}", digest.short()));
    // One that it vouches for stands between it and a server.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    live_for(&mut params, life);
    Ok(params)
}

fn live_for(params: &mut CertificateParams, life: Duration) {
    let now = SystemTime::now();
    params.not_before = (now - BACKDATE).into();
    params.not_after = (now + life).into();
}

/// The parts of a text of PEM that are of a kind.
fn blocks<'t>(text: &'t str, kind: &str) -> impl Iterator<Item = &'t str> {
    let (begin, end) = (format!("-----BEGIN {kind}-----"), format!("-----END {kind}-----"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let found = &rest[rest.find(&begin)?..];
        let length = found.find(&end)? + end.len();
        rest = &found[length..];
        Some(&found[..length])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str, kind: &str) -> usize {
        blocks(text, kind).count()
    }

    #[test]
    fn r31_who_uses_a_database_gets_no_key() {
        let first = make(None).unwrap();
        let second = make(Some(&first)).unwrap();
        assert_eq!((count(&second, KEY), count(&second, CERTIFICATE)), (1, 2));
        let given = certificate(&second).unwrap();
        assert_eq!((count(&given, KEY), count(&given, CERTIFICATE)), (0, 1));
        assert!(second.contains(&given), "it is its own, and not the one by the authority before");
        let server = server(&second, ["db".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        assert_eq!((count(&server, KEY), count(&server, CERTIFICATE)), (1, 2));
        let key = blocks(&second, KEY).next().unwrap();
        assert!(!server.contains(key), "the server has a key of its own");
    }

    #[test]
    fn what_is_no_authority_says_so() {
        assert_eq!(certificate("aGVsbG8").unwrap_err().to_string(), "it holds no certificate in PEM");
        assert_eq!(server("aGVsbG8", []).unwrap_err().to_string(), "it holds no key in PEM");
        assert_eq!(count(&make(Some("aGVsbG8")).unwrap(), CERTIFICATE), 1, "nobody vouches for it");
    }
}
