//! Sealed secrets: set, listed and removed; never read back.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use daybook_api::secret::{SecretVersion, SecretView, SetSecret};
use daybook_api::{ErrorBody, ErrorCode};
use daybook_model::{EnvKey, SecretName, Spec};
use zeroize::Zeroizing;

use crate::App;
use crate::error::{ApiError, Reply};
use crate::request::{AtEnvironment, AtSecret, Body, Caller, Path};
use crate::sealing::refers_to;

/// Names and versions of an environment's secrets.
#[utoipa::path(
    get, path = "/v1/environments/{app}/{env}/secrets", tag = "secrets", params(AtEnvironment),
    responses((status = 200, body = Vec<SecretView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn list_secrets(State(app): State<App>, Path(at): Path<AtEnvironment>) -> Reply<Vec<SecretView>> {
    let key = at.key();
    let secrets = app.inner.store.secrets(&key).await?;
    let release = app.inner.store.current_release(&key).await?;
    let kept =
        release.and_then(|release| release.spec.vault.as_ref().map(|vault| vault.values.clone())).unwrap_or_default();
    let view = |secret: daybook_store::Secret| SecretView {
        kept: kept.get(&secret.name).map(ToString::to_string),
        name: secret.name,
        version: secret.version,
        set_at: secret.set_at,
    };
    Ok(Json(secrets.into_iter().map(view).collect()))
}

/// Sets a secret for the releases to come: to a value, or to a random one that nobody sees. The value that it has already
/// is no new version.
#[utoipa::path(
    put, path = "/v1/environments/{app}/{env}/secrets/{name}", tag = "secrets", params(AtSecret),
    request_body = SetSecret,
    responses((status = 200, body = SecretVersion), (status = "default", body = ErrorBody))
)]
pub(crate) async fn set_secret(
    State(app): State<App>,
    Path(at): Path<AtSecret>,
    Caller(actor): Caller,
    Body(set): Body<SetSecret>,
) -> Reply<SecretVersion> {
    let key = EnvKey::new(at.app, at.env);
    let store = &app.inner.store;
    let version = match set {
        SetSecret::Value { value } => {
            store.set_secret(actor, &key, &at.name, Zeroizing::new(value.into_bytes())).await?
        }
        SetSecret::Generate { generate: true } => store.generate_secret(actor, &key, &at.name).await?,
        SetSecret::Generate { generate: false } => {
            return Err(ApiError::new(ErrorCode::Usage, "give a `value`, or `generate: true`"));
        }
    };
    Ok(Json(SecretVersion { version }))
}

/// Removes a secret and all its versions, unless the release in force needs it.
#[utoipa::path(
    delete, path = "/v1/environments/{app}/{env}/secrets/{name}", tag = "secrets", params(AtSecret),
    responses((status = 204, description = "it is gone"), (status = "default", body = ErrorBody))
)]
pub(crate) async fn remove_secret(
    State(app): State<App>,
    Path(at): Path<AtSecret>,
    Caller(actor): Caller,
) -> Result<StatusCode, ApiError> {
    let key = EnvKey::new(at.app, at.env);
    let planning = app.planning(&key);
    let _planning = planning.lock().await;
    if let Some(release) = app.inner.store.current_release(&key).await? {
        refuse_if_needed(&release.spec, &at.name)?;
    }
    if !app.inner.store.remove_secret(actor, &key, &at.name).await? {
        return Err(ApiError::not_found(format!("{key} has no secret `{}`", at.name)));
    }
    Ok(StatusCode::NO_CONTENT)
}

fn refuse_if_needed(spec: &Spec, name: &SecretName) -> Result<(), ApiError> {
    match refers_to(spec, name) {
        Some(service) => {
            let message = format!("`{service}` needs the secret `{name}` in the release in force");
            Err(ApiError::new(ErrorCode::Denied, message)
                .hint("remove it from the manifest and run `daybook up` first"))
        }
        None => Ok(()),
    }
}
