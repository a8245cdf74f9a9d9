//! Going through the whole journal, entry by entry.

use daybook_model::Digest;
use futures::TryStreamExt as _;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};

use crate::append::recorded_head;
use crate::chain::{self, Stored, damaged};
use crate::database::failed;
use crate::{Error, Result, Store};

/// A journal in which nothing was altered, dropped or put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many entries it has.
    pub entries: u64,
    /// Hash of the last one; of nothing when there is none.
    pub head: Digest,
}

impl Store {
    /// Checks the hash of every entry and that each follows the one before. The first that does not
    /// is [`crate::Error::Damaged`]. Needs no more memory for a long journal than for a short one.
    pub async fn verify(&self) -> Result<Verified> {
        let mut connection = self.reader("verify the journal").await?;
        verify(&mut connection).await
    }
}

/// Verifies in one read transaction, so that entries written meanwhile do not count.
pub(crate) async fn verify(connection: &mut AnyConnection) -> Result<Verified> {
    let mut transaction = connection.begin().await.map_err(failed("verify the journal"))?;
    let (last, hash) = walk(&mut transaction).await?;
    let (head, head_hash) = recorded_head(&mut transaction).await.map_err(failed("verify the journal"))?;
    if head != last {
        let why = format!("it is missing: entry {head} was written last");
        return Err(damaged(last.min(head) + 1, &why));
    }
    if head_hash != hash {
        return Err(damaged(last, &"it is not the entry that was written last"));
    }
    Ok(Verified { entries: last, head: Digest::from_hash(&hash) })
}

async fn walk(connection: &mut AnyConnection) -> Result<(u64, [u8; 32])> {
    let sql = format!("SELECT {} FROM journal ORDER BY seq", chain::COLUMNS);
    let mut rows = sqlx::query(AssertSqlSafe(sql)).fetch(connection);
    let (mut seq, mut hash) = (0, chain::origin());
    while let Some(row) = rows.try_next().await.map_err(|error| unread(seq + 1, error))? {
        let entry = Stored::read(&row)?;
        if entry.seq != seq + 1 {
            return Err(damaged(seq + 1, &format!("it is missing: entry {} follows entry {seq}", entry.seq)));
        }
        if entry.previous != hash {
            return Err(damaged(entry.seq, &"it does not follow the entry before it"));
        }
        (seq, hash) = (entry.seq, entry.hash);
    }
    Ok((seq, hash))
}

/// The database gave no row `seq`: a column that is no text, say, is damage of this very entry.
fn unread(seq: u64, error: sqlx::Error) -> Error {
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => damaged(seq, &error),
        other => failed("verify the journal")(other),
    }
}
