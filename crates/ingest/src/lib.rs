//! What others send of measurements, logs and traces, and what is sent to others.
//!
//! All of it is bytes in, data out, and the other way round: nothing here has a socket, a clock or a file.
//!
//! - [`remote`]: Prometheus' remote write 1.0 and 2.0, in and out;
//! - [`loki`]: lines, out;
//! - [`otlp`]: OpenTelemetry's protocol, as protobuf and JSON: metrics become series, logs and spans plain records;
//! - [`grpc`]: the little of gRPC that a call of OTLP takes on HTTP/2;
//! - [`trace_context`]: W3C's headers, and which requests are followed;
//! - [`trace_store`]: spans by trace, as far as memory allows, and one request as rows.
//!
//! Whatever cannot be taken says what its sender has to do ([`Refused::status`], [`Answer`]): a 4xx is never sent again, a 5xx is.

mod answer;
pub mod grpc;
pub mod loki;
pub mod otlp;
mod refused;
pub mod remote;
pub mod trace_context;
pub mod trace_store;
mod unpack;

use daybook_metrics::exposition::Kind;

pub use answer::Answer;
pub use refused::Refused;
pub use unpack::Encoding;

/// How much is taken at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many bytes a body may have when it is unpacked. It is refused before it is unpacked, as far as it says its length.
    pub bytes: usize,
}

/// As much as Prometheus takes.
impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 32 << 20 }
    }
}

impl Limits {
    /// For OTLP, whose bodies take many times their bytes while they are read: four mebibytes, as collectors have it.
    pub fn otlp() -> Self {
        Self { bytes: 4 << 20 }
    }
}

/// What is said of a metric.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Its name.
    pub metric: String,
    /// What it is.
    pub kind: Kind,
    /// What it is about.
    pub help: String,
    /// What it is measured in.
    pub unit: String,
}
