//! What a change of a table does.

use std::ops::ControlFlow;

use daybook_model::database::RemarkKind::{Breaks, Lock, LongLock, Loses};
use sqlparser::ast::{
    AlterColumnOperation, AlterTableOperation, ColumnDef, ColumnOption, DataType, Expr, RenameTableNameKind,
    TableConstraint, visit_expressions,
};

use super::{Found, plain};
use crate::Dialect;

pub(super) fn found(dialect: Dialect, table: &str, change: &AlterTableOperation) -> Vec<Found> {
    let one = |kind, text: String| vec![Found::new(kind, text)];
    match change {
        AlterTableOperation::AddColumn { column_def, .. } => added(dialect, table, column_def),
        AlterTableOperation::DropColumn { column_names, .. } => column_names
            .iter()
            .map(|column| {
                Found::new(Loses, format!("the column {table}.{column} is lost"))
                    .instead("first roll out a version that does not use it, then drop it")
            })
            .collect(),
        AlterTableOperation::RenameColumn { old_column_name, .. } => vec![
            Found::new(Breaks, format!("the version before still calls it {table}.{old_column_name}"))
                .instead("add a column, write both, and drop the old one in a later release"),
        ],
        AlterTableOperation::RenameTable { table_name } => {
            let (RenameTableNameKind::As(to) | RenameTableNameKind::To(to)) = table_name;
            let view = format!("`create view {table} as select * from {}` beside it", plain(to));
            vec![Found::new(Breaks, format!("the version before still calls it {table}")).instead(view)]
        }
        AlterTableOperation::AlterColumn { column_name, op } => altered(dialect, table, &column_name.value, op),
        AlterTableOperation::ModifyColumn { col_name: name, .. } => {
            one(LongLock, format!("nobody writes to {table} while it is written anew for {name}"))
        }
        AlterTableOperation::ChangeColumn { old_name, new_name, .. } if old_name == new_name => {
            one(LongLock, format!("nobody writes to {table} while it is written anew for {old_name}"))
        }
        AlterTableOperation::ChangeColumn { old_name, .. } => {
            one(Breaks, format!("the version before still calls it {table}.{old_name}"))
        }
        AlterTableOperation::AddConstraint { constraint, not_valid } => {
            constrained(dialect, table, constraint, *not_valid)
        }
        AlterTableOperation::DropPrimaryKey { .. } => {
            one(LongLock, format!("nobody writes to {table} while it is written anew"))
        }
        AlterTableOperation::SetLogged | AlterTableOperation::SetUnlogged => {
            one(LongLock, format!("nobody reads or writes {table} while it is written anew"))
        }
        AlterTableOperation::ValidateConstraint { .. } => Vec::new(),
        _ => one(Lock, format!("others wait for {table} for a moment")),
    }
}

fn added(dialect: Dialect, table: &str, column: &ColumnDef) -> Vec<Found> {
    let name = &column.name;
    let has = |wanted: fn(&ColumnOption) -> bool| column.options.iter().any(|option| wanted(&option.option));
    let default = column.options.iter().find_map(|option| match &option.option {
        ColumnOption::Default(value) => Some(value),
        _ => None,
    });
    let is_made = has(|option| matches!(option, ColumnOption::Generated { .. } | ColumnOption::Identity(_)));
    let is_serial = matches!(&column.data_type, DataType::Custom(name, _) if plain(name).contains("serial"));
    let mut all = Vec::new();
    if dialect == Dialect::PostgreSql {
        let rewritten = || format!("nobody reads or writes {table} while it is written anew for {name}");
        if is_made || is_serial {
            all.push(Found::new(LongLock, rewritten()));
        } else if default.is_some_and(is_volatile) {
            let instead = "add the column without a default, set the default, and fill in old rows in a job";
            all.push(Found::new(LongLock, rewritten()).instead(instead));
        }
        if has(|option| matches!(option, ColumnOption::Unique(_) | ColumnOption::PrimaryKey(_))) {
            let text = format!("nobody reads or writes {table} while its index is made");
            all.push(Found::new(LongLock, text).instead("add the column, then `create unique index concurrently`"));
        }
        if has(|option| matches!(option, ColumnOption::Check(_) | ColumnOption::ForeignKey(_))) && default.is_some() {
            all.push(Found::new(LongLock, format!("nobody writes to {table} while its rows are checked")));
        }
    }
    let must_be_given = has(|option| matches!(option, ColumnOption::NotNull)) && default.is_none();
    // MySQL fills in a value of its own.
    if must_be_given && !is_made && !is_serial && dialect == Dialect::PostgreSql {
        let text = format!("it fails if {table} has rows, and the version before writes none with {name}");
        all.push(Found::new(Breaks, text).instead("give it a default"));
    }
    if all.is_empty() {
        all.push(Found::new(Lock, format!("others wait for {table} for a moment")));
    }
    all
}

