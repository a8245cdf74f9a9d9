//! A database server, as migrations need it.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::PgDatabaseError;

use crate::Dialect;
use crate::migrations::history::{Kind, Row};
use crate::migrations::mysql::{self, MySql};
use crate::migrations::postgres::{self, Postgres};

/// Where a database is, and what of it is migrated.
#[derive(Clone)]
pub struct Place {
    /// `postgres://USER:PASSWORD@HOST:PORT/DATABASE` or `mysql://…`.
    pub url: String,
    /// PostgreSQL's schema; the first of the search path where none is named.
    pub schema: Option<String>,
    /// The history's table.
    pub table: String,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL holds a password.
        f.debug_struct("Place").field("schema", &self.schema).field("table", &self.table).finish_non_exhaustive()
    }
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its version, as it writes it.
    pub version: String,
    /// Who is logged in.
    pub user: String,
    /// The database.
    pub database: String,
    /// The table of the history.
    pub table: String,
    /// The schema that is migrated; the database, where the dialect has no schemas.
    pub schema: String,
}

/// What a server said when it would not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Its words.
    pub message: String,
    /// Its code: an SQLSTATE, or MySQL's number.
    pub code: Option<String>,
    /// Bytes into the statement.
    pub at: Option<usize>,
    /// What it adds: details and hints.
    pub more: Vec<String>,
    /// Whether somebody held a lock for too long: nothing was done, and trying again may help.
    pub is_lock: bool,
    /// Whether the connection is gone.
    pub is_lost: bool,
}

/// A result of a server.
pub type Result<T> = std::result::Result<T, Refusal>;

/// A row to be written.
#[derive(Debug, Clone, Copy)]
pub struct NewRow<'a> {
    /// Its number.
    pub rank: i32,
    /// The version, as it is written.
    pub version: Option<&'a str>,
    /// What it does.
    pub description: &'a str,
    /// What it is.
    pub kind: &'a Kind,
    /// The file.
    pub script: &'a str,
    /// Its checksum.
    pub checksum: Option<i32>,
    /// How long it took, milliseconds.
    pub took_ms: i32,
    /// Whether it came to its end.
    pub success: bool,
}

/// A connection to a database, and another that holds the lock.
#[async_trait]
pub trait Server: Send {
    /// What it is.
    fn dialect(&self) -> Dialect;

    /// What it says of itself.
    fn facts(&self) -> &Facts;

    /// Takes the lock of the history, if nobody has it.
    async fn try_lock(&mut self) -> Result<bool>;

    /// Gives the lock back.
    async fn unlock(&mut self) -> Result<()>;

    /// Whether the lock is still held: its connection may have broken.
    async fn is_locked(&mut self) -> bool;

    /// Whether the schema holds nothing.
    async fn is_empty(&mut self) -> Result<bool>;

    /// Makes the history, unless it is there.
    async fn create_history(&mut self) -> Result<()>;

    /// The history in the order of its rows. `None`: there is none.
    async fn history(&mut self) -> Result<Option<Vec<Row>>>;

