//! Masked copies of MySQL and MariaDB: each table is streamed from a SELECT into INSERTs of many rows.
//!
//! The source is read in one snapshot, and the target is written in one transaction: as far as their engine has
//! transactions, the target has every row in the end, or none. The target may have keys and indexes already, but no
//! triggers. References are not checked while rows are written; all that was referred to is copied.

use futures::TryStreamExt as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};

use super::plan::{Plan, PlannedColumn};
use super::scan::{Sampled, Suspect, scan};
use super::{ColumnMask, ColumnName, Copied, CopyReport, Copying, Error, Look, Masker, Progress, TableName, Type};
use crate::migrations::mysql::{open, quoted, run};
use crate::migrations::server::Refusal;
use catalog::{bytes, texts};

mod catalog;

/// Bytes of a statement: servers take at least one mebibyte unless they were told otherwise.
const CHUNK: usize = 900 * 1024;
/// Rows of a table that are looked at for what seems personal.
const SAMPLES: usize = 200;
/// Both sides write and read values alike, and what does not fit is refused rather than cut.
const SETTINGS: &str = "set names utf8mb4, session time_zone = '+00:00', session foreign_key_checks = 0, \
session sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO'";

type Result<T, E = Error> = std::result::Result<T, E>;

/// Looks at what a copy would do. Everything that is wrong with the rules is one error.
pub async fn look(copying: &Copying<'_>) -> Result<Look> {
    open_source(copying).await.map(|(_, look)| look)
}

/// Copies every row of every table, masked. See [`Copying`]; here the tables of the target may have their keys.
pub async fn copy(copying: &Copying<'_>) -> Result<CopyReport> {
    let (mut source, look) = open_source(copying).await?;
    let mut target = open(copying.target).await.map_err(Error::target("the database"))?;
    run(&mut target, SETTINGS).await.map_err(Error::target("the settings"))?;
    run(&mut target, "start transaction").await.map_err(Error::target("the database"))?;
    let masker = Masker::new(copying.seed);
    let mut done = Vec::new();
    let tables: Vec<_> = look.plan.tables.iter().filter(|(_, columns)| !columns.is_empty()).collect();
    for (at, (table, columns)) in tables.iter().enumerate() {
        let progress = |rows, is_done| {
            let table = (*table).clone();
            (copying.progress)(Progress { table, nth: at + 1, of: tables.len(), rows, is_done });
        };
        done.push(transfer(table, columns, &masker, &mut source, &mut target, &progress).await?);
    }
    run(&mut target, "commit").await.map_err(Error::target("the database"))?;
    // Nothing depends on how these end: the copy is there.
    let _ = target.close().await;
    let _ = source.close().await;
    Ok(look.report(done))
}

/// The source, in the snapshot in which it is read, and what is to be done.
async fn open_source(copying: &Copying<'_>) -> Result<(MySqlConnection, Look)> {
    let mut connection = open(copying.source).await.map_err(Error::source("the database"))?;
    let begin =
        "set transaction isolation level repeatable read; start transaction with consistent snapshot, read only";
    run(&mut connection, SETTINGS).await.map_err(Error::source("the settings"))?;
    run(&mut connection, begin).await.map_err(Error::source("the database"))?;
    let schema = catalog::schema(&mut connection).await.map_err(Error::source("the columns"))?;
    let plan = Plan::new(&schema, copying.masking, copying.without).map_err(Error::Rules)?;
    let not_carried = catalog::not_carried(&mut connection).await.map_err(Error::source("the tables"))?;
    let suspects = suspects(&mut connection, &plan).await?;
    Ok((connection, Look { plan, suspects, not_carried }))
}

async fn suspects(connection: &mut MySqlConnection, plan: &Plan) -> Result<Vec<Suspect>> {
    let mut all = Vec::new();
    for (table, columns) in &plan.tables {
        if columns.is_empty() {
            continue;
        }
        let parts: Vec<_> = columns
            .iter()
            .map(|column| match &column.of {
                Type::Text(_) | Type::Json | Type::Date => format!("left(cast({} as char), 500)", quoted(&column.name)),
                _ => "null".to_owned(),
            })
            .collect();
        let question = format!("select {} from {} limit {SAMPLES}", parts.join(", "), quoted(&table.table));
        let rows = texts(connection, question).await.map_err(Error::source(table))?;
        let sampled: Vec<_> = (columns.iter().enumerate())
            .map(|(at, column)| Sampled {
                name: ColumnName { table: table.clone(), column: column.name.clone() },
                of: column.of.clone(),
                has_rule: column.rule.is_some(),
                samples: rows.iter().filter_map(|row| row[at].clone()).collect(),
            })
            .collect();
        all.extend(scan(&sampled));
    }
    Ok(all)
}

