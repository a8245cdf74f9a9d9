use daybook_metrics::exposition::Kind;
use daybook_metrics::store::Batch;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use proptest::prelude::*;
use prost::Message;
use serde_json::json;

use super::*;
use crate::{Encoding, Limits};

const NOW: i64 = 1_700_000_000_000;

/// A request with one metric.
fn request(metric: &serde_json::Value) -> Vec<u8> {
    let attribute = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let resource = json!({ "attributes": [
        attribute("service.name", "web"),
        attribute("service.namespace", "shop"),
        attribute("service.instance.id", "web-1"),
        attribute("host.name", "a"),
    ] });
    json!({ "resourceMetrics": [{ "resource": resource, "scopeMetrics": [{ "metrics": [metric] }] }] })
        .to_string()
        .into_bytes()
}

fn read(body: &[u8], deltas: &Deltas) -> Metrics {
    metrics(Format::Json, Encoding::Identity, body, Limits::default(), deltas, NOW).unwrap()
}

/// The samples of a batch as text, without those of `target_info`.
fn told(batch: &Batch) -> Vec<String> {
    let lines = batch.samples().map(|(labels, at, value)| format!("{labels} {value} {}", at - NOW));
    let histograms = batch.histograms().map(|(labels, at, value)| format!("{labels} {value} {}", at - NOW));
    lines.chain(histograms).filter(|line| !line.starts_with("target_info")).collect()
}

fn point(value: &str, at: i64) -> serde_json::Value {
    let attributes = json!([{ "key": "http.route", "value": { "stringValue": "/a" } }]);
    json!({ "asDouble": value.parse::<f64>().unwrap(), "timeUnixNano": ((NOW + at) * 1_000_000).to_string(),
        "attributes": attributes })
}