    /// Adds a row.
    async fn add(&mut self, row: NewRow<'_>) -> Result<()>;

    /// Completes a row that was added as begun.
    async fn complete(&mut self, rank: i32, took_ms: i32) -> Result<()>;

    /// Gives a row the kind, description and checksum of a file.
    async fn align(&mut self, rank: i32, kind: &Kind, description: &str, checksum: Option<i32>) -> Result<()>;

    /// Removes a row.
    async fn remove(&mut self, rank: i32) -> Result<()>;

    /// Runs one statement.
    async fn execute(&mut self, sql: &str) -> Result<()>;

    /// Runs a `COPY … FROM STDIN`.
    async fn copy(&mut self, sql: &str, data: &str) -> Result<()>;

    /// Begins a transaction in which nobody is waited for longer than `patience`.
    async fn begin(&mut self, patience: Duration) -> Result<()>;

    /// Waits for nobody longer than `patience` outside of transactions.
    async fn wait_at_most(&mut self, patience: Duration) -> Result<()>;

    /// Ends a transaction.
    async fn commit(&mut self) -> Result<()> {
        self.execute("commit").await
    }

    /// Takes a transaction back.
    async fn roll_back(&mut self) -> Result<()> {
        self.execute("rollback").await
    }

    /// Gives the session back what a script may have set: role, search path, variables.
    async fn reset(&mut self) -> Result<()>;

    /// Removes an index that was broken off while it was made beside its use, if there is one of that name.
    async fn drop_broken_index(&mut self, name: &str) -> Result<()>;
}

/// Connects to a database.
pub async fn connect(place: &Place) -> Result<Box<dyn Server>> {
    match dialect_of(&place.url) {
        Some(Dialect::PostgreSql) => Ok(Box::new(Postgres::connect(place).await?)),
        Some(Dialect::MySql) => Ok(Box::new(MySql::connect(place).await?)),
        None => {
            let scheme = place.url.split_once("://").map_or("none", |(scheme, _)| scheme);
            Err(Refusal::of(format!("`{scheme}` is no scheme of a database: `postgres://` or `mysql://`")))
        }
    }
}

/// The dialect that a URL is for.
pub fn dialect_of(url: &str) -> Option<Dialect> {
    match url.split_once("://")?.0 {
        "postgres" | "postgresql" => Some(Dialect::PostgreSql),
        "mysql" | "mariadb" => Some(Dialect::MySql),
        _ => None,
    }
}

impl Refusal {
    /// Whether whoever asked is not let in.
    pub fn is_denied(&self) -> bool {
        // PostgreSQL: authorization, password, role. MySQL: access denied, to the server or to the database.
        let codes = ["28000", "28P01", "42501", "1044", "1045", "1698"];
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }

    /// Whether there is no database of the name.
    pub fn is_no_database(&self) -> bool {
        self.code.as_deref().is_some_and(|code| matches!(code, "3D000" | "1049"))
    }

    /// A refusal in our own words.
    pub fn of(message: impl Into<String>) -> Self {
        let message = message.into();
        Self { message, code: None, at: None, more: Vec::new(), is_lock: false, is_lost: false }
    }
}

/// A connection's own failures are told apart from the server's words.
impl From<sqlx::Error> for Refusal {
    fn from(error: sqlx::Error) -> Self {
        let said = match error {
            sqlx::Error::Database(said) => said,
            sqlx::Error::Configuration(why) => return Self::of(format!("the URL cannot be used: {why}")),
            other => return Self { is_lost: true, ..Self::of(other.to_string()) },
        };
        if let Some(said) = said.try_downcast_ref::<PgDatabaseError>() {
            postgres::refusal(said)
        } else if let Some(said) = said.try_downcast_ref::<MySqlDatabaseError>() {
            mysql::refusal(said)
        } else {
            Self::of(said.message())
        }
    }
}

/// Java's hash of a text: both its locks are named by it.
pub(crate) fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_java() {
        // PostgreSQL's lock of the usual table is 77431708279161 and this.
        assert_eq!(
            77_431_708_279_161 + i64::from(java_hash("\"public\".\"flyway_schema_history\"")),
            77_433_833_903_597
        );
        assert_eq!(java_hash(""), 0);
    }

    #[test]
    fn engines_are_told_by_the_scheme() {
        assert_eq!(dialect_of("postgresql://a/b"), Some(Dialect::PostgreSql));
        assert_eq!(dialect_of("mariadb://a/b"), Some(Dialect::MySql));
        assert_eq!(dialect_of("redis://a"), None);
        assert_eq!(dialect_of("nothing"), None);
    }

    #[test]
    fn r31_a_place_does_not_show_its_password() {
        let place = Place { url: "postgres://u:hunter2@h/d".to_owned(), schema: None, table: "t".to_owned() };
        assert!(!format!("{place:?}").contains("hunter2"));
    }
}
