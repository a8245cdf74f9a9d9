//! How large a database is, how many are logged in to its server, how many of these wait for one another, for whom, and how
//! long statements take.

use std::fmt;

use sqlx::{Connection as _, Row as _};

use crate::Dialect;
use crate::migrations::server::{Refusal, Result};
use crate::migrations::{mysql, postgres};

/// What is told of a database beside its migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vitals {
    /// Bytes that its files take, as its server counts them.
    pub size_bytes: u64,
    /// Connections of clients to its server, this one left out.
    pub connections: u64,
    /// How many its server lets in.
    pub most_connections: u64,
    /// Statements of clients that wait for a lock of another.
    pub waiting: u64,
    /// How long the statement of a client goes on that began first, milliseconds.
    pub longest_ms: u64,
}

/// Whom others wait for, since it has a lock that they want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its login.
    pub user: String,
    /// What it does, in the words of PostgreSQL: `active`, `idle in transaction`.
    pub state: String,
    /// Since when its transaction goes on, seconds.
    pub seconds: u64,
    /// The first word of its last statement, in capitals.
    pub statement: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, state, seconds, statement } = self;
        write!(f, "{user}, whose transaction goes on for {seconds} s ({state}, last {statement})")
    }
}

const POSTGRES: &str = "select pg_database_size(current_database()), \
(select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()), \
current_setting('max_connections')::bigint, \
(select count(*) from pg_stat_activity where wait_event_type = 'Lock'), \
(select coalesce(max(1000 * extract(epoch from clock_timestamp() - query_start)), 0)::bigint from pg_stat_activity \
where state = 'active' and backend_type = 'client backend' and pid <> pg_backend_pid())";

const MYSQL: &str = "select \
cast(coalesce((select sum(data_length + index_length) from information_schema.tables where table_schema = database()), 0) as signed), \
cast((select count(*) from information_schema.processlist where id <> connection_id() and user not in ('system user', 'event_scheduler')) as signed), \
cast(@@max_connections as signed), \
cast((select count(*) from information_schema.innodb_trx where trx_state = 'LOCK WAIT') as signed), \
cast((select coalesce(max(time), 0) * 1000 from information_schema.processlist where command = 'Query' and id <> connection_id()) as signed)";

/// Those for whom others wait and who wait for nobody; first whom most wait for.
const HOLDER: &str = "select h.usename::text, h.state, \
extract(epoch from clock_timestamp() - h.xact_start)::bigint, rtrim(upper(split_part(ltrim(h.query), ' ', 1)), ';') \
from (select unnest(pg_blocking_pids(pid)) as pid from pg_stat_activity where wait_event_type = 'Lock') w \
join pg_stat_activity h on h.pid = w.pid where cardinality(pg_blocking_pids(h.pid)) = 0 \
group by 1, 2, 3, 4, h.pid order by count(*) desc limit 1";

/// Asks the server of the database at a URL, as who may do everything.
pub async fn look(dialect: Dialect, url: &str) -> Result<Vitals> {
    let [size_bytes, connections, most_connections, waiting, longest_ms] = match dialect {
        Dialect::PostgreSql => {
            let mut server = postgres::open(url).await?;
            let row = sqlx::query(POSTGRES).fetch_one(&mut server).await?;
            server.close().await.map_err(Refusal::from)?;
            [row.try_get::<i64, _>(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?]
        }
        Dialect::MySql => {
            let mut server = mysql::open(url).await?;
            let row = sqlx::query(MYSQL).fetch_one(&mut server).await?;
            server.close().await.map_err(Refusal::from)?;
            [row.try_get::<i64, _>(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?]
        }
    }
    .map(|number| u64::try_from(number).unwrap_or(0));
    Ok(Vitals { size_bytes, connections, most_connections, waiting, longest_ms })
}

/// Whom most of those wait for who wait for a lock of the PostgreSQL at a URL; `None`: nobody waits.
pub async fn holder(url: &str) -> Result<Option<Holder>> {
    let mut server = postgres::open(url).await?;
    let row = sqlx::query(HOLDER).fetch_optional(&mut server).await?;
    server.close().await.map_err(Refusal::from)?;
    let Some(row) = row else { return Ok(None) };
    // What a server does not say of a session of somebody else is null.
    let text = |at: usize| row.try_get::<Option<String>, _>(at).map(Option::unwrap_or_default);
    let seconds: Option<i64> = row.try_get(2)?;
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
    Ok(Some(Holder { user: text(0)?, state: text(1)?, seconds, statement: text(3)? }))
}
