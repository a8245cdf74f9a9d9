//! The one shape in which a request is refused.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use daybook_api::{ErrorBody, ErrorCode};
use daybook_runtime::ErrorKind;

/// A refused request. Holds nothing secret: what a user sent is not repeated but for names.
#[derive(Debug, Clone)]
pub(crate) struct ApiError(pub(crate) ErrorBody);

/// What a handler answers.
pub(crate) type Reply<T> = Result<Json<T>, ApiError>;

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(ErrorBody::new(code, message))
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, message)
    }

    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self(self.0.hint(hint))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if self.0.code == ErrorCode::Internal {
            tracing::error!(message = %self.0.message, "a request failed");
        }
        (status, Json(self.0)).into_response()
    }
}

impl From<daybook_store::Error> for ApiError {
    fn from(error: daybook_store::Error) -> Self {
        use daybook_store::Error;
        let message = error.to_string();
        match error {
            Error::Locked { run, .. } => Self(ErrorBody::new(ErrorCode::Locked, message).run(run)).hint(format!(
                "wait for it, or see `daybook status`; an interrupted run goes on with `daybook resume {run}` and is \
                 given up with `daybook resume --abandon {run}`"
            )),
            Error::Ended { .. } | Error::Stale { .. } => Self::new(ErrorCode::Stale, message),
            Error::Damaged { .. } => Self::new(ErrorCode::Internal, message).hint("run `daybook journal verify`"),
            Error::Unavailable { .. } => {
                Self::new(ErrorCode::Unavailable, message).hint("nothing was changed, and what serves goes on serving")
            }
            Error::Internal { .. } => Self::new(ErrorCode::Internal, message),
        }
    }
}

impl From<daybook_runtime::Error> for ApiError {
    fn from(error: daybook_runtime::Error) -> Self {
        let code = match error.kind {
            ErrorKind::NotFound => ErrorCode::NotFound,
            ErrorKind::Refused | ErrorKind::Conflict | ErrorKind::BuildFailed => ErrorCode::Invalid,
            ErrorKind::Full | ErrorKind::Unavailable => ErrorCode::Unavailable,
            ErrorKind::Internal => ErrorCode::Internal,
        };
        let mut body = ErrorBody::new(code, error.to_string());
        body.hint = error.hint;
        Self(body)
    }
}

impl From<daybook_executor::Error> for ApiError {
    fn from(error: daybook_executor::Error) -> Self {
        use daybook_executor::Error;
        match error {
            Error::Journal(error) => error.into(),
            Error::Runtime(error) => error.into(),
            Error::Secret { .. } => Self::invalid(error.to_string()),
            Error::Illegal { .. } => Self::new(ErrorCode::Internal, error.to_string()),
        }
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::new(ErrorCode::Usage, format!("the path is not understood: {}", rejection.body_text()))
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(ErrorCode::Usage, format!("the query is not understood: {}", rejection.body_text()))
    }
}

impl From<JsonRejection> for ApiError {
    /// The place is named and the content is not repeated: it may be a secret.
    fn from(rejection: JsonRejection) -> Self {
        let why = match &rejection {
            JsonRejection::JsonDataError(_) => "its JSON does not have the form that is documented".to_owned(),
            JsonRejection::JsonSyntaxError(_) => "it is not JSON".to_owned(),
            JsonRejection::MissingJsonContentType(_) => "its content type is not application/json".to_owned(),
            other => other.body_text(),
        };
        Self::new(ErrorCode::Usage, format!("the body is not understood: {why}")).hint("see GET /v1/openapi.json")
    }
}
