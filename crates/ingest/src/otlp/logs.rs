//! What was logged.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use serde_json::Value;

use super::resource::Sender;
use super::{Format, Skipped, body, values};
use crate::trace_context::{SpanId, TraceId};
use crate::{Encoding, Limits, Refused};

/// What was logged once.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRecord {
    /// When it was logged, or else when it was seen; in nanoseconds since 1970. None if nobody says.
    pub at: Option<u64>,
    /// How severe it is, from 1 (least) to 24: TRACE from 1, DEBUG from 5, INFO from 9, WARN from 13, ERROR from 17, FATAL from 21.
    pub severity: Option<u8>,
    /// The word that the program has for it; empty if it has none.
    pub severity_text: String,
    /// What was logged: a text, or an object.
    pub body: Value,
    /// The kind of event that it is; empty if it has none.
    pub event: String,
    /// What else is said, by name.
    pub attributes: Vec<(String, Value)>,
    /// What is said of the sender, by name.
    pub resource: Vec<(String, Value)>,
    /// The name of the service; empty if it has none.
    pub service: String,
    /// What in the program logged it; empty if nobody says.
    pub scope: String,
    /// The trace in which it was logged.
    pub trace: Option<TraceId>,
    /// The step of it.
    pub span: Option<SpanId>,
}

/// What a request holds.
#[derive(Debug, Default)]
pub struct Logs {
    /// Each record, as they came.
    pub records: Vec<LogRecord>,
    /// Those that are none.
    pub skipped: Skipped,
}

/// Reads a body.
pub fn logs(format: Format, encoding: Encoding, body: &[u8], limits: Limits) -> Result<Logs, Refused> {
    let request: ExportLogsServiceRequest = body::read(format, encoding, body, limits)?;
    let mut logs = Logs::default();
    for of in request.resource_logs {
        let sender = Sender::of(of.resource);
        let service = sender.service();
        for scope in of.scope_logs {
            let name = scope.scope.map(|scope| scope.name).unwrap_or_default();
            for record in scope.log_records {
                logs.records.push(LogRecord {
                    at: [record.time_unix_nano, record.observed_time_unix_nano].into_iter().find(|at| *at != 0),
                    severity: u8::try_from(record.severity_number).ok().filter(|number| (1..=24).contains(number)),
                    severity_text: record.severity_text,
                    body: values::value(record.body),
                    event: record.event_name,
                    attributes: values::attributes(record.attributes),
                    resource: sender.attributes.clone(),
                    service: service.clone(),
                    scope: name.clone(),
                    trace: TraceId::of(&record.trace_id).ok(),
                    span: SpanId::of(&record.span_id).ok(),
                });
            }
        }
    }
    Ok(logs)
}
