//! A script that is about to be run: in a transaction, or not.

use crate::Dialect;
use crate::migrations::error::{Error, Result, begin_of};
use crate::migrations::script::{Statement, statements, words};
use crate::migrations::set::Migration;

/// A script that is about to be run.
pub(super) struct Prepared<'a> {
    pub(super) migration: &'a Migration,
    pub(super) statements: Vec<Statement<'a>>,
    pub(super) in_transaction: bool,
}

impl<'a> Prepared<'a> {
    pub(super) fn of(migration: &'a Migration, text: &'a str, dialect: Dialect) -> Result<Self> {
        let statements = statements(text, dialect);
        let outside = statements.iter().find(|statement| dialect == Dialect::PostgreSql && is_outside(statement.sql));
        let in_transaction = match (migration.settings.in_transaction, dialect) {
            // A change of what tables are ends a transaction: it would hold nothing.
            (_, Dialect::MySql) => statements.iter().all(|statement| changes_rows(statement.sql)),
            (Some(said), Dialect::PostgreSql) => said,
            (None, Dialect::PostgreSql) => outside.is_none(),
        };
        let inside = statements.iter().filter(|statement| !is_outside(statement.sql)).count();
        if let Some(statement) = outside.filter(|_| migration.settings.in_transaction.is_none() && inside > 0) {
            let (script, line) = (migration.script.clone(), statement.line);
            return Err(Error::Mixed { script, line, sql: begin_of(statement.sql) });
        }
        Ok(Self { migration, statements, in_transaction })
    }
}

/// Whether PostgreSQL refuses a statement in a transaction.
fn is_outside(sql: &str) -> bool {
    let words = words(sql, Dialect::PostgreSql, 64);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let has = |word: &str| words.contains(&word);
    match words.as_slice() {
        ["CREATE" | "DROP", "DATABASE" | "TABLESPACE" | "SUBSCRIPTION", ..] => true,
        ["ALTER", "SYSTEM", ..] | ["VACUUM", ..] | ["DISCARD", "ALL", ..] => true,
        ["CREATE", "INDEX", "CONCURRENTLY", ..] | ["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", ..] => true,
        ["DROP", "INDEX", "CONCURRENTLY", ..] => true,
        ["REINDEX", "SCHEMA" | "DATABASE" | "SYSTEM", ..] => true,
        ["REINDEX", ..] => has("CONCURRENTLY"),
        ["ALTER", "TABLE", ..] => has("DETACH") && has("CONCURRENTLY"),
        _ => false,
    }
}

/// Whether a statement of MySQL leaves it possible to take it back.
fn changes_rows(sql: &str) -> bool {
    let words = words(sql, Dialect::MySql, 1);
    matches!(
        words.first().map(String::as_str),
        Some("INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "SELECT" | "SET" | "WITH" | "DO" | "CALL")
    )
}

/// The index that is made beside the use of its table.
pub(super) fn index_beside_use(sql: &str) -> Option<String> {
    let rest = words(sql, Dialect::PostgreSql, 8);
    let rest: Vec<_> = rest.iter().map(String::as_str).collect();
    let (["CREATE", "INDEX", "CONCURRENTLY", after @ ..] | ["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", after @ ..]) =
        rest.as_slice()
    else {
        return None;
    };
    let name = match after {
        ["IF", "NOT", "EXISTS", name, ..] | [name, ..] => *name,
        [] => return None,
    };
    (name != "ON").then(|| name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_that_no_transaction_holds_are_known() {
        for sql in [
            "create index concurrently i on t (a)",
            "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)",
            "vacuum (analyze) t",
            "drop database x",
            "alter system set work_mem = '1MB'",
            "reindex table concurrently t",
            "alter table t detach partition p concurrently",
        ] {
            assert!(is_outside(sql), "{sql}");
        }
        for sql in
            ["create index i on t (a)", "reindex table t", "drop table t", "refresh materialized view concurrently v"]
        {
            assert!(!is_outside(sql), "{sql}");
        }
    }

    #[test]
    fn the_index_that_is_made_beside_use_is_known() {
        assert_eq!(index_beside_use("create index concurrently Idx on t (a)"), Some("idx".to_owned()));
        assert_eq!(index_beside_use("create unique index concurrently if not exists i on t (a)"), Some("i".to_owned()));
        assert_eq!(index_beside_use("create index concurrently on t (a)"), None);
        assert_eq!(index_beside_use("create index i on t (a)"), None);
    }
}
