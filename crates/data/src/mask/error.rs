//! What goes wrong with a masked copy.

use daybook_model::masking::Rule;

use super::{ColumnName, TableName, Unfit};
use crate::migrations::server::Refusal;

/// Why there is no copy. What had been written to the target has been taken back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The rules do not fit the database: nothing was copied.
    #[error("the rules of masking do not fit the database:{}", lines(.0))]
    Rules(Vec<Problem>),
    /// The source would not be read.
    #[error("read {what} of the source: {why}")]
    Source {
        /// What was read.
        what: String,
        /// What the server said.
        #[source]
        why: Refusal,
    },
    /// The target would not be written.
    #[error("write {what} of the target: {why}")]
    Target {
        /// What was written.
        what: String,
        /// What the server said.
        #[source]
        why: Refusal,
    },
    /// Somebody has written to the target before.
    #[error("{0} has rows in the target already: copy into a new database")]
    NotEmpty(TableName),
    /// A server does not speak as it should.
    #[error("a row of {table} has {found} columns where {wanted} were asked for: this is a defect of daybook")]
    Row {
        /// The table.
        table: TableName,
        /// Columns that came.
        found: usize,
        /// Columns that should have.
        wanted: usize,
    },
}

impl Error {
    pub(super) fn source<E: Into<Refusal>>(what: impl ToString) -> impl FnOnce(E) -> Self {
        move |why| Self::Source { what: what.to_string(), why: why.into() }
    }

    pub(super) fn target<E: Into<Refusal>>(what: impl ToString) -> impl FnOnce(E) -> Self {
        move |why| Self::Target { what: what.to_string(), why: why.into() }
    }
}

/// A thing that is wrong with the rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A rule names nothing.
    #[error("`{rule}` is no column that is copied{}", meant(.nearest))]
    NoColumn {
        /// What the rule names.
        rule: String,
        /// A column of nearly that name.
        nearest: Option<String>,
    },
    /// A rule names more than one column.
    #[error("`{rule}` is in several schemas: use one of {}", .all.join(", "))]
    Ambiguous {
        /// What the rule names.
        rule: String,
        /// The columns.
        all: Vec<String>,
    },
    /// Two rules name one column.
    #[error("{column} has two rules: leave one of them out")]
    Twice {
        /// The column.
        column: ColumnName,
    },
    /// The rule makes no values that the column can have.
    #[error("{column}: {why}")]
    Unfit {
        /// The column.
        column: ColumnName,
        /// Why.
        why: Unfit,
    },
    /// The values are computed by the database.
    #[error("{column} is generated from other columns: give the rule to those")]
    Generated {
        /// The column.
        column: ColumnName,
    },
    /// The values say which partition a row is in.
    #[error("{column} says which partition a row is in: it can only be kept")]
    PartitionKey {
        /// The column.
        column: ColumnName,
    },
    /// The values would not be found where they refer to.
    #[error("{from} refers to {to}, and `{here}` would not match `{there}`: give the rule to {to} alone")]
    Differs {
        /// The column that refers.
        from: ColumnName,
        /// Where to.
        to: ColumnName,
        /// Its rule.
        here: Rule,
        /// The rule of what it refers to.
        there: Rule,
    },
    /// A column refers to one of another type, and they cannot be masked alike.
    #[error("{from} refers to {to}, which is of another type: they cannot be masked alike; use `null` or `keep`")]
    Types {
        /// The column that refers.
        from: ColumnName,
        /// Where to.
        to: ColumnName,
    },
    /// A table that gets no rows is not there.
    #[error("`{table}` is no table, and cannot be left out{}", meant(.nearest))]
    NoTable {
        /// As it was given.
        table: String,
        /// A table of nearly that name.
        nearest: Option<String>,
    },
    /// A table that gets no rows is referred to by one that does.
    #[error("{from} refers to {to}, which is left out: leave {from} out as well")]
    LeftOut {
        /// The table that refers.
        from: TableName,
        /// Where to.
        to: TableName,
    },
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

fn meant(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}
