//! Ids that Daybook gives to things.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::name::{InvalidName, ServiceName};

/// The number of a release within its environment; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseNumber(pub u64);

impl fmt::Display for ReleaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run: the carrying out of a plan. UUID version 7, so that ids sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl RunId {
    /// Stands where nothing was carried out.
    pub const NONE: Self = Self(Uuid::nil());
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A plan, named by the hash of what it contains: equal plans have equal ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlanId(pub Digest);

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.short())
    }
}

/// A step's place in its plan, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub u32);

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One replica of a service: `web.3`. Ordinals only grow, so a name is never used for a second
/// configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct ReplicaId {
    /// The service it is a copy of.
    pub service: ServiceName,
    /// Its number, from 1.
    pub ordinal: u64,
}

impl ReplicaId {
    /// Names replica `ordinal` of `service`.
    pub fn new(service: ServiceName, ordinal: u64) -> Self {
        Self { service, ordinal }
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service, self.ordinal)
    }
}

impl std::str::FromStr for ReplicaId {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let wrong = || InvalidName {
            kind: "replica",
            text: text.chars().take(80).collect(),
            why: "write it as SERVICE.NUMBER",
        };
        let (service, ordinal) = text.rsplit_once('.').ok_or_else(wrong)?;
        Ok(Self { service: service.parse()?, ordinal: ordinal.parse().map_err(|_| wrong())? })
    }
}

impl TryFrom<String> for ReplicaId {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl Serialize for ReplicaId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

const PREFIX: &str = "sha256:";

/// A SHA-256 digest. Its text is the usual one: `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest([u8; 32]);

/// Takes what is written to it into the hash.
struct Hasher(Sha256);

impl std::io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hash(&Sha256::digest(bytes).into())
    }

    /// The digest of `value` as JSON, which is never in memory as a whole.
    pub fn of_json(value: &impl Serialize) -> Self {
        let mut hasher = std::io::BufWriter::new(Hasher(Sha256::new()));
        serde_json::to_writer(&mut hasher, value).expect("what has a digest is plain data");
        let Hasher(hash) =
            hasher.into_inner().map_err(std::io::IntoInnerError::into_error).expect("hashing cannot fail");
        Self::from_hash(&hash.finalize().into())
    }

    /// Takes a digest that a hasher has finished.
    pub fn from_hash(hash: &[u8; 32]) -> Self {
        Self(*hash)
    }

    /// The 64 digits alone.
    pub fn hex(&self) -> String {
        self.with_text(|text| text[PREFIX.len()..].to_owned())
    }

    /// The first twelve digits: enough for people to tell digests apart.
    pub fn short(&self) -> String {
        self.with_text(|text| text[PREFIX.len()..][..12].to_owned())
    }

    /// Makes the text without allocating: plans hold thousands of digests.
    fn with_text<T>(&self, use_it: impl FnOnce(&str) -> T) -> T {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; PREFIX.len() + 64];
        let (head, tail) = text.split_at_mut(PREFIX.len());
        head.copy_from_slice(PREFIX.as_bytes());
        for (pair, byte) in tail.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        use_it(std::str::from_utf8(&text).expect("digits are text"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.write_str(text))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

impl std::str::FromStr for Digest {
    type Err = InvalidName;
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let digits = text.strip_prefix(PREFIX).unwrap_or_default().as_bytes();
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let pairs = digits.chunks_exact(2).map(|pair| Some(value(pair[0])? << 4 | value(pair[1])?));
        let hash = pairs.collect::<Option<Vec<u8>>>().and_then(|hash| hash.try_into().ok());
        hash.filter(|_| digits.len() == 64).map(Self).ok_or_else(|| InvalidName {
            kind: "digest",
            text: text.chars().take(80).collect(),
            why: "write `sha256:` and 64 lower-case hexadecimal digits",
        })
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}
