//! Channels: where an environment tells of its incidents.

use axum::Json;
use axum::extract::State;
use daybook_api::ErrorBody;
use daybook_api::channel::{ChannelTested, ChannelView, TestChannel};

use crate::App;
use crate::error::Reply;
use crate::request::{AtEnvironment, Body, Caller, Path};

/// The channels of an environment, and how they do.
#[utoipa::path(
    get, path = "/v1/environments/{app}/{env}/channels", tag = "incidents", params(AtEnvironment),
    responses((status = 200, body = Vec<ChannelView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn list_channels(State(app): State<App>, Path(at): Path<AtEnvironment>) -> Reply<Vec<ChannelView>> {
    let key = app.known(at.key()).await?;
    Ok(Json(app.channels(&key).await?))
}

/// Sends a test through a channel, and says what its receiver answers.
#[utoipa::path(
    post, path = "/v1/environments/{app}/{env}/channels/test", tag = "incidents", params(AtEnvironment),
    request_body = TestChannel,
    responses((status = 200, body = ChannelTested), (status = "default", body = ErrorBody))
)]
pub(crate) async fn test_channel(
    State(app): State<App>,
    Path(at): Path<AtEnvironment>,
    Caller(actor): Caller,
    Body(asked): Body<TestChannel>,
) -> Reply<ChannelTested> {
    let key = app.known(at.key()).await?;
    Ok(Json(app.test_channel(&key, asked, &actor).await?))
}
