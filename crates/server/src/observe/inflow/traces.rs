//! What is told of requests, step by step.

use daybook_api::trace::{SpanView, TraceLine, TraceView, TracesQuery};
use daybook_ingest::otlp::{SpanKind, SpanStatus};
use daybook_ingest::trace_context::TraceId;
use daybook_ingest::trace_store::{Row, Summary};
use daybook_model::Timestamp;

use super::super::lock;
use crate::App;
use crate::error::ApiError;

/// Lines of a list.
const USUAL: usize = 20;
const MOST: usize = 1_000;

impl App {
    /// Requests, the one that was told of last first.
    pub(crate) fn traces(&self, asked: &TracesQuery) -> Vec<TraceLine> {
        let longer = asked.longer_than_ms.unwrap_or(0).saturating_mul(1_000_000);
        let chosen = |of: &Summary| {
            asked.service.as_ref().is_none_or(|service| *service == of.service)
                && (of.failed || !asked.failed)
                && of.duration >= longer
        };
        let most = asked.limit.unwrap_or(USUAL).min(MOST);
        let found = lock(&self.inner.observatory.inflow.traces).list(most, chosen);
        found.into_iter().map(line).collect()
    }

    /// One request.
    pub(crate) fn trace(&self, id: &str) -> Result<TraceView, ApiError> {
        let read = id.to_ascii_lowercase().parse::<TraceId>();
        let trace =
            read.map_err(|_| ApiError::invalid(format!("`{id}` is no trace: one has 32 hexadecimal digits")))?;
        let found = lock(&self.inner.observatory.inflow.traces).waterfall(trace).ok_or_else(|| {
            let why = format!("nothing is known of trace {trace}");
            ApiError::not_found(why).hint("traces are in memory: old ones go, and all when the server ends")
        })?;
        let began = found.rows.iter().map(|row| row.span.start).min().unwrap_or_default();
        Ok(TraceView {
            trace: trace.to_string(),
            began: time(began),
            duration_ns: found.duration,
            dropped: found.dropped,
            spans: found.rows.into_iter().map(step).collect(),
        })
    }
}

fn line(of: Summary) -> TraceLine {
    TraceLine {
        trace: of.trace.to_string(),
        service: of.service,
        name: of.name,
        began: time(of.start),
        duration_ns: of.duration,
        spans: of.spans,
        failed: of.failed,
    }
}

fn step(row: Row) -> SpanView {
    let Row { span, depth, offset, duration } = row;
    let kind = match span.kind {
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    };
    let (failed, error) = match span.status {
        SpanStatus::Error(why) => (true, why),
        SpanStatus::Unset | SpanStatus::Ok => (false, String::new()),
    };
    SpanView {
        id: span.id.to_string(),
        parent: span.parent.map(|parent| parent.to_string()),
        depth,
        service: span.service,
        name: span.name,
        kind: kind.to_owned(),
        offset_ns: offset,
        duration_ns: duration,
        failed,
        error,
        attributes: span.attributes.into_iter().collect(),
    }
}

/// Nanoseconds since 1970 as a time.
fn time(nanoseconds: u64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default()
}
