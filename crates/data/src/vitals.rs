//! How large a database is, how many are logged in to its server, and how many of these wait for one another.

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
}

const POSTGRES: &str = "select pg_database_size(current_database()), \
(select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()), \
current_setting('max_connections')::bigint, \
(select count(*) from pg_stat_activity where wait_event_type = 'Lock')";

const MYSQL: &str = "select \
cast(coalesce((select sum(data_length + index_length) from information_schema.tables where table_schema = database()), 0) as signed), \
cast((select count(*) from information_schema.processlist where id <> connection_id() and user not in ('system user', 'event_scheduler')) as signed), \
cast(@@max_connections as signed), \
cast((select count(*) from information_schema.innodb_trx where trx_state = 'LOCK WAIT') as signed)";

/// Asks the server of the database at a URL, as who may do everything.
pub async fn look(dialect: Dialect, url: &str) -> Result<Vitals> {
    let [size_bytes, connections, most_connections, waiting] = match dialect {
        Dialect::PostgreSql => {
            let mut server = postgres::open(url).await?;
            let row = sqlx::query(POSTGRES).fetch_one(&mut server).await?;
            server.close().await.map_err(Refusal::from)?;
            [row.try_get::<i64, _>(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?]
        }
        Dialect::MySql => {
            let mut server = mysql::open(url).await?;
            let row = sqlx::query(MYSQL).fetch_one(&mut server).await?;
            server.close().await.map_err(Refusal::from)?;
            [row.try_get::<i64, _>(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?]
        }
    }
    .map(|number| u64::try_from(number).unwrap_or(0));
    Ok(Vitals { size_bytes, connections, most_connections, waiting })
}
