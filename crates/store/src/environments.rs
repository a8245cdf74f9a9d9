//! What is known of each environment beside its entries.

use std::collections::BTreeMap;

use daybook_model::{Entry, EnvKey, ReleaseNumber, ReplicaId, RunId, ServiceName, Timestamp};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::chain::{self, Stored};
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

/// What is known of a scheduled job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The latest time that was settled: run, running or skipped.
    pub settled: Timestamp,
    /// The run that has not ended, and the time it was due.
    pub running: Option<(ReplicaId, Timestamp)>,
    /// The last time that came to an end.
    pub last: Option<LastRun>,
}

/// How a job's last time ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRun {
    /// The time.
    pub due: Timestamp,
    /// Its exit code; none when it was skipped.
    pub code: Option<i32>,
    /// Why it was skipped.
    pub skipped: Option<String>,
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
        let next = |row: &AnyRow| Ok((parsed(row, 0)?, row.try_get::<i64, _>(1)?.cast_unsigned() + 1));
        rows.iter().map(|row| next(row).map_err(failed(OPERATION))).collect()
    }

    /// What is known of each job that was ever due.
    pub async fn jobs(&self, key: &EnvKey) -> Result<BTreeMap<ServiceName, Job>> {
        let sql =
            "SELECT service, due, running, running_due, last_due, last_code, last_skipped FROM jobs WHERE key = $1";
        let rows = self.pairs(sql, key).await?;
        rows.iter().map(|row| Ok((parsed(row, 0)?, job(row)?))).collect::<sqlx::Result<_>>().map_err(failed(OPERATION))
    }

    /// What the journal tells of an environment's backups and drills, and whether it is a clone; oldest first.
    pub async fn backup_entries(&self, key: &EnvKey) -> Result<Vec<Entry>> {
        let columns = chain::COLUMNS.split(", ").map(|column| format!("j.{column}")).collect::<Vec<_>>().join(", ");
        let sql = format!(
            "SELECT {columns} FROM backup_entries b JOIN journal j ON j.seq = b.seq WHERE b.key = $1 ORDER BY b.seq"
        );
        let mut connection = self.reader(OPERATION).await?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(key.to_string()).fetch_all(&mut *connection).await;
        rows.map_err(failed(OPERATION))?.iter().map(|row| Stored::read(row)?.entry()).collect()
    }

    async fn pairs(&self, sql: &'static str, key: &EnvKey) -> Result<Vec<AnyRow>> {
        let mut connection = self.reader(OPERATION).await?;
        sqlx::query(sql).bind(key.to_string()).fetch_all(&mut *connection).await.map_err(failed(OPERATION))
    }
}

fn read(row: &AnyRow) -> sqlx::Result<Environment> {
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

fn job(row: &AnyRow) -> sqlx::Result<Job> {
    let running = match row.try_get::<Option<String>, _>(2)? {
        Some(replica) => Some((replica.parse().map_err(decode)?, parsed(row, 3)?)),
        None => None,
    };
    let last = match row.try_get::<Option<String>, _>(4)? {
        Some(_) => Some(LastRun { due: parsed(row, 4)?, code: row.try_get(5)?, skipped: row.try_get(6)? }),
        None => None,
    };
    Ok(Job { settled: parsed(row, 1)?, running, last })
}

/// A column of text, read as what it stands for.
pub(crate) fn parsed<T>(row: &AnyRow, column: usize) -> sqlx::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.try_get::<String, _>(column)?.parse().map_err(decode)
}

fn decode(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
