//! MySQL and MariaDB. A change of what tables are ends a transaction there: a script that is broken off stays half done,
//! and its row says so.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};

use crate::migrations::history::{Kind, Row};
use crate::migrations::server::{Facts, NewRow, Place, Refusal, Result, Server, java_hash};
use crate::migrations::version::Version;
use crate::{Dialect, within};

/// A lock was waited for too long; a transaction was chosen to end a deadlock.
const LOCKED: [u16; 2] = [1205, 1213];

pub(crate) struct MySql {
    connection: MySqlConnection,
    options: MySqlConnectOptions,
    /// Holds the lock.
    lock: Option<MySqlConnection>,
    facts: Facts,
}

impl MySql {
    pub(crate) async fn connect(place: &Place) -> Result<Self> {
        let options = options(&place.url)?;
        // A script chooses its own mode and time zone, from the server's.
        let options = options.no_engine_substitution(false).pipes_as_concat(false).timezone(None);
        let mut connection = within(MySqlConnection::connect_with(&options)).await?;
        let said = sqlx::query("select version(), substring_index(user(), '@', 1), database()")
            .fetch_one(&mut connection)
            .await?;
        let text = |at: usize| said.try_get::<Option<String>, _>(at).map_err(Refusal::from);
        let database = text(2)?.ok_or_else(|| Refusal::of("the URL names no database"))?;
        let (version, user) = (text(0)?.unwrap_or_default(), text(1)?.unwrap_or_default());
        let facts = Facts { version, user, schema: database.clone(), database, table: place.table.clone() };
        Ok(Self { connection, options, lock: None, facts })
    }

    fn table(&self) -> String {
        format!("{}.{}", quoted(&self.facts.schema), quoted(&self.facts.table))
    }

    fn lock_name(&self) -> String {
        format!("Flyway-{}", java_hash(&self.table()))
    }
}

#[async_trait]
impl Server for MySql {
    fn dialect(&self) -> Dialect {
        Dialect::MySql
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    async fn try_lock(&mut self) -> Result<bool> {
        let name = self.lock_name();
        let mut connection = match self.lock.take() {
            Some(connection) => connection,
            None => within(MySqlConnection::connect_with(&self.options)).await?,
        };
        let asked = sqlx::query("select get_lock(?, 0)").bind(name).fetch_one(&mut connection).await;
        let answer: Option<i64> = asked.and_then(|row| row.try_get(0))?;
        self.lock = Some(connection);
        Ok(answer == Some(1))
    }

    async fn unlock(&mut self) -> Result<()> {
        match self.lock.take() {
            Some(connection) => connection.close().await.map_err(Refusal::from),
            None => Ok(()),
        }
    }

    async fn is_locked(&mut self) -> bool {
        let name = self.lock_name();
        let Some(connection) = &mut self.lock else { return false };
        let asked = sqlx::query("select is_used_lock(?) = connection_id()").bind(name).fetch_one(connection).await;
        let answer: sqlx::Result<Option<i64>> = asked.and_then(|row| row.try_get(0));
        answer.is_ok_and(|answer| answer == Some(1))
    }

    async fn is_empty(&mut self) -> Result<bool> {
        let text = "select (select count(*) from information_schema.tables where table_schema = ?) + \
(select count(*) from information_schema.routines where routine_schema = ?) + \
(select count(*) from information_schema.events where event_schema = ?)";
        let schema = &self.facts.schema;
        let asked = sqlx::query(text).bind(schema).bind(schema).bind(schema).fetch_one(&mut self.connection).await;
        let count: i64 = asked.and_then(|row| row.try_get(0))?;
        Ok(count == 0)
    }

    async fn create_history(&mut self) -> Result<()> {
        let (table, key) = (self.table(), quoted(&format!("{}_pk", self.facts.table)));
        let index = quoted(&format!("{}_s_idx", self.facts.table));
        self.execute(&format!(
            "create table if not exists {table} (
    `installed_rank` int not null,
    `version` varchar(50),
    `description` varchar(200) not null,
    `type` varchar(20) not null,
    `script` varchar(1000) not null,
    `checksum` int,
    `installed_by` varchar(100) not null,
    `installed_on` timestamp not null default current_timestamp,
    `execution_time` int not null,
    `success` bool not null,
    constraint {key} primary key (`installed_rank`),
    index {index} (`success`)
) engine = InnoDB"
        ))
        .await
    }

