//! PostgreSQL.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgErrorPosition, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};

use crate::migrations::history::{Kind, Row};
use crate::migrations::server::{Facts, NewRow, Place, Refusal, Result, Server, java_hash};
use crate::migrations::version::Version;
use crate::{Dialect, within};

/// What the number of a lock begins at.
const LOCKS: i64 = 77_431_708_279_161;

pub(crate) struct Postgres {
    connection: PgConnection,
    options: PgConnectOptions,
    /// Holds the lock in a transaction of its own, so that a pooler between us and the server does not lose it. It is
    /// idle and has no snapshot: an index that is made beside its use waits for nobody's.
    lock: Option<PgConnection>,
    facts: Facts,
}

impl Postgres {
    pub(crate) async fn connect(place: &Place) -> Result<Self> {
        let options = options(&place.url)?;
        let mut connection = within(PgConnection::connect_with(&options)).await?;
        let facts = "select current_setting('server_version'), current_user::text, current_database()::text, \
coalesce(current_schema()::text, 'public')";
        let said = sqlx::query(facts).fetch_one(&mut connection).await?;
        let text = |at: usize| said.try_get::<String, _>(at).map_err(Refusal::from);
        let schema = match &place.schema {
            Some(schema) => schema.clone(),
            None => text(3)?,
        };
        let table = place.table.clone();
        let facts = Facts { version: text(0)?, user: text(1)?, database: text(2)?, schema, table };
        let mut server = Self { connection, options, lock: None, facts };
        if place.schema.is_some() {
            // So that giving the session back its settings gives it this one.
            let path = quoted(&server.facts.schema);
            server.options = server.options.options([("search_path", path)]);
            server.connection = within(PgConnection::connect_with(&server.options)).await?;
        }
        Ok(server)
    }

    fn table(&self) -> String {
        format!("{}.{}", quoted(&self.facts.schema), quoted(&self.facts.table))
    }
}

