//! The hash chain of the journal: what is stored of an entry, and what its hash covers.

use daybook_model::{Actor, Digest, Entry, Event, RunId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::{Error, Result};

/// Columns of the journal in the order that [`Stored::read`] takes them.
pub(crate) const COLUMNS: &str = "seq, at, key, run, actor, origin, event, previous, hash";

/// The hash "before" the first entry: of nothing.
pub(crate) fn origin() -> [u8; 32] {
    Sha256::digest(b"").into()
}

/// A stored value and the version of its form.
#[derive(Serialize, Deserialize)]
pub(crate) struct Versioned<T> {
    /// Version of the form of `body`.
    pub(crate) v: u32,
    /// The value.
    pub(crate) body: T,
}

/// The version that this program writes, and the latest that it reads.
pub(crate) const FORM: u32 = 1;

/// An entry as the database holds it. Hashes cover these bytes, whatever they mean.
pub(crate) struct Stored {
    pub(crate) seq: u64,
    pub(crate) at: String,
    pub(crate) key: Option<String>,
    pub(crate) run: Option<String>,
    pub(crate) actor: String,
    pub(crate) origin: String,
    pub(crate) event: String,
    pub(crate) previous: [u8; 32],
    pub(crate) hash: [u8; 32],
}

impl Stored {
    /// SHA-256 over every field but `hash` itself, each preceded by its length (64 bits, big-endian);
    /// an optional field is preceded by a byte 0 (absent) or 1.
    pub(crate) fn expected_hash(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        let mut put = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_be_bytes());
            hasher.update(bytes);
        };
        put(b"daybook journal 1");
        put(&self.seq.to_be_bytes());
        put(self.at.as_bytes());
        for optional in [&self.key, &self.run] {
            put(&[u8::from(optional.is_some())]);
            put(optional.as_deref().unwrap_or_default().as_bytes());
        }
        put(self.actor.as_bytes());
        put(self.origin.as_bytes());
        put(self.event.as_bytes());
        put(&self.previous);
        hasher.finalize().into()
    }

    /// Takes a row of [`COLUMNS`] and checks its hash.
    pub(crate) fn read(row: &AnyRow) -> Result<Self> {
        let seq: i64 = row.try_get(0).map_err(|error| damaged(0, &error))?;
        let seq = u64::try_from(seq).map_err(|error| damaged(0, &error))?;
        let stored = Self::columns(row, seq).map_err(|error| damaged(seq, &error))?;
        if stored.expected_hash() != stored.hash {
            return Err(damaged(seq, &"its content does not match its hash"));
        }
        Ok(stored)
    }

    fn columns(row: &AnyRow, seq: u64) -> std::result::Result<Self, sqlx::Error> {
        let hash = |column: usize| {
            let bytes: Vec<u8> = row.try_get(column)?;
            <[u8; 32]>::try_from(bytes).map_err(|_| sqlx::Error::Decode("a hash is not 32 bytes long".into()))
        };
        Ok(Self {
            seq,
            at: row.try_get(1)?,
            key: row.try_get(2)?,
            run: row.try_get(3)?,
            actor: row.try_get(4)?,
            origin: row.try_get(5)?,
            event: row.try_get(6)?,
            previous: hash(7)?,
            hash: hash(8)?,
        })
    }

    /// The entry that it stands for. The hash has vouched for the bytes; what cannot be read all the
    /// same was written by a newer Daybook.
    pub(crate) fn entry(self) -> Result<Entry> {
        let seq = self.seq;
        self.parse().map_err(|why| Error::Internal {
            operation: "read the journal",
            message: format!("entry {seq} cannot be read by this version of Daybook: {why}"),
        })
    }

    fn parse(self) -> std::result::Result<Entry, Box<dyn std::error::Error + Send + Sync>> {
        let event: Versioned<Event> = serde_json::from_str(&self.event)?;
        let run = self.run.map(|run| run.parse().map(RunId)).transpose()?;
        Ok(Entry {
            seq: self.seq,
            at: self.at.parse()?,
            key: self.key.map(|key| key.parse()).transpose()?,
            run,
            actor: Actor { name: self.actor, origin: self.origin },
            event: event.body,
            previous: Digest::from_hash(&self.previous),
            hash: Digest::from_hash(&self.hash),
        })
    }
}

/// Entry `seq` is damaged. 0 is the journal as a whole.
pub(crate) fn damaged(seq: u64, why: &dyn std::fmt::Display) -> Error {
    Error::Damaged { seq, why: why.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Stored {
        Stored {
            seq: 1,
            at: "2026-01-01T00:00:00Z".to_owned(),
            key: Some("a/b".to_owned()),
            run: None,
            actor: "ann".to_owned(),
            origin: "cli".to_owned(),
            event: "{}".to_owned(),
            previous: origin(),
            hash: [0; 32],
        }
    }

    #[test]
    fn r11_text_that_moves_from_one_field_to_the_next_changes_the_hash() {
        let moved = Stored { actor: "an".to_owned(), origin: "ncli".to_owned(), ..stored() };
        assert_ne!(moved.expected_hash(), stored().expected_hash());
    }

    #[test]
    fn r11_an_absent_field_and_an_empty_one_have_different_hashes() {
        let empty = Stored { run: Some(String::new()), ..stored() };
        assert_ne!(empty.expected_hash(), stored().expected_hash());
    }
}
