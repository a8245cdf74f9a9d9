//! Planning changes and carrying them out.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use daybook_api::ErrorBody;
use daybook_api::approval::{ApprovalView, Approve};
use daybook_api::plan::{PlanReply, PlanRequest};
use daybook_api::run::{NothingToDo, RunReply, RunRequest, RunStarted, RunView, RunsQuery};

use crate::App;
use crate::error::{ApiError, Reply};
use crate::request::{AtEnvironment, AtRun, Body, Caller, Path, Query};
use crate::view::run::Folding;

/// How many runs come when nothing is said.
const USUAL: usize = 20;

/// What a change would do. Nothing is done.
#[utoipa::path(
    post, path = "/v1/plan", tag = "change", request_body = PlanRequest,
    responses((status = 200, body = PlanReply), (status = "default", body = ErrorBody))
)]
pub(crate) async fn plan(State(app): State<App>, Body(request): Body<PlanRequest>) -> Reply<PlanReply> {
    Ok(Json(app.plan(&request).await?))
}

/// Begins to carry a change out. 200: there is nothing to do. 409: another run is open (`locked`), or
/// the plan that was looked at holds no more (`stale`).
#[utoipa::path(
    post, path = "/v1/runs", tag = "change", request_body = RunRequest,
    responses(
        (status = 200, body = NothingToDo), (status = 202, body = RunStarted),
        (status = "default", body = ErrorBody)
    )
)]
pub(crate) async fn start_run(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(request): Body<RunRequest>,
) -> Result<Response, ApiError> {
    Ok(match app.begin(&request, actor).await? {
        RunReply::Started(started) => (StatusCode::ACCEPTED, Json(started)).into_response(),
        RunReply::Nothing(nothing) => Json(nothing).into_response(),
    })
}

/// Plans of a protected environment that somebody asked for and that still hold, the oldest first.
#[utoipa::path(
    get, path = "/v1/environments/{app}/{env}/approvals", tag = "change", params(AtEnvironment),
    responses((status = 200, body = Vec<ApprovalView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn list_approvals(State(app): State<App>, Path(at): Path<AtEnvironment>) -> Reply<Vec<ApprovalView>> {
    Ok(Json(app.approvals(&at.key()).await?))
}

/// Approves a plan that somebody else asked for: it may be carried out as long as it is still the same.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/approvals", tag = "change", params(AtEnvironment),
    request_body = Approve,
    responses((status = 200, body = ApprovalView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn approve(
    State(app): State<App>,
    Path(at): Path<AtEnvironment>,
    Caller(actor): Caller,
    Body(wanted): Body<Approve>,
) -> Reply<ApprovalView> {
    Ok(Json(app.approve(&at.key(), &wanted.plan, &actor).await?))
}

/// Runs, newest first, without their steps.
#[utoipa::path(
    get, path = "/v1/runs", tag = "change", params(RunsQuery),
    responses((status = 200, body = Vec<RunView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn list_runs(State(app): State<App>, Query(query): Query<RunsQuery>) -> Reply<Vec<RunView>> {
    let records = app.inner.store.runs(query.key.as_ref(), query.limit.unwrap_or(USUAL)).await?;
    let mut views = Vec::with_capacity(records.len());
    for record in records {
        let view = match (record.finished, record.started.run) {
            (None, Some(run)) => Some(app.run_view(run).await?),
            (Some(finished), _) => Folding::of(&[record.started, finished]).map(Folding::into_view),
            (None, None) => None,
        };
        views.extend(view.map(|view| RunView { steps: Vec::new(), ..view }));
    }
    Ok(Json(views))
}

/// A run and how far it is.
#[utoipa::path(
    get, path = "/v1/runs/{run}", tag = "change", params(AtRun),
    responses((status = 200, body = RunView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn get_run(State(app): State<App>, Path(AtRun { run }): Path<AtRun>) -> Reply<RunView> {
    Ok(Json(app.run_view(run).await?))
}

/// Asks a run to stop where it is. It can be resumed or abandoned.
#[utoipa::path(
    post, path = "/v1/runs/{run}/interrupt", tag = "change", params(AtRun),
    responses((status = 200, body = RunView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn interrupt_run(
    State(app): State<App>,
    Path(AtRun { run }): Path<AtRun>,
    Caller(actor): Caller,
) -> Reply<RunView> {
    app.interrupt(run, actor).await?;
    Ok(Json(app.run_view(run).await?))
}

/// Lets an interrupted run go on.
#[utoipa::path(
    post, path = "/v1/runs/{run}/resume", tag = "change", params(AtRun),
    responses((status = 200, body = RunView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn resume_run(
    State(app): State<App>,
    Path(AtRun { run }): Path<AtRun>,
    Caller(actor): Caller,
) -> Reply<RunView> {
    app.resume(run, actor).await?;
    Ok(Json(app.run_view(run).await?))
}

/// Gives an open run up, so that another change can begin. What it did stays.
#[utoipa::path(
    post, path = "/v1/runs/{run}/abandon", tag = "change", params(AtRun),
    responses((status = 200, body = RunView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn abandon_run(
    State(app): State<App>,
    Path(AtRun { run }): Path<AtRun>,
    Caller(actor): Caller,
) -> Reply<RunView> {
    app.abandon(run, actor).await?;
    Ok(Json(app.run_view(run).await?))
}
