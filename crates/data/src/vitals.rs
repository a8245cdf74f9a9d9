//! How large a database is, how many are logged in to its server, how many of these wait for one another and for whom, how
//! long statements take, and how far copies of it are behind.

use std::fmt;

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection as _, Row as _};

use crate::Dialect;
use crate::migrations::server::{Refusal, Result};
use crate::migrations::{mysql, postgres};

/// What is told of a database beside its migrations.
#[derive(Debug, Clone, PartialEq)]
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
    /// Servers that follow it, and itself where it follows another: as far as the login may see that.
    pub standbys: Vec<Standby>,
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
    /// The first word of its last statement, in capitals; `?` of one that begins with none.
    pub statement: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, state, seconds, statement } = self;
        write!(f, "{user}, whose transaction goes on for {seconds} s ({state}, last {statement})")
    }
}

/// How a server follows another.
#[derive(Debug, Clone, PartialEq)]
pub struct Standby {
    /// What it calls itself, and its address; a slot that nobody uses; a channel; or [`ITSELF`].
    pub name: String,
    /// Whether it is connected, and takes in what there is.
    pub is_running: bool,
    /// Since when it lacks something, seconds. `None`: nobody knows.
    pub behind_seconds: Option<f64>,
    /// How much it lacks, bytes. `None`: nobody knows.
    pub behind_bytes: Option<f64>,
}

/// The name of the server that was asked, where it follows another.
pub const ITSELF: &str = "itself";

const POSTGRES: &str = "select pg_database_size(current_database()), \
(select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()), \
current_setting('max_connections')::bigint, \
(select count(*) from pg_stat_activity where wait_event_type = 'Lock'), \
(select coalesce(max(1000 * extract(epoch from clock_timestamp() - query_start)), 0)::bigint from pg_stat_activity \
where state = 'active' and backend_type = 'client backend' and pid <> pg_backend_pid())";

/// What takes a copy away, or only keeps the log, replays nothing. A slot that nobody uses keeps the log for who is away;
/// one that a standby has taken over from its primary is nobody's as long as that is one. A server that reads an archive
/// alone is being restored.
const POSTGRES_STANDBYS: &str = "with here as (select case when pg_is_in_recovery() \
then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end as lsn) \
select standby, bool_and(running), max(seconds)::float8, max(bytes)::float8 from (\
select application_name || coalesce('@' || host(client_addr), '') as standby, true as running, \
case when replay_lsn >= here.lsn then 0 else extract(epoch from replay_lag) end as seconds, \
pg_wal_lsn_diff(here.lsn, replay_lsn) as bytes \
from pg_stat_replication, here where replay_lsn is not null \
union all \
select slot_name::text, false, null, pg_wal_lsn_diff(here.lsn, coalesce(confirmed_flush_lsn, restart_lsn)) \
from pg_replication_slots, here where not active and not temporary and restart_lsn is not null and not pg_is_in_recovery() \
union all \
select 'itself', exists (select from pg_stat_wal_receiver), \
case when exists (select from pg_stat_wal_receiver) and pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn() \
then 0 else extract(epoch from now() - pg_last_xact_replay_timestamp()) end, null \
where pg_is_in_recovery() and pg_last_wal_receive_lsn() is not null\
) as standbys group by standby order by standby limit 50";

const MYSQL: &str = "select \
cast(coalesce((select sum(data_length + index_length) from information_schema.tables where table_schema = database()), 0) as signed), \
cast((select count(*) from information_schema.processlist where id <> connection_id() and user not in ('system user', 'event_scheduler')) as signed), \
cast(@@max_connections as signed), \
cast((select coalesce(max(time), 0) * 1000 from information_schema.processlist where command = 'Query' and id <> connection_id() and user not in ('system user', 'event_scheduler')) as signed)";

/// Whoever may not see the transactions of others is refused.
const MYSQL_WAITING: &str =
    "select cast(count(*) as signed) from information_schema.innodb_trx where trx_state = 'LOCK WAIT'";

