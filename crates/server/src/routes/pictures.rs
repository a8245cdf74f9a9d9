//! What was measured, drawn.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use daybook_api::ErrorBody;
use daybook_api::query::PictureQuery;

use crate::App;
use crate::error::ApiError;
use crate::request::Query;

/// What was measured over time, as a picture that needs nothing else.
#[utoipa::path(
    get, path = "/v1/query.svg", tag = "look", params(PictureQuery),
    responses(
        (status = 200, body = String, content_type = "image/svg+xml"), (status = "default", body = ErrorBody)
    )
)]
pub(crate) async fn draw_query(
    State(app): State<App>,
    Query(query): Query<PictureQuery>,
) -> Result<Response, ApiError> {
    let drawn = app.picture(query).await?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], drawn).into_response())
}
