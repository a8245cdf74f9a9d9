//! Which runs there were.

use daybook_model::{Entry, EnvKey, RunId};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};

use crate::chain::{self, Stored};
use crate::database::failed;
use crate::{Result, Store};

const OPERATION: &str = "read the runs";

/// The first and the last entry of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// Its `RunStarted`.
    pub started: Entry,
    /// Its `RunFinished`, once it is over.
    pub finished: Option<Entry>,
}

impl Store {
    /// The newest runs, newest first: of one environment, or of all.
    pub async fn runs(&self, key: Option<&EnvKey>, limit: usize) -> Result<Vec<RunRecord>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "SELECT started_seq, finished_seq FROM runs WHERE $1 IS NULL OR key = $1
                   ORDER BY started_seq DESC LIMIT $2";
        let mut connection = self.reader(OPERATION).await?;
        let query = sqlx::query(sql).bind(key.map(ToString::to_string)).bind(limit);
        let rows = query.fetch_all(&mut *connection).await.map_err(failed(OPERATION))?;
        drop(connection);
        let mut runs = Vec::with_capacity(rows.len());
        for row in &rows {
            runs.push(self.record(row).await?);
        }
        Ok(runs)
    }

    /// One run.
    pub async fn run(&self, run: RunId) -> Result<Option<RunRecord>> {
        let sql = "SELECT started_seq, finished_seq FROM runs WHERE run = $1";
        let mut connection = self.reader(OPERATION).await?;
        let row = sqlx::query(sql).bind(run.to_string()).fetch_optional(&mut *connection).await;
        let row = row.map_err(failed(OPERATION))?;
        drop(connection);
        match row {
            Some(row) => self.record(&row).await.map(Some),
            None => Ok(None),
        }
    }

    async fn record(&self, row: &AnyRow) -> Result<RunRecord> {
        let started: i64 = row.try_get(0).map_err(failed(OPERATION))?;
        let finished: Option<i64> = row.try_get(1).map_err(failed(OPERATION))?;
        let finished = match finished {
            Some(seq) => Some(self.entry(seq).await?),
            None => None,
        };
        Ok(RunRecord { started: self.entry(started).await?, finished })
    }

    async fn entry(&self, seq: i64) -> Result<Entry> {
        let sql = AssertSqlSafe(format!("SELECT {} FROM journal WHERE seq = $1", chain::COLUMNS));
        let mut connection = self.reader(OPERATION).await?;
        let row = sqlx::query(sql).bind(seq).fetch_optional(&mut *connection).await.map_err(failed(OPERATION))?;
        let row = row.ok_or_else(|| chain::damaged(seq.cast_unsigned(), &"it is missing"))?;
        Stored::read(&row)?.entry()
    }
}
