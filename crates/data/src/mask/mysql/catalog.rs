//! What MySQL's and MariaDB's information schema says of tables and columns.

use futures::TryStreamExt as _;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::super::{Column, ColumnName, Foreign, Schema, Shape, TableName, Text, Type};
use crate::migrations::server::Result;

/// A value as the server writes it, whatever its type. `None` is NULL.
pub(super) fn bytes(row: &MySqlRow, at: usize) -> sqlx::Result<Option<Vec<u8>>> {
    row.try_get_unchecked(at)
}

/// The answer to a question, as texts.
pub(super) async fn texts(connection: &mut MySqlConnection, question: String) -> Result<Vec<Vec<Option<String>>>> {
    // Asked without being prepared, the server writes every value as a text.
    let mut rows = sqlx::raw_sql(AssertSqlSafe(question)).fetch(connection);
    let mut all = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let text = |at| Ok(bytes(&row, at)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
        all.push((0..row.len()).map(text).collect::<sqlx::Result<_>>()?);
    }
    Ok(all)
}

/// What there is to copy.
pub(super) async fn schema(connection: &mut MySqlConnection) -> Result<Schema> {
    let json = json_columns(connection).await?;
    let text =
        "select c.table_schema, c.table_name, c.column_name, c.data_type, c.column_type, c.character_maximum_length,
  c.numeric_precision, c.is_nullable, coalesce(c.generation_expression, '') <> '', c.collation_name,
  exists (select 1 from information_schema.statistics s where s.table_schema = c.table_schema
    and s.table_name = c.table_name and s.column_name = c.column_name and s.non_unique = 0),
  exists (select 1 from information_schema.partitions p where p.table_schema = c.table_schema
    and p.table_name = c.table_name and p.partition_method not like '%HASH' and p.partition_method not like '%KEY'
    and (p.partition_expression like concat('%`', c.column_name, '`%')
      or p.subpartition_expression like concat('%`', c.column_name, '`%')))
from information_schema.columns c
join information_schema.tables t on t.table_schema = c.table_schema and t.table_name = c.table_name
where c.table_schema = database() and t.table_type = 'BASE TABLE' order by 1, 2, c.ordinal_position";
    let rows = texts(connection, text.to_owned()).await?;
    let mut columns: Vec<_> = rows.into_iter().map(|row| column(&Told(row))).collect();
    for column in &mut columns {
        if json.contains(&(column.name.table.table.clone(), column.name.column.clone())) {
            column.shape.of = Type::Json;
        }
    }
    let text = "select table_schema, table_name, column_name, referenced_table_schema, referenced_table_name, \
referenced_column_name from information_schema.key_column_usage \
where table_schema = database() and referenced_table_name is not null order by 1, 2, 3, 4, 5, 6";
    let foreign = texts(connection, text.to_owned()).await?.into_iter().map(Told);
    let foreign = foreign.map(|told| Foreign { from: told.name(0), to: told.name(3) }).collect();
    Ok(Schema { columns, foreign })
}

/// MariaDB's JSON is a text that is checked to be some.
async fn json_columns(connection: &mut MySqlConnection) -> Result<Vec<(String, String)>> {
    let version = texts(connection, "select version()".to_owned()).await?;
    if !version.into_iter().flatten().flatten().any(|version| version.contains("MariaDB")) {
        return Ok(Vec::new());
    }
    let text = "select c.table_name, c.column_name from information_schema.columns c \
join information_schema.check_constraints k on k.constraint_schema = c.table_schema and k.table_name = c.table_name \
where c.table_schema = database() and k.check_clause like concat('%json_valid(`', c.column_name, '`)%')";
    let rows = texts(connection, text.to_owned()).await?.into_iter().map(Told);
    Ok(rows.map(|told| (told.text(0).to_owned(), told.text(1).to_owned())).collect())
}

/// What is in the database and is not copied, or not of one moment, in words.
pub(super) async fn not_carried(connection: &mut MySqlConnection) -> Result<Vec<String>> {
    let text = "select case when table_type = 'SEQUENCE' then concat('the sequence ', table_name) \
else concat(table_name, ' is copied, but not as of one moment: its engine ', engine, ' has no transactions') end \
from information_schema.tables where table_schema = database() and (table_type = 'SEQUENCE' \
or table_type = 'BASE TABLE' and engine <> 'InnoDB') order by 1";
    Ok(texts(connection, text.to_owned()).await?.into_iter().flatten().flatten().collect())
}

/// A row of the information schema.
struct Told(Vec<Option<String>>);

impl Told {
    /// A text; NULL is an empty one.
    fn text(&self, at: usize) -> &str {
        self.0.get(at).and_then(Option::as_deref).unwrap_or_default()
    }

    fn number<T: std::str::FromStr>(&self, at: usize) -> Option<T> {
        self.text(at).parse().ok()
    }

    fn is(&self, at: usize) -> bool {
        matches!(self.text(at), "1" | "YES")
    }

    fn name(&self, at: usize) -> ColumnName {
        let table = TableName { schema: self.text(at).to_owned(), table: self.text(at + 1).to_owned() };
        ColumnName { table, column: self.text(at + 2).to_owned() }
    }
}

fn column(told: &Told) -> Column {
    Column {
        name: told.name(0),
        shape: Shape { of: of(told), is_nullable: told.is(7), is_unique: told.is(10) },
        is_generated: told.is(8),
        is_partition_key: told.is(11),
    }
}

fn of(told: &Told) -> Type {
    let (name, whole) = (told.text(3), told.text(4));
    let integer = |bits| Type::Integer { bits, is_unsigned: whole.contains("unsigned") };
    match name {
        "tinyint" if whole.starts_with("tinyint(1)") => Type::Other("boolean".to_owned()),
        "tinyint" => integer(8),
        "smallint" => integer(16),
        "mediumint" => integer(24),
        "int" => integer(32),
        "bigint" => integer(64),
        "decimal" => Type::Decimal { precision: told.number(6) },
        "float" | "double" => Type::Float,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
            let is_folded = told.text(9).contains("_ci");
            Type::Text(Text { most: told.number(5), is_padded: is_folded || name == "char", is_folded })
        }
        "uuid" => Type::Uuid,
        "date" => Type::Date,
        "datetime" | "timestamp" => Type::Timestamp,
        "json" => Type::Json,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
            Type::Bytes { most: told.number(5) }
        }
        other => Type::Other(other.to_owned()),
    }
}
