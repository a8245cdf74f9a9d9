//! Who is on call, and maintenance.

use axum::Json;
use axum::extract::State;
use daybook_api::ErrorBody;
use daybook_api::incident::IncidentsQuery;
use daybook_api::oncall::{AddMaintenance, AddOverride, MaintenanceView, OnCallQuery, OverrideView, ScheduleView};

use crate::App;
use crate::error::Reply;
use crate::request::{AtOverride, AtWindow, Body, Caller, Path, Query};

/// Who is on call in each schedule, and who will be.
#[utoipa::path(
    get, path = "/v1/on-call", tag = "incidents", params(OnCallQuery),
    responses((status = 200, body = Vec<ScheduleView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn list_schedules(
    State(app): State<App>,
    Query(query): Query<OnCallQuery>,
) -> Reply<Vec<ScheduleView>> {
    app.known(query.key.clone()).await?;
    Ok(Json(app.schedules(&query).await?))
}

/// Lets somebody take over in a schedule for a while.
#[utoipa::path(
    post, path = "/v1/overrides", tag = "incidents", request_body = AddOverride,
    responses((status = 200, body = OverrideView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn add_override(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(asked): Body<AddOverride>,
) -> Reply<OverrideView> {
    app.known(asked.key.clone()).await?;
    Ok(Json(app.add_override(asked, &actor).await?))
}

/// Lets nobody take over any more.
#[utoipa::path(
    delete, path = "/v1/overrides/{override}", tag = "incidents", params(AtOverride),
    responses((status = 200, body = OverrideView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn end_override(
    State(app): State<App>,
    Path(at): Path<AtOverride>,
    Caller(actor): Caller,
) -> Reply<OverrideView> {
    Ok(Json(app.end_override(&at.id, &actor).await?))
}

/// Maintenance windows that are open or planned, the earliest first.
#[utoipa::path(
    get, path = "/v1/maintenance", tag = "incidents", params(IncidentsQuery),
    responses((status = 200, body = Vec<MaintenanceView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn list_maintenance(
    State(app): State<App>,
    Query(query): Query<IncidentsQuery>,
) -> Reply<Vec<MaintenanceView>> {
    Ok(Json(app.maintenance(query.key.as_ref(), query.all).await?))
}

/// Makes a maintenance window.
#[utoipa::path(
    post, path = "/v1/maintenance", tag = "incidents", request_body = AddMaintenance,
    responses((status = 200, body = MaintenanceView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn add_maintenance(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(asked): Body<AddMaintenance>,
) -> Reply<MaintenanceView> {
    app.known(asked.key.clone()).await?;
    Ok(Json(app.add_maintenance(asked, &actor).await?))
}

/// Ends a maintenance window before its time.
#[utoipa::path(
    delete, path = "/v1/maintenance/{window}", tag = "incidents", params(AtWindow),
    responses((status = 200, body = MaintenanceView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn end_maintenance(
    State(app): State<App>,
    Path(at): Path<AtWindow>,
    Caller(actor): Caller,
) -> Reply<MaintenanceView> {
    Ok(Json(app.end_maintenance(&at.window, &actor).await?))
}
