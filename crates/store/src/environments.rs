//! What is known of each environment beside its entries.

use std::collections::BTreeMap;

use daybook_model::{EnvKey, ReleaseNumber, RunId, ServiceName, Timestamp};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::database::failed;
use crate::{Result, Store};

const OPERATION: &str = "read the environments";

/// One environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Which.
    pub key: EnvKey,
    /// When it was first written about.
    pub created_at: Timestamp,
    /// Sequence number of its latest entry.
    pub latest: u64,
    /// The release in force.
    pub release: Option<ReleaseNumber>,
    /// The run that is open.
    pub open_run: Option<RunId>,
    /// It was found running, and no release of it is known.
    pub adopted: bool,
    /// It is managed no more: it was taken down.
    pub retired: bool,
}

const SELECT: &str = "SELECT e.key, e.created_at, e.latest_seq, c.number, o.run, e.adopted, e.retired
    FROM environments e LEFT JOIN current_releases c ON c.key = e.key 
    LEFT JOIN runs o ON o.key = e.key AND o.finished_seq IS NULL";

impl Store {
    /// Every environment that was ever written about, by key.
    pub async fn environments(&self) -> Result<Vec<Environment>> {
        let mut connection = self.reader(OPERATION).await?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} ORDER BY e.key")));
        let rows = rows.fetch_all(&mut *connection).await.map_err(failed(OPERATION))?;
        rows.iter().map(|row| read(row).map_err(failed(OPERATION))).collect()
    }

    /// One environment, if it was ever written about.
    pub async fn environment(&self, key: &EnvKey) -> Result<Option<Environment>> {
        let mut connection = self.reader(OPERATION).await?;
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("{SELECT} WHERE e.key = $1"))).bind(key.to_string());
        let row = row.fetch_optional(&mut *connection).await.map_err(failed(OPERATION))?;
        row.as_ref().map(|row| read(row).map_err(failed(OPERATION))).transpose()
    }

    /// For each service the lowest ordinal that was never given to a replica.
    pub async fn next_ordinals(&self, key: &EnvKey) -> Result<BTreeMap<ServiceName, u64>> {
        let rows = self.pairs("SELECT service, highest FROM ordinals WHERE key = $1", key).await?;
        let next = |row: &SqliteRow| Ok((parsed(row, 0)?, row.try_get::<i64, _>(1)?.cast_unsigned() + 1));
        rows.iter().map(|row| next(row).map_err(failed(OPERATION))).collect()
    }

    /// For each job the latest time that was settled: run, running or skipped.
    pub async fn jobs(&self, key: &EnvKey) -> Result<BTreeMap<ServiceName, Timestamp>> {
        let rows = self.pairs("SELECT service, due FROM jobs WHERE key = $1", key).await?;
        let due = |row: &SqliteRow| Ok((parsed(row, 0)?, parsed(row, 1)?));
        rows.iter().map(|row| due(row).map_err(failed(OPERATION))).collect()
    }

    async fn pairs(&self, sql: &'static str, key: &EnvKey) -> Result<Vec<SqliteRow>> {
        let mut connection = self.reader(OPERATION).await?;
        sqlx::query(sql).bind(key.to_string()).fetch_all(&mut *connection).await.map_err(failed(OPERATION))
    }
}

fn read(row: &SqliteRow) -> sqlx::Result<Environment> {
    let open_run: Option<String> = row.try_get(4)?;
    Ok(Environment {
        key: parsed(row, 0)?,
        created_at: parsed(row, 1)?,
        latest: row.try_get::<i64, _>(2)?.cast_unsigned(),
        release: row.try_get::<Option<i64>, _>(3)?.map(|number| ReleaseNumber(number.cast_unsigned())),
        open_run: open_run.map(|run| run.parse().map(RunId)).transpose().map_err(decode)?,
        adopted: row.try_get::<i64, _>(5)? != 0,
        retired: row.try_get::<i64, _>(6)? != 0,
    })
}

/// A column of text, read as what it stands for.
pub(crate) fn parsed<T>(row: &SqliteRow, column: usize) -> sqlx::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.try_get::<String, _>(column)?.parse().map_err(decode)
}

fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
