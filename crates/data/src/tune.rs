//! What would make a database faster, smaller or safer: decided from what was seen of it, each with its evidence and the
//! statement to run. Nothing is changed.
//!
//! PostgreSQL only, from its statistics views. Counts there go back to the last reset, so that "never used" needs a while.

mod postgres;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use daybook_model::database::{Advice, AdviceKind};

pub use postgres::{look, most_time};

/// What was seen of a database.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// For how long has been counted, seconds.
    pub counted_s: u64,
    /// Its tables by their number.
    pub tables: BTreeMap<i64, Table>,
    /// Its indexes.
    pub indexes: Vec<Index>,
    /// Its foreign keys.
    pub foreign_keys: Vec<ForeignKey>,
    /// Who is connected.
    pub connections: Connections,
    /// Queries by the time that all their calls took, most first. `None`: nobody counts them.
    pub queries: Option<Vec<Query>>,
    /// Indexes that were tried without being made, and helped.
    pub tried: Vec<Tried>,
    /// Whether indexes could be tried (HypoPG).
    pub could_try: bool,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Its schema and name, quoted where that is needed.
    pub name: String,
    /// Rows that are there, about.
    pub live: i64,
    /// Rows that are gone and still take room, about.
    pub dead: i64,
    /// Bytes, with its indexes.
    pub bytes: i64,
    /// Whether it was ever cleaned up.
    pub is_vacuumed: bool,
    /// Transactions since its oldest row was frozen.
    pub age: i64,
}

/// An index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// Its schema and name, quoted where that is needed.
    pub name: String,
    /// The number of its table.
    pub table: i64,
    /// Numbers of its columns, in their order. 0: an expression.
    pub columns: Vec<i16>,
    /// How often it was used.
    pub scans: i64,
    /// Bytes.
    pub bytes: i64,
    /// Whether it keeps rows apart, or a constraint needs it.
    pub is_needed: bool,
    /// Whether it can be used: making it was not broken off.
    pub is_valid: bool,
    /// What else tells it from others: method, classes, order, condition.
    pub rest: String,
}

/// A foreign key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForeignKey {
    /// Its name.
    pub name: String,
    /// The number of its table.
    pub table: i64,
    /// Numbers of its columns.
    pub columns: Vec<i16>,
    /// Names of its columns, quoted where that is needed.
    pub names: Vec<String>,
    /// The table that it leads to.
    pub to: String,
}

/// Who is connected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connections {
    /// How many are.
    pub used: i64,
    /// How many may be.
    pub most: i64,
    /// How long the oldest transaction waits in which nothing happens, seconds.
    pub idle_s: i64,
}

/// A query, with its calls together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Query {
    /// What its server tells it from others by; 0 of those of which it says nothing.
    pub id: i64,
    /// Its text, with `$1` in the place of values.
    pub text: String,
    /// How often it was called.
    pub calls: i64,
    /// How long all calls took, milliseconds.
    pub total_ms: f64,
    /// How many rows all calls returned.
    pub rows: i64,
}

/// An index that was tried.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tried {
    /// The query that it would help.
    pub query: String,
    /// How often that was called.
    pub calls: i64,
    /// How long all calls took, milliseconds.
    pub total_ms: f64,
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// What the planner expects to pay now.
    pub before: f64,
    /// What it would expect with the index.
    pub after: f64,
}

/// Rows from which on a table is worth an index.
const MANY_ROWS: i64 = 10_000;
/// Bytes from which on an index is worth a word.
const MANY_BYTES: i64 = 1 << 20;
/// Nobody knows that an index is not used before that: reports are run once a month.
const LONG_S: u64 = 14 * 24 * 3_600;
/// Transactions from which on PostgreSQL begins to hurry; at two billion it stops.
const OLD: i64 = 1_000_000_000;

