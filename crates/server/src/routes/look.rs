//! Looking: events, status, history, logs, usage, causes.

use std::convert::Infallible;

use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use daybook_api::ErrorBody;
use daybook_api::event::{EventView, EventsQuery};
use daybook_api::history::{HistoryEntry, HistoryQuery};
use daybook_api::logs::{LogLineView, LogSearch, LogsFound, LogsQuery};
use daybook_api::status::StatusView;
use daybook_api::top::{HostView, TopView, UsageView};
use daybook_api::why::WhyView;
use daybook_model::EnvKey;
use futures::{Stream, StreamExt as _};
use serde::Serialize;

use crate::App;
use crate::error::{ApiError, Reply};
use crate::request::{AtEnvironment, AtService, Path, Query};

/// How many entries of the history come when nothing is said.
const USUAL: usize = 20;

/// The journal: with `follow` as an event stream, otherwise a list.
#[utoipa::path(
    get, path = "/v1/events", tag = "look", params(EventsQuery),
    responses(
        (status = 200, description = "a list; with `follow` a stream of `EventView`", content(
            (Vec<EventView> = "application/json"), (EventView = "text/event-stream")
        )),
        (status = "default", body = ErrorBody)
    )
)]
pub(crate) async fn events(State(app): State<App>, Query(query): Query<EventsQuery>) -> Result<Response, ApiError> {
    if !query.follow {
        return Ok(Json(app.events(&query).await?).into_response());
    }
    let events = app.follow_events(query).await?;
    Ok(stream(events.map(|view| (view.seq, view))))
}

/// An event stream of JSON objects, with an id each where there is one. It says that it lives while
/// nothing happens.
fn stream<T: Serialize + Send + 'static>(items: impl Stream<Item = (Option<u64>, T)> + Send + 'static) -> Response {
    let events = items.filter_map(|(id, item)| async move {
        let event = Event::default().json_data(&item).ok()?;
        let event = id.map_or_else(|| event.clone(), |id| event.clone().id(id.to_string()));
        Some(Ok::<_, Infallible>(event))
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

/// One environment as it is now, by observation.
#[utoipa::path(
    get, path = "/v1/environments/{app}/{env}/status", tag = "look", params(AtEnvironment),
    responses((status = 200, body = StatusView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn status(State(app): State<App>, Path(at): Path<AtEnvironment>) -> Reply<StatusView> {
    Ok(Json(app.status(&at.key()).await?))
}

/// Releases and failed runs, newest first.
#[utoipa::path(
    get, path = "/v1/environments/{app}/{env}/history", tag = "look", params(AtEnvironment, HistoryQuery),
    responses((status = 200, body = Vec<HistoryEntry>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn history(
    State(app): State<App>,
    Path(at): Path<AtEnvironment>,
    Query(query): Query<HistoryQuery>,
) -> Reply<Vec<HistoryEntry>> {
    let key = app.known(at.key()).await?;
    Ok(Json(app.history(&key, query.limit.unwrap_or(USUAL)).await?))
}

/// What replicas print: with `follow` as an event stream, otherwise a list.
#[utoipa::path(
    get, path = "/v1/environments/{app}/{env}/logs", tag = "look", params(AtEnvironment, LogsQuery),
    responses(
        (status = 200, description = "a list; with `follow` a stream of `LogLineView`", content(
            (Vec<LogLineView> = "application/json"), (LogLineView = "text/event-stream")
        )),
        (status = "default", body = ErrorBody)
    )
)]
pub(crate) async fn logs(
    State(app): State<App>,
    Path(at): Path<AtEnvironment>,
    Query(query): Query<LogsQuery>,
) -> Result<Response, ApiError> {
    let key = app.known(at.key()).await?;
    if !query.follow {
        return Ok(Json(app.logs(&key, &query).await?).into_response());
    }
    Ok(stream(app.follow_logs(key, query)?.map(|line| (None, line))))
}

/// Lines that are kept, also of replicas that are gone.
#[utoipa::path(
    get, path = "/v1/environments/{app}/{env}/logs/search", tag = "look", params(AtEnvironment, LogSearch),
    responses((status = 200, body = LogsFound), (status = "default", body = ErrorBody))
)]
pub(crate) async fn search_logs(
    State(app): State<App>,
    Path(at): Path<AtEnvironment>,
    Query(query): Query<LogSearch>,
) -> Reply<LogsFound> {
    let key = app.known(at.key()).await?;
    Ok(Json(app.search_logs(&key, query).await?))
}

/// What replicas and their machine use now.
#[utoipa::path(
    get, path = "/v1/environments/{app}/{env}/top", tag = "look", params(AtEnvironment),
    responses((status = 200, body = TopView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn top(State(app): State<App>, Path(at): Path<AtEnvironment>) -> Reply<TopView> {
    let key = app.known(at.key()).await?;
    let usage = app.inner.runtime.usage(&key).await?;
    let view = |usage: daybook_runtime::Usage| UsageView {
        replica: usage.id,
        cpu_cores: usage.cpu_cores,
        memory_bytes: usage.memory_bytes,
        memory_limit_bytes: usage.memory_limit_bytes,
        pids: usage.pids,
    };
    Ok(Json(TopView { replicas: usage.into_iter().map(view).collect(), host: host().await }))
}

/// The machine, by `/proc/meminfo`; zero where that cannot be read.
async fn host() -> HostView {
    let text = tokio::fs::read_to_string("/proc/meminfo").await.unwrap_or_default();
    let bytes = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    let memory_bytes = bytes("MemTotal:");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    HostView {
        cores: u32::try_from(cores).unwrap_or(u32::MAX),
        memory_bytes,
        memory_used_bytes: memory_bytes.saturating_sub(bytes("MemAvailable:")),
    }
}

/// What is wrong with a service, and why.
#[utoipa::path(
    get, path = "/v1/environments/{app}/{env}/why/{service}", tag = "look", params(AtService),
    responses((status = 200, body = WhyView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn why(State(app): State<App>, Path(at): Path<AtService>) -> Reply<WhyView> {
    Ok(Json(app.why(&EnvKey::new(at.app, at.env), &at.service).await?))
}
