//! Databases of an environment: how their migrations stand, and changes of their histories.

use axum::Json;
use axum::extract::State;
use daybook_api::ErrorBody;
use daybook_api::database::{DatabaseView, HistoryChange, HistoryChanged, TuneView};
use daybook_model::EnvKey;

use crate::App;
use crate::error::Reply;
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
