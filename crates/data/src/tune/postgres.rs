//! What PostgreSQL's statistics say.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use sqlparser::ast::{Expr, SetExpr, Statement, TableFactor, TableWithJoins, visit_expressions};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};

use super::{Connections, ForeignKey, Index, Query, Seen, Table, Tried};
use crate::migrations::postgres::{open, quoted, run};
use crate::migrations::server::{Refusal, Result};

/// Schemas of users.
const OURS: &str = "n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%'";
/// Queries that are looked at.
const MOST_QUERIES: i64 = 20;
/// An index is worth it if the planner expects to pay so much less.
const WORTH: f64 = 0.7;
/// What is cheap already is left alone: the planner's own measure, a page read in order is 1.
const CHEAP: f64 = 100.0;

/// Looks at a database. Nothing is left behind: what is tried is tried in a transaction that is taken back.
pub async fn look(url: &str) -> Result<Seen> {
    let mut connection = open(url).await?;
    let mut seen = Seen {
        counted_s: counted(&mut connection).await?,
        tables: tables(&mut connection).await?,
        indexes: indexes(&mut connection).await?,
        foreign_keys: foreign_keys(&mut connection).await?,
        connections: connections(&mut connection).await?,
        queries: queries(&mut connection).await?,
        ..Seen::default()
    };
    if let Some(queries) = &seen.queries {
        let columns = columns(&mut connection).await?;
        let tried = try_indexes(&mut connection, queries, &columns).await;
        let taken_back = run(&mut connection, "rollback").await;
        (seen.could_try, seen.tried) = tried.map_or((false, Vec::new()), |tried| (true, tried));
        taken_back?;
    }
    connection.close().await?;
    Ok(seen)
}

/// The queries of the database at a URL by the time that all their calls took, most first. `None`: nobody counts them.
pub async fn most_time(url: &str) -> Result<Option<Vec<Query>>> {
    let mut connection = open(url).await?;
    let queries = queries(&mut connection).await?;
    connection.close().await?;
    Ok(queries)
}

async fn counted(connection: &mut PgConnection) -> Result<u64> {
    let text = "select extract(epoch from now() - coalesce(stats_reset, pg_postmaster_start_time()))::bigint \
from pg_stat_database where datname = current_database()";
    let seconds: i64 = sqlx::query(text).fetch_one(connection).await?.try_get(0)?;
    Ok(u64::try_from(seconds).unwrap_or(0))
}

async fn all(connection: &mut PgConnection, text: String) -> Result<Vec<PgRow>> {
    Ok(sqlx::query(AssertSqlSafe(text)).fetch_all(connection).await?)
}

async fn tables(connection: &mut PgConnection) -> Result<BTreeMap<i64, Table>> {
    let text = format!(
        "select c.oid::bigint, format('%I.%I', n.nspname, c.relname), s.n_live_tup, s.n_dead_tup, \
pg_total_relation_size(c.oid), s.last_vacuum is not null or s.last_autovacuum is not null, age(c.relfrozenxid)::bigint \
from pg_stat_all_tables s join pg_class c on c.oid = s.relid join pg_namespace n on n.oid = c.relnamespace \
where {OURS} and c.relkind = 'r'"
    );
    let rows = all(connection, text).await?;
    let table = |row: &PgRow| -> sqlx::Result<(i64, Table)> {
        let table = Table {
            name: row.try_get(1)?,
            live: row.try_get(2)?,
            dead: row.try_get(3)?,
            bytes: row.try_get(4)?,
            is_vacuumed: row.try_get(5)?,
            age: row.try_get(6)?,
        };
        Ok((row.try_get(0)?, table))
    };
    rows.iter().map(|row| table(row).map_err(Refusal::from)).collect()
}

async fn indexes(connection: &mut PgConnection) -> Result<Vec<Index>> {
    let text = format!(
        "select format('%I.%I', n.nspname, c.relname), i.indrelid::bigint, string_to_array(i.indkey::text, ' ')::int2[], \
coalesce(pg_stat_get_numscans(c.oid), 0), pg_relation_size(c.oid), \
i.indisunique or i.indisprimary or i.indisexclusion or i.indisreplident or i.indisclustered \
or exists (select 1 from pg_constraint k where k.conindid = c.oid), i.indisvalid, \
concat_ws(' ', am.amname, i.indclass[0]::text, i.indoption[0]::text, pg_get_expr(i.indpred, i.indrelid)) from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am am on am.oid = c.relam \
join pg_namespace n on n.oid = c.relnamespace where {OURS} order by i.indexrelid"
    );
    let rows = all(connection, text).await?;
    let index = |row: &PgRow| -> sqlx::Result<Index> {
        Ok(Index {
            name: row.try_get(0)?,
            table: row.try_get(1)?,
            columns: row.try_get(2)?,
            scans: row.try_get(3)?,
            bytes: row.try_get(4)?,
            is_needed: row.try_get(5)?,
            is_valid: row.try_get(6)?,
            rest: row.try_get(7)?,
        })
    };
    rows.iter().map(|row| index(row).map_err(Refusal::from)).collect()
}

