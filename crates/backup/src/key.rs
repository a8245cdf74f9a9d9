//! The key of a repository: found with a password, and used for the few files that this crate writes itself.
//!
//! The format is restic's: scrypt makes a key from the password, with which the file of a key is opened; what is in
//! there opens everything else. A sealed text is 16 bytes of nonce, AES-256 in counter mode, 16 bytes of Poly1305-AES.

use aes256ctr_poly1305aes::Aes256CtrPoly1305Aes;
use aes256ctr_poly1305aes::aead::{Aead as _, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustic_core::repofile::{KeyFile, MasterKey};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::pack::COMPRESSED_FILE;

const NONCE: usize = 16;
/// How much longer a text is once it is sealed.
pub(crate) const OVERHEAD: u64 = 32;
/// Encryption, then the two halves of what authenticates.
type Bytes64 = Zeroizing<[u8; 64]>;
const NO_BYTES: [u8; 64] = [0; 64];
/// More would take minutes and gigabytes: a file of a key that asks for that is damaged, or an attack.
const MOST_MEMORY: u64 = 1 << 30;

/// What opens and seals the files of a repository.
#[derive(Clone)]
pub(crate) struct Key {
    bytes: Bytes64,
}

/// What is in the file of a key, once it is opened. Borrows, so that no copy of a secret is left behind.
#[derive(Deserialize)]
struct Opened<'a> {
    #[serde(borrow)]
    mac: Mac<'a>,
    encrypt: &'a str,
}

#[derive(Deserialize)]
struct Mac<'a> {
    k: &'a str,
    r: &'a str,
}

impl Key {
    /// The key in a file of a key. None where the password does not open it.
    pub(crate) fn from_file(content: &[u8], password: &str) -> Result<Option<Self>, String> {
        let file: KeyFile = serde_json::from_slice(content).map_err(|error| error.to_string())?;
        let Some(opened) = from_password(&file, password)?.open(&file.data).map(Zeroizing::new) else {
            return Ok(None);
        };
        let opened: Opened<'_> = serde_json::from_slice(&opened).map_err(|error| error.to_string())?;
        let mut bytes = Bytes64::new(NO_BYTES);
        for (text, range) in [(opened.encrypt, 0..32), (opened.mac.k, 32..48), (opened.mac.r, 48..64)] {
            let part = Zeroizing::new(STANDARD.decode(text).map_err(|error| error.to_string())?);
            if part.len() != range.len() {
                return Err("a part of the key has the wrong length".to_owned());
            }
            bytes[range].copy_from_slice(&part);
        }
        Ok(Some(Self { bytes }))
    }

    /// The same, as the library that packs wants it.
    pub(crate) fn master(&self) -> MasterKey {
        let part = |range: std::ops::Range<usize>| STANDARD.encode(&self.bytes[range]);
        let value = serde_json::json!({
            "mac": { "k": part(32..48), "r": part(48..64) },
            "encrypt": part(0..32),
        });
        serde_json::from_value(value).expect("these are the fields of a key")
    }

    /// Opens a sealed text. None where it was sealed with another key, or has been altered.
    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE)?;
        self.cipher().decrypt(Nonce::<Aes256CtrPoly1305Aes>::from_slice(nonce), text).ok()
    }

    /// Opens a file that is not a pack: JSON, or JSON that was compressed.
    pub(crate) fn open_file(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let opened = self.open(sealed)?;
        match *opened.first()? {
            b'{' | b'[' => Some(opened),
            COMPRESSED_FILE => zstd::decode_all(&opened[1..]).ok(),
            _ => None,
        }
    }

    /// Seals a text.
    pub(crate) fn seal(&self, text: &[u8]) -> Vec<u8> {
        let mut sealed = vec![0; NONCE];
        getrandom(&mut sealed[..], GetRandomFlags::empty()).expect("the system has random bytes");
        let nonce = *Nonce::<Aes256CtrPoly1305Aes>::from_slice(&sealed);
        sealed.extend(self.cipher().encrypt(&nonce, text).expect("a text in memory is short enough to be sealed"));
        sealed
    }

    fn cipher(&self) -> Aes256CtrPoly1305Aes {
        Aes256CtrPoly1305Aes::new(aes256ctr_poly1305aes::Key::from_slice(&self.bytes[..]))
    }
}

fn from_password(file: &KeyFile, password: &str) -> Result<Key, String> {
    let memory = u64::from(file.n).saturating_mul(u64::from(file.r)).saturating_mul(128);
    if file.kdf != "scrypt" || !file.n.is_power_of_two() || memory > MOST_MEMORY || file.p > 16 {
        return Err("it does not say how a password becomes a key".to_owned());
    }
    let log_n = u8::try_from(file.n.trailing_zeros()).expect("a number of 32 bits has few of them");
    let params = scrypt::Params::new(log_n, file.r, file.p).map_err(|error| error.to_string())?;
    let mut bytes = Bytes64::new(NO_BYTES);
    scrypt::scrypt(password.as_bytes(), &file.salt, &params, &mut bytes[..]).map_err(|error| error.to_string())?;
    Ok(Key { bytes })
}
