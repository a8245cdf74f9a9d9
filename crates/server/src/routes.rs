//! The HTTP API: every path, and what surrounds each request.

mod backups;
#[cfg(feature = "observe")]
mod channels;
mod databases;
mod environments;
#[cfg(feature = "observe")]
mod incidents;
mod look;
#[cfg(feature = "observe")]
mod oncall;
#[cfg(feature = "observe")]
mod pictures;
mod runs;
mod secrets;
mod system;
pub(crate) mod targets;
#[cfg(feature = "observe")]
mod traces;

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use daybook_api::ErrorCode;
use futures::FutureExt as _;
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::error::ApiError;
use crate::exec;

/// The largest body: a bundle with its files.
const BODY_BYTES: usize = 16 << 20;

/// How long a handler may take until it answers; what it streams afterwards is not bounded. Resolving
/// images asks registries, which may be slow.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

impl App {
    /// The API as a service.
    pub fn api(&self) -> Router {
        let (router, _) = documented().split_for_parts();
        router
            .nest("/prometheus", crate::observe::routes())
            .fallback(not_found)
            .method_not_allowed_fallback(wrong_method)
            .layer(DefaultBodyLimit::max(BODY_BYTES))
            .layer(from_fn(guarded))
            .with_state(self.clone())
    }
}

/// The OpenAPI document of the API.
pub fn openapi() -> OpenApi {
    documented().split_for_parts().1
}

fn documented() -> OpenApiRouter<App> {
    let info = InfoBuilder::new()
        .title("Daybook")
        .version("1")
        .description(Some("The API of a Daybook server, over the Unix socket `daybook.sock` of its state directory."))
        .build();
    let routes = OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info).build())
        .routes(routes!(system::version))
        .routes(routes!(system::openapi_document))
        .routes(routes!(system::doctor))
        .routes(routes!(system::verify_journal))
        .routes(routes!(system::shutdown))
        .routes(routes!(system::upgrade_edge))
        .routes(routes!(environments::list_environments, environments::create_environment))
        .routes(routes!(environments::remove_environment))
        .routes(routes!(environments::list_other_environments))
        .routes(routes!(environments::adopt_environment))
        .routes(routes!(runs::plan))
        .routes(routes!(runs::list_runs, runs::start_run))
        .routes(routes!(runs::get_run))
        .routes(routes!(runs::interrupt_run))
        .routes(routes!(runs::resume_run))
        .routes(routes!(runs::abandon_run))
        .routes(routes!(look::events))
        .routes(routes!(look::status))
        .routes(routes!(look::history))
        .routes(routes!(look::logs))
        .routes(routes!(look::search_logs))
        .routes(routes!(look::top))
        .routes(routes!(look::why))
        .routes(routes!(exec::exec))
        .routes(routes!(environments::start_one_off))
        .routes(routes!(environments::get_one_off, environments::remove_one_off))
        .routes(routes!(targets::list_targets, targets::add_target))
        .routes(routes!(targets::remove_target))
        .routes(routes!(targets::check_target))
        .routes(routes!(databases::get_database))
        .routes(routes!(databases::tune_database))
        .routes(routes!(databases::change_history))
        .routes(routes!(runs::list_approvals, runs::approve))
        .routes(routes!(databases::plan_upgrade))
        .routes(routes!(databases::rehearse_upgrade))
        .routes(routes!(databases::upgrade_database))
        .routes(routes!(databases::finish_upgrade))
        .routes(routes!(backups::list_backups, backups::create_backups))
        .routes(routes!(backups::start_drills))
        .routes(routes!(backups::plan_restore))
        .routes(routes!(backups::start_restore))
        .routes(routes!(backups::verify_backups))
        .routes(routes!(backups::get_operation))
        .routes(routes!(backups::plan_clone))
        .routes(routes!(backups::clone_environment))
        .routes(routes!(secrets::list_secrets))
        .routes(routes!(secrets::set_secret, secrets::remove_secret));
    watching(routes)
}

/// What is there where things are watched.
#[cfg(feature = "observe")]
fn watching(routes: OpenApiRouter<App>) -> OpenApiRouter<App> {
    routes
        .routes(routes!(incidents::list_alerts))
        .routes(routes!(incidents::test_alerts))
        .routes(routes!(incidents::list_silences, incidents::add_silence))
        .routes(routes!(incidents::end_silence))
        .routes(routes!(oncall::list_schedules))
        .routes(routes!(oncall::add_override))
        .routes(routes!(oncall::end_override))
        .routes(routes!(oncall::list_maintenance, oncall::add_maintenance))
        .routes(routes!(oncall::end_maintenance))
        .routes(routes!(incidents::list_incidents, incidents::open_incident))
        .routes(routes!(incidents::get_incident, incidents::mark_incident))
        .routes(routes!(incidents::get_postmortem))
        .routes(routes!(channels::list_channels))
        .routes(routes!(channels::test_channel))
        .routes(routes!(pictures::draw_query))
        .routes(routes!(traces::list_traces))
        .routes(routes!(traces::get_trace))
}

#[cfg(not(feature = "observe"))]
fn watching(routes: OpenApiRouter<App>) -> OpenApiRouter<App> {
    routes
}

async fn not_found(request: Request) -> ApiError {
    ApiError::not_found(format!("there is no path {}", request.uri().path())).hint("see GET /v1/openapi.json")
}

async fn wrong_method(request: Request) -> ApiError {
    let message = format!("{} cannot be used with {}", request.method(), request.uri().path());
    ApiError::new(ErrorCode::Usage, message).hint("see GET /v1/openapi.json")
}

/// Gives each request an id, a bound on its time, and an answer even if its handler panics.
async fn guarded(request: Request, next: Next) -> Response {
    let id = request_id(&request);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let handled = async {
        if announced_bytes(&request) > BODY_BYTES as u64 {
            let message = format!("the body is larger than {} MiB", BODY_BYTES >> 20);
            return ApiError::new(ErrorCode::Usage, message).into_response();
        }
        next.run(request).await
    };
    let answer = AssertUnwindSafe(tokio::time::timeout(ANSWER_WITHIN, handled)).catch_unwind().await;
    let mut response = match answer {
        Ok(Ok(response)) => response,
        Ok(Err(_)) => {
            let message = format!("there was no answer within {} s", ANSWER_WITHIN.as_secs());
            ApiError::new(ErrorCode::Unavailable, message).into_response()
        }
        Err(_) => ApiError::new(ErrorCode::Internal, "the server made a mistake; its log says more").into_response(),
    };
    tracing::debug!(%id, %method, path, status = response.status().as_u16(), "request");
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID.clone(), value);
    }
    response
}

/// How large the client says that the body is. One that does not say is measured while it is read.
fn announced_bytes(request: &Request) -> u64 {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

/// The client's own id if it is a short and plain one, otherwise a new one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    given.filter(plain).map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned)
}
