//! Sealing: each secret under a key of its own, which is sealed under the master key.
//!
//! XChaCha20-Poly1305 twice. What is authenticated beside the value names the environment, the secret
//! and the version, so that a sealed value cannot be put in another's place.

use chacha20poly1305::aead::{Aead as _, Generate as _, Payload};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305, XNonce};
use daybook_model::{EnvKey, SecretName};
use zeroize::Zeroizing;

use crate::key::MasterKey;
use crate::{Error, Result};

pub(crate) const KEY: usize = 32;
pub(crate) const NONCE: usize = 24;
pub(crate) const TAG: usize = 16;

/// A sealed value: form (1), nonce and sealed data key, nonce and sealed value.
const FORM: u8 = 1;
const WRAPPED: usize = NONCE + KEY + TAG;

/// Whose value is sealed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) key: &'a EnvKey,
    pub(crate) name: &'a SecretName,
    pub(crate) version: u64,
}

impl Place<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let version = self.version.to_string();
        for field in ["daybook secret 1", &self.key.to_string(), self.name.as_str(), &version] {
            out.extend_from_slice(&(field.len() as u64).to_be_bytes());
            out.extend_from_slice(field.as_bytes());
        }
        out
    }
}

impl MasterKey {
    /// Seals `value` for `place`.
    pub(crate) fn seal(&self, place: Place<'_>, value: &[u8]) -> Vec<u8> {
        let about = place.bytes();
        let data_key = Zeroizing::new(<[u8; KEY]>::from(Key::generate()));
        let mut sealed = vec![FORM];
        sealed.extend(seal(self.bytes(), &about, data_key.as_ref()));
        sealed.extend(seal(&data_key, &about, value));
        sealed
    }

    /// Opens what was sealed for `place`. Fails when it was altered, moved, or sealed under another key.
    pub(crate) fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        self.try_open(place, sealed).ok_or_else(|| Error::Internal {
            operation: "open a secret",
            message: format!(
                "version {} of `{}` of {} was altered, or was sealed under another master key",
                place.version, place.name, place.key
            ),
        })
    }

    fn try_open(&self, place: Place<'_>, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let about = place.bytes();
        let (form, rest) = sealed.split_first()?;
        if *form != FORM {
            return None;
        }
        let (wrapped, value) = rest.split_at_checked(WRAPPED)?;
        let opened = open(self.bytes(), &about, wrapped)?;
        let data_key = Zeroizing::new(<[u8; KEY]>::try_from(opened.as_slice()).ok()?);
        open(&data_key, &about, value)
    }
}

/// A nonce, and `msg` sealed under it, together with `aad` that is not in it.
pub(crate) fn seal(key: &[u8; KEY], aad: &[u8], msg: &[u8]) -> Vec<u8> {
    let nonce = XNonce::generate();
    let sealed = XChaCha20Poly1305::new(key.into()).encrypt(&nonce, Payload { msg, aad });
    let mut out = nonce.to_vec();
    out.extend(sealed.expect("a value in memory is shorter than the cipher's bound"));
    out
}

/// What [`seal`] sealed, if it is whole and of this key.
pub(crate) fn open(key: &[u8; KEY], aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, msg) = sealed.split_at_checked(NONCE)?;
    let nonce = XNonce::try_from(nonce).ok()?;
    let opened = XChaCha20Poly1305::new(key.into()).decrypt(&nonce, Payload { msg, aad });
    opened.ok().map(Zeroizing::new)
}

/// A value that nobody can guess: 256 bits, in 43 characters of URL-safe base64.
pub(crate) fn random_value() -> Zeroizing<Vec<u8>> {
    use base64::Engine as _;
    let random = Zeroizing::new(<[u8; KEY]>::from(Key::generate()));
    Zeroizing::new(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random.as_ref()).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_in_its_own_place_and_only_whole() {
        let master = MasterKey::of([7; KEY]);
        let (key, name) = ("shop/production".parse().unwrap(), "db.password".parse().unwrap());
        let place = Place { key: &key, name: &name, version: 1 };
        let sealed = master.seal(place, b"swordfish");
        assert_eq!(master.open(place, &sealed).unwrap().as_slice(), b"swordfish");
        assert!(master.open(Place { version: 2, ..place }, &sealed).is_err());
        assert!(MasterKey::of([8; KEY]).open(place, &sealed).is_err());
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(master.open(place, &altered).is_err(), "byte {at} was altered unseen");
            assert!(master.open(place, &sealed[..at]).is_err(), "cut at {at} unseen");
        }
    }

    #[test]
    fn random_values_differ_and_are_text() {
        assert_ne!(random_value(), random_value());
        assert_eq!(random_value().len(), 43);
    }
}
