//! What came of a copy.

use std::fmt;

use daybook_model::masking::{Masking, Rule};

use super::scan::Suspect;
use super::{Along, ColumnName, Plan, TableName};

/// What is to be copied, and how.
///
/// The target has the tables of the source and nothing in them, and neither constraints nor indexes nor triggers: what
/// `pg_dump --section=pre-data` writes. Whoever asks adds what `--section=post-data` writes afterwards; that also fills
/// materialized views, if they are refreshed.
#[derive(Clone, Copy)]
pub struct Copying<'a> {
    /// The URL of the database that is read.
    pub source: &'a str,
    /// The URL of the database that is written.
    pub target: &'a str,
    /// The rules.
    pub masking: &'a Masking,
    /// The secret that masked values depend on: 16 random bytes or more.
    pub seed: &'a [u8],
    /// Tables that get no rows, as `table` or `schema.table`.
    pub without: &'a [String],
    /// Hears how far it is: once for each table that is done, and every now and then.
    pub progress: &'a (dyn Fn(Progress) + Send + Sync),
}

impl fmt::Debug for Copying<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URLs hold passwords, and the seed is a secret.
        f.debug_struct("Copying").field("masking", self.masking).field("without", &self.without).finish_non_exhaustive()
    }
}

/// What a copy would do: it only reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// What becomes of each column.
    pub plan: Plan,
    /// Columns that look personal and have no rule.
    pub suspects: Vec<Suspect>,
    /// What the source has and a copy has not, in words.
    pub not_carried: Vec<String>,
}

impl Look {
    /// The report of a copy that has copied these tables.
    pub(super) fn report(self, tables: Vec<Copied>) -> CopyReport {
        let masked = self.plan.masked().collect();
        let (along, suspects, not_carried) = (self.plan.along, self.suspects, self.not_carried);
        CopyReport { tables, masked, along, suspects, not_carried }
    }
}

/// What a copy did, and did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// Each table that was copied, in the order in which it was.
    pub tables: Vec<Copied>,
    /// Columns that are masked, with their rules.
    pub masked: Vec<(ColumnName, Rule)>,
    /// Of these, columns that have no rule of their own but refer to one that has.
    pub along: Vec<Along>,
    /// Columns that look personal and have no rule: they were copied as they are.
    pub suspects: Vec<Suspect>,
    /// What the source has and the copy has not, in words.
    pub not_carried: Vec<String>,
}

/// A table that was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The table.
    pub table: TableName,
    /// Its rows.
    pub rows: u64,
    /// Bytes that were sent for them.
    pub bytes: u64,
}

/// How far a copy is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The table that is copied.
    pub table: TableName,
    /// Which one of them it is, from 1.
    pub nth: usize,
    /// How many there are.
    pub of: usize,
    /// Its rows so far.
    pub rows: u64,
    /// Whether these are all.
    pub is_done: bool,
}

#[cfg(test)]
mod tests {
    use super::super::{mysql, postgres};
    use super::*;

    fn sent<T: Send>(future: T) -> T {
        future
    }

    #[tokio::test]
    async fn r31_a_copy_can_go_to_any_thread_and_shows_no_secret() {
        let masking = Masking::default();
        let copying = Copying {
            source: "postgres://u:hunter2@h/d",
            target: "nothing",
            masking: &masking,
            seed: b"hunter2",
            without: &[],
            progress: &|_| {},
        };
        assert!(!format!("{copying:?}").contains("hunter2"));
        let nowhere = Copying { source: "nothing", ..copying };
        for said in [sent(postgres::copy(&nowhere)).await, sent(mysql::copy(&nowhere)).await] {
            assert!(said.unwrap_err().to_string().starts_with("read the database of the source: "));
        }
    }
}
