//! Backups of an environment's databases and volumes: made, proven, restored. Clones of environments.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use daybook_api::ErrorBody;
use daybook_api::backup::{BackUp, BackupsView, OperationView, Restore, RestorePlan, RunDrill, VerifyQuery};
use daybook_api::clone::{CloneEnvironment, ClonePlan};

use crate::App;
use crate::error::{ApiError, Reply};
use crate::request::{AtEnvironment, AtOperation, Body, Caller, Path};

/// Something that goes on.
type Begun<T> = Result<(StatusCode, Json<T>), ApiError>;

/// The backups of an environment, and whether a restore of them was proven.
#[utoipa::path(
    get, path = "/v1/environments/{app}/{env}/backups", tag = "backups", params(AtEnvironment),
    responses((status = 200, body = BackupsView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn list_backups(State(app): State<App>, Path(at): Path<AtEnvironment>) -> Reply<BackupsView> {
    app.backups(&at.key()).await.map(Json)
}

/// Begins to make backups.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/backups", tag = "backups", params(AtEnvironment), request_body = BackUp,
    responses((status = 202, body = Vec<OperationView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn create_backups(
    State(app): State<App>,
    Path(at): Path<AtEnvironment>,
    Caller(actor): Caller,
    Body(wanted): Body<BackUp>,
) -> Begun<Vec<OperationView>> {
    let begun = app.back_up(&at.key(), &wanted.of, "asked for", &actor).await?;
    Ok((StatusCode::ACCEPTED, Json(begun)))
}

/// Begins to restore backups into scratch copies, and to compare these with what was there.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/backups/drills", tag = "backups", params(AtEnvironment),
    request_body = RunDrill,
    responses((status = 202, body = Vec<OperationView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn start_drills(
    State(app): State<App>,
    Path(at): Path<AtEnvironment>,
    Caller(actor): Caller,
    Body(wanted): Body<RunDrill>,
) -> Begun<Vec<OperationView>> {
    Ok((StatusCode::ACCEPTED, Json(app.drill(&at.key(), &wanted, &actor).await?)))
}

/// What a restore would do. Changes nothing.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/backups/restores/plan", tag = "backups", params(AtEnvironment),
    request_body = Restore,
    responses((status = 200, body = RestorePlan), (status = "default", body = ErrorBody))
)]
pub(crate) async fn plan_restore(
    State(app): State<App>,
    Path(at): Path<AtEnvironment>,
    Body(wanted): Body<Restore>,
) -> Reply<RestorePlan> {
    app.plan_restore(&at.key(), &wanted).await.map(Json)
}

/// Begins to replace what a database or a volume holds by a backup.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/backups/restores", tag = "backups", params(AtEnvironment),
    request_body = Restore,
    responses((status = 202, body = OperationView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn start_restore(
    State(app): State<App>,
    Path(at): Path<AtEnvironment>,
    Caller(actor): Caller,
    Body(wanted): Body<Restore>,
) -> Begun<OperationView> {
    Ok((StatusCode::ACCEPTED, Json(app.restore(&at.key(), &wanted, &actor).await?)))
}

/// Begins to look for damage in the repository.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/backups/verify", tag = "backups", params(AtEnvironment),
    request_body = VerifyQuery,
    responses((status = 202, body = OperationView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn verify_backups(
    State(app): State<App>,
    Path(at): Path<AtEnvironment>,
    Body(wanted): Body<VerifyQuery>,
) -> Begun<OperationView> {
    Ok((StatusCode::ACCEPTED, Json(app.verify_backups(&at.key(), wanted).await?)))
}

/// What a clone of an environment would be.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/clones/plan", tag = "environments", params(AtEnvironment),
    request_body = CloneEnvironment,
    responses((status = 200, body = ClonePlan), (status = "default", body = ErrorBody))
)]
pub(crate) async fn plan_clone(
    State(app): State<App>,
    Path(at): Path<AtEnvironment>,
    Caller(actor): Caller,
    Body(wanted): Body<CloneEnvironment>,
) -> Reply<ClonePlan> {
    app.plan_clone(&at.key(), &wanted, &actor).await.map(Json)
}

/// Begins to make a clone of an environment: another environment of its app.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/clones", tag = "environments", params(AtEnvironment),
    request_body = CloneEnvironment,
    responses((status = 202, body = OperationView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn clone_environment(
    State(app): State<App>,
    Path(at): Path<AtEnvironment>,
    Caller(actor): Caller,
    Body(wanted): Body<CloneEnvironment>,
) -> Begun<OperationView> {
    Ok((StatusCode::ACCEPTED, Json(app.clone_environment(&at.key(), &wanted, &actor).await?)))
}

/// How far something is that was begun. Known until the server ends.
#[utoipa::path(
    get, path = "/v1/environments/{app}/{env}/backups/operations/{operation}", tag = "backups", params(AtOperation),
    responses((status = 200, body = OperationView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn get_operation(State(app): State<App>, Path(at): Path<AtOperation>) -> Reply<OperationView> {
    app.operation(at.operation).map(Json)
}
