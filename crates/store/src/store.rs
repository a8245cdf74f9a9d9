//! [`Store`]: our state in one SQLite file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use daybook_model::{Entry, Timestamp};
use futures::future::BoxFuture;
use sqlx::{Connection as _, QueryBuilder, SqliteConnection};
use tokio::sync::broadcast;

use crate::append::append;
use crate::chain::{self, Stored};
use crate::database::{Database, Options, failed};
use crate::seal::MasterKey;
use crate::{Error, Journal, Query, Result, Write};

/// How many entries a slow subscriber may be behind before it must read the journal instead.
const SUBSCRIBER_LAG: usize = 4_096;

/// Our state: the journal, releases and sealed secrets, in `daybook.db` of the state directory.
///
/// Everything that it reports as written would survive power loss. Cheap to clone. One process may
/// hold it at a time; the server's lock sees to that.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    database: Database,
    file: PathBuf,
    pub(crate) master: MasterKey,
    entries: broadcast::Sender<Entry>,
}

impl Store {
    /// Opens the store of a state directory; makes what is missing, readable by the owner alone.
    pub async fn open(dir: &Path) -> Result<Self> {
        Self::open_with(dir, Options::default()).await
    }

    pub(crate) async fn open_with(dir: &Path, options: Options) -> Result<Self> {
        let database = Database::open(dir, options).await?;
        let master = MasterKey::load_or_make(dir)?;
        let (entries, _) = broadcast::channel(SUBSCRIBER_LAG);
        let file = dir.join(crate::database::FILE);
        Ok(Self { inner: Arc::new(Inner { database, file, master, entries }) })
    }

    /// Entries as they are written, in order, each after its commit.
    pub fn subscribe(&self) -> broadcast::Receiver<Entry> {
        self.inner.entries.subscribe()
    }

    /// Closes the database. Later calls fail with [`Error::Unavailable`].
    pub async fn close(&self) {
        self.inner.database.readers.close().await;
        self.inner.database.writer.close().await;
    }

    /// Does `work` in one write transaction, then tells subscribers of the entries that it wrote.
    ///
    /// It goes on when the caller is gone: nobody is left in doubt by half of it. A connection whose
    /// transaction failed is not used again, for SQLite may have ended the transaction by itself.
    pub(crate) async fn transact<T, F>(&self, operation: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection, Timestamp) -> BoxFuture<'c, Result<(T, Vec<Entry>)>>
            + Send
            + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let task = tokio::spawn(async move {
            let mut connection = inner.database.writer.acquire().await.map_err(failed(operation))?;
            let outcome = within_transaction(&mut connection, operation, work).await;
            match outcome {
                Ok((value, entries)) => {
                    for entry in entries {
                        // Nobody may be listening.
                        let _ = inner.entries.send(entry);
                    }
                    Ok(value)
                }
                Err(error) => {
                    let error = located(error, &inner.file);
                    if matches!(error, Error::Unavailable { .. } | Error::Internal { .. } | Error::Damaged { .. }) {
                        connection.close_on_drop();
                    }
                    Err(error)
                }
            }
        });
        task.await.map_err(|error| crate::internal(operation, error))?
    }

    /// A connection for reading, which sees one state of the database for as long as a statement runs.
    pub(crate) async fn reader(&self, operation: &'static str) -> Result<sqlx::pool::PoolConnection<sqlx::Sqlite>> {
        self.inner.database.readers.acquire().await.map_err(failed(operation))
    }
}

/// A write that the system refused, with the file that could not be written: whoever frees space must know where.
fn located(error: Error, file: &Path) -> Error {
    match error {
        Error::Unavailable { operation, message } => {
            Error::Unavailable { operation, message: format!("{message} ({})", file.display()) }
        }
        error => error,
    }
}

async fn within_transaction<T, F>(
    connection: &mut SqliteConnection,
    operation: &'static str,
    work: F,
) -> Result<(T, Vec<Entry>)>
where
    F: for<'c> FnOnce(&'c mut SqliteConnection, Timestamp) -> BoxFuture<'c, Result<(T, Vec<Entry>)>>,
{
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed(operation))?;
    match work(&mut transaction, Timestamp::now()).await {
        Ok(value) => {
            transaction.commit().await.map_err(failed(operation))?;
            Ok(value)
        }
        Err(error) => {
            // The error that counts is the first one; a connection that cannot roll back is closed.
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}

#[async_trait]
impl Journal for Store {
    async fn append(&self, write: Write) -> Result<Entry> {
        self.transact("write to the journal", |connection, at| {
            Box::pin(async move {
                let entry = append(connection, write, at).await?;
                Ok((entry.clone(), vec![entry]))
            })
        })
        .await
    }

    async fn read(&self, query: &Query) -> Result<Vec<Entry>> {
        let mut connection = self.reader("read the journal").await?;
        let rows = select(query).build().fetch_all(&mut *connection).await.map_err(failed("read the journal"))?;
        let mut entries: Vec<_> = rows.iter().map(|row| Stored::read(row)?.entry()).collect::<Result<_>>()?;
        if query.newest {
            entries.reverse();
        }
        Ok(entries)
    }
}

fn select(query: &Query) -> QueryBuilder<sqlx::Sqlite> {
    let head = format!("SELECT {} FROM journal WHERE seq > ", chain::COLUMNS);
    let mut sql = QueryBuilder::new(head);
    sql.push_bind(i64::try_from(query.after).unwrap_or(i64::MAX));
    if let Some(key) = &query.key {
        sql.push(" AND key = ").push_bind(key.to_string());
    }
    if let Some(run) = query.run {
        sql.push(" AND run = ").push_bind(run.to_string());
    }
    sql.push(if query.newest { " ORDER BY seq DESC" } else { " ORDER BY seq" });
    if let Some(limit) = query.limit {
        sql.push(" LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    }
    sql
}
