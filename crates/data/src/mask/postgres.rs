//! Masked copies of PostgreSQL: each table is streamed from a COPY into a COPY, and only masked columns are touched.
//!
//! The source is read in one transaction, so that the copy is of one moment. The target is written in one transaction:
//! it has every row in the end, or none. No more than some rows are ever in memory.
//!
//! Left out: rows that are hidden by row-level security make the copy fail rather than be missing; large objects and
//! rows of foreign tables are not carried, and the report says so.

use futures::TryStreamExt as _;
use sqlx::postgres::{PgConnection, PgCopyIn};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use super::plan::{Plan, PlannedColumn};
use super::scan::{Sampled, Suspect, scan};
use super::{ColumnMask, ColumnName, Copied, CopyReport, Copying, Error, Look, Masker, Progress, TableName, Type, row};
use crate::migrations::postgres::{open, quoted, run};
use crate::migrations::server::Refusal;
use catalog::{Sequence, each};

mod catalog;

/// Bytes that are sent at once.
const CHUNK: usize = 256 * 1024;
/// Rows of a table that are looked at for what seems personal.
const SAMPLES: usize = 200;
/// Both sides write and read values alike, whatever they were told to do.
const SETTINGS: &str = "set client_encoding = 'UTF8'; set datestyle = 'ISO, MDY'; set intervalstyle = 'postgres'; \
set timezone = 'UTC'; set bytea_output = 'hex'; set extra_float_digits = 3; set xmloption = 'content'; \
set row_security = off; set search_path = ''; set statement_timeout = 0; set lock_timeout = 0; \
set idle_in_transaction_session_timeout = 0";

type Result<T, E = Error> = std::result::Result<T, E>;

/// Looks at what a copy would do. Everything that is wrong with the rules is one error.
pub async fn look(copying: &Copying<'_>) -> Result<Look> {
    Source::open(copying).await.map(|source| source.look)
}

/// Copies every row of every table of users, masked. See [`Copying`] for what the target has to be.
pub async fn copy(copying: &Copying<'_>) -> Result<CopyReport> {
    let mut source = Source::open(copying).await?;
    let mut target = open(copying.target).await.map_err(Error::target("the database"))?;
    run(&mut target, SETTINGS).await.map_err(Error::target("the settings"))?;
    run(&mut target, "begin").await.map_err(Error::target("the database"))?;
    let masker = Masker::new(copying.seed);
    let mut done = Vec::new();
    let tables: Vec<_> = source.tables.iter().filter(|(name, _)| source.look.plan.tables.contains_key(name)).collect();
    for (at, (table, is_partitioned)) in tables.iter().enumerate() {
        let columns = &source.look.plan.tables[table];
        if columns.is_empty() {
            continue;
        }
        let progress = |rows, is_done| {
            (copying.progress)(Progress { table: table.clone(), nth: at + 1, of: tables.len(), rows, is_done });
        };
        let transfer = Transfer { table, columns, is_partitioned: *is_partitioned, progress: &progress };
        done.push(transfer.run(&masker, &mut source.connection, &mut target).await?);
    }
    set_sequences(&mut source.connection, &mut target, &source.look.plan).await?;
    run(&mut target, "commit").await.map_err(Error::target("the database"))?;
    // Nothing depends on how these end: the copy is there.
    let _ = target.close().await;
    let _ = source.connection.close().await;
    Ok(source.look.report(done))
}

/// The source, in the transaction in which it is read.
struct Source {
    connection: PgConnection,
    tables: Vec<(TableName, bool)>,
    look: Look,
}

impl Source {
    async fn open(copying: &Copying<'_>) -> Result<Self> {
        let mut connection = open(copying.source).await.map_err(Error::source("the database"))?;
        run(&mut connection, SETTINGS).await.map_err(Error::source("the settings"))?;
        let tables = begin(&mut connection).await.map_err(Error::source("the tables"))?;
        let schema = catalog::schema(&mut connection).await.map_err(Error::source("the columns"))?;
        let plan = Plan::new(&schema, copying.masking, copying.without).map_err(Error::Rules)?;
        let not_carried = catalog::not_carried(&mut connection).await.map_err(Error::source("the catalogue"))?;
        let suspects = suspects(&mut connection, &plan).await?;
        Ok(Self { connection, tables, look: Look { plan, suspects, not_carried } })
    }
}