async fn foreign_keys(connection: &mut PgConnection) -> Result<Vec<ForeignKey>> {
    let text = format!(
        "select k.conname::text, k.conrelid::bigint, k.conkey, k.confrelid::regclass::text, \
array(select quote_ident(a.attname) from unnest(k.conkey) with ordinality as o (attnum, place) \
join pg_attribute a on a.attrelid = k.conrelid and a.attnum = o.attnum order by o.place) \
from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace \
where k.contype = 'f' and k.conparentid = 0 and {OURS} order by k.oid"
    );
    let rows = all(connection, text).await?;
    let key = |row: &PgRow| -> sqlx::Result<ForeignKey> {
        Ok(ForeignKey {
            name: row.try_get(0)?,
            table: row.try_get(1)?,
            columns: row.try_get(2)?,
            to: row.try_get(3)?,
            names: row.try_get(4)?,
        })
    };
    rows.iter().map(|row| key(row).map_err(Refusal::from)).collect()
}

async fn connections(connection: &mut PgConnection) -> Result<Connections> {
    let text = "select count(*), current_setting('max_connections')::bigint, \
coalesce(max(extract(epoch from now() - state_change)) filter (where state = 'idle in transaction'), 0)::bigint \
from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";
    let row = sqlx::query(text).fetch_one(connection).await?;
    Ok(Connections { used: row.try_get(0)?, most: row.try_get(1)?, idle_s: row.try_get(2)? })
}

async fn queries(connection: &mut PgConnection) -> Result<Option<Vec<Query>>> {
    // Each login has a row of its own for a query.
    let text = format!(
        "select coalesce(s.queryid, 0), min(s.query), sum(s.calls)::bigint, sum(s.total_exec_time), sum(s.rows)::bigint \
from pg_stat_statements s join pg_database d on d.oid = s.dbid where d.datname = current_database() and s.query !~* '^(begin|commit|rollback|set |explain|prepare|create|alter|drop|copy)' \
group by 1 order by 4 desc limit {MOST_QUERIES}"
    );
    let rows = match all(connection, text).await {
        Ok(rows) => rows,
        // There is no such view, the server does not fill it, or it is that of PostgreSQL 12, with other columns.
        Err(refusal) if matches!(refusal.code.as_deref(), Some("42P01" | "55000" | "42501" | "42703")) => {
            return Ok(None);
        }
        Err(refusal) => return Err(refusal),
    };
    let query = |row: &PgRow| -> sqlx::Result<Query> {
        Ok(Query {
            id: row.try_get(0)?,
            text: row.try_get(1)?,
            calls: row.try_get(2)?,
            total_ms: row.try_get(3)?,
            rows: row.try_get(4)?,
        })
    };
    rows.iter().map(|row| query(row).map_err(Refusal::from)).collect::<Result<_>>().map(Some)
}

/// Columns by the last part of their table's name, with its whole name; of names that two tables have, neither.
struct Columns(BTreeMap<String, (String, BTreeSet<String>)>);

async fn columns(connection: &mut PgConnection) -> Result<Columns> {
    let text = format!(
        "select c.relname::text, format('%I.%I', n.nspname, c.relname), array_agg(a.attname::text) \
from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid \
where {OURS} and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped group by 1, 2"
    );
    let mut found: BTreeMap<String, Vec<(String, BTreeSet<String>)>> = BTreeMap::new();
    for row in all(connection, text).await? {
        let names: Vec<String> = row.try_get(2)?;
        found.entry(row.try_get(0)?).or_default().push((row.try_get(1)?, names.into_iter().collect()));
    }
    let once = found.into_iter().filter_map(|(name, mut same)| (same.len() == 1).then(|| (name, same.remove(0))));
    Ok(Columns(once.collect()))
}

/// Tries an index for each column that a query compares. `None`: it cannot be tried here. Begins a transaction that
/// the caller takes back.
async fn try_indexes(connection: &mut PgConnection, queries: &[Query], columns: &Columns) -> Option<Vec<Tried>> {
    run(connection, "begin").await.ok()?;
    run(connection, "set local plan_cache_mode = force_generic_plan; set local statement_timeout = '5s'").await.ok()?;
    run(connection, "create extension if not exists hypopg").await.ok()?;
    let mut found = Vec::new();
    for query in queries {
        let candidates = compared(&query.text, columns);
        if candidates.is_empty() {
            continue;
        }
        run(connection, "savepoint one").await.ok()?;
        if let Ok(Some(tried)) = try_for(connection, query, &candidates).await {
            found.push(tried);
        }
        run(connection, "rollback to savepoint one").await.ok()?;
        // Prepared statements outlive what is taken back.
        run(connection, "deallocate all").await.ok()?;
    }
    Some(found)
}

