//! Prometheus' remote write, 1.0 and 2.0.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use daybook_ingest::remote::{self, Version};
use daybook_ingest::{Answer, Encoding, Limits};

use super::body::{Failure, header};
use super::{blocking, learn, respond, without_ours};
use crate::App;

pub(super) async fn write(State(app): State<App>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    respond(match taken(&app, &head.headers, body).await {
        Ok(answer) => answer,
        Err(Failure::Refused(refused)) => remote::refuse(&refused),
        Err(Failure::Later(why)) => remote::later(why),
    })
}

async fn taken(app: &App, headers: &HeaderMap, body: Body) -> Result<Answer, Failure> {
    let version = Version::of(header(headers, "content-type"))?;
    let encoding = Encoding::of(header(headers, "content-encoding"))?;
    let store = app.inner.observatory.store().map_err(Failure::Later)?;
    let limits = Limits::default();
    let (body, _turn) = app.inner.observatory.inflow.body(body, limits.bytes).await?;
    let app = app.clone();
    blocking(move || {
        let mut write = remote::read(version, encoding, &body, limits)?;
        write.batch = without_ours(std::mem::take(&mut write.batch), &mut write.skipped);
        let kept = store.append(&write.batch, app.now().as_millisecond());
        if kept.is_ok() {
            learn(&app.inner.observatory, &write.metadata);
        }
        Ok(remote::answer(version, &write, kept.as_ref()))
    })
    .await
}
