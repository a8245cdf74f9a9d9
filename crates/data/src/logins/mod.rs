//! Who may log in to a database that Daybook runs: each service by a login of its own, which may do no more than it
//! has to.
//!
//! Where the database has migrations, services read and write rows. Where it has none, they change their tables by
//! themselves, and what one of them makes belongs to all.

mod mysql;
mod postgres;

use std::collections::BTreeSet;
use std::net::SocketAddr;

use sqlx::Connection as _;

use crate::migrations::server::{Refusal, Result};
use crate::{Dialect, Way, migrations, url};

/// A database in a server of ours, by who may do everything in it.
#[derive(Clone, Copy)]
pub struct Kept<'a> {
    /// What is spoken there.
    pub dialect: Dialect,
    /// Where it is.
    pub address: SocketAddr,
    /// Who may do everything.
    pub admin: &'a str,
    /// The password that it is to have, then those that it may still have.
    pub passwords: &'a [String],
    /// The certificate of the authority that it is to be proven by, then those that it may still be proven by. `None`: it
    /// is not asked for a proof.
    pub authorities: &'a [Option<String>],
    /// The database.
    pub database: &'a str,
    /// The table of its history, which nobody of those who log in may write to, where the engine can keep them from it.
    pub history: &'a str,
}

/// A login that is to be there.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// Who.
    pub name: &'a str,
    /// Its password.
    pub password: &'a str,
}

/// What logins may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    /// Read and write rows.
    Rows,
    /// Change tables as well.
    Tables,
}

impl Kept<'_> {
    /// The same, by the one authority that proves it now.
    pub async fn proven(self) -> Result<Self> {
        let mut refused = None;
        let several = if self.authorities.len() > 1 { self.authorities } else { &[] };
        for one in several {
            let kept = Self { authorities: std::slice::from_ref(one), ..self };
            match kept.password().await {
                Ok(_) => return Ok(kept),
                Err(refusal) => drop(refused.get_or_insert(refusal)),
            }
        }
        refused.map_or(Ok(self), Err)
    }

    fn way(&self) -> Way<'_> {
        let authority = self.authorities.first().and_then(Option::as_deref);
        Way { dialect: self.dialect, address: self.address, authority }
    }

    /// The password that lets in now, of those that may.
    pub async fn password(&self) -> Result<&str> {
        let mut refused = Refusal::of("it has no password");
        for password in self.passwords {
            match try_in(&self.url_with(password, "")).await {
                Ok(()) => return Ok(password),
                Err(refusal) if refusal.is_denied() => refused = refusal,
                Err(refusal) => return Err(refusal),
            }
        }
        Err(refused)
    }

    /// The URL of `database` for who may do everything, by the password that lets in now.
    pub async fn url(&self) -> Result<String> {
        Ok(self.url_with(self.password().await?, self.database))
    }

    fn url_with(&self, password: &str, database: &str) -> String {
        let database = match (self.dialect, database) {
            (Dialect::PostgreSql, "") => "postgres",
            (_, database) => database,
        };
        url(self.way(), self.admin, password, database)
    }

    /// Whether a login lets in. An error when the server does not answer.
    pub async fn lets_in(&self, login: Login<'_>) -> Result<bool> {
        match try_in(&url(self.way(), login.name, login.password, self.database)).await {
            Ok(()) => Ok(true),
            Err(refusal) if refusal.is_denied() || refusal.is_no_database() => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }

    /// Sees that the database is there and that `logins` let in, with these rights and no others. Other logins that
    /// services had go, but for those in `keep`.
    pub async fn grant(&self, logins: &[Login<'_>], keep: &BTreeSet<String>, rights: Rights) -> Result<()> {
        let password = self.password().await?;
        match self.dialect {
            Dialect::PostgreSql => postgres::grant(self, password, logins, keep, rights).await,
            Dialect::MySql => mysql::grant(self, password, logins, keep, rights).await,
        }
    }

    /// Lets logins reach what a migration has made.
    pub async fn open_objects(&self, rights: Rights) -> Result<()> {
        match self.dialect {
            Dialect::PostgreSql => postgres::open_objects(self, rights).await,
            // Rights are those of the database, whatever is in it.
            Dialect::MySql => Ok(()),
        }
    }

    /// Whether the database is in its server.
    pub async fn is_there(&self) -> Result<bool> {
        match try_in(&self.url().await?).await {
            Ok(()) => Ok(true),
            Err(refusal) if refusal.is_no_database() => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }
}

/// Logs in, and out again.
async fn try_in(url: &str) -> Result<()> {
    if url.starts_with("mysql") {
        migrations::mysql::open(url).await?.close().await?;
    } else {
        migrations::postgres::open(url).await?.close().await?;
    }
    Ok(())
}

/// A text as a literal of SQL. Names of ours and generated passwords hold no backslash; one that a person chose may.
fn literal(dialect: Dialect, text: &str) -> String {
    let doubled = text.replace('\'', "''");
    match dialect {
        Dialect::PostgreSql => format!("'{doubled}'"),
        Dialect::MySql => format!("'{}'", doubled.replace('\\', "\\\\")),
    }
}
