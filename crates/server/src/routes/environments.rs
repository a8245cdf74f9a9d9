//! Environments, and one-off commands in them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use daybook_api::environment::{CreateEnvironment, EnvironmentView, OtherEnvironmentView};
use daybook_api::oneoff::{OneOffRequest, OneOffStarted, OneOffView};
use daybook_api::{ErrorBody, ErrorCode};
use daybook_model::{EnvKey, Event};
use daybook_store::{Environment, Journal as _, Write};

use crate::App;
use crate::change::no_environment;
use crate::error::{ApiError, Reply};
use crate::request::{AtEnvironment, AtReplica, Body, Caller, Path};

/// Every environment that is not taken down.
#[utoipa::path(
    get, path = "/v1/environments", tag = "environments",
    responses((status = 200, body = Vec<EnvironmentView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn list_environments(State(app): State<App>) -> Reply<Vec<EnvironmentView>> {
    let mut views = Vec::new();
    for environment in app.inner.store.environments().await?.into_iter().filter(|environment| !environment.retired) {
        views.push(view(&app, environment).await);
    }
    Ok(Json(views))
}

/// What runs is shown where it can be seen; a runtime that is away leaves the list readable.
async fn view(app: &App, environment: Environment) -> EnvironmentView {
    let status = app.status(&environment.key).await.ok();
    let services = status.as_ref().map(|status| status.services.as_slice()).unwrap_or_default();
    let ready = services.iter().filter(|service| service.ready >= service.wanted).count();
    let clone = app.clone_view(&environment.key).await.ok().flatten();
    EnvironmentView {
        clone,
        release: environment.release,
        reached: status.as_ref().and_then(|status| status.reached),
        services: u32::try_from(services.len()).unwrap_or(u32::MAX),
        ready: u32::try_from(ready).unwrap_or(u32::MAX),
        open_run: environment.open_run,
        adopted: environment.adopted,
        target: status.as_ref().map(|status| status.target.clone()).unwrap_or_default(),
        leaving: status.as_ref().and_then(|status| Some(status.moving.as_ref()?.from.clone())),
        key: environment.key,
    }
}

/// Makes the record of an environment in which nothing runs yet.
#[utoipa::path(
    post, path = "/v1/environments", tag = "environments", request_body = CreateEnvironment,
    responses((status = 201, body = EnvironmentView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn create_environment(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(CreateEnvironment { key }): Body<CreateEnvironment>,
) -> Result<(StatusCode, Json<EnvironmentView>), ApiError> {
    let planning = app.planning(&key);
    let _planning = planning.lock().await;
    let known = app.inner.store.environment(&key).await?;
    if known.is_some_and(|known| !known.retired) {
        return Err(ApiError::new(ErrorCode::Usage, format!("{key} is there already")));
    }
    let event = Event::EnvironmentCreated;
    app.inner.store.append(Write { key: Some(key.clone()), run: None, actor, event, expected: None }).await?;
    let made = app.inner.store.environment(&key).await?.ok_or_else(|| no_environment(&key))?;
    Ok((StatusCode::CREATED, Json(view(&app, made).await)))
}

/// Removes the record of an environment in which nothing runs any more. Its history is kept.
#[utoipa::path(
    delete, path = "/v1/environments/{app}/{env}", tag = "environments", params(AtEnvironment),
    responses((status = 204, description = "it is gone"), (status = "default", body = ErrorBody))
)]
pub(crate) async fn remove_environment(
    State(app): State<App>,
    Path(at): Path<AtEnvironment>,
    Caller(actor): Caller,
) -> Result<StatusCode, ApiError> {
    let key = at.key();
    let planning = app.planning(&key);
    let _planning = planning.lock().await;
    let known = app.inner.store.environment(&key).await?;
    let known = known.filter(|known| !known.retired).ok_or_else(|| no_environment(&key))?;
    if let Some(run) = known.open_run {
        return Err(daybook_store::Error::Locked { key, run }.into());
    }
    let running = app.inner.runtime.observe(&key).await?.replicas.len();
    if running > 0 {
        let message = format!("{running} replicas of {key} are still there");
        return Err(ApiError::new(ErrorCode::Denied, message).hint(format!("take it down first: {}", down(&key))));
    }
    app.retire(&key, &actor).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Environments on the same runtime that belong to another Daybook. They are left alone.
#[utoipa::path(
    get, path = "/v1/other-environments", tag = "environments",
    responses((status = 200, body = Vec<OtherEnvironmentView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn list_other_environments(State(app): State<App>) -> Reply<Vec<OtherEnvironmentView>> {
    let others = app.inner.runtime.others().await?;
    let views = others.into_iter().map(|(key, owner)| OtherEnvironmentView {
        key,
        state: owner.state.display().to_string(),
        host: owner.host().to_owned(),
    });
    Ok(Json(views.collect()))
}

/// Takes over an environment that belonged to another Daybook, which is no more. Refused while the
/// other's server answers.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/adopt", tag = "environments", params(AtEnvironment),
    responses((status = 200, body = EnvironmentView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn adopt_environment(
    State(app): State<App>,
    Path(at): Path<AtEnvironment>,
    Caller(actor): Caller,
) -> Reply<EnvironmentView> {
    let key = at.key();
    app.adopt_by_name(&key, actor).await?;
    let adopted = app.inner.store.environment(&key).await?.ok_or_else(|| no_environment(&key))?;
    Ok(Json(view(&app, adopted).await))
}

fn down(key: &EnvKey) -> String {
    format!("`daybook down -e {}`", key.env)
}

/// Starts a command in a new replica of a service.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/oneoff", tag = "enter", params(AtEnvironment),
    request_body = OneOffRequest,
    responses((status = 200, body = OneOffStarted), (status = "default", body = ErrorBody))
)]
pub(crate) async fn start_one_off(
    State(app): State<App>,
    Path(at): Path<AtEnvironment>,
    Caller(actor): Caller,
    Body(request): Body<OneOffRequest>,
) -> Reply<OneOffStarted> {
    Ok(Json(app.start_one_off(&at.key(), request, actor).await?))
}

/// How far a one-off replica is.
#[utoipa::path(
    get, path = "/v1/environments/{app}/{env}/oneoff/{replica}", tag = "enter", params(AtReplica),
    responses((status = 200, body = OneOffView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn get_one_off(State(app): State<App>, Path(at): Path<AtReplica>) -> Reply<OneOffView> {
    Ok(Json(app.one_off(&EnvKey::new(at.app, at.env), &at.replica).await?))
}

/// Ends a one-off replica if it runs, and removes it.
#[utoipa::path(
    delete, path = "/v1/environments/{app}/{env}/oneoff/{replica}", tag = "enter", params(AtReplica),
    responses((status = 204, description = "it is gone"), (status = "default", body = ErrorBody))
)]
pub(crate) async fn remove_one_off(State(app): State<App>, Path(at): Path<AtReplica>) -> Result<StatusCode, ApiError> {
    app.remove_one_off(&EnvKey::new(at.app, at.env), &at.replica).await?;
    Ok(StatusCode::NO_CONTENT)
}
