//! [`Store`]: our state in one SQLite file, or in a PostgreSQL database that several servers share.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use daybook_model::{Digest, Entry, EnvKey, Release, Timestamp};
use futures::future::BoxFuture;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};
use tokio::sync::{broadcast, watch};

use crate::append::append;
use crate::chain::{self, Stored};
use crate::database::{Database, Kind, failed};
use crate::key::{KeySource, MasterKey};
use crate::leadership::{self, Epoch};
use crate::postgres::{self, DatabaseUrl};
use crate::sqlite::{self, Options};
use crate::{Error, Journal, Query, Result, Write, internal, secrets as sealed};

/// How many entries a slow subscriber may be behind before it must read the journal instead.
const SUBSCRIBER_LAG: usize = 4_096;

/// Our state: the journal, releases and sealed secrets, in `daybook.db` of the state directory or in PostgreSQL.
///
/// Everything that it reports as written would survive power loss. Cheap to clone. One process may write at a
/// time: to the file because the server's lock sees to that, to PostgreSQL because it must [lead](Store::lead).
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) database: Database,
    /// The epoch in which this process leads; 0: it does not, or nobody has to.
    pub(crate) epoch: AtomicU64,
    /// Set once a write was refused because another leads, or is in doubt.
    pub(crate) fenced: watch::Sender<bool>,
    pub(crate) master: MasterKey,
    /// The release in force of each environment, as it was last read: a release never changes.
    pub(crate) in_force: Mutex<BTreeMap<EnvKey, Arc<Release>>>,
    entries: broadcast::Sender<Entry>,
}

impl Store {
    /// Opens the store of a state directory; makes what is missing, readable by the owner alone.
    pub async fn open(dir: &Path) -> Result<Self> {
        Self::open_under(dir, &KeySource::Own, None).await
    }

    /// The same, with the master key from `key`. `passphrase` is the one under which that is sealed.
    ///
    /// # Errors
    /// Among others: the key is missing, though there are secrets that it sealed; or it is another one.
    pub async fn open_under(dir: &Path, key: &KeySource, passphrase: Option<&str>) -> Result<Self> {
        Self::open_with(dir, Options::default(), key, passphrase).await
    }

    pub(crate) async fn open_with(
        dir: &Path,
        options: Options,
        key: &KeySource,
        passphrase: Option<&str>,
    ) -> Result<Self> {
        let database = sqlite::open(dir, options).await?;
        let master = match MasterKey::load(key, dir, passphrase)? {
            Some(master) => master,
            None => {
                sealed::refuse_without_key(&database).await?;
                MasterKey::make(dir)?
            }
        };
        let store = Self::over(database, master);
        store.refuse_other_key().await?;
        Ok(store)
    }

    /// Opens the store of a state directory to look at everything but secrets: the key that it has opens none.
    pub(crate) async fn without_key(dir: &Path) -> Result<Self> {
        Ok(Self::over(sqlite::open(dir, Options::default()).await?, MasterKey::none()))
    }

    /// Opens the store in a PostgreSQL database. Secrets are sealed under the key from `key`, which must be the same
    /// for every server; the first one to connect says which it is.
    ///
    /// It may be read at once, and written once it [leads](Store::lead).
    pub async fn connect(url: &DatabaseUrl, key: &KeySource, dir: &Path, passphrase: Option<&str>) -> Result<Self> {
        let master = MasterKey::load(key, dir, passphrase)?.ok_or_else(|| {
            internal("read the master key", "there is none: give every server the same, `--key-file`")
        })?;
        let store = Self::over(postgres::open(url).await?, master);
        store.check_key().await?;
        Ok(store)
    }

    fn over(database: Database, master: MasterKey) -> Self {
        let (entries, _) = broadcast::channel(SUBSCRIBER_LAG);
        let (fenced, _) = watch::channel(false);
        let (epoch, in_force) = (AtomicU64::new(0), Mutex::default());
        Self { inner: Arc::new(Inner { database, epoch, fenced, master, in_force, entries }) }
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
        F: for<'c> FnOnce(&'c mut AnyConnection, Timestamp) -> BoxFuture<'c, Result<(T, Vec<Entry>)>> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let task = tokio::spawn(async move {
            let mut connection = inner.database.writer.acquire().await.map_err(failed(operation))?;
            let outcome = inner.within_transaction(&mut connection, operation, work).await;
            match outcome {
                Ok((value, entries)) => {
                    for entry in entries {
                        // Nobody may be listening.
                        let _ = inner.entries.send(entry);
                    }
                    Ok(value)
                }
                Err(error) => {
                    let error = located(error, &inner.database.place);
                    if matches!(error, Error::Deposed { .. } | Error::InDoubt { .. }) {
                        inner.fenced.send_replace(true);
                    }
                    if !matches!(error, Error::Locked { .. } | Error::Ended { .. } | Error::Stale { .. }) {
                        connection.close_on_drop();
                    }
                    Err(error)
                }
            }
        });
        task.await.map_err(|error| crate::internal(operation, error))?
    }

    /// A connection for reading, which sees one state of the database for as long as a statement runs.
    pub(crate) async fn reader(&self, operation: &'static str) -> Result<sqlx::pool::PoolConnection<sqlx::Any>> {
        self.inner.database.readers.acquire().await.map_err(failed(operation))
    }
}