/// What is to be said, the gravest first.
pub fn advise(seen: &Seen) -> Vec<Advice> {
    let mut all = Vec::new();
    all.extend(dangers(seen));
    all.extend(connections(&seen.connections));
    all.extend(seen.tried.iter().map(tried));
    all.extend(keys_without_index(seen));
    all.extend(broken(seen));
    all.extend(duplicates(seen));
    all.extend(unused(seen));
    all.extend(dead_rows(seen));
    all.extend(queries(seen));
    all
}

fn advice(kind: AdviceKind, about: &str, why: String, run: Option<String>) -> Advice {
    Advice { kind, about: about.to_owned(), why, run }
}

fn dangers(seen: &Seen) -> Vec<Advice> {
    let old = seen.tables.values().filter(|table| table.age > OLD);
    old.map(|table| {
        let why = format!(
            "its oldest row was frozen {} million transactions ago; at 2,100 nothing is written any more",
            table.age / 1_000_000
        );
        advice(AdviceKind::Danger, &table.name, why, Some(format!("vacuum (freeze, analyze) {};", table.name)))
    })
    .collect()
}

fn connections(seen: &Connections) -> Vec<Advice> {
    let mut all = Vec::new();
    if seen.most > 0 && seen.used * 10 > seen.most * 8 {
        let why = format!("{} of {} are in use; who comes after the last is refused", seen.used, seen.most);
        all.push(advice(AdviceKind::Danger, "connections", why, None));
    }
    if seen.idle_s > 300 {
        let why = format!(
            "a transaction has been idle for {} min; nothing that it might see is cleaned up",
            seen.idle_s / 60
        );
        let run = "select pid, usename, application_name, query from pg_stat_activity where state = 'idle in transaction' \
                   order by state_change;";
        all.push(advice(AdviceKind::Vacuum, "connections", why, Some(run.to_owned())));
    }
    all
}

fn tried(tried: &Tried) -> Advice {
    let why = format!(
        "the planner expects {:.0} instead of {:.0} for `{}`, which was called {} times and took {}",
        tried.after,
        tried.before,
        short(&tried.query),
        tried.calls,
        took(tried.total_ms)
    );
    let run = format!("create index concurrently on {} ({});", tried.table, tried.column);
    advice(AdviceKind::MissingIndex, &tried.table, why, Some(run))
}

fn keys_without_index(seen: &Seen) -> Vec<Advice> {
    let leads = |key: &ForeignKey| {
        let begins = |index: &&Index| {
            // In any order: all of them are compared.
            let begin = index.columns.get(..key.columns.len());
            index.table == key.table && index.is_valid && begin.is_some_and(|begin| same_set(begin, &key.columns))
        };
        seen.indexes.iter().any(|index| begins(&index))
    };
    let without = seen.foreign_keys.iter().filter(|key| !leads(key));
    without
        .filter_map(|key| {
            let table = seen.tables.get(&key.table).filter(|table| table.live >= MANY_ROWS)?;
            let columns = key.names.join(", ");
            let is_tried = |tried: &Tried| tried.table == table.name && key.names.first() == Some(&tried.column);
            if seen.tried.iter().any(is_tried) {
                return None;
            }
            let why = format!(
                "{} leads to {} without an index: each row that goes there is looked for in all {} rows here",
                key.name, key.to, table.live
            );
            let run = format!("create index concurrently on {} ({columns});", table.name);
            Some(advice(AdviceKind::MissingIndex, &table.name, why, Some(run)))
        })
        .collect()
}

fn same_set(one: &[i16], other: &[i16]) -> bool {
    one.iter().all(|column| other.contains(column)) && other.iter().all(|column| one.contains(column))
}

fn broken(seen: &Seen) -> Vec<Advice> {
    let broken = seen.indexes.iter().filter(|index| !index.is_valid);
    broken
        .map(|index| {
            let why = "making it was broken off: it is written and never read".to_owned();
            let run = format!("reindex index concurrently {};", index.name);
            advice(AdviceKind::BrokenIndex, &index.name, why, Some(run))
        })
        .collect()
}

