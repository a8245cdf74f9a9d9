//! PostgreSQL: a snapshot that is exported, and that `pg_dump --snapshot` takes in.

use std::collections::BTreeMap;

use daybook_model::backup::{Facts, TableFacts};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use crate::migrations::postgres::{open, quoted, run};
use crate::migrations::server::{Refusal, Result};

/// Values are hashed as text: nothing about how they are written may depend on a setting.
const PLAIN: &str = "set timezone = 'UTC'; set datestyle = 'ISO, YMD'; set intervalstyle = 'postgres'; \
set extra_float_digits = 1; set bytea_output = 'hex'; set row_security = off; set statement_timeout = 0; \
set lock_timeout = '60s'; set idle_in_transaction_session_timeout = 0; set search_path = pg_catalog";

/// Schemas of users, and what is in them that belongs to no extension.
const OURS: &str = "n.nspname <> 'information_schema' and n.nspname !~ '^pg_' \
and not exists (select 1 from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')";

pub(super) struct Still {
    connection: PgConnection,
    snapshot: String,
}

impl Still {
    pub(super) async fn of(url: &str) -> Result<Self> {
        let mut connection = open(url).await?;
        run(&mut connection, PLAIN).await?;
        run(&mut connection, "begin isolation level repeatable read read only").await?;
        let asked = sqlx::query("select pg_export_snapshot()").fetch_one(&mut connection).await?;
        Ok(Self { snapshot: asked.try_get(0)?, connection })
    }

    pub(super) fn snapshot(&self) -> &str {
        &self.snapshot
    }

    pub(super) async fn facts(&mut self) -> Result<Facts> {
        let version = sqlx::query("select current_setting('server_version')").fetch_one(&mut self.connection).await?;
        let version: String = version.try_get(0)?;
        Ok(Facts {
            server: format!("PostgreSQL {}", version.split(' ').next().unwrap_or_default()),
            tables: self.tables().await?,
            indexes: self
                .count(&format!(
                    "pg_index i join pg_class c on c.oid = i.indexrelid \
                join pg_namespace n on n.oid = c.relnamespace where i.indisvalid and {OURS}"
                ))
                .await?,
            constraints: self
                .count(
                    "pg_constraint c join pg_namespace n on n.oid = c.connamespace \
                where c.convalidated and c.contype in ('c', 'f', 'p', 'u', 'x') \
                and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'",
                )
                .await?,
            sequences: self.sequences().await?,
        })
    }

    async fn tables(&mut self) -> Result<BTreeMap<String, TableFacts>> {
        // What is in a partition is counted with the whole.
        let text = format!(
            "select n.nspname::text, c.relname::text, c.relkind = 'p' from pg_class c \
join pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p') and not c.relispartition \
and c.relpersistence <> 't' and {OURS} order by 1, 2"
        );
        let found = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut self.connection).await?;
        let mut all = BTreeMap::new();
        for row in found {
            let (schema, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let only = if row.try_get(2)? { "" } else { "only " };
            let table = format!("{}.{}", quoted(&schema), quoted(&name));
            let text = format!(
                "select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text from {only}{table} t"
            );
            let counted = sqlx::query(AssertSqlSafe(text)).fetch_one(&mut self.connection).await?;
            let rows: i64 = counted.try_get(0)?;
            all.insert(format!("{schema}.{name}"), TableFacts { rows: rows.cast_unsigned(), sum: counted.try_get(1)? });
        }
        Ok(all)
    }

    /// Those that count upwards, as all do that nobody has changed.
    async fn sequences(&mut self) -> Result<BTreeMap<String, i64>> {
        let text = "select schemaname::text || '.' || sequencename::text, last_value from pg_sequences \
where last_value is not null and increment_by > 0 and not cycle order by 1";
        let found = sqlx::query(text).fetch_all(&mut self.connection).await?;
        found
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<sqlx::Result<_>>()
            .map_err(Refusal::from)
    }

    async fn count(&mut self, of: &str) -> Result<u64> {
        let text = AssertSqlSafe(format!("select count(*) from {of}"));
        let counted: i64 = sqlx::query(text).fetch_one(&mut self.connection).await?.try_get(0)?;
        Ok(counted.cast_unsigned())
    }

    pub(super) async fn end(mut self) -> Result<()> {
        run(&mut self.connection, "commit").await?;
        self.connection.close().await.map_err(Refusal::from)
    }
}

pub(super) async fn is_true(url: &str, question: &str) -> Result<bool> {
    let mut connection = open(url).await?;
    run(&mut connection, "begin read only").await?;
    let rows = sqlx::query(AssertSqlSafe(question)).fetch_all(&mut connection).await?;
    let answer = match rows.as_slice() {
        [row] if row.len() == 1 => row.try_get(0).unwrap_or(false),
        _ => false,
    };
    connection.close().await?;
    Ok(answer)
}
