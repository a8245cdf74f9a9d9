//! The files of a PostgreSQL that are copied while it writes: what it has to keep meanwhile, and what a copy could not hold.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use crate::migrations::postgres::open;
use crate::migrations::server::{Refusal, Result};

/// Why a copy of files would not be the same server, as a sentence goes on; null where it would.
const WHY_NOT: &str = "select case \
when current_setting('wal_level') = 'minimal' then 'its server writes too little down: wal_level is minimal' \
when current_setting('max_wal_senders')::int < 1 then 'its server sends no files: max_wal_senders is 0' \
when current_setting('max_replication_slots')::int < 1 then 'its server keeps nothing for a copy: max_replication_slots is 0' \
when exists (select from pg_tablespace where spcname not in ('pg_default', 'pg_global')) \
then 'its server has tablespaces elsewhere' \
when exists (select from pg_subscription) then 'its server has subscriptions, which a copy would go on with' \
when exists (select from pg_prepared_xacts) then 'a transaction is prepared in it' \
when exists (select from pg_class where relpersistence = 'u' and relkind = 'r') \
then 'it has unlogged tables, and copied files have no row of those' end";

/// Why the files of the server at `url` cannot be copied, or not all of what it holds with them.
pub async fn why_not(url: &str) -> Result<Option<String>> {
    let mut server = open(url).await?;
    let why = sqlx::query(WHY_NOT).fetch_one(&mut server).await?.try_get(0)?;
    server.close().await?;
    Ok(why)
}

/// A server that keeps what it writes from now on, as long as this is there: copies of its files need it to be whole.
pub struct Held {
    server: PgConnection,
    /// Before PostgreSQL 15 the functions have other names.
    is_old: bool,
}

impl Held {
    /// The server at `url`.
    pub async fn new(url: &str) -> Result<Self> {
        let mut server = open(url).await?;
        // It goes with the connection, however that ends.
        let keep = "select current_setting('server_version_num')::int < 150000, \
                    pg_create_physical_replication_slot('daybook_' || pg_backend_pid(), true, true) is null";
        let is_old = sqlx::query(keep).fetch_one(&mut server).await?.try_get(0)?;
        Ok(Self { server, is_old })
    }

    /// Files may be copied from here on.
    pub async fn begin(&mut self, label: &str) -> Result<()> {
        let begin = match self.is_old {
            true => "select pg_start_backup($1, true, false)",
            false => "select pg_backup_start($1, true)",
        };
        sqlx::query(begin).bind(label).execute(&mut self.server).await.map(drop).map_err(Refusal::from)
    }

    /// They are copied, but for the directory `pg_wal`. Gives what has to be in the file `backup_label` of the copy.
    pub async fn end(&mut self) -> Result<String> {
        let function = if self.is_old { "pg_stop_backup(false, false)" } else { "pg_backup_stop(false)" };
        let end = AssertSqlSafe(format!("select labelfile from {function}"));
        sqlx::query(end).fetch_one(&mut self.server).await?.try_get(0).map_err(Refusal::from)
    }

    /// Nothing has to be kept any more.
    pub async fn let_go(self) -> Result<()> {
        self.server.close().await.map_err(Refusal::from)
    }
}
