//! Copies of databases in which personal data is masked, by the rules of a manifest.
//!
//! Pure: [`Masker`] makes the masked value of a value; [`plan`](Plan::new) decides, by the rules and what a database has,
//! what becomes of each column, or says all that is wrong with the rules; [`scan`](scan::scan) finds columns that look
//! personal and have no rule. [`postgres`] and [`mysql`] read what a database has and carry its rows over: a value of a
//! masked column never leaves this process as it was.
//!
//! How fast a masked copy is beside `pg_dump | psql` is to be measured; nothing is promised of it yet.

mod array;
mod columns;
mod dates;
mod error;
mod fakes;
mod json;
mod keyed;
mod masker;
pub mod mysql;
mod numbers;
mod plan;
pub mod postgres;
mod report;
mod row;
pub mod scan;
mod words;

pub use columns::{Column, ColumnName, Foreign, Schema, Shape, TableName, Text, Type};
pub use error::{Error, Problem};
pub use masker::{ColumnMask, Masker, Unfit};
pub use plan::{Along, Plan, PlannedColumn};
pub use report::{Copied, CopyReport, Copying, Look, Progress};

use crate::Dialect;

/// Looks at what a copy would do. Everything that is wrong with the rules is one error.
pub async fn look(dialect: Dialect, copying: &Copying<'_>) -> Result<Look, Error> {
    match dialect {
        Dialect::PostgreSql => postgres::look(copying).await,
        Dialect::MySql => mysql::look(copying).await,
    }
}

/// Copies every row of every table of users, masked. See [`Copying`] for what the target has to be.
pub async fn copy(dialect: Dialect, copying: &Copying<'_>) -> Result<CopyReport, Error> {
    match dialect {
        Dialect::PostgreSql => postgres::copy(copying).await,
        Dialect::MySql => mysql::copy(copying).await,
    }
}
