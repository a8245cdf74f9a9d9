//! Why migrations were not run.

use std::fmt;
use std::time::Duration;

use crate::migrations::placeholder::Unknown;
use crate::migrations::script::Statement;
use crate::migrations::server::Refusal;
use crate::migrations::set::Migration;
use crate::migrations::standing::Wrong;

/// Why a run ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server would not, while something was done that is no statement of a script.
    #[error("{doing}: {refusal}")]
    Server {
        /// What was done.
        doing: String,
        /// What it said.
        refusal: Refusal,
    },
    /// Somebody else migrates the database for longer than this run waits.
    #[error("somebody else migrates the database, for longer than {} s", .0.as_secs())]
    Locked(Duration),
    /// The history is empty, and the database is not.
    #[error("schema {schema} is not empty and has no history of migrations")]
    NotEmpty {
        /// The schema.
        schema: String,
    },
    /// There is a history already.
    #[error("there is a history already, which begins at {0}: a baseline is for a database without one")]
    HasHistory(String),
    /// The history and the files do not fit.
    #[error("{}", listed(.0))]
    Wrong(Vec<Wrong>),
    /// A placeholder has no value.
    #[error("{script}:{}: placeholder `${{{}}}` has no value", .unknown.line, .unknown.name)]
    Placeholder {
        /// The file.
        script: String,
        /// The placeholder.
        unknown: Unknown,
    },
    /// A script has statements of both kinds.
    #[error("{script}:{line}: `{sql}` cannot run in a transaction, and other statements of the script should")]
    Mixed {
        /// The file.
        script: String,
        /// The line of the statement.
        line: usize,
        /// Its begin.
        sql: String,
    },
    /// A statement failed.
    #[error("{0}")]
    Statement(Box<Failed>),
    /// There is nothing to undo a version with.
    #[error("version {0} has no undo script: write `U{0}__….sql`")]
    NoUndo(String),
}

impl Error {
    /// What a person may do.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotEmpty { .. } => "say which version it has: daybook db baseline VERSION",
            Self::Locked(_) => "see who it is: `daybook db status`, and the sessions of the database",
            Self::Mixed { .. } => {
                "give it a file of its own, or write `executeInTransaction=false` into a `.conf` beside it"
            }
            Self::Placeholder { .. } => "give it a value: `placeholders` in the manifest, or --placeholder NAME=VALUE",
            Self::Statement(failed) if failed.is_taken_back => "mend the script, and migrate again",
            Self::Statement(_) => "mend the database by hand, then: daybook db repair",
            Self::Server { refusal, .. } if refusal.is_lost => "look whether the database is up, and run it again",
            _ => return None,
        })
    }

    /// Whether nothing is wrong but that the server, or somebody who migrates, is in the way now.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Server { refusal, .. } => refusal.is_lost,
            Self::Statement(failed) => failed.refusal.is_lost,
            Self::Locked(_) => true,
            _ => false,
        }
    }
}

/// A statement that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The migration.
    pub what: String,
    /// The file.
    pub script: String,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, where the server tells it.
    pub column: Option<usize>,
    /// The begin of the statement.
    pub sql: String,
    /// What the server said.
    pub refusal: Refusal,
    /// Whether nothing of the migration is left.
    pub is_taken_back: bool,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, script, line, column, sql, refusal, is_taken_back } = self;
        let column = column.map(|column| format!(":{column}")).unwrap_or_default();
        let code = refusal.code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default();
        write!(f, "{what} failed at {script}:{line}{column}: {refusal}{code}: `{sql}`")?;
        f.write_str(if *is_taken_back { "; it was rolled back" } else { "; what ran before stays: mend it by hand" })?;
        refusal.more.iter().try_for_each(|more| write!(f, "\n{more}"))
    }
}

fn listed(all: &[Wrong]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A result of a run.
pub type Result<T> = std::result::Result<T, Error>;

pub(super) fn failed(
    migration: &Migration,
    what: &str,
    statement: &Statement<'_>,
    refusal: Refusal,
    is_taken_back: bool,
) -> Failed {
    let (mut line, mut column) = (statement.line, None);
    if let Some(at) = refusal.at {
        let before: String = statement.sql.chars().take(at).collect();
        line += before.matches('\n').count();
        // The first line of a statement may begin in the middle of one.
        column = before.rfind('\n').map(|begin| before[begin + 1..].chars().count() + 1);
    }
    let (what, script) = (what.to_owned(), migration.script.clone());
    Failed { what, script, line, column, sql: begin_of(statement.sql), refusal, is_taken_back }
}

/// The first line of a statement, as much as a message has room for.
pub(super) fn begin_of(sql: &str) -> String {
    const ROOM: usize = 80;
    let line = sql.lines().next().unwrap_or_default().trim_end();
    let cut: String = line.chars().take(ROOM).collect();
    if cut.len() < sql.len() { format!("{cut}…") } else { cut }
}

pub(super) fn doing(what: &str) -> impl Fn(Refusal) -> Error + Send {
    move |refusal| Error::Server { doing: what.to_owned(), refusal }
}
