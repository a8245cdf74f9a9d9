//! The master key: where it is from, and how it lies there.
//!
//! By itself it is 32 bytes in a file of its own. Sealed under a passphrase it is what [`SealedKey`] says. Whoever keeps it
//! elsewhere (a key management service, a hardware token, a file that age has encrypted) names the program that prints it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use chacha20poly1305::Key;
use chacha20poly1305::aead::Generate as _;
use zeroize::Zeroizing;

use crate::database::unavailable;
use crate::seal::{KEY, NONCE, TAG, open, seal};
use crate::{Error, Result, internal};

const READ: &str = "read the master key";
const WRITE: &str = "write the master key";

/// The file of a state directory's own key.
const NAME: &str = "master.key";

/// More than a key in any form takes.
const MOST_BYTES: u64 = 4_096;

/// A passphrase that is shorter is no protection.
pub const SHORTEST_PASSPHRASE: usize = 12;

/// The key that seals the keys of secrets.
pub(crate) struct MasterKey(Zeroizing<[u8; KEY]>);

/// Where the master key is from.
#[derive(Debug, Clone)]
pub enum KeySource {
    /// `master.key` of the state directory, which is made when there is none.
    Own,
    /// A file that somebody else made and keeps: its group may read it too, as with a Secret that is mounted for a process
    /// that is not root.
    File(PathBuf),
    /// What a program prints, named with its arguments: 32 bytes as they are, in hexadecimal or in Base64.
    Program(Vec<String>),
}

/// A key sealed under a passphrase: its magic, then salt and costs of Argon2id (RFC 9106), then nonce and sealed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SealedKey {
    salt: [u8; SALT],
    /// KiB, passes, lanes.
    costs: [u32; 3],
    sealed: [u8; NONCE + KEY + TAG],
}

const MAGIC: &[u8; 15] = b"daybook key 1\n\0";
const SALT: usize = 16;
/// The second recommendation of RFC 9106, 4: 64 MiB, three passes, four lanes.
const COSTS: [u32; 3] = [64 << 10, 3, 4];
/// A file cannot make us take more than 1 GiB, and 64 passes.
const MOST_COSTS: [u32; 3] = [1 << 20, 64, 64];

impl MasterKey {
    /// The key of a state directory, or of where `source` says. `None`: it is the directory's own, and is missing.
    pub(crate) fn load(source: &KeySource, dir: &Path, passphrase: Option<&str>) -> Result<Option<Self>> {
        match source {
            KeySource::Own => Self::in_file(&dir.join(NAME), 0o077, passphrase),
            KeySource::File(path) => match Self::in_file(path, 0o037, passphrase)? {
                Some(key) => Ok(Some(key)),
                None => {
                    let message = format!("{}: there is no such file", path.display());
                    Err(Error::Unavailable { operation: READ, message })
                }
            },
            KeySource::Program(words) => printed_by(words).map(Some),
        }
    }

    /// Makes the key of a state directory.
    pub(crate) fn make(dir: &Path) -> Result<Self> {
        let key = Self::of(<[u8; KEY]>::from(Key::generate()));
        write_whole(&dir.join(NAME), key.bytes()).map_err(|error| unavailable("make the master key", &error))?;
        Ok(key)
    }

    /// Stands where there is none: nothing was ever sealed under it.
    pub(crate) fn none() -> Self {
        Self::of(<[u8; KEY]>::from(Key::generate()))
    }

    pub(crate) fn of(bytes: [u8; KEY]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY] {
        &self.0
    }

    /// What tells keys apart and says nothing of them.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        use sha2::Digest as _;
        sha2::Sha256::new().chain_update(b"daybook master key 1").chain_update(self.bytes()).finalize().into()
    }

    fn in_file(path: &Path, forbidden: u32, passphrase: Option<&str>) -> Result<Option<Self>> {
        let bytes = match read(path, forbidden) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(path, &error)),
        };
        match SealedKey::parse(&bytes) {
            None => key_of(&bytes).map(Some).ok_or_else(|| internal(READ, format!("{} holds no key", path.display()))),
            Some(sealed) => {
                let Some(passphrase) = passphrase else {
                    let message = format!(
                        "{} is sealed under a passphrase: give it in a file, `daybook serve --passphrase-file FILE`",
                        path.display()
                    );
                    return Err(internal(READ, message));
                };
                let key = sealed.open(passphrase);
                key.map(Some).ok_or_else(|| internal(READ, format!("the passphrase is not that of {}", path.display())))
            }
        }
    }
}

