//! The server itself: version, health, journal, end.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use daybook_api::ErrorBody;
use daybook_api::doctor::CheckView;
use daybook_api::journal::{Damaged, JournalVerified};
use daybook_api::version::{RuntimeVersion, VersionView};
use daybook_store::Error;

use crate::App;
use crate::error::{ApiError, Reply};

/// Who answers.
#[utoipa::path(get, path = "/v1/version", tag = "server", responses((status = 200, body = VersionView)))]
pub(crate) async fn version(State(app): State<App>) -> Json<VersionView> {
    let capabilities = app.inner.runtime.capabilities();
    let runtime = app.inner.runtime.check().await.unwrap_or_else(|error| error.to_string());
    let edge = match &app.inner.edge {
        Some(edge) => edge.view().await,
        None => None,
    };
    Json(VersionView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        state: app.inner.state.display().to_string(),
        runtime: RuntimeVersion { name: capabilities.name, version: runtime },
        edge,
        started_at: app.inner.started_at,
    })
}

/// This document.
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "server",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
pub(crate) async fn openapi_document() -> Json<utoipa::openapi::OpenApi> {
    Json(super::openapi())
}

/// Whether everything is here that is needed.
#[utoipa::path(get, path = "/v1/doctor", tag = "server", responses((status = 200, body = Vec<CheckView>)))]
pub(crate) async fn doctor(State(app): State<App>) -> Json<Vec<CheckView>> {
    Json(app.doctor().await)
}

/// Checks the journal's chain of hashes from its first entry.
#[utoipa::path(
    get, path = "/v1/journal/verify", tag = "server",
    responses((status = 200, body = JournalVerified), (status = "default", body = ErrorBody))
)]
pub(crate) async fn verify_journal(State(app): State<App>) -> Reply<JournalVerified> {
    match app.inner.store.verify().await {
        Ok(found) => {
            Ok(Json(JournalVerified { entries: found.entries, head: Some(found.head.to_string()), damaged: None }))
        }
        Err(Error::Damaged { seq, why }) => {
            let damaged = Some(Damaged { seq, why });
            Ok(Json(JournalVerified { entries: seq.saturating_sub(1), head: None, damaged }))
        }
        Err(error) => Err(error.into()),
    }
}

/// Ends the server. The edge and every replica go on.
#[utoipa::path(post, path = "/v1/shutdown", tag = "server", responses((status = 202, description = "it ends")))]
pub(crate) async fn shutdown(State(app): State<App>) -> StatusCode {
    app.inner.stop.cancel();
    StatusCode::ACCEPTED
}

/// Starts the edge's next generation, which takes over its listeners.
#[utoipa::path(
    post, path = "/v1/edge/upgrade", tag = "server",
    responses((status = 204, description = "the next generation serves"), (status = "default", body = ErrorBody))
)]
pub(crate) async fn upgrade_edge(State(app): State<App>) -> Result<StatusCode, ApiError> {
    let edge = app.inner.edge.as_ref().ok_or_else(|| ApiError::not_found("this server has no edge"))?;
    edge.upgrade().await.map_err(|error| {
        let code =
            if error.is_transient() { daybook_api::ErrorCode::Unavailable } else { daybook_api::ErrorCode::Internal };
        ApiError::new(code, format!("upgrade the edge: {error}"))
    })?;
    Ok(StatusCode::NO_CONTENT)
}
