//! What a person needs to understand a failure.

use std::borrow::Cow;
use std::sync::Arc;

use daybook_decide::redact::Redactor;
use daybook_decide::why::start_error;
use daybook_model::event::Failure;
use daybook_model::launch::Role;
use daybook_model::observed::Exit;
use daybook_model::{EnvKey, ReplicaId};
use daybook_runtime::{ErrorKind, LogLine, LogQuery};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::{Executor, Result};

/// Lines of log that a failure shows.
const LINES: usize = 20;

impl Executor {
    /// What a replica prints, with a mark in the place of each value of a secret. Without knowing these nothing is told.
    pub async fn logs(
        &self,
        key: &EnvKey,
        id: &ReplicaId,
        role: Role,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, daybook_runtime::Result<LogLine>>> {
        let unknown = |why| daybook_runtime::Error::new(ErrorKind::Unavailable, format!("read the log of {id}"), why);
        let redactor = self.redactor(key).await.map_err(unknown)?;
        let lines = self.inner.runtime.logs(key, id, role, query).await?;
        let redacted = move |line: LogLine| match redactor.redact(&line.text) {
            Cow::Borrowed(_) => line,
            Cow::Owned(text) => LogLine { text, ..line },
        };
        Ok(lines.map(move |line| line.map(&redacted)).boxed())
    }

    /// What finds the values of an environment's secrets in text.
    pub async fn redactor(&self, key: &EnvKey) -> std::result::Result<Arc<Redactor>, String> {
        self.inner.secrets.redactor(key).await
    }

    /// The last lines of a replica's log, as a failure shows them.
    pub(crate) async fn last_lines(&self, key: &EnvKey, id: &ReplicaId, role: Role) -> Vec<String> {
        self.tail(key, id, role, LINES).await
    }

    /// So many last lines of a replica's log; none if it cannot be read.
    pub async fn tail(&self, key: &EnvKey, id: &ReplicaId, role: Role, lines: usize) -> Vec<String> {
        let query = LogQuery { tail: Some(lines), ..LogQuery::default() };
        let Ok(lines) = self.logs(key, id, role, &query).await else { return Vec::new() };
        let lines: Vec<_> = lines.filter_map(|line| async { line.ok() }).collect().await;
        lines.into_iter().map(|line| line.text).collect()
    }
}

/// A failure of a process that ended.
pub(crate) fn ending(what: &str, exit: Option<&Exit>) -> Failure {
    let why = match exit {
        Some(exit) => format!("{what}: {}", exit_words(exit)),
        None => what.to_owned(),
    };
    Failure { why, ..Failure::default() }
}

/// How a process ended, in words.
pub(crate) fn exit_words(exit: &Exit) -> String {
    let signal = exit.code - 128;
    match exit {
        Exit { oom: true, .. } => "it was killed for using more memory than its limit (out of memory)".to_owned(),
        Exit { error: Some(error), .. } => format!("it could not be started: {}", start_error(error)),
        Exit { code: 127, .. } => "it ended with exit code 127: the command was not found".to_owned(),
        Exit { code: 126, .. } => "it ended with exit code 126: the command cannot be executed".to_owned(),
        Exit { code, .. } if (1..=64).contains(&signal) => {
            format!("it was ended by signal {signal} (exit code {code})")
        }
        Exit { code, .. } => format!("it ended with exit code {code}"),
    }
}
