//! What masking knows of a database: its columns, what they hold, and what refers to what.

use std::fmt;

/// A table. MySQL's schema is its database.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// Its schema.
    pub schema: String,
    /// Its own name.
    pub table: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnName {
    /// The table.
    pub table: TableName,
    /// Its own name.
    pub column: String,
}

impl ColumnName {
    /// The ways in which a rule may name it.
    pub(super) fn ways(&self) -> [String; 2] {
        [self.to_string(), format!("{}.{}", self.table.table, self.column)]
    }
}

impl fmt::Display for ColumnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

/// What a database has that can be copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// Every column of every table, in their order.
    pub columns: Vec<Column>,
    /// The references between them, column by column.
    pub foreign: Vec<Foreign>,
}

/// A reference from a column to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The column that refers.
    pub from: ColumnName,
    /// The column that is referred to.
    pub to: ColumnName,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: ColumnName,
    /// What values it may have.
    pub shape: Shape,
    /// Whether the database computes it from others, so that it is not copied.
    pub is_generated: bool,
    /// Whether it says which partition a row belongs to, so that another value may have none.
    pub is_partition_key: bool,
}

/// What values a column may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Their type.
    pub of: Type,
    /// Whether it may be NULL.
    pub is_nullable: bool,
    /// Whether it is in a key or an index that is unique.
    pub is_unique: bool,
}

/// A type of values, as far as masking tells them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// A whole number.
    Integer {
        /// 8, 16, 24, 32 or 64.
        bits: u8,
        /// Whether it has no sign.
        is_unsigned: bool,
    },
    /// A decimal number.
    Decimal {
        /// Digits, before and after the point together.
        precision: Option<u32>,
    },
    /// A binary number with an exponent.
    Float,
    /// Characters.
    Text(Text),
    /// A UUID.
    Uuid,
    /// A day.
    Date,
    /// A day and a time.
    Timestamp,
    /// JSON.
    Json,
    /// Bytes, written as PostgreSQL does: `\x00ff`.
    Bytes {
        /// At most so many.
        most: Option<usize>,
    },
    /// An internet address, perhaps with a network.
    Inet,
    /// Any number of values, written as PostgreSQL does: `{a,"b c",NULL}`.
    Array(Box<Type>),
    /// Anything else, under the name that the database has for it: it can be kept or left out.
    Other(String),
}

/// A type of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    /// At most so many characters.
    pub most: Option<usize>,
    /// Whether spaces at the end mean nothing.
    pub is_padded: bool,
    /// Whether capitals and small letters are the same.
    pub is_folded: bool,
}

impl Text {
    /// Any characters.
    pub const ANY: Self = Self { most: None, is_padded: false, is_folded: false };

    /// A value as it is compared: equal values have to be masked as one.
    pub(super) fn same<'a>(&self, value: &'a str) -> std::borrow::Cow<'a, str> {
        let value = if self.is_padded { value.trim_end_matches(' ') } else { value };
        if self.is_folded { value.to_lowercase().into() } else { value.into() }
    }
}

impl Type {
    /// A type that what is valid in either is masked by, so that masked values of both fit together.
    pub(super) fn narrower(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Integer { bits, is_unsigned }, Self::Integer { bits: others, is_unsigned: also })
                if is_unsigned == also =>
            {
                Some(Self::Integer { bits: *bits.min(others), is_unsigned: *is_unsigned })
            }
            (Self::Decimal { precision }, Self::Decimal { precision: others }) => {
                Some(Self::Decimal { precision: least(*precision, *others) })
            }
            (Self::Text(one), Self::Text(two)) => Some(Self::Text(Text {
                most: least(one.most, two.most),
                is_padded: one.is_padded || two.is_padded,
                is_folded: one.is_folded || two.is_folded,
            })),
            (Self::Bytes { most }, Self::Bytes { most: others }) => Some(Self::Bytes { most: least(*most, *others) }),
            (one, two) => (one == two).then(|| one.clone()),
        }
    }
}

fn least<T: Ord>(one: Option<T>, two: Option<T>) -> Option<T> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one.min(two)),
        (one, two) => one.or(two),
    }
}
