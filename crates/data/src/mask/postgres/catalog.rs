//! What PostgreSQL's catalogue says of tables, columns, types and sequences.

use std::collections::HashMap;

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::super::{Column, ColumnName, Foreign, Schema, Shape, TableName, Text, Type};
use crate::migrations::server::Result;

/// What is a user's and belongs to no extension, of `pg_class` as `c` and `pg_namespace` as `n`.
const OURS: &str = "n.nspname <> 'information_schema' and n.nspname not like 'pg\\_%' and not exists \
(select 1 from pg_depend e where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')";
/// Tables that have rows of their own or are made of partitions, and are no partitions themselves.
const TABLES: &str = "c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence <> 't'";

/// A sequence, and the columns that take their values from it.
pub(super) struct Sequence {
    pub(super) name: TableName,
    pub(super) used_by: Vec<ColumnName>,
}

/// Every table that is copied, and whether it is made of partitions.
pub(super) async fn tables(connection: &mut PgConnection) -> Result<Vec<(TableName, bool)>> {
    let text = format!(
        "select n.nspname::text, c.relname::text, c.relkind = 'p' from pg_class c join pg_namespace n on n.oid = c.relnamespace \
where {TABLES} and {OURS} order by 1, 2"
    );
    each(connection, text, |row| Ok((table(row, 0)?, row.try_get(2)?))).await
}

/// What there is to copy.
pub(super) async fn schema(connection: &mut PgConnection) -> Result<Schema> {
    let types = types(connection).await?;
    let text = format!(
        "with key as (
  select i.indrelid as rel, unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) as att from pg_index i
  where i.indisunique or i.indisexclusion
  union select d.refobjid, d.refobjsubid::int2 from pg_index i
  join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
  where (i.indisunique or i.indisexclusion) and i.indexprs is not null
    and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0)
select n.nspname::text, c.relname::text, a.attname::text, a.atttypid::int8, a.atttypmod, a.attnotnull, a.attgenerated <> '',
  (c.oid, a.attnum) in (select rel, att from key),
  exists (select 1 from pg_partitioned_table p
    join pg_attribute k on k.attrelid = p.partrelid and k.attnum = any (p.partattrs)
    where p.partstrat <> 'h' and k.attname = a.attname and pg_partition_root(p.partrelid) = c.oid)
from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
where {TABLES} and a.attnum > 0 and not a.attisdropped and {OURS} order by 1, 2, a.attnum"
    );
    let columns = each(connection, text, |row| column(row, &types)).await?;
    // A partition's constraint is its table's; the copies that PostgreSQL makes of it are not looked at.
    let text = "select fn.nspname::text, fc.relname::text, fa.attname::text, tn.nspname::text, tc.relname::text, ta.attname::text
from (select conrelid, confrelid, unnest(conkey) as f, unnest(confkey) as t from pg_constraint
  where contype = 'f' and conparentid = 0) k
join pg_attribute fa on fa.attrelid = k.conrelid and fa.attnum = k.f
join pg_attribute ta on ta.attrelid = k.confrelid and ta.attnum = k.t
join pg_class fc on fc.oid = coalesce(pg_partition_root(k.conrelid), k.conrelid)
join pg_namespace fn on fn.oid = fc.relnamespace
join pg_class tc on tc.oid = coalesce(pg_partition_root(k.confrelid), k.confrelid)
join pg_namespace tn on tn.oid = tc.relnamespace order by 1, 2, 3, 4, 5, 6";
    let foreign =
        each(connection, text.to_owned(), |row| Ok(Foreign { from: name(row, 0)?, to: name(row, 3)? })).await?;
    Ok(Schema { columns, foreign })
}

/// Every sequence.
pub(super) async fn sequences(connection: &mut PgConnection) -> Result<Vec<Sequence>> {
    let text = format!(
        "select n.nspname::text, c.relname::text, tn.nspname::text, t.relname::text, a.attname::text
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join (
  select d.objid as seq, d.refobjid as rel, d.refobjsubid as att from pg_depend d
  where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
    and d.refobjsubid > 0
  union select d.refobjid, f.adrelid, f.adnum from pg_depend d join pg_attrdef f on f.oid = d.objid
  where d.classid = 'pg_attrdef'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjsubid = 0
) u on u.seq = c.oid
left join pg_attribute a on a.attrelid = u.rel and a.attnum = u.att
left join pg_class t on t.oid = coalesce(pg_partition_root(u.rel), u.rel)
left join pg_namespace tn on tn.oid = t.relnamespace
where c.relkind = 'S' and c.relpersistence <> 't' and {OURS} order by 1, 2, 3, 4, 5"
    );
    let rows = each(connection, text, |row| {
        let is_used = row.try_get::<Option<String>, _>(4)?.is_some();
        Ok((table(row, 0)?, if is_used { Some(name(row, 2)?) } else { None }))
    });
    let mut all = Vec::<Sequence>::new();
    for (name, used_by) in rows.await? {
        match all.last_mut() {
            Some(last) if last.name == name => last.used_by.extend(used_by),
            _ => all.push(Sequence { name, used_by: used_by.into_iter().collect() }),
        }
    }
    Ok(all)
}

