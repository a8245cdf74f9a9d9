//! The one shape in which a request is refused.

use std::error::Error as _;

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
            Error::Deposed { .. } => {
                Self::new(ErrorCode::Unavailable, message).hint("nothing was changed; ask the server that leads")
            }
            Error::InDoubt { .. } => {
                Self::new(ErrorCode::Unavailable, message).hint("see `daybook status` for what became of it")
            }
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
        let place = place(&rejection);
        let why = match &rejection {
            JsonRejection::JsonDataError(_) => format!("its JSON does not have the form that is documented{place}"),
            JsonRejection::JsonSyntaxError(_) => format!("it is not JSON{place}"),
            JsonRejection::MissingJsonContentType(_) => "its content type is not application/json".to_owned(),
            other => other.body_text(),
        };
        Self::new(ErrorCode::Usage, format!("the body is not understood: {why}")).hint("see GET /v1/openapi.json")
    }
}

type JsonError = serde_path_to_error::Error<serde_json::Error>;

/// Where a body is wrong, and which field it lacks. Keys are named; values may be secrets.
fn place(rejection: &JsonRejection) -> String {
    let mut causes = std::iter::successors(rejection.source(), |&error| error.source());
    let Some(error) = causes.find_map(|error| error.downcast_ref::<JsonError>()) else { return String::new() };
    let inner = error.inner();
    let path: String = error.path().to_string().chars().take(PATH_SHOWN).collect();
    let path = if matches!(&*path, "." | "?") { String::new() } else { format!(" at `{path}`") };
    let message = inner.to_string();
    let lacks = message.split(" at line ").next().filter(|text| text.starts_with("missing field"));
    let lacks = lacks.map(|text| format!(": {text}")).unwrap_or_default();
    format!("{path} (line {}, column {}){lacks}", inner.line(), inner.column())
}

/// How much of the path to a value is shown, in characters: the keys are the client's.
const PATH_SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use axum::extract::FromRequest as _;

    use super::*;

    #[tokio::test]
    async fn a_place_is_told_and_a_value_is_not() {
        let refused = async |body: &'static str| {
            let request = axum::extract::Request::builder().header("content-type", "application/json");
            let request = request.body(axum::body::Body::from(body)).expect("a request");
            Json::<daybook_api::plan::PlanRequest>::from_request(request, &())
                .await
                .map(drop)
                .map_err(|rejection| place(&rejection))
        };
        let wrong = refused(r#"{"change": {"scale": {"key": "a/b", "services": {"web": "canary"}}}}"#).await;
        assert_eq!(wrong.unwrap_err(), " at `change.scale.services.web` (line 1, column 64)");
        let lacking = refused("{}").await.unwrap_err();
        assert_eq!(lacking, " (line 1, column 2): missing field `change`");
        assert_eq!(refused("{\n\"canary").await.unwrap_err(), " (line 2, column 7)");
    }
}
