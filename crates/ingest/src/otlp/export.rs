//! What was logged, as it is sent to others: `POST …/v1/logs` with protobuf and gzip.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp-request>

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1 as sent;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::LogRecord;
use super::values::{key_values, sendable};

/// The headers of a request beside the body's length.
pub const HEADERS: [(&str, &str); 2] = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];

/// A request that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its body.
    pub body: Vec<u8>,
    /// How many records are in it.
    pub records: usize,
}

/// Requests with at most so many bytes of records each before they are packed, and at least one record, which hold all of them in
/// their order. What is said of their senders comes on top, once for each sender. A sender's attributes hold its service's name.
pub fn requests(records: impl IntoIterator<Item = LogRecord>, most: usize) -> Vec<Request> {
    let (mut requests, mut open) = (Vec::new(), Open::default());
    for record in records {
        let (resource, scope, record) = parts(record);
        let bytes = record.encoded_len();
        if open.records > 0 && open.bytes + bytes > most {
            requests.push(std::mem::take(&mut open).packed());
        }
        open.put(resource, scope, record);
        open.bytes += bytes;
        open.records += 1;
    }
    if open.records > 0 {
        requests.push(open.packed());
    }
    requests
}

/// A request to which records are added.
#[derive(Default)]
struct Open {
    message: ExportLogsServiceRequest,
    bytes: usize,
    records: usize,
}

impl Open {
    /// Adds a record below its sender and its scope.
    fn put(&mut self, resource: Vec<KeyValue>, scope: String, record: sent::LogRecord) {
        let senders = &mut self.message.resource_logs;
        let known = senders.iter().position(|one| one.resource.as_ref().is_some_and(|of| of.attributes == resource));
        let at = known.unwrap_or_else(|| {
            let resource = Some(Resource { attributes: resource, ..Resource::default() });
            senders.push(sent::ResourceLogs { resource, ..sent::ResourceLogs::default() });
            senders.len() - 1
        });
        let scopes = &mut senders[at].scope_logs;
        let known = scopes.iter().position(|one| one.scope.as_ref().is_some_and(|of| of.name == scope));
        let at = known.unwrap_or_else(|| {
            let scope = Some(InstrumentationScope { name: scope, ..InstrumentationScope::default() });
            scopes.push(sent::ScopeLogs { scope, ..sent::ScopeLogs::default() });
            scopes.len() - 1
        });
        scopes[at].log_records.push(record);
    }

    fn packed(self) -> Request {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        let packed = gzip.write_all(&self.message.encode_to_vec()).and_then(|()| gzip.finish());
        Request { body: packed.expect("memory takes all that is written"), records: self.records }
    }
}

/// The attributes of a record's sender, the name of its scope, and the record.
fn parts(record: LogRecord) -> (Vec<KeyValue>, String, sent::LogRecord) {
    let at = record.at.unwrap_or_default();
    let sent = sent::LogRecord {
        time_unix_nano: at,
        observed_time_unix_nano: at,
        severity_number: record.severity.map_or(0, i32::from),
        severity_text: record.severity_text,
        body: Some(sendable(record.body)),
        attributes: key_values(record.attributes),
        trace_id: record.trace.map(|id| id.bytes().to_vec()).unwrap_or_default(),
        span_id: record.span.map(|id| id.bytes().to_vec()).unwrap_or_default(),
        event_name: record.event,
        ..sent::LogRecord::default()
    };
    (key_values(record.resource), record.scope, sent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::otlp::{Format, logs};
    use crate::{Encoding, Limits};

    fn record(service: &str, at: u64, text: &str) -> LogRecord {
        LogRecord {
            at: Some(at),
            severity: Some(17),
            severity_text: "ERROR".to_owned(),
            body: text.into(),
            event: String::new(),
            attributes: vec![("n".to_owned(), json!(5)), ("of".to_owned(), json!({ "a": [true, 0.5, null] }))],
            resource: vec![("service.name".to_owned(), service.into())],
            service: service.to_owned(),
            scope: "orders".to_owned(),
            trace: "4bf92f3577b34da6a3ce929d0e0e4736".parse().ok(),
            span: "00f067aa0ba902b7".parse().ok(),
        }
    }

    fn read(request: &Request) -> Vec<LogRecord> {
        logs(Format::Protobuf, Encoding::Gzip, &request.body, Limits::otlp()).unwrap().records
    }

    #[test]
    fn what_is_sent_is_what_is_read() {
        let records = [record("web", 1_700_000_000_000_000_001, "a \"b\""), record("web", 2, "c")];
        let bare = LogRecord {
            at: None,
            severity: None,
            severity_text: String::new(),
            attributes: Vec::new(),
            scope: String::new(),
            trace: None,
            span: None,
            ..record("web", 3, "d")
        };
        let records = [records.to_vec(), vec![bare]].concat();
        let requests = requests(records.clone(), 10_000);
        assert_eq!(requests.iter().map(|request| request.records).collect::<Vec<_>>(), [3]);
        assert_eq!(read(&requests[0]), records);
    }

    proptest! {
        #[test]
        fn every_record_is_sent_once_and_in_the_order_of_its_service(
            sent in prop::collection::vec(("[ab]", ".{0,40}"), 0..60),
            most in 0_usize..1_000,
        ) {
            let records: Vec<LogRecord> =
                sent.iter().zip(1..).map(|((service, text), at)| record(service, at, text)).collect();
            let requests = requests(records.clone(), most);
            prop_assert_eq!(requests.iter().map(|request| request.records).sum::<usize>(), records.len());
            let seen: Vec<LogRecord> = requests.iter().flat_map(read).collect();
            for service in ["a", "b"] {
                let of = |all: &[LogRecord]| -> Vec<LogRecord> {
                    all.iter().filter(|one| one.service == service).cloned().collect()
                };
                prop_assert_eq!(of(&seen), of(&records));
            }
        }
    }
}