/// A write that the system refused, with the file that could not be written: whoever frees space must know where.
fn located(error: Error, place: &str) -> Error {
    match error {
        Error::Unavailable { operation, message } => {
            Error::Unavailable { operation, message: format!("{message} ({place})") }
        }
        error => error,
    }
}

impl Inner {
    async fn within_transaction<T, F>(
        &self,
        connection: &mut AnyConnection,
        operation: &'static str,
        work: F,
    ) -> Result<(T, Vec<Entry>)>
    where
        F: for<'c> FnOnce(&'c mut AnyConnection, Timestamp) -> BoxFuture<'c, Result<(T, Vec<Entry>)>>,
    {
        let kind = self.database.kind;
        let mut transaction = connection.begin_with(kind.begin()).await.map_err(failed(operation))?;
        let outcome = match self.fence(&mut transaction).await {
            Ok(()) => work(&mut transaction, Timestamp::now()).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(value) => {
                let committed = transaction.commit().await.map_err(failed(operation));
                match committed {
                    Err(error) if kind == Kind::Postgres => self.settle(error, operation, value).await,
                    other => other.map(|()| value),
                }
            }
            Err(error) => {
                // The error that counts is the first one; a connection that cannot roll back is closed.
                let _ = transaction.rollback().await;
                Err(error)
            }
        }
    }

    /// Refuses to write where one has to lead and this process does not.
    async fn fence(&self, connection: &mut AnyConnection) -> Result<()> {
        match self.database.kind {
            Kind::Sqlite => Ok(()),
            Kind::Postgres => leadership::check(connection, Epoch(self.epoch.load(Ordering::SeqCst))).await,
        }
    }

    /// A server that did not answer a commit may have done it. What it wrote is looked for on a connection of its
    /// own, behind the lock that the transaction held, so that the answer is final.
    async fn settle<T>(
        &self,
        error: Error,
        operation: &'static str,
        value: (T, Vec<Entry>),
    ) -> Result<(T, Vec<Entry>)> {
        let Some(last) = value.1.last() else { return Err(error) };
        for wait in SETTLE_WAITS {
            tokio::time::sleep(wait).await;
            match self.has_entry(last).await {
                Ok(true) => return Ok(value),
                Ok(false) => return Err(error),
                Err(again) => tracing::warn!(%again, "whether an entry was written is not known yet"),
            }
        }
        Err(Error::InDoubt { operation, seq: last.seq })
    }

    async fn has_entry(&self, entry: &Entry) -> Result<bool> {
        let looked = failed("look for an entry");
        let options = self.database.writer.connect_options();
        let mut connection = AnyConnection::connect_with(&options).await.map_err(&looked)?;
        let mut transaction = connection.begin().await.map_err(&looked)?;
        leadership::lock(&mut transaction).await.map_err(&looked)?;
        let sql = "SELECT hash FROM journal WHERE seq = $1";
        let query = sqlx::query_scalar(sql).bind(entry.seq.cast_signed());
        let hash: Option<Vec<u8>> = query.fetch_optional(&mut *transaction).await.map_err(&looked)?;
        transaction.rollback().await.map_err(&looked)?;
        // Nobody may be left in doubt because this connection does not end well.
        let _ = connection.close().await;
        Ok(hash.is_some_and(|hash| hash.try_into().is_ok_and(|hash| Digest::from_hash(&hash) == entry.hash)))
    }
}

/// Before each look for an entry whose commit was not answered.
const SETTLE_WAITS: [Duration; 6] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

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
        let rows = select(query, &mut connection).await.map_err(failed("read the journal"))?;
        let mut entries: Vec<_> = rows.iter().map(|row| Stored::read(row)?.entry()).collect::<Result<_>>()?;
        if query.newest {
            entries.reverse();
        }
        Ok(entries)
    }
}

async fn select(query: &Query, connection: &mut AnyConnection) -> sqlx::Result<Vec<AnyRow>> {
    let mut sql = format!("SELECT {} FROM journal WHERE seq > $1", chain::COLUMNS);
    if query.key.is_some() {
        sql += " AND key = $2";
    }
    if query.run.is_some() {
        sql += if query.key.is_some() { " AND run = $3" } else { " AND run = $2" };
    }
    sql += if query.newest { " ORDER BY seq DESC" } else { " ORDER BY seq" };
    if let Some(limit) = query.limit {
        sql += &format!(" LIMIT {}", i64::try_from(limit).unwrap_or(i64::MAX));
    }
    let mut bound = sqlx::query(AssertSqlSafe(sql)).bind(i64::try_from(query.after).unwrap_or(i64::MAX));
    if let Some(key) = &query.key {
        bound = bound.bind(key.to_string());
    }
    if let Some(run) = query.run {
        bound = bound.bind(run.to_string());
    }
    bound.fetch_all(connection).await
}