async fn transfer(
    table: &TableName,
    columns: &[PlannedColumn],
    masker: &Masker,
    source: &mut MySqlConnection,
    target: &mut MySqlConnection,
    progress: &(dyn Fn(u64, bool) + Send + Sync),
) -> Result<Copied> {
    let name = quoted(&table.table);
    let there = texts(target, format!("select 1 from {name} limit 1")).await.map_err(Error::target(table))?;
    if !there.is_empty() {
        return Err(Error::NotEmpty(table.clone()));
    }
    let names: Vec<_> = columns.iter().map(|column| quoted(&column.name)).collect();
    let values: Vec<_> = columns.iter().map(|column| Written::of(column, masker)).collect();
    let asked: Vec<_> = values.iter().zip(&names).map(|(value, name)| value.asked(name)).collect();
    let mut insert = Insert { head: format!("insert into {name} ({}) values ", names.join(", ")), ..Insert::default() };
    let mut rows = sqlx::raw_sql(AssertSqlSafe(format!("select {} from {name}", asked.join(", ")))).fetch(source);
    while let Some(row) = rows.try_next().await.map_err(Error::source(table))? {
        insert.add(&values, &row).map_err(Error::source(table))?;
        if insert.text.len() >= CHUNK {
            insert.send(target).await.map_err(Error::target(table))?;
            progress(insert.rows, false);
        }
    }
    insert.send(target).await.map_err(Error::target(table))?;
    progress(insert.rows, true);
    Ok(Copied { table: table.clone(), rows: insert.rows, bytes: insert.bytes })
}

/// How the values of a column are written.
struct Written {
    of: Type,
    mask: Option<ColumnMask>,
    /// Whether it is bytes for which no text stands.
    is_binary: bool,
}

impl Written {
    fn of(column: &PlannedColumn, masker: &Masker) -> Self {
        /// Types whose values are bytes, besides those that are called so.
        const BINARY: [&str; 10] = [
            "bit",
            "geometry",
            "point",
            "linestring",
            "polygon",
            "multipoint",
            "multilinestring",
            "multipolygon",
            "geometrycollection",
            "vector",
        ];
        let is_binary = match &column.of {
            Type::Bytes { .. } => true,
            Type::Other(name) => BINARY.contains(&name.as_str()),
            _ => false,
        };
        Self { of: column.of.clone(), mask: column.mask(masker), is_binary }
    }

    /// What is asked for: the server writes only some digits of a `float`, but all of a `double`.
    fn asked(&self, name: &str) -> String {
        if self.of == Type::Float { format!("{name} + 0e0") } else { name.to_owned() }
    }

    fn write(&self, value: Option<Vec<u8>>, out: &mut Vec<u8>) {
        let value = match (value, &self.mask) {
            (Some(value), Some(mask)) => self.masked(&value, mask),
            (value, _) => value,
        };
        match value {
            None => out.extend_from_slice(b"null"),
            Some(value) if self.is_binary => {
                out.extend_from_slice(b"x'");
                out.extend_from_slice(hex(&value).as_bytes());
                out.push(b'\'');
            }
            Some(value) => quote(&value, out),
        }
    }

    fn masked(&self, value: &[u8], mask: &ColumnMask) -> Option<Vec<u8>> {
        if self.is_binary {
            return mask.mask(&format!("\\x{}", hex(value))).map(|masked| unhex(&masked));
        }
        mask.mask(&String::from_utf8_lossy(value)).map(String::into_bytes)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// The bytes of a text like `\x00ff`.
fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().skip(2).filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8)).collect()
}

/// A text as MySQL takes it. Numbers as well: it reads them from texts, without losing any digit.
fn quote(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'\'');
    for byte in value {
        match byte {
            b'\'' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            0 => out.extend_from_slice(b"\\0"),
            other => out.push(*other),
        }
    }
    out.push(b'\'');
}

/// A statement that is being written.
#[derive(Default)]
struct Insert {
    head: String,
    text: Vec<u8>,
    rows: u64,
    bytes: u64,
}

impl Insert {
    fn add(&mut self, values: &[Written], row: &MySqlRow) -> sqlx::Result<()> {
        if row.len() != values.len() {
            return Err(sqlx::Error::Protocol("a row has another number of columns than were asked for".to_owned()));
        }
        if self.text.is_empty() {
            self.text.extend_from_slice(self.head.as_bytes());
        } else {
            self.text.push(b',');
        }
        for (at, value) in values.iter().enumerate() {
            self.text.push(if at == 0 { b'(' } else { b',' });
            value.write(bytes(row, at)?, &mut self.text);
        }
        self.text.push(b')');
        self.rows += 1;
        Ok(())
    }

    async fn send(&mut self, target: &mut MySqlConnection) -> Result<(), Refusal> {
        if self.text.is_empty() {
            return Ok(());
        }
        self.bytes += self.text.len() as u64;
        // The server was asked for UTF-8, and bytes are written as digits.
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.text)).into_owned();
        target.execute(sqlx::raw_sql(AssertSqlSafe(text))).await?;
        Ok(())
    }
}
