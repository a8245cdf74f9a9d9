//! MySQL and MariaDB: a moment in which nobody writes, long enough that two transactions see the same.

use std::collections::BTreeMap;

use daybook_model::backup::{Facts, TableFacts};
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use crate::migrations::mysql::{open, quoted, run};
use crate::migrations::server::{Refusal, Result};

pub(super) struct Still {
    connection: MySqlConnection,
}

impl Still {
    /// With what keeps others from writing.
    pub(super) async fn of(url: &str) -> Result<(Self, MySqlConnection)> {
        let mut lock = open(url).await?;
        run(&mut lock, "set session lock_wait_timeout = 60").await?;
        run(&mut lock, "flush tables with read lock").await?;
        let mut connection = open(url).await?;
        run(&mut connection, "set session transaction isolation level repeatable read").await?;
        run(&mut connection, "set session time_zone = '+00:00'").await?;
        run(&mut connection, "start transaction with consistent snapshot").await?;
        Ok((Self { connection }, lock))
    }

    pub(super) async fn facts(&mut self) -> Result<Facts> {
        let version: String = sqlx::query("select version()").fetch_one(&mut self.connection).await?.try_get(0)?;
        let name = if version.contains("MariaDB") { "MariaDB" } else { "MySQL" };
        let server = format!("{name} {}", version.split('-').next().unwrap_or_default());
        let counted =
            |what: &str| format!("select count(*) from information_schema.{what} where table_schema = database()");
        Ok(Facts {
            server,
            tables: self.tables().await?,
            indexes: self.count(&counted("statistics")).await?,
            constraints: self.count(&counted("table_constraints")).await?,
            sequences: BTreeMap::new(),
        })
    }

    async fn tables(&mut self) -> Result<BTreeMap<String, TableFacts>> {
        let text = "select table_name, column_name from information_schema.columns join information_schema.tables \
using (table_schema, table_name) where table_schema = database() and table_type = 'BASE TABLE' \
order by table_name, ordinal_position";
        let found = sqlx::query(text).fetch_all(&mut self.connection).await?;
        let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in &found {
            columns.entry(word(row, 0)?).or_default().push(word(row, 1)?);
        }
        let mut all = BTreeMap::new();
        for (table, columns) in columns {
            // What is null is told from what is empty.
            let values: Vec<_> =
                columns.iter().map(|name| format!("ifnull(concat(0x01, {}), 0x00)", quoted(name))).collect();
            let text = format!(
                "select count(*), cast(coalesce(sum(cast(conv(left(md5(concat_ws(0x1f, {})), 15), 16, 10) as unsigned)), 0) \
as char) from {}",
                values.join(", "),
                quoted(&table)
            );
            let counted = sqlx::query(AssertSqlSafe(text)).fetch_one(&mut self.connection).await?;
            let rows: i64 = counted.try_get(0)?;
            all.insert(table, TableFacts { rows: rows.cast_unsigned(), sum: word(&counted, 1)? });
        }
        Ok(all)
    }

    async fn count(&mut self, text: &str) -> Result<u64> {
        let counted: i64 = sqlx::query(AssertSqlSafe(text)).fetch_one(&mut self.connection).await?.try_get(0)?;
        Ok(counted.cast_unsigned())
    }

    pub(super) async fn end(mut self) -> Result<()> {
        run(&mut self.connection, "commit").await?;
        self.connection.close().await.map_err(Refusal::from)
    }
}

pub(super) async fn unlock(mut lock: MySqlConnection) -> Result<()> {
    run(&mut lock, "unlock tables").await?;
    lock.close().await.map_err(Refusal::from)
}

/// Some versions give names as bytes.
fn word(row: &sqlx::mysql::MySqlRow, column: usize) -> sqlx::Result<String> {
    match row.try_get::<String, _>(column) {
        Ok(text) => Ok(text),
        Err(_) => Ok(String::from_utf8_lossy(&row.try_get_unchecked::<Vec<u8>, _>(column)?).into_owned()),
    }
}

pub(super) async fn is_true(url: &str, question: &str) -> Result<bool> {
    let mut connection = open(url).await?;
    run(&mut connection, "start transaction read only").await?;
    let rows = sqlx::query(AssertSqlSafe(question)).fetch_all(&mut connection).await?;
    let answer = match rows.as_slice() {
        [row] if row.len() == 1 => row.try_get_unchecked::<i64, _>(0).is_ok_and(|answer| answer != 0),
        _ => false,
    };
    connection.close().await?;
    Ok(answer)
}