/// What is in the database and is not copied, in words.
pub(super) async fn not_carried(connection: &mut PgConnection) -> Result<Vec<String>> {
    let text = format!(
        "select case when count(*) > 0 then count(*) || ' large objects' end from pg_largeobject_metadata
union all select 'rows of the foreign table ' || n.nspname || '.' || c.relname
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'f' and not c.relispartition and {OURS}"
    );
    let all = each(connection, text, |row| row.try_get::<Option<String>, _>(0)).await?;
    Ok(all.into_iter().flatten().collect())
}

pub(super) async fn each<T>(
    connection: &mut PgConnection,
    text: String,
    read: impl Fn(&PgRow) -> sqlx::Result<T>,
) -> Result<Vec<T>> {
    let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(connection).await?;
    Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
}

fn table(row: &PgRow, at: usize) -> sqlx::Result<TableName> {
    Ok(TableName { schema: row.try_get(at)?, table: row.try_get(at + 1)? })
}

fn name(row: &PgRow, at: usize) -> sqlx::Result<ColumnName> {
    Ok(ColumnName { table: table(row, at)?, column: row.try_get(at + 2)? })
}

fn column(row: &PgRow, types: &Types) -> sqlx::Result<Column> {
    let (of, is_not_null) = types.of(row.try_get(3)?, row.try_get(4)?);
    let is_nullable = !row.try_get::<bool, _>(5)? && !is_not_null;
    Ok(Column {
        name: name(row, 0)?,
        shape: Shape { of, is_nullable, is_unique: row.try_get(7)? },
        is_generated: row.try_get(6)?,
        is_partition_key: row.try_get(8)?,
    })
}

/// The types of a database, by their numbers.
struct Types(HashMap<i64, Known>);

struct Known {
    name: String,
    is_builtin: bool,
    /// The type that a domain is of, with its modifier.
    base: Option<(i64, i32)>,
    element: Option<i64>,
    is_not_null: bool,
}

async fn types(connection: &mut PgConnection) -> Result<Types> {
    let text = "select t.oid::int8, t.typname::text, n.nspname = 'pg_catalog', t.typtype = 'd', t.typbasetype::int8, \
t.typtypmod, t.typcategory = 'A' and t.typelem <> 0 and t.typname like '\\_%', t.typelem::int8, t.typnotnull \
from pg_type t join pg_namespace n on n.oid = t.typnamespace";
    let all = each(connection, text.to_owned(), |row| {
        let known = Known {
            name: row.try_get(1)?,
            is_builtin: row.try_get(2)?,
            base: if row.try_get(3)? { Some((row.try_get(4)?, row.try_get(5)?)) } else { None },
            element: if row.try_get(6)? { Some(row.try_get(7)?) } else { None },
            is_not_null: row.try_get(8)?,
        };
        Ok((row.try_get(0)?, known))
    });
    Ok(Types(all.await?.into_iter().collect()))
}

impl Types {
    /// A type with its modifier, and whether it excludes NULL.
    fn of(&self, id: i64, modifier: i32) -> (Type, bool) {
        let Some(known) = self.0.get(&id) else { return (Type::Other(format!("type {id}")), false) };
        if let Some((base, own)) = known.base {
            let (of, is_not_null) = self.of(base, if own == -1 { modifier } else { own });
            return (of, is_not_null || known.is_not_null);
        }
        if let Some(element) = known.element {
            return (Type::Array(Box::new(self.of(element, modifier).0)), false);
        }
        (builtin(known, modifier), false)
    }
}

fn builtin(known: &Known, modifier: i32) -> Type {
    let other = || Type::Other(known.name.clone());
    let integer = |bits| Type::Integer { bits, is_unsigned: false };
    // The modifier of characters is their number and the four bytes that it once took to store it.
    let most = usize::try_from(modifier - 4).ok();
    match known.name.as_str() {
        "citext" => Type::Text(Text { is_folded: true, ..Text::ANY }),
        _ if !known.is_builtin => other(),
        "int2" => integer(16),
        "int4" => integer(32),
        "int8" => integer(64),
        "numeric" => decimal(modifier).unwrap_or_else(other),
        "float4" | "float8" => Type::Float,
        "text" => Type::Text(Text::ANY),
        "varchar" => Type::Text(Text { most, ..Text::ANY }),
        "bpchar" => Type::Text(Text { most, is_padded: true, ..Text::ANY }),
        "name" => Type::Text(Text { most: Some(63), ..Text::ANY }),
        "uuid" => Type::Uuid,
        "date" => Type::Date,
        "timestamp" | "timestamptz" => Type::Timestamp,
        "json" | "jsonb" => Type::Json,
        "bytea" => Type::Bytes { most: None },
        "inet" | "cidr" => Type::Inet,
        "bool" => Type::Other("boolean".to_owned()),
        _ => other(),
    }
}

/// A decimal type. Not one that rounds before its point: masked values would be rounded into each other.
fn decimal(modifier: i32) -> Option<Type> {
    let Ok(packed) = u32::try_from(modifier - 4) else { return Some(Type::Decimal { precision: None }) };
    let is_negative = packed & 0x400 != 0;
    (!is_negative).then_some(Type::Decimal { precision: Some((packed >> 16) & 0xffff) })
}
