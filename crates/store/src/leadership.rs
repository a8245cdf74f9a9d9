//! Who may write to a database that several servers share.
//!
//! Each term of a leader has a number of its own, its epoch. Every write locks the row of `leadership` and compares:
//! from the moment that a new term is committed, nothing of an earlier one is.

use std::sync::atomic::Ordering;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection as _, Row as _};

use crate::database::{Kind, failed};
use crate::{Error, Result, Store, internal};

const LEAD: &str = "take the leadership";
const CHECK: &str = "check the leadership";
const BALLOT: &str = "ask who is to lead";

/// The number of a leader's term. Later terms have higher ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// The latest term.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Its number; 0 when nobody ever led.
    pub epoch: Epoch,
    /// Who leads in it.
    pub holder: String,
}

impl std::fmt::Display for Leader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.epoch.0 {
            0 => f.write_str("nobody does"),
            epoch => write!(f, "`{}` does, in epoch {epoch}", self.holder),
        }
    }
}

impl Store {
    /// Begins a term: from now on this store may write, and no other that led before.
    ///
    /// Whoever calls it has been elected. What the fence then refuses does not depend on the election being right.
    /// A store in a file has no terms and stays as it is.
    pub async fn lead(&self, holder: &str) -> Result<Epoch> {
        if self.inner.database.kind == Kind::Sqlite {
            return Ok(Epoch(0));
        }
        let at = daybook_model::Timestamp::now().to_string();
        let mut connection = self.inner.database.writer.acquire().await.map_err(failed(LEAD))?;
        let mut transaction = connection.begin_with(Kind::Postgres.begin()).await.map_err(failed(LEAD))?;
        let sql = "UPDATE leadership SET epoch = epoch + 1, holder = $1, since = $2 RETURNING epoch";
        let query = sqlx::query_scalar(sql).bind(holder).bind(at);
        let epoch: i64 = query.fetch_one(&mut *transaction).await.map_err(failed(LEAD))?;
        transaction.commit().await.map_err(failed(LEAD))?;
        self.inner.epoch.store(epoch.cast_unsigned(), Ordering::SeqCst);
        Ok(Epoch(epoch.cast_unsigned()))
    }

    /// Ends this store's term: it writes no more, whoever leads next.
    pub fn abdicate(&self) {
        self.inner.epoch.store(0, Ordering::SeqCst);
    }

    /// The latest term, where there are terms.
    pub async fn leader(&self) -> Result<Option<Leader>> {
        if self.inner.database.kind == Kind::Sqlite {
            return Ok(None);
        }
        let mut connection = self.reader(CHECK).await?;
        let row = sqlx::query("SELECT epoch, holder FROM leadership").fetch_one(&mut *connection).await;
        row.and_then(|row| read(&row)).map(Some).map_err(failed(CHECK))
    }

    /// Comes back once a write of this store's was refused because another leads, or is in doubt: whoever acts by
    /// what it wrote must stop.
    pub async fn fenced(&self) {
        let mut fenced = self.inner.fenced.subscribe();
        // The sender lives as long as the store.
        let _ = fenced.wait_for(|fenced| *fenced).await;
    }

    /// The ballot by which servers elect a leader: its version, and who holds it.
    pub async fn ballot(&self) -> Result<(u64, Option<String>)> {
        let mut connection = self.reader(BALLOT).await?;
        let row = sqlx::query("SELECT version, holder FROM ballot").fetch_one(&mut *connection).await;
        let row = row.map_err(failed(BALLOT))?;
        let version: i64 = row.try_get(0).map_err(failed(BALLOT))?;
        Ok((version.cast_unsigned(), row.try_get(1).map_err(failed(BALLOT))?))
    }

    /// Changes the ballot if it is still of this version. The new version; none, if it was not.
    pub async fn cast(&self, expecting: u64, holder: Option<&str>) -> Result<Option<u64>> {
        let mut connection = self.reader(BALLOT).await?;
        let mut transaction = connection.begin_with(Kind::Postgres.begin()).await.map_err(failed(BALLOT))?;
        let sql = "UPDATE ballot SET version = version + 1, holder = $2 WHERE version = $1 RETURNING version";
        let query = sqlx::query_scalar(sql).bind(expecting.cast_signed()).bind(holder);
        let version: Option<i64> = query.fetch_optional(&mut *transaction).await.map_err(failed(BALLOT))?;
        transaction.commit().await.map_err(failed(BALLOT))?;
        Ok(version.map(i64::cast_unsigned))
    }

    /// Whose the things are that servers of this database make: the same for all of them.
    pub async fn identity(&self) -> Result<Option<String>> {
        const IDENTITY: &str = "read the identity";
        if self.inner.database.kind == Kind::Sqlite {
            return Ok(None);
        }
        let mut connection = self.inner.database.writer.acquire().await.map_err(failed(IDENTITY))?;
        let sql = "INSERT INTO identity (one, id) VALUES (1, $1) ON CONFLICT DO NOTHING";
        let new = uuid::Uuid::now_v7().to_string();
        sqlx::query(sql).bind(new).execute(&mut *connection).await.map_err(failed(IDENTITY))?;
        let id = sqlx::query_scalar("SELECT id FROM identity").fetch_one(&mut *connection).await;
        id.map(Some).map_err(failed(IDENTITY))
    }

    /// Refuses a master key that is not the one under which the database's secrets are sealed.
    pub(crate) async fn check_key(&self) -> Result<()> {
        const KEY: &str = "check the master key";
        let mut connection = self.inner.database.writer.acquire().await.map_err(failed(KEY))?;
        let ours = self.inner.master.fingerprint();
        let sql = "INSERT INTO master_key (one, fingerprint) VALUES (1, $1) ON CONFLICT DO NOTHING";
        sqlx::query(sql).bind(ours.as_slice()).execute(&mut *connection).await.map_err(failed(KEY))?;
        let query = sqlx::query_scalar("SELECT fingerprint FROM master_key");
        let theirs: Vec<u8> = query.fetch_one(&mut *connection).await.map_err(failed(KEY))?;
        if theirs != ours {
            return Err(internal(
                KEY,
                "it is not the key that seals the secrets of this database: give every server the same file",
            ));
        }
        Ok(())
    }
}

/// Waits for every writer before, and returns the latest term.
pub(crate) async fn lock(connection: &mut AnyConnection) -> sqlx::Result<Leader> {
    read(&sqlx::query("SELECT epoch, holder FROM leadership FOR UPDATE").fetch_one(connection).await?)
}

/// Locks the row until the transaction ends, and lets it go on in the latest epoch alone.
pub(crate) async fn check(connection: &mut AnyConnection, ours: Epoch) -> Result<()> {
    let leader = lock(connection).await.map_err(failed(CHECK))?;
    if ours.0 == 0 || ours != leader.epoch {
        return Err(Error::Deposed { leader });
    }
    Ok(())
}

fn read(row: &AnyRow) -> sqlx::Result<Leader> {
    Ok(Leader { epoch: Epoch(row.try_get::<i64, _>(0)?.cast_unsigned()), holder: row.try_get(1)? })
}