#[test]
fn numbers_become_series_with_the_names_of_prometheus() {
    let gauge = json!({ "name": "process.cpu.utilization", "unit": "1", "description": "Of one.",
        "gauge": { "dataPoints": [point("0.5", 1), { "asInt": "7", "timeUnixNano": 0 }, {"timeUnixNano": "5"}] } });
    let read_gauge = read(&request(&gauge), &Deltas::new(9));
    assert_eq!(
        told(&read_gauge.batch),
        [
            r#"process_cpu_utilization_ratio{http_route="/a", instance="web-1", job="shop/web"} 0.5 1"#,
            r#"process_cpu_utilization_ratio{instance="web-1", job="shop/web"} 7 0"#,
        ]
    );
    assert_eq!((read_gauge.skipped.count, read_gauge.skipped.first.contains("no value")), (1, true));
    let info = read_gauge.batch.samples().last().map(|(labels, _, value)| format!("{labels} {value}"));
    assert_eq!(info.as_deref(), Some(r#"target_info{host_name="a", instance="web-1", job="shop/web"} 1"#));
    let said: Vec<_> = read_gauge.metadata.iter().map(|one| (one.metric.as_str(), one.kind)).collect();
    assert_eq!(said, [("process_cpu_utilization_ratio", Kind::Gauge), ("target_info", Kind::Info)]);
    let sum = |temporality: i32, monotonic: bool| {
        json!({ "name": "http.requests", "unit": "{request}",
            "sum": { "aggregationTemporality": temporality, "isMonotonic": monotonic, "dataPoints": [point("3", 0)] } })
    };
    let line = r#"{http_route="/a", instance="web-1", job="shop/web"} 3 0"#;
    let deltas = Deltas::new(9);
    assert_eq!(told(&read(&request(&sum(2, true)), &deltas).batch), [format!("http_requests_total{line}")]);
    assert_eq!(told(&read(&request(&sum(2, false)), &deltas).batch), [format!("http_requests{line}")]);
    assert_eq!(read(&request(&sum(0, true)), &deltas).skipped.count, 1);
}

#[test]
fn deltas_are_added_up() {
    let mut deltas = Deltas::new(9);
    let sum = |at: i64| {
        json!({ "name": "jobs", "sum": { "aggregationTemporality": 1, "isMonotonic": true,
            "dataPoints": [point("3", at), point("4", at + 1)] } })
    };
    let first = read(&request(&sum(0)), &deltas);
    let values = |batch: &Batch| batch.samples().take(2).map(|(_, _, value)| value).collect::<Vec<_>>();
    assert_eq!(values(&first.batch), [3.0, 7.0]);
    deltas.commit(first.pending);
    let second = read(&request(&sum(10)), &deltas);
    assert_eq!(values(&second.batch), [10.0, 14.0]);
    deltas.commit(second.pending);
    // The same again is refused, and not counted twice.
    assert_eq!(read(&request(&sum(10)), &deltas).skipped.count, 2);
}

#[test]
fn histograms_become_classic_and_native_ones() {
    let of = |temporality: i32| {
        json!({ "name": "latency", "unit": "ms", "histogram": { "aggregationTemporality": temporality, "dataPoints": [{
            "timeUnixNano": (NOW * 1_000_000).to_string(), "count": "6", "sum": 30.5,
            "bucketCounts": ["1", "2", "3"], "explicitBounds": [5.0, 10.0] }] } })
    };
    let mut deltas = Deltas::new(9);
    let first = read(&request(&of(1)), &deltas);
    let labels = r#"instance="web-1", job="shop/web""#;
    assert_eq!(
        told(&first.batch),
        [
            format!("latency_milliseconds_bucket{{{labels}, le=\"5.0\"}} 1 0"),
            format!("latency_milliseconds_bucket{{{labels}, le=\"10.0\"}} 3 0"),
            format!("latency_milliseconds_bucket{{{labels}, le=\"+Inf\"}} 6 0"),
            format!("latency_milliseconds_count{{{labels}}} 6 0"),
            format!("latency_milliseconds_sum{{{labels}}} 30.5 0"),
        ]
    );
    deltas.commit(first.pending);
    let native = json!({ "name": "size", "unit": "By", "exponentialHistogram": { "aggregationTemporality": 2, "dataPoints": [{
        "timeUnixNano": (NOW * 1_000_000).to_string(), "count": "9", "sum": 30.5, "scale": 0, "zeroCount": "1",
        "positive": { "offset": 1, "bucketCounts": ["3", "0", "5"] } }, { "scale": -5 }] } });
    let read_native = read(&request(&native), &deltas);
    assert_eq!(
        told(&read_native.batch),
        [format!("size_bytes{{{labels}}} {{count:9, sum:30.5, [-1e-128,1e-128]:1, (2,4]:3, (8,16]:5}} 0")]
    );
    assert_eq!(read_native.skipped.count, 1);
    let summary = json!({ "name": "old", "summary": { "dataPoints": [{ "timeUnixNano": (NOW * 1_000_000).to_string(),
        "count": "2", "sum": 4.0, "quantileValues": [{ "quantile": 0.5, "value": 1.5 }] }] } });
    assert_eq!(
        told(&read(&request(&summary), &deltas).batch),
        [
            format!("old{{{labels}, quantile=\"0.5\"}} 1.5 0"),
            format!("old_count{{{labels}}} 2 0"),
            format!("old_sum{{{labels}}} 4 0"),
        ]
    );
}

#[test]
fn a_histogram_that_is_too_wide_is_skipped_and_not_remembered() {
    let counts = vec!["1"; 1_001];
    let bounds: Vec<f64> = (0..1_000).map(f64::from).collect();
    let point = json!({ "count": "1001", "bucketCounts": counts, "explicitBounds": bounds });
    let classic = json!({ "name": "a", "histogram": { "aggregationTemporality": 1, "dataPoints": [point] } });
    let point = json!({ "count": "1001", "positive": { "bucketCounts": counts } });
    let native = json!({ "name": "b", "exponentialHistogram": { "aggregationTemporality": 1, "dataPoints": [point] } });
    for metric in [classic, native] {
        let mut deltas = Deltas::new(9);
        let read = read(&request(&metric), &deltas);
        assert_eq!((told(&read.batch).len(), read.skipped.count), (0, 1));
        deltas.commit(read.pending);
        assert!(deltas.is_empty());
    }
}

#[test]
fn a_point_without_a_value_ends_its_series() {
    let gone = json!({ "name": "up", "gauge": { "dataPoints": [{ "timeUnixNano": "7000000", "flags": 1 }] } });
    let read = read(&request(&gone), &Deltas::new(9));
    assert!(read.batch.samples().next().is_some_and(|(_, at, value)| at == 7 && daybook_metrics::is_stale(value)));
}

#[test]
fn protobuf_and_json_say_the_same() {
    let sum = json!({ "name": "jobs", "sum": { "aggregationTemporality": 2, "isMonotonic": true,
        "dataPoints": [point("3", 5)] } });
    let body = request(&sum);
    let message: ExportMetricsServiceRequest = serde_json::from_slice(&body).unwrap();
    let limits = Limits::default();
    let deltas = Deltas::new(9);
    let bytes = message.encode_to_vec();
    let read_bytes = metrics(Format::Protobuf, Encoding::Identity, &bytes, limits, &deltas, NOW).unwrap();
    assert_eq!(told(&read_bytes.batch), told(&read(&body, &deltas).batch));
    assert!(metrics(Format::Protobuf, Encoding::Identity, &body, limits, &deltas, NOW).is_err());
}

#[test]
fn logs_are_plain_records() {
    let record = json!({ "timeUnixNano": "1700000000000000001", "severityNumber": 17, "severityText": "ERROR",
        "body": { "kvlistValue": { "values": [{ "key": "n", "value": { "intValue": "5" } }] } },
        "attributes": [{ "key": "user", "value": { "arrayValue": { "values": [{ "boolValue": true }, {}] } } }],
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7", "droppedAttributesCount": null });
    let resource = json!({ "attributes": [{ "key": "service.name", "value": { "stringValue": "web" } }] });
    let scope = json!({ "scope": { "name": "app" }, "logRecords": [record, { "observedTimeUnixNano": "5" }] });
    let body = json!({ "resourceLogs": [{ "resource": resource, "scopeLogs": [scope] }] }).to_string();
    let logs = logs(Format::Json, Encoding::Identity, body.as_bytes(), Limits::default()).unwrap();
    let first = &logs.records[0];
    assert_eq!((first.at, first.severity, first.service.as_str()), (Some(1_700_000_000_000_000_001), Some(17), "web"));
    assert_eq!((&first.body, &first.attributes), (&json!({ "n": 5 }), &vec![("user".to_owned(), json!([true, null]))]));
    assert_eq!(first.trace.unwrap().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    let second = &logs.records[1];
    assert_eq!((second.at, second.severity, &second.body, second.trace), (Some(5), None, &json!(null), None));
}

#[test]
fn spans_are_plain_records() {
    let span = |id: &str| {
        json!({ "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": id, "parentSpanId": "00f067aa0ba902b7",
            "name": "GET /", "kind": 2, "startTimeUnixNano": "100", "endTimeUnixNano": "90",
            "status": { "code": 2, "message": "no" } })
    };
    let body = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [span("b7ad6b7169203331"), span("0000000000000000")] }] }] });
    let read = traces(Format::Json, Encoding::Identity, body.to_string().as_bytes(), Limits::default()).unwrap();
    assert_eq!((read.spans.len(), read.skipped.count), (1, 1));
    let first = &read.spans[0];
    assert_eq!((first.kind, first.start, first.end), (SpanKind::Server, 100, 100));
    assert_eq!(first.status, SpanStatus::Error("no".to_owned()));
    assert_eq!(first.parent.map(|parent| parent.to_string()).as_deref(), Some("00f067aa0ba902b7"));
}

