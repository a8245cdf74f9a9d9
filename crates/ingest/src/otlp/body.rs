//! What a body is of, and what is in it.

use prost::Message;
use serde_json::Value;

use crate::unpack::unpack;
use crate::{Encoding, Limits, Refused};

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Measurements.
    Metrics,
    /// What was logged.
    Logs,
    /// Steps of requests.
    Traces,
}

/// Each signal: the end of its path over HTTP, its method over gRPC, and what JSON calls what was refused of it.
const SIGNALS: [(Signal, &str, &str, &str); 3] = [
    (
        Signal::Metrics,
        "/v1/metrics",
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        "rejectedDataPoints",
    ),
    (Signal::Logs, "/v1/logs", "/opentelemetry.proto.collector.logs.v1.LogsService/Export", "rejectedLogRecords"),
    (Signal::Traces, "/v1/traces", "/opentelemetry.proto.collector.trace.v1.TraceService/Export", "rejectedSpans"),
];

impl Signal {
    /// What a path takes over HTTP, wherever it is mounted: `/v1/metrics`, `/api/v1/otlp/v1/metrics`.
    pub fn of_http(path: &str) -> Option<Self> {
        SIGNALS.iter().find(|(_, end, ..)| path.ends_with(end)).map(|(signal, ..)| *signal)
    }

    /// What a path takes over gRPC.
    pub fn of_grpc(path: &str) -> Option<Self> {
        SIGNALS.iter().find(|(_, _, method, _)| path == *method).map(|(signal, ..)| *signal)
    }

    pub(super) fn rejected(self) -> &'static str {
        SIGNALS.iter().find(|(signal, ..)| *signal == self).map_or("", |(_, _, _, word)| word)
    }
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As protobuf.
    Protobuf,
    /// As JSON.
    Json,
}

impl Format {
    /// By the value of the header `Content-Type`.
    pub fn of(content_type: &str) -> Result<Self, Refused> {
        let kind = content_type.split(';').next().unwrap_or_default().trim();
        match kind.to_ascii_lowercase().as_str() {
            "application/x-protobuf" | "application/protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            _ => Err(Refused::ContentType(content_type.to_owned())),
        }
    }

    /// The content type of an answer, which is that of the request.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// Reads a body.
pub(super) fn read<T: Message + Default + serde::de::DeserializeOwned>(
    format: Format,
    encoding: Encoding,
    body: &[u8],
    limits: Limits,
) -> Result<T, Refused> {
    let plain = unpack(body, encoding, limits.bytes)?;
    match format {
        Format::Protobuf => Ok(T::decode(plain.as_ref())?),
        Format::Json => {
            let malformed = |error: serde_json::Error| Refused::Malformed(error.to_string());
            let mut value: Value = serde_json::from_slice(&plain).map_err(malformed)?;
            without_nulls(&mut value);
            serde_json::from_value(value).map_err(malformed)
        }
    }
}

/// In the JSON of protobuf, null is as much as nothing.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