async fn try_for(
    connection: &mut PgConnection,
    query: &Query,
    candidates: &BTreeSet<(String, String)>,
) -> Result<Option<Tried>> {
    run(connection, &format!("prepare daybook_tried as {}", query.text)).await?;
    let before = cost(connection, &query.text).await?;
    if before < CHEAP {
        return Ok(None);
    }
    let mut best: Option<Tried> = None;
    for (table, column) in candidates {
        let wanted = format!("create index on {table} ({column})");
        sqlx::query("select hypopg_create_index($1)").bind(wanted).execute(&mut *connection).await?;
        // A plan that is kept would not know of the index.
        run(connection, "deallocate daybook_tried").await?;
        run(connection, &format!("prepare daybook_tried as {}", query.text)).await?;
        let after = cost(connection, &query.text).await?;
        run(connection, "select hypopg_reset()").await?;
        if after < before * WORTH && best.as_ref().is_none_or(|best| after < best.after) {
            best = Some(Tried {
                query: query.text.clone(),
                calls: query.calls,
                total_ms: query.total_ms,
                table: table.clone(),
                column: column.clone(),
                before,
                after,
            });
        }
    }
    Ok(best)
}

/// What the planner expects to pay, whatever the values are.
async fn cost(connection: &mut PgConnection, query: &str) -> Result<f64> {
    let values = parameters(query);
    let values = if values == 0 { String::new() } else { format!("({})", vec!["null"; values].join(", ")) };
    let text = format!("explain (format json) execute daybook_tried{values}");
    let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(text))).await?;
    let plan: String = rows.iter().filter_map(|row| row.try_get_unchecked::<String, _>(0).ok()).collect();
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap_or_default();
    plan[0]["Plan"]["Total Cost"].as_f64().ok_or_else(|| Refusal::of("the plan has no cost"))
}

/// The highest number of a `$1`.
fn parameters(query: &str) -> usize {
    let numbers = query.split('$').skip(1).filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    numbers.max().unwrap_or(0)
}

/// The columns that a query compares with something, as table and column.
fn compared(query: &str, columns: &Columns) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    let Ok(parsed) = Parser::parse_sql(&PostgreSqlDialect {}, query) else { return found };
    for statement in &parsed {
        let (from, condition): (Vec<&TableWithJoins>, Option<&Expr>) = match statement {
            Statement::Query(query) => match query.body.as_ref() {
                SetExpr::Select(select) => (select.from.iter().collect(), select.selection.as_ref()),
                _ => continue,
            },
            Statement::Update(update) => (vec![&update.table], update.selection.as_ref()),
            Statement::Delete(delete) => {
                let (sqlparser::ast::FromTable::WithFromKeyword(from)
                | sqlparser::ast::FromTable::WithoutKeyword(from)) = &delete.from;
                (from.iter().collect(), delete.selection.as_ref())
            }
            _ => continue,
        };
        let mut tables: BTreeMap<String, String> = BTreeMap::new();
        for table in &from {
            let joined = table.joins.iter().map(|join| &join.relation);
            for relation in std::iter::once(&table.relation).chain(joined) {
                let TableFactor::Table { name, alias, .. } = relation else { continue };
                let last = name.0.last().and_then(|part| part.as_ident()).map(|ident| ident.value.clone());
                let Some(last) = last else { continue };
                let called = alias.as_ref().map_or_else(|| last.clone(), |alias| alias.name.value.clone());
                tables.insert(called, last);
            }
        }
        let Some(condition) = condition else { continue };
        let _ = visit_expressions(condition, |part| {
            let (table, column) = match part {
                Expr::Identifier(column) => (None, &column.value),
                Expr::CompoundIdentifier(parts) => match parts.as_slice() {
                    [.., table, column] => (Some(&table.value), &column.value),
                    _ => return ControlFlow::<()>::Continue(()),
                },
                _ => return ControlFlow::Continue(()),
            };
            for (called, name) in &tables {
                let Some((whole, names)) = columns.0.get(name) else { continue };
                if table.is_none_or(|table| table == called) && names.contains(column) {
                    found.insert((whole.clone(), quoted(column)));
                }
            }
            ControlFlow::Continue(())
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compared_columns_are_found_by_the_names_that_tables_have_in_a_query() {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect();
        let columns = Columns(
            [
                ("orders".to_owned(), ("public.orders".to_owned(), names(&["id", "customer", "at"]))),
                ("people".to_owned(), ("public.people".to_owned(), names(&["id", "name"]))),
            ]
            .into(),
        );
        let found = |query: &str| {
            let all = compared(query, &columns);
            all.into_iter().map(|(table, column)| format!("{table} {column}")).collect::<Vec<_>>()
        };
        assert_eq!(found("select * from orders where customer = $1"), ["public.orders \"customer\""]);
        assert_eq!(
            found("select 1 from orders o join people p on p.id = o.customer where p.name = $1 and o.at > $2"),
            ["public.orders \"at\"", "public.people \"name\""]
        );
        assert_eq!(found("delete from people where name like $1"), ["public.people \"name\""]);
        assert_eq!(found("update orders set at = $1 where id = $2"), ["public.orders \"id\""]);
        assert_eq!(found("insert into orders values ($1)"), [""; 0]);
        assert_eq!(found("select what is this"), [""; 0]);
        assert_eq!(parameters("a = $1 and b = $12"), 12);
    }
}
