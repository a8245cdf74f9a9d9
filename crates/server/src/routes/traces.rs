//! Requests, step by step.

use axum::Json;
use axum::extract::State;
use daybook_api::ErrorBody;
use daybook_api::trace::{TraceLine, TraceView, TracesQuery};

use crate::App;
use crate::error::Reply;
use crate::request::{AtTrace, Path, Query};

/// Requests that are known step by step, the one that was told of last first.
#[utoipa::path(
    get, path = "/v1/traces", tag = "traces", params(TracesQuery),
    responses((status = 200, body = Vec<TraceLine>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn list_traces(State(app): State<App>, Query(query): Query<TracesQuery>) -> Reply<Vec<TraceLine>> {
    Ok(Json(app.traces(&query)))
}

/// One request, step by step.
#[utoipa::path(
    get, path = "/v1/traces/{trace}", tag = "traces", params(AtTrace),
    responses((status = 200, body = TraceView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn get_trace(State(app): State<App>, Path(at): Path<AtTrace>) -> Reply<TraceView> {
    Ok(Json(app.trace(&at.trace)?))
}
