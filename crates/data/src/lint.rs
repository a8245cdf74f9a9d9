//! What a migration does to who uses the database meanwhile, and to the version before: found by reading its statements.
//!
//! The rules are those of PostgreSQL 12 and newer (documentation of `ALTER TABLE`, and "Explicit Locking") and of
//! MySQL 8 and MariaDB 10.6 and newer ("Online DDL Operations"). A statement that cannot be read is passed over: this
//! warns, and proves nothing.

mod alter;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use daybook_model::database::{Remark, RemarkKind};
use sqlparser::ast::{FromTable, ObjectName, ObjectType, Statement, TableFactor};
use sqlparser::dialect::{MySqlDialect, PostgreSqlDialect};
use sqlparser::parser::Parser;

use crate::Dialect;
use crate::migrations::script::{self, statements, words};

/// Reads migrations in the order that they are run.
pub struct Lint {
    dialect: Dialect,
    /// Tables that nobody uses yet: migrations before made them.
    fresh: BTreeSet<String>,
}

impl Lint {
    /// For a database in which others work.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, fresh: BTreeSet::new() }
    }

    /// What is to be known of a script, in the order of its statements.
    pub fn remarks(&mut self, text: &str) -> Vec<Remark> {
        let mut all = Vec::new();
        for statement in statements(text, self.dialect) {
            let found = match self.by_words(&statement) {
                Some(found) => vec![found],
                None => self.parse(statement.sql).map(|parsed| self.of(&parsed)).unwrap_or_default(),
            };
            let line = u32::try_from(statement.line).unwrap_or(u32::MAX);
            all.extend(found.into_iter().map(|found| found.at(line)));
        }
        all
    }

    fn parse(&self, sql: &str) -> Option<Statement> {
        let parsed = match self.dialect {
            Dialect::PostgreSql => Parser::parse_sql(&PostgreSqlDialect {}, sql),
            Dialect::MySql => Parser::parse_sql(&MySqlDialect {}, sql),
        };
        let [statement] = <[Statement; 1]>::try_from(parsed.ok()?).ok()?;
        Some(statement)
    }

    fn is_fresh(&self, name: &ObjectName) -> bool {
        self.fresh.contains(&plain(name))
    }

    fn of(&mut self, statement: &Statement) -> Vec<Found> {
        let is_postgres = self.dialect == Dialect::PostgreSql;
        match statement {
            Statement::CreateTable(table) => {
                self.fresh.insert(plain(&table.name));
                Vec::new()
            }
            Statement::AlterTable(table) if self.is_fresh(&table.name) => Vec::new(),
            Statement::AlterTable(table) => {
                let name = plain(&table.name);
                table.operations.iter().flat_map(|change| alter::found(self.dialect, &name, change)).collect()
            }
            Statement::CreateIndex(index) if self.is_fresh(&index.table_name) || index.concurrently => Vec::new(),
            Statement::CreateIndex(index) if is_postgres => {
                let table = plain(&index.table_name);
                let found =
                    Found::new(RemarkKind::LongLock, format!("nobody writes to {table} while the index is made"));
                vec![found.instead("`create index concurrently`, in a file of its own")]
            }
            Statement::Drop { object_type, names, .. } => names
                .iter()
                .filter(|name| !self.is_fresh(name))
                .filter_map(|name| dropped(*object_type, name))
                .collect(),
            Statement::DropFunction(_) | Statement::DropProcedure { .. } | Statement::DropDomain(_) => {
                vec![Found::new(RemarkKind::Breaks, "the version before may still call what is dropped")]
            }
            Statement::Truncate(truncate) => {
                let names = truncate.table_names.iter().map(|table| plain(&table.name));
                let lost = names.filter(|name| !self.fresh.contains(name));
                lost.map(|name| Found::new(RemarkKind::Loses, format!("every row of {name} is lost"))).collect()
            }
            Statement::Delete(delete) if delete.selection.is_none() && delete.limit.is_none() => {
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
                let names = from.iter().filter_map(|table| factor(&table.relation));
                let lost = names.filter(|name| !self.fresh.contains(name));
                lost.map(|name| Found::new(RemarkKind::Loses, format!("every row of {name} is lost"))).collect()
            }
            Statement::Update(update) if update.selection.is_none() && update.limit.is_none() => {
                let name = factor(&update.table.relation).filter(|name| !self.fresh.contains(name));
                name.into_iter()
                    .map(|name| {
                        let text = format!("every row of {name} is locked until the migration ends");
                        Found::new(RemarkKind::LongLock, text).instead("change some thousand rows at a time, in a job")
                    })
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// Statements that are told by their first words.
    fn by_words(&self, statement: &script::Statement<'_>) -> Option<Found> {
        let words = words(statement.sql, self.dialect, 64);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let concurrently = words.contains(&"CONCURRENTLY");
        let text = match words.as_slice() {
            ["VACUUM", "FULL", ..] => "nobody reads or writes a table while it is written anew",
            ["CLUSTER", ..] => "nobody reads or writes a table while it is written anew",
            ["REINDEX", ..] if !concurrently => "nobody writes to a table while its indexes are made anew",
            ["REFRESH", "MATERIALIZED", ..] if !concurrently => "nobody reads the view while it is made anew",
            ["LOCK", ..] => "others wait for what it locks until the migration ends",
            _ => return None,
        };
        Some(Found::new(RemarkKind::LongLock, text))
    }
}

/// What was found, before its line is known.
struct Found {
    kind: RemarkKind,
    text: String,
    instead: Option<String>,
}

impl Found {
    fn new(kind: RemarkKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), instead: None }
    }

    fn instead(self, instead: impl Into<String>) -> Self {
        Self { instead: Some(instead.into()), ..self }
    }

    fn at(self, line: u32) -> Remark {
        Remark { line, kind: self.kind, text: self.text, instead: self.instead }
    }
}

fn dropped(what: ObjectType, name: &ObjectName) -> Option<Found> {
    let name = plain(name);
    Some(match what {
        ObjectType::Table => Found::new(RemarkKind::Loses, format!("the table {name} is lost with all its rows")),
        ObjectType::Schema | ObjectType::Database => {
            Found::new(RemarkKind::Loses, format!("everything in {name} is lost"))
        }
        ObjectType::View | ObjectType::MaterializedView | ObjectType::Type | ObjectType::Sequence => {
            Found::new(RemarkKind::Breaks, format!("the version before may still use {name}"))
        }
        ObjectType::Index => Found::new(RemarkKind::Lock, format!("others wait for a moment while {name} is dropped")),
        _ => return None,
    })
}

fn factor(table: &TableFactor) -> Option<String> {
    match table {
        TableFactor::Table { name, .. } => Some(plain(name)),
        _ => None,
    }
}

/// A name without its schema, in small letters, as people say it.
fn plain(name: &ObjectName) -> String {
    let last = name.0.last().and_then(|part| part.as_ident());
    last.map(|ident| ident.value.to_lowercase()).unwrap_or_default()
}
