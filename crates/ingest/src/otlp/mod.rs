//! OpenTelemetry's protocol: what its exporters send, as protobuf or JSON; and what was logged, as it is sent to others ([`export`]).
//!
//! <https://opentelemetry.io/docs/specs/otlp/>. How metrics become series:
//! <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>.

mod answer;
mod body;
mod delta;
mod exponential;
pub mod export;
mod logs;
mod metrics;
mod names;
mod resource;
#[cfg(test)]
mod tests;
mod traces;
mod values;

pub use answer::{answer, failed, refuse, rejected, response};
pub use body::{Format, Signal};
pub use delta::{Deltas, Pending};
pub use logs::{LogRecord, Logs, logs};
pub use metrics::{Metrics, metrics};
pub use traces::{Span, SpanKind, SpanStatus, Spans, traces};

use crate::remote::Skipped;
