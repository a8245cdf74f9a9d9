//! Sealing: each secret under a key of its own, which is sealed under the master key.
//!
//! XChaCha20-Poly1305 twice. What is authenticated beside the value names the environment, the secret
//! and the version, so that a sealed value cannot be put in another's place.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use chacha20poly1305::aead::{Aead as _, Generate as _, Payload};
use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305, XNonce};
use daybook_model::{EnvKey, SecretName};
use zeroize::Zeroizing;

use crate::database::unavailable;
use crate::{Error, Result, internal};

const KEY: usize = 32;
const NONCE: usize = 24;
const TAG: usize = 16;

/// A sealed value: form (1), nonce and sealed data key, nonce and sealed value.
const FORM: u8 = 1;
const WRAPPED: usize = NONCE + KEY + TAG;

/// The key that seals the keys of secrets; a file of its own, readable by the owner alone.
pub(crate) struct MasterKey(Zeroizing<[u8; KEY]>);

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
    /// Reads `dir/master.key`, or makes it.
    pub(crate) fn load_or_make(dir: &Path) -> Result<Self> {
        let path = dir.join("master.key");
        match File::open(&path) {
            Ok(file) => Self::load(&file, 0o077),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Self::make(dir, &path).map_err(|error| unavailable("make the master key", &error))
            }
            Err(error) => Err(unavailable("read the master key", &error)),
        }
    }

    /// Reads a file that someone else made and keeps: its group may read it too, as with a Secret that is mounted for
    /// a process that is not root.
    pub(crate) fn given(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::Unavailable {
            operation: "read the master key",
            message: format!("{}: {error}", path.display()),
        })?;
        Self::load(&file, 0o037)
    }

    /// What tells keys apart and says nothing of them.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        use sha2::Digest as _;
        sha2::Sha256::new().chain_update(b"daybook master key 1").chain_update(self.0.as_ref()).finalize().into()
    }

    fn load(mut file: &File, forbidden: u32) -> Result<Self> {
        let read_error = |error: std::io::Error| unavailable("read the master key", &error);
        let mode = file.metadata().map_err(read_error)?.permissions().mode();
        if mode & forbidden != 0 {
            return Err(internal("read the master key", "others may read the file: `chmod 600` it"));
        }
        let mut key = Zeroizing::new([0; KEY]);
        file.read_exact(key.as_mut()).map_err(read_error)?;
        Ok(Self(key))
    }

    /// Written whole under another name first: a key that was cut short would lose every secret.
    fn make(dir: &Path, path: &Path) -> std::io::Result<Self> {
        let key = Zeroizing::new(<[u8; KEY]>::from(Key::generate()));
        let temporary = dir.join("master.key.new");
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
        file.write_all(key.as_ref())?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        File::open(dir)?.sync_all()?;
        Ok(Self(key))
    }

    /// Seals `value` for `place`.
    pub(crate) fn seal(&self, place: Place<'_>, value: &[u8]) -> Vec<u8> {
        let about = place.bytes();
        let data_key = Zeroizing::new(<[u8; KEY]>::from(Key::generate()));
        let mut sealed = vec![FORM];
        sealed.extend(seal(&self.0, &about, data_key.as_ref()));
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
        let opened = open(&self.0, &about, wrapped)?;
        let data_key = Zeroizing::new(<[u8; KEY]>::try_from(opened.as_slice()).ok()?);
        open(&data_key, &about, value)
    }
}

fn seal(key: &[u8; KEY], aad: &[u8], msg: &[u8]) -> Vec<u8> {
    let nonce = XNonce::generate();
    let sealed = XChaCha20Poly1305::new(key.into()).encrypt(&nonce, Payload { msg, aad });
    let mut out = nonce.to_vec();
    out.extend(sealed.expect("a value in memory is shorter than the cipher's bound"));
    out
}

fn open(key: &[u8; KEY], aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
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
        let master = MasterKey(Zeroizing::new([7; KEY]));
        let (key, name) = ("shop/production".parse().unwrap(), "db.password".parse().unwrap());
        let place = Place { key: &key, name: &name, version: 1 };
        let sealed = master.seal(place, b"swordfish");
        assert_eq!(master.open(place, &sealed).unwrap().as_slice(), b"swordfish");
        assert!(master.open(Place { version: 2, ..place }, &sealed).is_err());
        assert!(MasterKey(Zeroizing::new([8; KEY])).open(place, &sealed).is_err());
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