/// Begins the transaction. The tables are locked before its snapshot is taken: one that is truncated or rewritten in
/// between would seem to be empty.
async fn begin(connection: &mut PgConnection) -> Result<Vec<(TableName, bool)>, Refusal> {
    let tables = catalog::tables(connection).await?;
    run(connection, "begin isolation level repeatable read, read only").await?;
    if !tables.is_empty() {
        let names: Vec<_> = tables.iter().map(|(table, _)| sql(table)).collect();
        run(connection, &format!("lock table {} in access share mode", names.join(", "))).await?;
    }
    Ok(tables)
}

fn sql(table: &TableName) -> String {
    format!("{}.{}", quoted(&table.schema), quoted(&table.table))
}

/// Looks at some rows of each table for what seems personal and has no rule.
async fn suspects(connection: &mut PgConnection, plan: &Plan) -> Result<Vec<Suspect>> {
    let mut all = Vec::new();
    for (table, columns) in &plan.tables {
        all.extend(scan(&sampled(connection, table, columns).await.map_err(Error::source(table))?));
    }
    Ok(all)
}

async fn sampled(
    connection: &mut PgConnection,
    table: &TableName,
    columns: &[PlannedColumn],
) -> Result<Vec<Sampled>, Refusal> {
    let mut sampled: Vec<_> = columns
        .iter()
        .map(|column| Sampled {
            name: ColumnName { table: table.clone(), column: column.name.clone() },
            of: column.of.clone(),
            has_rule: column.rule.is_some(),
            samples: Vec::new(),
        })
        .collect();
    let mut looked_at: Vec<_> = sampled.iter_mut().filter(|column| !column.has_rule && tells(&column.of)).collect();
    if looked_at.is_empty() {
        return Ok(sampled);
    }
    let parts: Vec<_> =
        looked_at.iter().map(|column| format!("left({}::text, 500)", quoted(&column.name.column))).collect();
    let text = format!("select array[{}] from {} limit {SAMPLES}", parts.join(", "), sql(table));
    for row in each(connection, text, |row| row.try_get::<Vec<Option<String>>, _>(0)).await? {
        for (column, value) in looked_at.iter_mut().zip(row) {
            column.samples.extend(value);
        }
    }
    Ok(sampled)
}

/// Whether the scanner looks at values of a type.
fn tells(of: &Type) -> bool {
    matches!(of, Type::Text(_) | Type::Json | Type::Array(_) | Type::Date)
}

/// A table on its way.
struct Transfer<'a> {
    table: &'a TableName,
    columns: &'a [PlannedColumn],
    is_partitioned: bool,
    /// Hears of rows, and whether these are all.
    progress: &'a (dyn Fn(u64, bool) + Send + Sync),
}

impl Transfer<'_> {
    async fn run(&self, masker: &Masker, source: &mut PgConnection, target: &mut PgConnection) -> Result<Copied> {
        let (table, name) = (self.table, sql(self.table));
        let refused = || Error::target::<Refusal>(table);
        let asked = sqlx::query(AssertSqlSafe(format!("select exists (select 1 from {name})"))).fetch_one(&mut *target);
        let has_rows: bool = asked.await.and_then(|row| row.try_get(0)).map_err(Error::target(table))?;
        if has_rows {
            return Err(Error::NotEmpty(table.clone()));
        }
        let names: Vec<_> = self.columns.iter().map(|column| quoted(&column.name)).collect();
        let names = names.join(", ");
        // A table of partitions has no rows of its own that COPY would write.
        let from =
            if self.is_partitioned { format!("(select {names} from {name})") } else { format!("{name} ({names})") };
        let into = target.copy_in_raw(&format!("copy {name} ({names}) from stdin")).await;
        let mut into = Into { copy: into.map_err(Refusal::from).map_err(refused())?, bytes: 0 };
        let streamed = self.stream(masker, source, &format!("copy {from} to stdout"), &mut into).await;
        if let Err(why) = streamed {
            // What the target makes of it does not matter: the transaction is never completed.
            let _ = into.copy.abort("the source failed").await;
            return Err(why);
        }
        let rows = into.copy.finish().await.map_err(Error::target(table))?;
        (self.progress)(rows, true);
        Ok(Copied { table: table.clone(), rows, bytes: into.bytes })
    }

    async fn stream(&self, masker: &Masker, source: &mut PgConnection, asked: &str, into: &mut Into<'_>) -> Result<()> {
        let masks: Vec<_> = self.columns.iter().map(|column| column.mask(masker)).collect();
        let mut rows = Rows { table: self.table, masks: &masks, begun: Vec::new(), out: Vec::new(), count: 0 };
        let mut read = source.copy_out_raw(asked).await.map_err(Error::source(self.table))?;
        while let Some(data) = read.try_next().await.map_err(Error::source(self.table))? {
            rows.take(&data)?;
            if rows.out.len() >= CHUNK {
                into.send(&mut rows.out).await.map_err(Error::target(self.table))?;
                (self.progress)(rows.count, false);
            }
        }
        into.send(&mut rows.out).await.map_err(Error::target(self.table))
    }
}