#[async_trait]
impl Server for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::PostgreSql
    }

    fn facts(&self) -> &Facts {
        &self.facts
    }

    async fn try_lock(&mut self) -> Result<bool> {
        let mut connection = match self.lock.take() {
            Some(connection) => connection,
            None => within(PgConnection::connect_with(&self.options)).await?,
        };
        let key = LOCKS + i64::from(java_hash(&self.table()));
        // The server may have been told to end what is idle in a transaction.
        let begin = "begin isolation level read committed; set local idle_in_transaction_session_timeout = 0";
        connection.execute(sqlx::raw_sql(begin)).await?;
        let asked = sqlx::query("select pg_try_advisory_xact_lock($1)").bind(key).fetch_one(&mut connection).await;
        let is_ours: bool = asked.and_then(|row| row.try_get(0))?;
        if !is_ours {
            connection.execute(sqlx::raw_sql("rollback")).await?;
        }
        self.lock = Some(connection);
        Ok(is_ours)
    }

    async fn unlock(&mut self) -> Result<()> {
        match self.lock.take() {
            Some(connection) => connection.close().await.map_err(Refusal::from),
            None => Ok(()),
        }
    }

    async fn is_locked(&mut self) -> bool {
        match &mut self.lock {
            Some(connection) => connection.execute(sqlx::raw_sql("")).await.is_ok(),
            None => false,
        }
    }

    async fn is_empty(&mut self) -> Result<bool> {
        // Relations, functions and types of the schema that belong to no extension. A relation is a type as well: it counts once.
        let text = "select not exists (
  select 1 from pg_class o join pg_namespace n on n.oid = o.relnamespace where n.nspname = $1
    and not exists (select 1 from pg_depend d where d.objid = o.oid and d.deptype = 'e')
  union all
  select 1 from pg_proc o join pg_namespace n on n.oid = o.pronamespace where n.nspname = $1
    and not exists (select 1 from pg_depend d where d.objid = o.oid and d.deptype = 'e')
  union all
  select 1 from pg_type o join pg_namespace n on n.oid = o.typnamespace where n.nspname = $1
    and o.typelem = 0 and (o.typrelid = 0 or exists (select 1 from pg_class c where c.oid = o.typrelid and c.relkind = 'c'))
    and not exists (select 1 from pg_depend d where d.objid = o.oid and d.deptype = 'e'))";
        let asked = sqlx::query(text).bind(&self.facts.schema).fetch_one(&mut self.connection).await;
        asked.and_then(|row| row.try_get(0)).map_err(Refusal::from)
    }

    async fn create_history(&mut self) -> Result<()> {
        let (schema, table) = (quoted(&self.facts.schema), self.table());
        let (key, index) =
            (quoted(&format!("{}_pk", self.facts.table)), quoted(&format!("{}_s_idx", self.facts.table)));
        self.execute(&format!(
            "create schema if not exists {schema};
create table if not exists {table} (
    \"installed_rank\" integer not null constraint {key} primary key,
    \"version\" varchar(50),
    \"description\" varchar(200) not null,
    \"type\" varchar(20) not null,
    \"script\" varchar(1000) not null,
    \"checksum\" integer,
    \"installed_by\" varchar(100) not null,
    \"installed_on\" timestamp not null default now(),
    \"execution_time\" integer not null,
    \"success\" boolean not null
);
create index if not exists {index} on {table} (\"success\");"
        ))
        .await
    }

    async fn history(&mut self) -> Result<Option<Vec<Row>>> {
        let there = sqlx::query("select to_regclass($1) is not null").bind(self.table());
        let is_there: bool = there.fetch_one(&mut self.connection).await.and_then(|row| row.try_get(0))?;
        if !is_there {
            return Ok(None);
        }
        let text = format!(
            "select \"installed_rank\", \"version\", \"description\", \"type\", \"script\", \"checksum\", \
\"installed_by\", \"installed_on\"::text, \"execution_time\", \"success\" from {} order by \"installed_rank\"",
            self.table()
        );
        let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut self.connection).await;
        let rows = rows?;
        rows.iter().map(|found| row(found).map_err(Refusal::from)).collect::<Result<_>>().map(Some)
    }

    async fn add(&mut self, row: NewRow<'_>) -> Result<()> {
        let text = format!(
            "insert into {} (\"installed_rank\", \"version\", \"description\", \"type\", \"script\", \"checksum\", \
\"installed_by\", \"execution_time\", \"success\") values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            self.table()
        );
        let query = sqlx::query(AssertSqlSafe(text)).bind(row.rank).bind(row.version).bind(row.description);
        let query = query.bind(row.kind.word()).bind(row.script).bind(row.checksum).bind(&self.facts.user);
        let query = query.bind(row.took_ms).bind(row.success);
        query.execute(&mut self.connection).await.map(drop).map_err(Refusal::from)
    }

    async fn complete(&mut self, rank: i32, took_ms: i32) -> Result<()> {
        let text = format!(
            "update {} set \"success\" = true, \"execution_time\" = $1 where \"installed_rank\" = $2",
            self.table()
        );
        let query = sqlx::query(AssertSqlSafe(text)).bind(took_ms).bind(rank);
        query.execute(&mut self.connection).await.map(drop).map_err(Refusal::from)
    }

    async fn align(&mut self, rank: i32, kind: &Kind, description: &str, checksum: Option<i32>) -> Result<()> {
        let text = format!(
            "update {} set \"type\" = $1, \"description\" = $2, \"checksum\" = $3 where \"installed_rank\" = $4",
            self.table()
        );
        let query = sqlx::query(AssertSqlSafe(text)).bind(kind.word()).bind(description).bind(checksum).bind(rank);
        query.execute(&mut self.connection).await.map(drop).map_err(Refusal::from)
    }

    async fn remove(&mut self, rank: i32) -> Result<()> {
        let text = format!("delete from {} where \"installed_rank\" = $1", self.table());
        let query = sqlx::query(AssertSqlSafe(text)).bind(rank);
        query.execute(&mut self.connection).await.map(drop).map_err(Refusal::from)
    }

    async fn execute(&mut self, sql: &str) -> Result<()> {
        run(&mut self.connection, sql).await
    }

    async fn copy(&mut self, sql: &str, data: &str) -> Result<()> {
        let mut copy = self.connection.copy_in_raw(sql).await?;
        copy.send(data.as_bytes()).await?;
        copy.finish().await.map(drop).map_err(Refusal::from)
    }

    async fn begin(&mut self, patience: Duration) -> Result<()> {
        self.execute(&format!("begin; set local lock_timeout = {}", patience.as_millis())).await
    }

    async fn wait_at_most(&mut self, patience: Duration) -> Result<()> {
        self.execute(&format!("set lock_timeout = {}", patience.as_millis())).await
    }

    async fn reset(&mut self) -> Result<()> {
        self.execute("reset session authorization; reset role; reset all").await
    }

    async fn drop_broken_index(&mut self, name: &str) -> Result<()> {
        let text = "select n.nspname::text, c.relname::text from pg_index i join pg_class c on c.oid = i.indexrelid \
join pg_namespace n on n.oid = c.relnamespace \
where not i.indisvalid and c.relname = $1 and n.nspname = any (current_schemas(false))";
        let found = sqlx::query(text).bind(name).fetch_all(&mut self.connection).await;
        for row in found? {
            let part = |at: usize| row.try_get::<String, _>(at).map_err(Refusal::from);
            let index = format!("{}.{}", quoted(&part(0)?), quoted(&part(1)?));
            self.execute(&format!("drop index concurrently if exists {index}")).await?;
        }
        Ok(())
    }
}

fn options(url: &str) -> Result<PgConnectOptions> {
    let mut options: PgConnectOptions = url.parse()?;
    if let Some(authority) = crate::authority_in(url) {
        options = options.ssl_root_cert_from_pem(authority);
    }
    Ok(options.application_name("daybook").disable_statement_logging())
}

/// Logs in.
pub(crate) async fn open(url: &str) -> Result<PgConnection> {
    within(options(url)?.connect()).await
}

/// Runs statements as they are written, of which nothing is wanted back.
pub(crate) async fn run(connection: &mut PgConnection, sql: &str) -> Result<()> {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.map(drop).map_err(Refusal::from)
}

fn row(found: &PgRow) -> sqlx::Result<Row> {
    let version: Option<String> = found.try_get(1)?;
    Ok(Row {
        rank: found.try_get(0)?,
        version: version.as_deref().and_then(Version::parse),
        description: found.try_get(2)?,
        kind: Kind::parse(found.try_get(3)?),
        script: found.try_get(4)?,
        checksum: found.try_get(5)?,
        by: found.try_get(6)?,
        on: found.try_get(7)?,
        took_ms: found.try_get(8)?,
        success: found.try_get(9)?,
    })
}

/// A name as PostgreSQL takes it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What PostgreSQL said.
pub(super) fn refusal(said: &PgDatabaseError) -> Refusal {
    let at = match said.position() {
        // Characters, from 1.
        Some(PgErrorPosition::Original(at)) => Some(at.saturating_sub(1)),
        _ => None,
    };
    let more = [said.detail(), said.hint(), said.r#where()];
    Refusal {
        message: said.message().to_owned(),
        code: Some(said.code().to_owned()),
        at,
        more: more.into_iter().flatten().map(str::to_owned).collect(),
        is_lock: matches!(said.code(), "55P03" | "40P01"),
        is_lost: said.code().starts_with("57P0"),
    }
}
