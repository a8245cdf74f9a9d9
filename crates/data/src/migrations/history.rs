//! What was run: the rows of `flyway_schema_history`.

use crate::migrations::version::Version;

/// The history's table, where nothing else is said.
pub const TABLE: &str = "flyway_schema_history";
/// What a baseline is called where nothing else is said.
pub const BASELINE: &str = "<< Flyway Baseline >>";
/// What the row of a made schema is called.
pub const SCHEMA: &str = "<< Flyway Schema Creation >>";

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number, from 1 (0: the schema was made).
    pub rank: i32,
    /// The version; none of repeatable migrations.
    pub version: Option<Version>,
    /// What it does.
    pub description: String,
    /// What it is.
    pub kind: Kind,
    /// The file.
    pub script: String,
    /// The checksum of the file as it was run.
    pub checksum: Option<i32>,
    /// Who ran it.
    pub by: String,
    /// When, as the database says it.
    pub on: String,
    /// How long it took, milliseconds.
    pub took_ms: i32,
    /// Whether it came to its end.
    pub success: bool,
}

/// The number of the last row.
pub fn last_rank(rows: &[Row]) -> i32 {
    rows.last().map_or(0, |row| row.rank)
}

/// What a row stands for, by the history's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A schema that was made.
    Schema,
    /// Where a history begins in a database that was there before.
    Baseline,
    /// A row before it is void.
    Delete,
    /// A script.
    Sql,
    /// A script that stands for all versions up to its own.
    SqlBaseline,
    /// What a script took back.
    UndoSql,
    /// Anything else: programs, of those who have them.
    Other(String),
}

impl Kind {
    /// Reads the history's word.
    pub fn parse(word: &str) -> Self {
        match word {
            "SCHEMA" => Self::Schema,
            "BASELINE" => Self::Baseline,
            "DELETE" => Self::Delete,
            "SQL" => Self::Sql,
            "SQL_BASELINE" => Self::SqlBaseline,
            "UNDO_SQL" => Self::UndoSql,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The history's word.
    pub fn word(&self) -> &str {
        match self {
            Self::Schema => "SCHEMA",
            Self::Baseline => "BASELINE",
            Self::Delete => "DELETE",
            Self::Sql => "SQL",
            Self::SqlBaseline => "SQL_BASELINE",
            Self::UndoSql => "UNDO_SQL",
            Self::Other(word) => word,
        }
    }

    /// Whether no file ever stood behind it.
    pub fn is_synthetic(&self) -> bool {
        matches!(self, Self::Schema | Self::Baseline | Self::Delete)
    }

    /// Whether it voids a row before it.
    pub fn takes_back(&self) -> bool {
        match self {
            Self::Delete | Self::UndoSql => true,
            Self::Other(word) => word.starts_with("UNDO"),
            _ => false,
        }
    }
}

/// A description as the table has room for it.
pub fn cut_description(description: &str) -> String {
    const ROOM: usize = 200;
    if description.chars().count() <= ROOM {
        return description.to_owned();
    }
    description.chars().take(ROOM - 3).chain("...".chars()).collect()
}

/// A script's path as the table has room for it: its end tells more.
pub fn cut_script(script: &str) -> String {
    const ROOM: usize = 1_000;
    let length = script.chars().count();
    if length <= ROOM {
        return script.to_owned();
    }
    "...".chars().chain(script.chars().skip(length - (ROOM - 3))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut() {
        assert_eq!(cut_description("add orders"), "add orders");
        let long = cut_description(&"é".repeat(300));
        assert_eq!(long.chars().count(), 200);
        assert!(long.ends_with("é..."));
        let script = cut_script(&format!("{}/V1__end.sql", "d".repeat(2_000)));
        assert_eq!(script.chars().count(), 1_000);
        assert!(script.starts_with("...d") && script.ends_with("/V1__end.sql"));
    }

    #[test]
    fn words_are_read_and_written_back() {
        for word in ["SCHEMA", "BASELINE", "DELETE", "SQL", "SQL_BASELINE", "UNDO_SQL", "JDBC", "SCRIPT"] {
            assert_eq!(Kind::parse(word).word(), word);
        }
    }
}
