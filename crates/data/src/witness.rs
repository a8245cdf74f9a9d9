//! What a database holds, counted in one state of it that a dump can share.
//!
//! A backup is proven when a restored database has what the first one had. So both are counted alike: the first in the
//! very state that its dump has, whatever others write meanwhile.

mod mysql;
mod postgres;

use daybook_model::backup::Facts;
use sqlx::mysql::MySqlConnection;

use crate::Dialect;
use crate::migrations::server::{Refusal, Result, dialect_of};

/// A state of a database, held still for whoever counts and whoever dumps.
pub struct Witness(State);

enum State {
    Postgres(postgres::Still),
    MySql(mysql::Still),
}

impl Witness {
    /// Holds the database at `url` still, for whoever reads by this. Nobody else writes to MySQL or MariaDB before the
    /// hold was let go, which is to be done as soon as a dump has begun.
    pub async fn of(url: &str) -> Result<(Self, Hold)> {
        match dialect_of(url) {
            Some(Dialect::PostgreSql) => Ok((Self(State::Postgres(postgres::Still::of(url).await?)), Hold(None))),
            Some(Dialect::MySql) => {
                let (still, lock) = mysql::Still::of(url).await?;
                Ok((Self(State::MySql(still)), Hold(Some(lock))))
            }
            None => Err(Refusal::of("there is nothing to count in what has no tables")),
        }
    }

    /// What a dump is told to be of the same state, where it has to be told.
    pub fn snapshot(&self) -> Option<&str> {
        match &self.0 {
            State::Postgres(still) => Some(still.snapshot()),
            State::MySql(_) => None,
        }
    }

    /// Counts. Reads every row.
    pub async fn facts(&mut self) -> Result<Facts> {
        match &mut self.0 {
            State::Postgres(still) => still.facts().await,
            State::MySql(still) => still.facts().await,
        }
    }

    /// Lets the state go. Must not be called before a dump of it has ended.
    pub async fn end(self) -> Result<()> {
        match self.0 {
            State::Postgres(still) => still.end().await,
            State::MySql(still) => still.end().await,
        }
    }
}

/// Keeps others from writing, where a dump can begin in no other way with what was counted.
pub struct Hold(Option<MySqlConnection>);

impl Hold {
    /// Whoever waits to write goes on.
    pub async fn let_go(&mut self) -> Result<()> {
        match self.0.take() {
            Some(lock) => mysql::unlock(lock).await,
            None => Ok(()),
        }
    }
}

/// Counts what the database at `url` holds now.
pub async fn count(url: &str) -> Result<Facts> {
    let (mut witness, mut hold) = Witness::of(url).await?;
    hold.let_go().await?;
    let facts = witness.facts().await?;
    witness.end().await?;
    Ok(facts)
}

/// Whether a question in SQL is answered with true. Only one row with one such column is.
pub async fn is_true(url: &str, question: &str) -> Result<bool> {
    match dialect_of(url) {
        Some(Dialect::PostgreSql) => postgres::is_true(url, question).await,
        Some(Dialect::MySql) => mysql::is_true(url, question).await,
        None => Err(Refusal::of("what has no tables answers no questions in SQL")),
    }
}
