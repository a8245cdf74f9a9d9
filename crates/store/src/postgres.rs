//! A PostgreSQL database that several servers share.

use std::str::FromStr;

use sqlx::any::AnyConnectOptions;

use crate::database::{Database, Kind, Meaning};
use crate::{Result, internal};

/// Where the database is: `postgres://USER:PASSWORD@HOST:PORT/NAME`, with `?sslmode=verify-full` and the like as
/// libpq has them. It never shows its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(Text);

/// The text of a URL, and the same without what must not be shown.
#[derive(Clone, PartialEq, Eq)]
struct Text {
    secret: zeroize::Zeroizing<String>,
    shown: String,
}

impl FromStr for DatabaseUrl {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err("the URL of a database begins with postgres://".to_owned());
        }
        // What is wrong with a URL is told without the URL: it may hold a password.
        let url: AnyConnectOptions =
            text.parse().map_err(|_| "the URL of the database is not understood".to_owned())?;
        let url = url.database_url;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let shown = format!("postgres://{}{port}{}", url.host_str().unwrap_or_default(), url.path());
        Ok(Self(Text { secret: text.to_owned().into(), shown }))
    }
}

impl std::fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.shown)
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.shown)
    }
}

/// What a connection that writes is told first. A commit is on disk when it is answered; who waits for the row of
/// `leadership` gives up after a while; and of a client that is gone the server hears within half a minute, so that
/// what it had not committed is rolled back and its locks are free.
const WRITES: &str = "SET client_min_messages = warning; SET synchronous_commit = on; SET lock_timeout = '20s'; SET statement_timeout = '30s';
    SET idle_in_transaction_session_timeout = '30s';
    SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3";

/// What one that reads is told first. A transaction sees one state of the database.
const READS: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// Connects to the database and brings its tables up to date.
pub(crate) async fn open(url: &DatabaseUrl) -> Result<Database> {
    if cfg!(not(feature = "postgres")) {
        return Err(internal("open the database", "this build of Daybook has no PostgreSQL"));
    }
    sqlx::any::install_default_drivers();
    let misread = |_| internal("open the database", "the URL of the database is not understood");
    let options: AnyConnectOptions = url.0.secret.parse().map_err(misread)?;
    Database::connect(Kind::Postgres, options, url.to_string(), WRITES.to_owned(), READS.to_owned()).await
}

/// What an SQLSTATE means: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
pub(crate) fn meaning(code: &str) -> Meaning {
    match (&code[..2], code) {
        (_, "53100") => Meaning::Unavailable(Some("the disk of the database is full")),
        (_, "55P03") => Meaning::Unavailable(Some("another server holds the database")),
        (_, "25006") => Meaning::Unavailable(Some("the database is read-only: it may be a standby")),
        // Connections, authorization, rollbacks that a second attempt may not see, resources, operators, the system.
        ("08" | "28" | "40" | "53" | "57" | "58", _) | (_, "25P03" | "3D000" | "42501") => Meaning::Unavailable(None),
        ("XX", "XX001" | "XX002") => Meaning::Damaged,
        _ => Meaning::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r31_no_text_of_a_url_has_its_password() {
        let url: DatabaseUrl = "postgres://book:canary@db.internal:5433/state?sslmode=require".parse().unwrap();
        assert_eq!((format!("{url}"), format!("{url:?}")), {
            let shown = "postgres://db.internal:5433/state".to_owned();
            (shown.clone(), shown)
        });
        for wrong in ["postgres://book:canary@db:port/state", "canary", "mysql://book:canary@db/state"] {
            assert!(!wrong.parse::<DatabaseUrl>().unwrap_err().contains("canary"));
        }
    }
}
