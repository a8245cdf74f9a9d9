//! What others send: measurements by Prometheus' remote write, and measurements, logs and steps of requests by OpenTelemetry's
//! protocol over HTTP and gRPC.
//!
//! - `body` reads what is sent, within bounds;
//! - `remote_write`, `otlp` and `call` are the three ways in;
//! - `log_records` makes lines of what was logged, without the secrets that are known here;
//! - `traces` tells of requests, step by step.

mod body;
mod call;
mod log_records;
mod otlp;
mod remote_write;
#[cfg(test)]
mod tests;
mod traces;

use std::collections::BTreeSet;
use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use daybook_ingest::otlp::{Deltas, Signal};
use daybook_ingest::remote::Skipped;
use daybook_ingest::trace_store::{Bounds, TraceStore};
use daybook_ingest::{Answer, Metadata};
use daybook_metrics::store::Batch;
use tokio::sync::Semaphore;

use super::{Observatory, lock};
use crate::App;
use body::Failure;

/// Bodies that are taken in at once. Each may take many times its bytes.
const AT_ONCE: usize = 8;
/// Series that tell only what they grew by.
const DELTAS: usize = 50_000;
/// Bytes of what is said of a metric, at most.
const HELP: usize = 1_000;

/// What is remembered between two bodies.
pub(super) struct Inflow {
    turns: Semaphore,
    deltas: Mutex<Deltas>,
    traces: Mutex<TraceStore>,
    /// Where lines of others came from.
    origins: Mutex<BTreeSet<String>>,
}

impl Default for Inflow {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(AT_ONCE),
            deltas: Mutex::new(Deltas::new(DELTAS)),
            traces: Mutex::new(TraceStore::new(Bounds::default())),
            origins: Mutex::default(),
        }
    }
}

/// The paths that take something.
pub(super) fn routes() -> Router<App> {
    let mut routes = Router::new()
        .route("/api/v1/write", post(remote_write::write))
        // The methods of OTLP over gRPC are `/opentelemetry.proto.collector.….v1.…Service/Export`.
        .route("/{service}/Export", post(call::call));
    for (path, signal) in [("/v1/metrics", Signal::Metrics), ("/v1/logs", Signal::Logs), ("/v1/traces", Signal::Traces)]
    {
        let export = move |State(app): State<App>, request: Request| otlp::export(signal, app, request);
        routes = routes.route(path, post(export)).route(&format!("/api/v1/otlp{path}"), post(export));
    }
    routes
}

fn respond(answer: Answer) -> Response {
    let headers = answer.headers.iter();
    let response = headers.fold(Response::builder().status(answer.status), |response, (name, value)| {
        response.header(*name, value.as_str())
    });
    response.body(Body::from(answer.body)).expect("an answer has headers that are some")
}

/// Leaves series out that are called as ours are: we alone say how we do, and what fires follows from that.
fn without_ours(batch: Batch, skipped: &mut Skipped) -> Batch {
    let is_ours = |metric: &str| metric.starts_with("daybook_");
    let series = || batch.samples().map(|(labels, ..)| labels).chain(batch.histograms().map(|(labels, ..)| labels));
    let ours = series().filter(|labels| is_ours(labels.metric())).count();
    if ours == 0 {
        return batch;
    }
    skipped.add(ours as u64, "names that begin with daybook_ are Daybook's own");
    let mut others = Batch::default();
    for (labels, at, value) in batch.samples().filter(|(labels, ..)| !is_ours(labels.metric())) {
        others.add(labels.clone(), at, value);
    }
    for (labels, at, value) in batch.histograms().filter(|(labels, ..)| !is_ours(labels.metric())) {
        others.add_histogram(labels.clone(), at, value.clone());
    }
    others
}

/// Remembers what is said of metrics, as far as there is room.
fn learn(observatory: &Observatory, all: &[Metadata]) {
    let mut known = lock(&observatory.metadata);
    for about in all.iter().filter(|about| !about.metric.starts_with("daybook_")) {
        if known.len() < super::scrape::KNOWN || known.contains_key(&about.metric) {
            let mut help = about.help.clone();
            help.truncate(help.floor_char_boundary(HELP));
            known.insert(about.metric.clone(), (about.kind, help));
        }
    }
}

/// Does what takes a processor, or waits for a disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::Later(format!("it broke off: {error}")))?
}