/// Whether a value may differ from row to row, so that all of them are written.
fn is_volatile(value: &Expr) -> bool {
    const STABLE: [&str; 7] = [
        "now",
        "current_timestamp",
        "current_date",
        "transaction_timestamp",
        "statement_timestamp",
        "localtimestamp",
        "current_user",
    ];
    let found = visit_expressions(value, |part| match part {
        Expr::Function(function) if !STABLE.contains(&plain(&function.name).as_str()) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

fn altered(dialect: Dialect, table: &str, column: &str, change: &AlterColumnOperation) -> Vec<Found> {
    match change {
        AlterColumnOperation::SetDataType { .. } => {
            let text = format!("nobody reads or writes {table} while it is written anew for {column}");
            let instead = "add a column of the new type, write both, and drop the old one in a later release";
            vec![Found::new(LongLock, text).instead(instead)]
        }
        AlterColumnOperation::SetNotNull if dialect == Dialect::PostgreSql => {
            let text = format!("nobody reads or writes {table} while its rows are checked");
            let instead = format!(
                "`add constraint {column}_set check ({column} is not null) not valid`, validate it in the next \
                 migration, then `set not null`"
            );
            vec![Found::new(LongLock, text).instead(instead)]
        }
        _ => vec![Found::new(Lock, format!("others wait for {table} for a moment"))],
    }
}

fn constrained(dialect: Dialect, table: &str, constraint: &TableConstraint, not_valid: bool) -> Vec<Found> {
    let checked = format!("nobody writes to {table} while its rows are checked");
    let later = "`not valid`, and `validate constraint` in the next migration";
    match constraint {
        TableConstraint::PrimaryKeyUsingIndex(_) | TableConstraint::UniqueUsingIndex(_) => {
            vec![Found::new(Lock, format!("others wait for {table} for a moment"))]
        }
        TableConstraint::ForeignKey(_) | TableConstraint::Check(_) if not_valid => {
            vec![Found::new(Lock, format!("others wait for {table} for a moment"))]
        }
        TableConstraint::ForeignKey(key) if dialect == Dialect::PostgreSql => {
            let text = format!("nobody writes to {table} or {} while its rows are checked", plain(&key.foreign_table));
            vec![Found::new(LongLock, text).instead(later)]
        }
        TableConstraint::Check(_) if dialect == Dialect::PostgreSql => {
            vec![Found::new(LongLock, checked).instead(later)]
        }
        TableConstraint::Unique(_) | TableConstraint::PrimaryKey(_) | TableConstraint::Exclude(_)
            if dialect == Dialect::PostgreSql =>
        {
            let text = format!("nobody reads or writes {table} while its index is made");
            let instead = "`create unique index concurrently`, then `add constraint … unique using index`";
            vec![Found::new(LongLock, text).instead(instead)]
        }
        TableConstraint::ForeignKey(_) | TableConstraint::Check(_) => vec![Found::new(LongLock, checked)],
        // MySQL makes an index beside the use of its table.
        _ => Vec::new(),
    }
}
