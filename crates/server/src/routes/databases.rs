//! Databases of an environment: how their migrations stand, changes of their histories, upgrades of their servers.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use daybook_api::ErrorBody;
use daybook_api::backup::OperationView;
use daybook_api::database::{DatabaseView, HistoryChange, HistoryChanged, TuneView};
use daybook_api::upgrade::{Upgrade, UpgradePlan};
use daybook_model::EnvKey;

use crate::App;
use crate::error::{ApiError, Reply};
use crate::request::{AtDatabase, Body, Caller, Path};

/// How the migrations of a database stand.
#[utoipa::path(
    get, path = "/v1/environments/{app}/{env}/databases/{name}", tag = "databases", params(AtDatabase),
    responses((status = 200, body = DatabaseView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn get_database(State(app): State<App>, Path(at): Path<AtDatabase>) -> Reply<DatabaseView> {
    let key = EnvKey::new(at.app, at.env);
    app.database(&key, &at.name).await.map(Json)
}

/// What would make a database faster, smaller or safer, by what it counts. Changes nothing.
#[utoipa::path(
    get, path = "/v1/environments/{app}/{env}/databases/{name}/tune", tag = "databases", params(AtDatabase),
    responses((status = 200, body = TuneView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn tune_database(State(app): State<App>, Path(at): Path<AtDatabase>) -> Reply<TuneView> {
    let key = EnvKey::new(at.app, at.env);
    app.tune(&key, &at.name).await.map(Json)
}

/// Begins the history of a database, makes it fit the files, or takes versions back.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/databases/{name}/history", tag = "databases", params(AtDatabase),
    request_body = HistoryChange,
    responses((status = 200, body = HistoryChanged), (status = "default", body = ErrorBody))
)]
pub(crate) async fn change_history(
    State(app): State<App>,
    Path(at): Path<AtDatabase>,
    Caller(actor): Caller,
    Body(change): Body<HistoryChange>,
) -> Reply<HistoryChanged> {
    let key = EnvKey::new(at.app, at.env);
    app.change_history(&key, &at.name, &change, actor).await.map(Json)
}

/// Something that goes on.
type Begun = Result<(StatusCode, Json<OperationView>), ApiError>;

/// What an upgrade of a database server to another series would do. Changes nothing.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/databases/{name}/upgrade/plan", tag = "databases", params(AtDatabase),
    request_body = Upgrade,
    responses((status = 200, body = UpgradePlan), (status = "default", body = ErrorBody))
)]
pub(crate) async fn plan_upgrade(
    State(app): State<App>,
    Path(at): Path<AtDatabase>,
    Body(wanted): Body<Upgrade>,
) -> Reply<UpgradePlan> {
    let key = EnvKey::new(at.app, at.env);
    app.plan_upgrade(&key, &at.name, &wanted).await.map(Json)
}

/// Begins to rehearse an upgrade: a copy of the new server takes in what the database holds, and every row is compared.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/databases/{name}/upgrade/rehearsal", tag = "databases",
    params(AtDatabase), request_body = Upgrade,
    responses((status = 202, body = OperationView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn rehearse_upgrade(
    State(app): State<App>,
    Path(at): Path<AtDatabase>,
    Caller(actor): Caller,
    Body(wanted): Body<Upgrade>,
) -> Begun {
    let key = EnvKey::new(at.app, at.env);
    Ok((StatusCode::ACCEPTED, Json(app.rehearse_upgrade(&key, &at.name, &wanted, &actor).await?)))
}

/// Begins an upgrade that was rehearsed in the last day. Whatever fails brings the old server back, with its own files.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/databases/{name}/upgrade", tag = "databases", params(AtDatabase),
    request_body = Upgrade,
    responses((status = 202, body = OperationView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn upgrade_database(
    State(app): State<App>,
    Path(at): Path<AtDatabase>,
    Caller(actor): Caller,
    Body(wanted): Body<Upgrade>,
) -> Begun {
    let key = EnvKey::new(at.app, at.env);
    Ok((StatusCode::ACCEPTED, Json(app.upgrade(&key, &at.name, &wanted, &actor).await?)))
}

/// Begins to remove the files that the servers before upgrades have left.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/databases/{name}/upgrade/finish", tag = "databases", params(AtDatabase),
    responses((status = 202, body = OperationView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn finish_upgrade(State(app): State<App>, Path(at): Path<AtDatabase>, Caller(actor): Caller) -> Begun {
    let key = EnvKey::new(at.app, at.env);
    Ok((StatusCode::ACCEPTED, Json(app.finish_upgrade(&key, &at.name, &actor).await?)))
}