/// Those for whom others wait and who wait for nobody; first whom most wait for. What follows the first word of a statement
/// may be a value.
const HOLDER: &str = "select h.usename::text, h.state, \
extract(epoch from clock_timestamp() - h.xact_start)::bigint, coalesce(upper(substring(h.query from '^[\\s(]*(\\w+)')), '?') \
from (select unnest(pg_blocking_pids(pid)) as pid from pg_stat_activity where wait_event_type = 'Lock') w \
join pg_stat_activity h on h.pid = w.pid where cardinality(pg_blocking_pids(h.pid)) = 0 \
group by 1, 2, 3, 4, h.pid order by count(*) desc limit 1";

/// MariaDB's, MySQL's, and that of MySQL before 8.0.22.
const MYSQL_STANDBYS: [&str; 3] = ["show all slaves status", "show replica status", "show slave status"];

/// Asks the server of the database at a URL, as who may do everything. Where somebody else runs it, the login may see
/// less: then nothing is known of who follows it, nor, of a MySQL, of who waits.
pub async fn look(dialect: Dialect, url: &str) -> Result<Vitals> {
    let (numbers, standbys): ([i64; 5], _) = match dialect {
        Dialect::PostgreSql => {
            let mut server = postgres::open(url).await?;
            let row = sqlx::query(POSTGRES).fetch_one(&mut server).await?;
            let standbys = of_postgres(&mut server).await.unwrap_or_default();
            server.close().await.map_err(Refusal::from)?;
            ([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?], standbys)
        }
        Dialect::MySql => {
            let mut server = mysql::open(url).await?;
            let row = sqlx::query(MYSQL).fetch_one(&mut server).await?;
            let waiting = sqlx::query_scalar(MYSQL_WAITING).fetch_one(&mut server).await.unwrap_or(0);
            let standbys = of_mysql(&mut server).await;
            server.close().await.map_err(Refusal::from)?;
            ([row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, waiting, row.try_get(3)?], standbys)
        }
    };
    let numbers = numbers.map(|number| u64::try_from(number).unwrap_or(0));
    let [size_bytes, connections, most_connections, waiting, longest_ms] = numbers;
    Ok(Vitals { size_bytes, connections, most_connections, waiting, longest_ms, standbys })
}

async fn of_postgres(server: &mut PgConnection) -> sqlx::Result<Vec<Standby>> {
    let rows = sqlx::query(POSTGRES_STANDBYS).fetch_all(server).await?;
    rows.iter().map(follower).collect()
}

fn follower(row: &PgRow) -> sqlx::Result<Standby> {
    Ok(Standby {
        name: row.try_get(0)?,
        is_running: row.try_get(1)?,
        behind_seconds: row.try_get(2)?,
        behind_bytes: row.try_get(3)?,
    })
}

async fn of_mysql(server: &mut MySqlConnection) -> Vec<Standby> {
    for question in MYSQL_STANDBYS {
        if let Ok(rows) = sqlx::raw_sql(question).fetch_all(&mut *server).await {
            return rows.iter().map(channel).collect();
        }
    }
    Vec::new()
}

/// What a MySQL takes in from another. It says since when it lacks something only while it takes it in.
fn channel(row: &MySqlRow) -> Standby {
    let text = |column: &str| row.try_get_unchecked::<Option<String>, _>(column).ok();
    let number = |column: &str| row.try_get_unchecked::<Option<i64>, _>(column).ok();
    let name = ["Channel_Name", "Connection_name"].into_iter().find_map(text).flatten();
    let behind = ["Seconds_Behind_Source", "Seconds_Behind_Master"].into_iter().find_map(number).flatten();
    Standby {
        name: name.filter(|name| !name.is_empty()).unwrap_or_else(|| ITSELF.to_owned()),
        is_running: behind.is_some(),
        behind_seconds: behind.map(|seconds| seconds as f64),
        behind_bytes: None,
    }
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
