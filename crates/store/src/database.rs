//! The two databases that can hold our state, and what their errors mean.

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection as _, SqlStr};

use crate::{Error, Result, chain, postgres, sqlite};

const READERS: u32 = 4;

/// Which database it is. The SQL is the same for both but for what this says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file of one server.
    Sqlite,
    /// A server that several of ours share.
    Postgres,
}

impl Kind {
    /// Begins a transaction that writes. SQLite has one writer at a time from here on; on PostgreSQL the row of
    /// `leadership` puts them in order, and each statement must see what the writer before it committed.
    pub(crate) fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        }
    }

    fn tables(self) -> SqlStr {
        SqlStr::from_static(match self {
            Self::Sqlite => include_str!("../migrations/sqlite/0001_init.sql"),
            Self::Postgres => include_str!("../migrations/postgres/0001_init.sql"),
        })
    }
}

/// One connection that writes, and a few that read.
pub(crate) struct Database {
    pub(crate) kind: Kind,
    pub(crate) writer: AnyPool,
    pub(crate) readers: AnyPool,
    /// Where it is, for whoever has to look after it. Holds no password.
    pub(crate) place: String,
}

impl Database {
    /// Connects, and brings the tables up to date. `writes` and `reads` are what a connection is told first.
    pub(crate) async fn connect(
        kind: Kind,
        options: AnyConnectOptions,
        place: String,
        writes: String,
        reads: String,
    ) -> Result<Self> {
        let open = failed("open the database");
        // A pool would try for long what is refused for good.
        let first = AnyConnection::connect_with(&options).await.map_err(&open)?;
        first.close().await.map_err(&open)?;
        let writer = pool(1, writes).connect_with(options.clone()).await.map_err(&open)?;
        migrate(kind, &writer).await?;
        let readers = pool(READERS, reads).connect_with(options).await.map_err(&open)?;
        Ok(Self { kind, writer, readers, place })
    }
}

fn pool(size: u32, first: String) -> AnyPoolOptions {
    let first: std::sync::Arc<str> = first.into();
    let options = AnyPoolOptions::new().max_connections(size).acquire_timeout(std::time::Duration::from_secs(30));
    options.after_connect(move |connection, _| {
        let first = first.to_string();
        Box::pin(async move { sqlx::raw_sql(AssertSqlSafe(first)).execute(connection).await.map(drop) })
    })
}

async fn migrate(kind: Kind, pool: &AnyPool) -> Result<()> {
    let migrations = vec![Migration::new(1, "init".into(), MigrationType::Simple, kind.tables(), false)];
    Migrator::with_migrations(migrations).run(pool).await.map_err(|error| match error {
        sqlx::migrate::MigrateError::Execute(error) => failed("bring the database up to date")(error),
        other => crate::internal("bring the database up to date", other),
    })
}

/// A system error of `operation`.
pub(crate) fn unavailable(operation: &'static str, error: &dyn std::fmt::Display) -> Error {
    Error::Unavailable { operation, message: error.to_string() }
}

/// Who must act on an error of the database.
pub(crate) enum Meaning {
    /// A full or failing disk, a lock, a server that does not answer; and the words for it, where the database's
    /// own are not plain.
    Unavailable(Option<&'static str>),
    /// It is no sound database.
    Damaged,
    /// Us.
    Internal,
}

/// Tells apart who must act on a database error.
pub(crate) fn failed(operation: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |error| match &error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => unavailable(operation, &error),
        sqlx::Error::Database(inner) => match meaning(inner.code().as_deref().unwrap_or_default()) {
            Meaning::Unavailable(Some(words)) => unavailable(operation, &words),
            Meaning::Unavailable(None) => unavailable(operation, inner),
            Meaning::Damaged => chain::damaged(0, inner),
            Meaning::Internal => crate::internal(operation, inner),
        },
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => chain::damaged(0, &error),
        _ => crate::internal(operation, &error),
    }
}

/// A code of PostgreSQL has five characters. One of SQLite is a number, and a shorter one.
fn meaning(code: &str) -> Meaning {
    if code.len() == 5 { postgres::meaning(code) } else { sqlite::meaning(code) }
}