    async fn history(&mut self) -> Result<Option<Vec<Row>>> {
        let text = "select count(*) from information_schema.tables where table_schema = ? and table_name = ?";
        let there =
            sqlx::query(text).bind(&self.facts.schema).bind(&self.facts.table).fetch_one(&mut self.connection).await;
        let count: i64 = there.and_then(|row| row.try_get(0))?;
        if count == 0 {
            return Ok(None);
        }
        let text = format!(
            "select installed_rank, version, description, type, script, checksum, installed_by, \
cast(installed_on as char), execution_time, success from {} order by installed_rank",
            self.table()
        );
        let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut self.connection).await;
        let rows = rows?;
        rows.iter().map(|found| row(found).map_err(Refusal::from)).collect::<Result<_>>().map(Some)
    }

    async fn add(&mut self, row: NewRow<'_>) -> Result<()> {
        let text = format!(
            "insert into {} (installed_rank, version, description, type, script, checksum, installed_by, \
execution_time, success) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self.table()
        );
        let query = sqlx::query(AssertSqlSafe(text)).bind(row.rank).bind(row.version).bind(row.description);
        let query = query.bind(row.kind.word()).bind(row.script).bind(row.checksum).bind(&self.facts.user);
        let query = query.bind(row.took_ms).bind(row.success);
        query.execute(&mut self.connection).await.map(drop).map_err(Refusal::from)
    }

    async fn complete(&mut self, rank: i32, took_ms: i32) -> Result<()> {
        let text = format!("update {} set success = true, execution_time = ? where installed_rank = ?", self.table());
        let query = sqlx::query(AssertSqlSafe(text)).bind(took_ms).bind(rank);
        query.execute(&mut self.connection).await.map(drop).map_err(Refusal::from)
    }

    async fn align(&mut self, rank: i32, kind: &Kind, description: &str, checksum: Option<i32>) -> Result<()> {
        let text =
            format!("update {} set type = ?, description = ?, checksum = ? where installed_rank = ?", self.table());
        let query = sqlx::query(AssertSqlSafe(text)).bind(kind.word()).bind(description).bind(checksum).bind(rank);
        query.execute(&mut self.connection).await.map(drop).map_err(Refusal::from)
    }

    async fn remove(&mut self, rank: i32) -> Result<()> {
        let text = format!("delete from {} where installed_rank = ?", self.table());
        let query = sqlx::query(AssertSqlSafe(text)).bind(rank);
        query.execute(&mut self.connection).await.map(drop).map_err(Refusal::from)
    }

    async fn execute(&mut self, sql: &str) -> Result<()> {
        run(&mut self.connection, sql).await
    }

    async fn copy(&mut self, _: &str, _: &str) -> Result<()> {
        Err(Refusal::of("MySQL has no COPY"))
    }

    async fn begin(&mut self, patience: Duration) -> Result<()> {
        self.wait_at_most(patience).await?;
        self.execute("start transaction").await
    }

    async fn wait_at_most(&mut self, patience: Duration) -> Result<()> {
        let seconds = patience.as_secs().max(1);
        self.execute(&format!(
            "set session lock_wait_timeout = {seconds}, session innodb_lock_wait_timeout = {seconds}"
        ))
        .await
    }

    async fn reset(&mut self) -> Result<()> {
        let database = quoted(&self.facts.schema);
        let text = "set session foreign_key_checks = @@global.foreign_key_checks, \
session sql_safe_updates = @@global.sql_safe_updates, session unique_checks = @@global.unique_checks, \
session sql_mode = @@global.sql_mode, session autocommit = 1";
        self.execute(text).await?;
        self.execute(&format!("use {database}")).await
    }

    async fn drop_broken_index(&mut self, _: &str) -> Result<()> {
        Ok(())
    }
}

fn options(url: &str) -> Result<MySqlConnectOptions> {
    let mut options: MySqlConnectOptions = url.parse()?;
    if let Some(authority) = crate::authority_in(url) {
        options = options.ssl_ca_from_pem(authority);
    }
    Ok(options.disable_statement_logging())
}

/// Logs in.
pub(crate) async fn open(url: &str) -> Result<MySqlConnection> {
    within(options(url)?.connect()).await
}

/// Runs statements as they are written, of which nothing is wanted back.
pub(crate) async fn run(connection: &mut MySqlConnection, sql: &str) -> Result<()> {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.map(drop).map_err(Refusal::from)
}

fn row(found: &MySqlRow) -> sqlx::Result<Row> {
    let version: Option<String> = found.try_get(1)?;
    let kind: String = found.try_get(3)?;
    Ok(Row {
        rank: found.try_get(0)?,
        version: version.as_deref().and_then(Version::parse),
        description: found.try_get(2)?,
        kind: Kind::parse(&kind),
        script: found.try_get(4)?,
        checksum: found.try_get(5)?,
        by: found.try_get(6)?,
        on: found.try_get(7)?,
        took_ms: found.try_get(8)?,
        success: found.try_get(9)?,
    })
}

/// A name as MySQL takes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// What MySQL or MariaDB said.
pub(super) fn refusal(said: &MySqlDatabaseError) -> Refusal {
    Refusal {
        code: Some(said.number().to_string()),
        is_lock: LOCKED.contains(&said.number()),
        ..Refusal::of(said.message())
    }
}
