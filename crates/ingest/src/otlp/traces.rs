//! Steps of requests.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1 as wire;
use serde_json::Value;

use super::resource::Sender;
use super::{Format, Skipped, body, values};
use crate::trace_context::{NoId, SpanId, TraceId};
use crate::{Encoding, Limits, Refused};

/// A step of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The request.
    pub trace: TraceId,
    /// This step.
    pub id: SpanId,
    /// The step that it is a part of; none for the first.
    pub parent: Option<SpanId>,
    /// What is done.
    pub name: String,
    /// On which side.
    pub kind: SpanKind,
    /// When it began, in nanoseconds since 1970.
    pub start: u64,
    /// When it ended; not before it began.
    pub end: u64,
    /// How it ended.
    pub status: SpanStatus,
    /// What else is said, by name.
    pub attributes: Vec<(String, Value)>,
    /// The name of the service; empty if it has none.
    pub service: String,
}

/// On which side of a call a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpanKind {
    /// On none.
    #[default]
    Internal,
    /// It answers.
    Server,
    /// It asks.
    Client,
    /// It leaves something to be done later.
    Producer,
    /// It does what was left.
    Consumer,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SpanStatus {
    /// Nobody says.
    #[default]
    Unset,
    /// Well.
    Ok,
    /// It failed, and why.
    Error(String),
}

/// What a request holds.
#[derive(Debug, Default)]
pub struct Spans {
    /// Each step, as they came.
    pub spans: Vec<Span>,
    /// Those that are none.
    pub skipped: Skipped,
}

/// Reads a body.
pub fn traces(format: Format, encoding: Encoding, body: &[u8], limits: Limits) -> Result<Spans, Refused> {
    let request: ExportTraceServiceRequest = body::read(format, encoding, body, limits)?;
    let mut all = Spans::default();
    for of in request.resource_spans {
        let service = Sender::of(of.resource).service();
        for one in of.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            match span(one, &service) {
                Ok(span) => all.spans.push(span),
                Err(why) => all.skipped.add(1, why),
            }
        }
    }
    Ok(all)
}

fn span(one: wire::Span, service: &str) -> Result<Span, NoId> {
    use wire::span::SpanKind as Kind;
    use wire::status::StatusCode as Code;
    let kind = match Kind::try_from(one.kind).unwrap_or_default() {
        Kind::Unspecified | Kind::Internal => SpanKind::Internal,
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Producer => SpanKind::Producer,
        Kind::Consumer => SpanKind::Consumer,
    };
    let status = one.status.unwrap_or_default();
    let status = match Code::try_from(status.code).unwrap_or_default() {
        Code::Unset => SpanStatus::Unset,
        Code::Ok => SpanStatus::Ok,
        Code::Error => SpanStatus::Error(status.message),
    };
    Ok(Span {
        trace: TraceId::of(&one.trace_id)?,
        id: SpanId::of(&one.span_id)?,
        parent: SpanId::of(&one.parent_span_id).ok(),
        name: one.name,
        kind,
        start: one.start_time_unix_nano,
        end: one.end_time_unix_nano.max(one.start_time_unix_nano),
        status,
        attributes: values::attributes(one.attributes),
        service: service.to_owned(),
    })
}
