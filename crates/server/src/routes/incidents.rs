//! Alerts and incidents.

use axum::Json;
use axum::extract::State;
use daybook_api::ErrorBody;
use daybook_api::incident::{AlertView, IncidentView, IncidentsQuery, Marking, OpenIncident};
use daybook_api::rules::{AlertTest, TestAlerts};
use daybook_api::silence::{AddSilence, SilenceView};

use crate::App;
use crate::error::{ApiError, Reply};
use crate::request::{AtIncident, AtSilence, Body, Caller, Path, Query};

/// What fires, is about to, or ended not long ago.
#[utoipa::path(
    get, path = "/v1/alerts", tag = "incidents", params(IncidentsQuery),
    responses((status = 200, body = Vec<AlertView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn list_alerts(State(app): State<App>, Query(query): Query<IncidentsQuery>) -> Reply<Vec<AlertView>> {
    Ok(Json(app.alerts(query.key.as_ref(), query.all)))
}

/// What rules would have done in the past. Nothing is done.
#[utoipa::path(
    post, path = "/v1/alerts/test", tag = "incidents", request_body = TestAlerts,
    responses((status = 200, body = AlertTest), (status = "default", body = ErrorBody))
)]
pub(crate) async fn test_alerts(State(app): State<App>, Body(asked): Body<TestAlerts>) -> Reply<AlertTest> {
    app.known(asked.key.clone()).await?;
    Ok(Json(app.test_alerts(asked).await?))
}

/// Silences that hold or are to hold, the one that ends next first.
#[utoipa::path(
    get, path = "/v1/silences", tag = "incidents", params(IncidentsQuery),
    responses((status = 200, body = Vec<SilenceView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn list_silences(
    State(app): State<App>,
    Query(query): Query<IncidentsQuery>,
) -> Reply<Vec<SilenceView>> {
    Ok(Json(app.silences(query.key.as_ref(), query.all)))
}

/// Lets nobody be told of some alerts for a time.
#[utoipa::path(
    post, path = "/v1/silences", tag = "incidents", request_body = AddSilence,
    responses((status = 200, body = SilenceView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn add_silence(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(asked): Body<AddSilence>,
) -> Reply<SilenceView> {
    app.known(asked.key.clone()).await?;
    Ok(Json(app.add_silence(asked, &actor).await?))
}

/// Ends a silence before its time.
#[utoipa::path(
    delete, path = "/v1/silences/{silence}", tag = "incidents", params(AtSilence),
    responses((status = 200, body = SilenceView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn end_silence(
    State(app): State<App>,
    Path(at): Path<AtSilence>,
    Caller(actor): Caller,
) -> Reply<SilenceView> {
    Ok(Json(app.end_silence(&at.silence, &actor).await?))
}

/// Incidents that go on, newest first.
#[utoipa::path(
    get, path = "/v1/incidents", tag = "incidents", params(IncidentsQuery),
    responses((status = 200, body = Vec<IncidentView>), (status = "default", body = ErrorBody))
)]
pub(crate) async fn list_incidents(
    State(app): State<App>,
    Query(query): Query<IncidentsQuery>,
) -> Reply<Vec<IncidentView>> {
    Ok(Json(app.incidents(query.key.as_ref(), query.all)))
}

/// Opens an incident that no alert told of.
#[utoipa::path(
    post, path = "/v1/incidents", tag = "incidents", request_body = OpenIncident,
    responses((status = 200, body = IncidentView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn open_incident(
    State(app): State<App>,
    Caller(actor): Caller,
    Body(asked): Body<OpenIncident>,
) -> Reply<IncidentView> {
    app.known(asked.key.clone()).await?;
    Ok(Json(app.open_incident(asked, &actor).await?))
}

/// One incident, with its timeline, and what is suspected.
#[utoipa::path(
    get, path = "/v1/incidents/{incident}", tag = "incidents", params(AtIncident),
    responses((status = 200, body = IncidentView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn get_incident(State(app): State<App>, Path(at): Path<AtIncident>) -> Reply<IncidentView> {
    Ok(Json(app.incident(&at.incident)?))
}

/// Says something about an incident: that somebody sees to it, that it is over, a note.
#[utoipa::path(
    post, path = "/v1/incidents/{incident}", tag = "incidents", params(AtIncident), request_body = Marking,
    responses((status = 200, body = IncidentView), (status = "default", body = ErrorBody))
)]
pub(crate) async fn mark_incident(
    State(app): State<App>,
    Path(at): Path<AtIncident>,
    Caller(actor): Caller,
    Body(marking): Body<Marking>,
) -> Reply<IncidentView> {
    Ok(Json(app.mark_incident(&at.incident, marking, &actor).await?))
}

/// The draft of a post-mortem, as Markdown.
#[utoipa::path(
    get, path = "/v1/incidents/{incident}/postmortem", tag = "incidents", params(AtIncident),
    responses((status = 200, body = String), (status = "default", body = ErrorBody))
)]
pub(crate) async fn get_postmortem(
    State(app): State<App>,
    Path(at): Path<AtIncident>,
) -> Result<Json<String>, ApiError> {
    Ok(Json(app.postmortem(&at.incident).await?))
}
