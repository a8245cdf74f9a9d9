//! What every refused request answers with.

use daybook_model::RunId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::plan::DiagnosticView;

/// The body of every answer with a 4xx or 5xx status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What kind of error it is: who must act.
    pub code: ErrorCode,
    /// What went wrong, one sentence.
    pub message: String,
    /// What a person may try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether the same request may succeed a little later.
    #[serde(default)]
    pub retry: bool,
    /// Located errors of a manifest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<DiagnosticView>,
    /// The run that is in the way, for `locked`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    pub run: Option<RunId>,
}

impl ErrorBody {
    /// An error without a hint; trying again does not help unless its code is `unavailable`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            retry: code == ErrorCode::Unavailable,
            diagnostics: Vec::new(),
            run: None,
        }
    }

    /// Adds what a person may try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds located errors of a manifest.
    #[must_use]
    pub fn diagnostics(mut self, diagnostics: Vec<DiagnosticView>) -> Self {
        self.diagnostics = diagnostics;
        self
    }

    /// Names the run that is in the way.
    #[must_use]
    pub fn run(mut self, run: RunId) -> Self {
        self.run = Some(run);
        self
    }
}

/// What kind of error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Another run of the environment is open.
    Locked,
    /// What the request was based on has changed: plan again.
    Stale,
    /// A rule forbids it.
    Denied,
    /// The manifest or the request's content is wrong.
    Invalid,
    /// What it names is not there.
    NotFound,
    /// Something that is needed cannot be reached now; trying again helps.
    Unavailable,
    /// A fault of Daybook's own.
    Internal,
    /// The request does not make sense here: wrong use.
    Usage,
}

impl ErrorCode {
    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Self::Locked | Self::Stale => 409,
            Self::Denied => 403,
            Self::Invalid => 422,
            Self::NotFound => 404,
            Self::Unavailable => 503,
            Self::Internal => 500,
            Self::Usage => 400,
        }
    }

    /// The code that a status without a readable body stands for.
    pub fn of_status(status: u16) -> Self {
        match status {
            400 | 405 | 415 => Self::Usage,
            401 | 403 => Self::Denied,
            404 => Self::NotFound,
            409 => Self::Locked,
            422 => Self::Invalid,
            502..=504 | 429 => Self::Unavailable,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_travels_in_snake_case_and_a_bare_body_reads() {
        let body: ErrorBody = serde_json::from_str(r#"{"code":"not_found","message":"no such app"}"#).unwrap();
        assert_eq!(body, ErrorBody::new(ErrorCode::NotFound, "no such app"));
    }

    #[test]
    fn every_code_has_a_status_that_leads_back_to_it() {
        use ErrorCode::*;
        for code in [Locked, Denied, Invalid, NotFound, Unavailable, Internal, Usage] {
            assert_eq!(ErrorCode::of_status(code.status()), code);
        }
    }
}