/// The passphrase in a file: its first line.
pub fn passphrase_in(file: &Path) -> std::io::Result<Zeroizing<String>> {
    let text = Zeroizing::new(std::fs::read_to_string(file)?);
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// How the key of a state directory lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// As it is: whoever reads the file has it.
    Plain,
    /// Sealed under a passphrase.
    Sealed,
}

/// How a state directory's own key lies there. `None`: there is none.
///
/// # Errors
/// The file cannot be read, or others may read it.
pub fn key_form(dir: &Path) -> Result<Option<KeyForm>> {
    let path = dir.join(NAME);
    match read(&path, 0o077) {
        Ok(bytes) if SealedKey::parse(&bytes).is_some() => Ok(Some(KeyForm::Sealed)),
        Ok(_) => Ok(Some(KeyForm::Plain)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(&path, &error)),
    }
}

/// Writes a state directory's own key anew: sealed under the passphrase `new`, or as it is. `present` is the passphrase
/// under which it is sealed now. The key stays the same, so a server that runs needs not be told.
///
/// # Errors
/// There is no key, `present` is not its passphrase, or the file cannot be written: it is as it was.
pub fn seal_key(dir: &Path, present: Option<&str>, new: Option<&str>) -> Result<()> {
    let key = MasterKey::load(&KeySource::Own, dir, present)?;
    let key = key.ok_or_else(|| internal(READ, "there is no master key: the first `daybook up` makes one"))?;
    let bytes = match new {
        Some(passphrase) => Zeroizing::new(SealedKey::seal(&key, passphrase, COSTS).bytes()),
        None => Zeroizing::new(key.bytes().to_vec()),
    };
    write_whole(&dir.join(NAME), &bytes).map_err(|error| unavailable(WRITE, &error))
}

impl SealedKey {
    fn seal(key: &MasterKey, passphrase: &str, costs: [u32; 3]) -> Self {
        let random = <[u8; KEY]>::from(Key::generate());
        let salt = *random.first_chunk().expect("a salt is shorter than a key");
        let unsealed = Self { salt, costs, sealed: [0; NONCE + KEY + TAG] };
        let stretched = unsealed.stretch(passphrase).expect("our own costs are within the bounds of Argon2");
        let sealed = seal(&stretched, MAGIC, key.bytes());
        Self { sealed: sealed.try_into().expect("a nonce, the key and its tag"), ..unsealed }
    }

    fn open(&self, passphrase: &str) -> Option<MasterKey> {
        let key = open(&*self.stretch(passphrase)?, MAGIC, &self.sealed)?;
        key_of(&key)
    }

    /// The key that a passphrase makes. `None`: the costs are none that we take.
    fn stretch(&self, passphrase: &str) -> Option<Zeroizing<[u8; KEY]>> {
        let [memory, passes, lanes] = self.costs;
        if self.costs.iter().zip(MOST_COSTS).any(|(cost, most)| *cost > most) {
            return None;
        }
        let params = Params::new(memory, passes, lanes, Some(KEY)).ok()?;
        let mut key = Zeroizing::new([0; KEY]);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(passphrase.as_bytes(), &self.salt, key.as_mut()).ok()?;
        Some(key)
    }

    fn bytes(&self) -> Vec<u8> {
        let costs = self.costs.iter().flat_map(|cost| cost.to_be_bytes());
        MAGIC.iter().copied().chain(self.salt).chain(costs).chain(self.sealed).collect()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (salt, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<SALT>()?;
        let (costs, sealed) = rest.split_first_chunk::<12>()?;
        let cost = |index: usize| Some(u32::from_be_bytes(*costs[4 * index..].first_chunk()?));
        Some(Self { salt: *salt, costs: [cost(0)?, cost(1)?, cost(2)?], sealed: sealed.try_into().ok()? })
    }
}

/// A key as it is.
fn key_of(bytes: &[u8]) -> Option<MasterKey> {
    bytes.try_into().ok().map(MasterKey::of)
}

/// A key as it is, or in hexadecimal or Base64, with or without a line break.
fn key_in_text(bytes: &[u8]) -> Option<MasterKey> {
    if let Some(key) = key_of(bytes) {
        return Some(key);
    }
    let text = std::str::from_utf8(bytes).ok()?.trim();
    if text.len() == 2 * KEY {
        let digits = text.as_bytes().chunks_exact(2).map(std::str::from_utf8);
        let bytes: Option<Vec<u8>> = digits.map(|pair| u8::from_str_radix(pair.ok()?, 16).ok()).collect();
        return key_of(&Zeroizing::new(bytes?));
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    key_of(&Zeroizing::new(decoded))
}

/// Runs a program to its end. What it prints is never shown; what it says of an error is.
fn printed_by(words: &[String]) -> Result<MasterKey> {
    let failed = |why: String| Error::Unavailable { operation: READ, message: why };
    let Some((program, arguments)) = words.split_first() else {
        return Err(internal(READ, "no program is named that prints it"));
    };
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(format!("`{program}` cannot be run: {error}")))?;
    let printed = Zeroizing::new(output.stdout);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last: String =
            said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().chars().take(200).collect();
        return Err(failed(format!("`{program}` ended with {}: {last}", output.status)));
    }
    key_in_text(&printed).ok_or_else(|| {
        failed(format!(
            "`{program}` printed {} bytes, which are no key: 32 bytes, in hexadecimal or Base64",
            printed.len()
        ))
    })
}