#[test]
fn an_exporter_is_told_what_is_not_taken() {
    let mut skipped = Skipped::default();
    let said = |answer: crate::Answer| (answer.status, String::from_utf8(answer.body).unwrap());
    assert_eq!(said(answer(Signal::Logs, Format::Json, &skipped)), (200, "{}".to_owned()));
    assert_eq!(said(answer(Signal::Logs, Format::Protobuf, &skipped)), (200, String::new()));
    skipped.add(3, "why");
    let partial = r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"why"}}"#;
    assert_eq!(said(answer(Signal::Traces, Format::Json, &skipped)), (200, partial.to_owned()));
    assert_eq!(answer(Signal::Metrics, Format::Protobuf, &skipped).body, b"\x0a\x07\x08\x03\x12\x03why");
    assert_eq!(rejected(&response(&skipped)), Some((3, "why".to_owned())));
    assert_eq!(rejected(&response(&Skipped::default())), None);
    // Something is said of what was taken; and what is no answer refuses nothing.
    assert_eq!((rejected(b"\x0a\x05\x12\x03why"), rejected(b"<html>"), rejected(b"\xff")), (None, None, None));
    let refused = refuse(Format::Json, &crate::Refused::Packed);
    assert_eq!(said(refused), (400, r#"{"code":3,"message":"the body cannot be unpacked"}"#.to_owned()));
    assert_eq!(Signal::of_http("/api/v1/otlp/v1/metrics"), Some(Signal::Metrics));
    assert_eq!(Signal::of_grpc("/opentelemetry.proto.collector.trace.v1.TraceService/Export"), Some(Signal::Traces));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,60}") {
        let (limits, deltas) = (Limits::default(), Deltas::new(9));
        for (format, bytes) in [(Format::Protobuf, &bytes[..]), (Format::Json, &bytes[..]), (Format::Json, text.as_bytes())] {
            for encoding in [Encoding::Identity, Encoding::Gzip] {
                _ = metrics(format, encoding, bytes, limits, &deltas, NOW);
                _ = logs(format, encoding, bytes, limits);
                _ = traces(format, encoding, bytes, limits);
            }
        }
    }

    #[test]
    fn broken_requests_are_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let native = json!({ "name": "size", "exponentialHistogram": { "aggregationTemporality": 1, "dataPoints": [{
            "timeUnixNano": "7000000", "count": "9", "sum": 30.5, "scale": 12, "zeroCount": "1",
            "positive": { "offset": 2147483000, "bucketCounts": ["3", "0", "5"] },
            "negative": { "offset": -2147483000, "bucketCounts": ["3", "0", "5"] } }] } });
        let message: ExportMetricsServiceRequest = serde_json::from_slice(&request(&native)).unwrap();
        let mut bytes = message.encode_to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let (limits, deltas) = (Limits::default(), Deltas::new(9));
        _ = metrics(Format::Protobuf, Encoding::Identity, &bytes, limits, &deltas, NOW);
    }
}
