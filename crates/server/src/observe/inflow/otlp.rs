//! OpenTelemetry's protocol over HTTP, and what becomes of what it brings.

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use daybook_ingest::otlp::{self, Format, Signal};
use daybook_ingest::remote::Skipped;
use daybook_ingest::{Encoding, Limits};

use super::super::lock;
use super::body::{Failure, header};
use super::{blocking, learn, log_records, respond, without_ours};
use crate::App;

/// A series that told nothing of its growth for so long begins anew: a day, in milliseconds.
const SILENT: i64 = 86_400_000;

/// A message, and how it is written.
pub(super) struct Message {
    pub(super) signal: Signal,
    pub(super) format: Format,
    pub(super) encoding: Encoding,
    pub(super) bytes: Bytes,
}

pub(super) async fn export(signal: Signal, app: App, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let format = match Format::of(header(&head.headers, "content-type")) {
        Ok(format) => format,
        Err(refused) => return respond(otlp::refuse(Format::Json, &refused)),
    };
    respond(match taken(&app, signal, format, &head.headers, body).await {
        Ok(skipped) => otlp::answer(signal, format, &skipped),
        Err(Failure::Refused(refused)) => otlp::refuse(format, &refused),
        Err(Failure::Later(why)) => otlp::failed(format, &why),
    })
}

async fn taken(app: &App, signal: Signal, format: Format, headers: &HeaderMap, body: Body) -> Result<Skipped, Failure> {
    let encoding = Encoding::of(header(headers, "content-encoding"))?;
    let (bytes, _turn) = app.inner.observatory.inflow.body(body, Limits::otlp().bytes).await?;
    take(app, Message { signal, format, encoding, bytes }).await
}

/// Takes a message in. What is skipped is not to be sent again.
pub(super) async fn take(app: &App, message: Message) -> Result<Skipped, Failure> {
    match message.signal {
        Signal::Metrics => metrics(app.clone(), message).await,
        Signal::Logs => log_records::take(app, message).await,
        Signal::Traces => traces(app.clone(), message).await,
    }
}

async fn metrics(app: App, message: Message) -> Result<Skipped, Failure> {
    let store = app.inner.observatory.store().map_err(Failure::Later)?;
    let Message { format, encoding, bytes, .. } = message;
    blocking(move || {
        let now = app.now().as_millisecond();
        let observatory = &app.inner.observatory;
        // What came before is there when the next is added to it.
        let mut deltas = lock(&observatory.inflow.deltas);
        deltas.forget(now.saturating_sub(SILENT));
        let read = otlp::metrics(format, encoding, &bytes, Limits::otlp(), &deltas, now)?;
        let mut skipped = read.skipped;
        let batch = without_ours(read.batch, &mut skipped);
        let receipt = store.append(&batch, now).map_err(|error| Failure::Later(error.to_string()))?;
        deltas.commit(read.pending);
        drop(deltas);
        learn(observatory, &read.metadata);
        for (why, count) in &receipt.refused {
            skipped.add(*count, why);
        }
        Ok(skipped)
    })
    .await
}

async fn traces(app: App, message: Message) -> Result<Skipped, Failure> {
    let Message { format, encoding, bytes, .. } = message;
    blocking(move || {
        let read = otlp::traces(format, encoding, &bytes, Limits::otlp())?;
        let mut known = lock(&app.inner.observatory.inflow.traces);
        read.spans.into_iter().for_each(|span| known.insert(span));
        Ok(read.skipped)
    })
    .await
}
