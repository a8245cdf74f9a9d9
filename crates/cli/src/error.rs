//! Why a command did not do as asked, as a person reads it.

use std::io;

use daybook_api::client::{self, Exit};

/// A result of a command's parts.
pub(crate) type Result<T> = std::result::Result<T, CommandError>;

/// What a command says when it fails, and what it exits with.
#[derive(Debug)]
pub(crate) struct CommandError {
    /// One sentence; empty when everything has been said already.
    pub(crate) message: String,
    /// What a person may try.
    pub(crate) hint: Option<String>,
    /// Located errors of a manifest, rendered.
    pub(crate) diagnostics: Vec<String>,
    /// The code it exits with.
    pub(crate) exit: Exit,
}

impl CommandError {
    /// It failed.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, diagnostics: Vec::new(), exit: Exit::Failed }
    }

    /// The command line makes no sense.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::failed(message) }
    }

    /// Everything has been said already.
    pub(crate) fn said(exit: Exit) -> Self {
        Self { exit, ..Self::failed("") }
    }

    /// Whoever read our output has gone: there is nobody to tell anything.
    pub(crate) fn reader_gone() -> Self {
        Self::said(Exit::Ok)
    }

    /// Adds what a person may try.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An operation on a file or stream failed.
    pub(crate) fn io(operation: impl std::fmt::Display, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::reader_gone();
        }
        Self::failed(format!("{operation}: {error}"))
    }
}

impl From<client::Error> for CommandError {
    fn from(error: client::Error) -> Self {
        let rendered = |d: &daybook_api::plan::DiagnosticView| d.rendered.trim_end().to_owned();
        let diagnostics = error.refusal().map(|body| body.diagnostics.iter().map(rendered).collect());
        Self {
            message: error.to_string(),
            hint: error.hint(),
            diagnostics: diagnostics.unwrap_or_default(),
            exit: error.exit(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let error = CommandError::io("write", &io::ErrorKind::BrokenPipe.into());
        assert_eq!((error.message.as_str(), error.exit), ("", Exit::Ok));
    }
}