/// All of a file that only those may read who are not `forbidden` to.
fn read(path: &Path, forbidden: u32) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    if file.metadata()?.permissions().mode() & forbidden != 0 {
        let why = format!("others may read it: `chmod 600 {}`", path.display());
        return Err(std::io::Error::new(ErrorKind::PermissionDenied, why));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES as usize));
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn at(path: &Path, error: &std::io::Error) -> Error {
    Error::Unavailable { operation: READ, message: format!("{}: {error}", path.display()) }
}

/// Written whole under another name first: a key that was cut short would lose every secret.
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("key.new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    let directory = path.parent().expect("a key is in a directory");
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least that Argon2 takes: tests are many.
    const CHEAP: [u32; 3] = [8, 1, 1];

    fn program(words: &[&str]) -> Result<MasterKey> {
        printed_by(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_sealed_key_opens_with_its_passphrase_only_and_only_whole() {
        let key = MasterKey::of([7; KEY]);
        let sealed = SealedKey::seal(&key, "correct horse battery", CHEAP);
        let bytes = sealed.bytes();
        assert!(!bytes.windows(8).any(|window| window == [7; 8]), "the key is not in the file");
        let read = SealedKey::parse(&bytes).unwrap();
        assert_eq!(read, sealed);
        assert_eq!(read.open("correct horse battery").unwrap().bytes(), key.bytes());
        assert!(read.open("correct horse batterz").is_none());
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 0x40;
            let opened = SealedKey::parse(&altered).and_then(|sealed| sealed.open("correct horse battery"));
            assert!(opened.is_none(), "byte {at} was altered unseen");
            assert!(SealedKey::parse(&bytes[..at]).is_none(), "cut at {at} unseen");
        }
        assert_ne!(SealedKey::seal(&key, "correct horse battery", CHEAP), sealed, "each has a salt of its own");
    }

    #[test]
    fn a_key_is_sealed_and_unsealed_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(key_form(dir.path()).unwrap(), None);
        assert!(seal_key(dir.path(), None, Some("correct horse battery")).is_err());
        let made = MasterKey::make(dir.path()).unwrap();
        assert_eq!(key_form(dir.path()).unwrap(), Some(KeyForm::Plain));
        seal_key(dir.path(), None, Some("correct horse battery")).unwrap();
        assert_eq!(key_form(dir.path()).unwrap(), Some(KeyForm::Sealed));
        let load = |passphrase: Option<&str>| MasterKey::load(&KeySource::Own, dir.path(), passphrase);
        assert!(load(None).err().unwrap().to_string().contains("--passphrase-file"));
        assert!(load(Some("another")).err().unwrap().to_string().contains("the passphrase is not that of"));
        assert_eq!(load(Some("correct horse battery")).unwrap().unwrap().bytes(), made.bytes());
        assert!(seal_key(dir.path(), Some("another"), None).is_err());
        seal_key(dir.path(), Some("correct horse battery"), None).unwrap();
        assert_eq!(load(None).unwrap().unwrap().bytes(), made.bytes());
    }

    #[test]
    fn a_program_prints_the_key() {
        let hex = "07".repeat(KEY);
        let base64 = base64::engine::general_purpose::STANDARD.encode([7; KEY]);
        for text in [hex.as_str(), &base64, &format!("{hex}\n")] {
            assert_eq!(program(&["printf", "%s", text]).unwrap().bytes(), &[7; KEY]);
        }
        let told = |words: &[&str]| program(words).err().unwrap().to_string();
        assert!(told(&["printf", "swordfish"]).contains("printed 9 bytes, which are no key"));
        assert!(!told(&["printf", "swordfish"]).contains("swordfish"), "r31");
        assert!(told(&["no-such-program-of-daybook"]).contains("cannot be run"));
        assert!(told(&["cat", "/no/such/file"]).contains("No such file"));
        assert!(program(&[]).is_err());
    }
}