/// Indexes that another begins with.
fn duplicates(seen: &Seen) -> Vec<Advice> {
    let mut all = Vec::new();
    for (at, index) in seen.indexes.iter().enumerate().filter(|(_, index)| !index.is_needed && index.is_valid) {
        let covers = |(other_at, other): &(usize, &Index)| {
            let longer = other.columns.len() > index.columns.len();
            let equal = other.columns == index.columns && (other.is_needed || *other_at < at);
            other.table == index.table
                && other.is_valid
                && !index.columns.contains(&0)
                && other.rest == index.rest
                && other.columns.starts_with(&index.columns)
                && (longer || equal)
        };
        let Some((_, other)) = seen.indexes.iter().enumerate().filter(|(other_at, _)| *other_at != at).find(covers)
        else {
            continue;
        };
        let why = format!("{} does the same; this one takes {} and slows each write", other.name, size(index.bytes));
        let run = format!("drop index concurrently {};", index.name);
        all.push(advice(AdviceKind::DuplicateIndex, &index.name, why, Some(run)));
    }
    all
}

fn unused(seen: &Seen) -> Vec<Advice> {
    if seen.counted_s < LONG_S {
        return Vec::new();
    }
    let days = seen.counted_s / (24 * 3_600);
    let unused = |index: &&Index| index.scans == 0 && !index.is_needed && index.is_valid && index.bytes >= MANY_BYTES;
    let said = duplicates(seen);
    let found = seen.indexes.iter().filter(unused).filter(|index| !said.iter().any(|one| one.about == index.name));
    found
        .map(|index| {
            let why = format!(
                "it was not used in {days} days and takes {}; replicas may use it all the same",
                size(index.bytes)
            );
            let run = format!("drop index concurrently {};", index.name);
            advice(AdviceKind::UnusedIndex, &index.name, why, Some(run))
        })
        .collect()
}

fn dead_rows(seen: &Seen) -> Vec<Advice> {
    let full = seen.tables.values().filter(|table| table.dead >= MANY_ROWS && table.dead * 4 > table.live);
    full.map(|table| {
        let never = if table.is_vacuumed { "" } else { ", and it was never cleaned up" };
        let why = format!("{} rows that are gone take room beside {} that are there{never}", table.dead, table.live);
        advice(AdviceKind::Vacuum, &table.name, why, Some(format!("vacuum (analyze) {};", table.name)))
    })
    .collect()
}

/// The queries that take most of the time.
fn queries(seen: &Seen) -> Vec<Advice> {
    let Some(queries) = &seen.queries else {
        let why =
            "nobody counts queries: add `shared_preload_libraries: pg_stat_statements` to the settings of the server";
        let run = Some("create extension pg_stat_statements;".to_owned());
        return vec![advice(AdviceKind::SlowQuery, "queries", why.to_owned(), run)];
    };
    let all: f64 = queries.iter().map(|query| query.total_ms).sum();
    let grave = queries.iter().take(3).filter(|query| query.total_ms > all / 10.0 && query.total_ms > 1_000.0);
    grave
        .filter(|query| !seen.tried.iter().any(|tried| tried.query == query.text))
        .map(|query| {
            #[expect(clippy::cast_precision_loss, reason = "a count of calls for people")]
            let mean = query.total_ms / query.calls.max(1) as f64;
            let why = format!(
                "{:.0} % of the time that is counted: {} calls, {} in all, {mean:.1} ms each, {} rows",
                query.total_ms / all * 100.0,
                query.calls,
                took(query.total_ms),
                query.rows
            );
            advice(AdviceKind::SlowQuery, &short(&query.text), why, None)
        })
        .collect()
}

/// A query in one line, as much as a line has room for.
fn short(query: &str) -> String {
    const ROOM: usize = 80;
    let line = query.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut: String = line.chars().take(ROOM).collect();
    if cut.len() < line.len() { format!("{cut}…") } else { cut }
}

fn took(ms: f64) -> String {
    if ms < 1_000.0 { format!("{ms:.0} ms") } else { format!("{:.1} s", ms / 1_000.0) }
}

fn size(bytes: i64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}