/// Where rows go.
struct Into<'a> {
    copy: PgCopyIn<&'a mut PgConnection>,
    bytes: u64,
}

impl Into<'_> {
    async fn send(&mut self, out: &mut Vec<u8>) -> sqlx::Result<()> {
        self.copy.send(out.as_slice()).await?;
        self.bytes += out.len() as u64;
        out.clear();
        Ok(())
    }
}

/// Rows that are put together of what comes, and masked.
struct Rows<'a> {
    table: &'a TableName,
    masks: &'a [Option<ColumnMask>],
    /// The beginning of a row whose end has not come.
    begun: Vec<u8>,
    out: Vec<u8>,
    count: u64,
}

impl Rows<'_> {
    fn take(&mut self, data: &[u8]) -> Result<()> {
        for part in data.split_inclusive(|byte| *byte == b'\n') {
            let Some(end) = part.strip_suffix(b"\n") else {
                self.begun.extend_from_slice(part);
                continue;
            };
            if self.begun.is_empty() {
                self.mask(end)?;
            } else {
                self.begun.extend_from_slice(end);
                let line = std::mem::take(&mut self.begun);
                self.mask(&line)?;
            }
        }
        Ok(())
    }

    fn mask(&mut self, line: &[u8]) -> Result<()> {
        self.count += 1;
        let wrong = |found| Error::Row { table: self.table.clone(), found, wanted: self.masks.len() };
        row::mask(line, self.masks, &mut self.out).map_err(wrong)
    }
}

/// Has every sequence go on where it is in the source; after the last value of a masked column that takes from it.
async fn set_sequences(source: &mut PgConnection, target: &mut PgConnection, plan: &Plan) -> Result<()> {
    for sequence in catalog::sequences(source).await.map_err(Error::source("the sequences"))? {
        let name = sql(&sequence.name);
        let asked = format!("select last_value, is_called from {name}");
        let at = each(source, asked, |row| Ok((row.try_get::<i64, _>(0)?, row.try_get::<bool, _>(1)?))).await;
        let Some((last, is_called)) = at.map_err(Error::source(&sequence.name))?.pop() else { continue };
        let masked = masked_users(&sequence, plan);
        let set = match masked.is_empty() {
            true => format!("select setval({}, {last}, {is_called})", literal(&name)),
            false => after(&name, last, is_called, &masked),
        };
        run(target, &set).await.map_err(Error::target(&sequence.name))?;
    }
    Ok(())
}

fn masked_users<'a>(sequence: &'a Sequence, plan: &Plan) -> Vec<&'a ColumnName> {
    let is_masked = |user: &&ColumnName| {
        let columns = plan.tables.get(&user.table).into_iter().flatten();
        columns.filter(|column| column.name == user.column).any(|column| column.changes().is_some())
    };
    sequence.used_by.iter().filter(is_masked).collect()
}

/// The last value of the sequence or of its columns, whichever is more, as long as the sequence goes so far.
fn after(name: &str, last: i64, is_called: bool, masked: &[&ColumnName]) -> String {
    let largest: Vec<_> = masked
        .iter()
        .map(|user| format!("(select max({})::int8 from {})", quoted(&user.column), sql(&user.table)))
        .collect();
    let largest = format!("greatest({})", largest.join(", "));
    format!(
        "select setval(s.seqrelid::regclass, least(greatest({largest}, {last}), s.seqmax), \
{is_called} or {largest} >= {last}) from pg_catalog.pg_sequence s where s.seqrelid = {}::regclass",
        literal(name)
    )
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
