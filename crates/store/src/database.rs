//! Opening the database file, and what its errors mean.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqlStr, SqliteConnection};

use crate::{Error, Result, chain};

const READERS: u32 = 4;

/// How the database is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// How long a write waits for another process that holds the database.
    pub(crate) busy_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(5) }
    }
}

/// The name of the database in the state directory.
pub(crate) const FILE: &str = "daybook.db";

/// One connection that writes, and a few that read.
pub(crate) struct Database {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
}

impl Database {
    /// Opens `dir/daybook.db`, makes both if they are missing, and brings the tables up to date.
    pub(crate) async fn open(dir: &Path, options: Options) -> Result<Self> {
        make_private(dir).map_err(|error| unavailable("open the state directory", &error))?;
        let connect = connect_options(&dir.join(FILE), options);
        migrate(&connect).await?;
        let writer = pool(1).connect_with(connect.clone()).await.map_err(failed("open the database"))?;
        let readers = pool(READERS).connect_with(connect.pragma("query_only", "ON")).await;
        Ok(Self { writer, readers: readers.map_err(failed("open the database"))? })
    }
}

fn pool(size: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new().max_connections(size).acquire_timeout(Duration::from_secs(30))
}

fn connect_options(file: &Path, options: Options) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(options.busy_timeout)
        .pragma("cell_size_check", "ON")
        .pragma("trusted_schema", "OFF")
}

async fn migrate(connect: &SqliteConnectOptions) -> Result<()> {
    let mut connection = SqliteConnection::connect_with(connect).await.map_err(failed("open the database"))?;
    let init = SqlStr::from_static(include_str!("../migrations/0001_init.sql"));
    let migrations = vec![Migration::new(1, "init".into(), MigrationType::Simple, init, false)];
    Migrator::with_migrations(migrations).run(&mut connection).await.map_err(|error| match error {
        sqlx::migrate::MigrateError::Execute(error) => failed("bring the database up to date")(error),
        other => crate::internal("bring the database up to date", other),
    })?;
    connection.close().await.map_err(failed("open the database"))
}

/// Only the owner may list the directory or read the database; SQLite gives its side files the
/// permissions of the database file. That others may pass through the directory (0711, as replicas that
/// run as another user need it) is left as it is.
fn make_private(dir: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mode = std::fs::metadata(dir)?.permissions().mode();
    std::fs::set_permissions(dir, Permissions::from_mode(mode & 0o711 | 0o700))?;
    let file = dir.join(FILE);
    OpenOptions::new().create(true).append(true).mode(0o600).open(&file)?;
    std::fs::set_permissions(&file, Permissions::from_mode(0o600))?;
    sync_names(dir)
}

/// A name survives power loss once its directory is synced: that of the database, and that of the state
/// directory itself. Whose parent we may not read was made by someone else, long ago.
fn sync_names(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()?;
    match std::path::absolute(dir)?.parent().map(File::open) {
        Some(Ok(parent)) => parent.sync_all(),
        _ => Ok(()),
    }
}

/// A system error of `operation`.
pub(crate) fn unavailable(operation: &'static str, error: &dyn std::fmt::Display) -> Error {
    Error::Unavailable { operation, message: error.to_string() }
}

/// Tells apart who must act on a database error: a full or failing disk or a lock is
/// [`Error::Unavailable`], a file that is no sound database is [`Error::Damaged`].
pub(crate) fn failed(operation: &'static str) -> impl Fn(sqlx::Error) -> Error {
    move |error| match &error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            unavailable(operation, &error)
        }
        sqlx::Error::Database(inner) => match primary_code(inner.code().as_deref()) {
            FULL => unavailable(operation, &"the disk is full"),
            BUSY | LOCKED => unavailable(operation, &"another process holds the database"),
            PERM | NO_MEMORY | READ_ONLY | IO | CANNOT_OPEN => unavailable(operation, inner),
            CORRUPT | NOT_A_DATABASE => chain::damaged(0, inner),
            _ => crate::internal(operation, inner),
        },
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => chain::damaged(0, &error),
        _ => crate::internal(operation, &error),
    }
}

// Primary result codes, https://www.sqlite.org/rescode.html
const PERM: u32 = 3;
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const NO_MEMORY: u32 = 7;
const READ_ONLY: u32 = 8;
const IO: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANNOT_OPEN: u32 = 14;
const NOT_A_DATABASE: u32 = 26;

fn primary_code(extended: Option<&str>) -> u32 {
    extended.and_then(|code| code.parse::<u32>().ok()).unwrap_or_default() & 0xff
}
