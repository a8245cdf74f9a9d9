//! What others send comes in, and can be asked for.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::Body;
use common::Server;
use daybook_api::query::{InstantQuery, QueryData};
use daybook_api::trace::TracesQuery;
use daybook_ingest::remote::{Version, requests};
use daybook_ingest::{Metadata, grpc, otlp};
use daybook_metrics::exposition::Kind;
use daybook_metrics::{Labels, NAME, Sample, Series};
use daybook_model::Timestamp;
use daybook_runtime::simulated::Simulated;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Sends a body over HTTP/2, as gRPC does, and returns the status, the body, and the headers with the trailers.
async fn post(state: &std::path::Path, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, Vec<u8>, String) {
    let stream = tokio::net::UnixStream::connect(state.join("daybook.sock")).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driving = tokio::spawn(connection);
    let mut request = http::Request::post(format!("http://daybook{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(Body::from(body)).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned().unwrap_or_default();
    let told = format!("{:?} {trailers:?}", head.headers);
    driving.abort();
    (head.status.as_u16(), body.to_bytes().to_vec(), told)
}

async fn value(server: &Server, query: &str) -> Option<String> {
    let asked = InstantQuery { query: query.to_owned(), time: None };
    match server.client.query(&asked).await.unwrap().data {
        QueryData::Vector(all) => Some(all.into_iter().next()?.value?.1),
        other => panic!("{other:?}"),
    }
}

fn nanoseconds() -> String {
    Timestamp::now().as_nanosecond().to_string()
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_prometheus_sends_can_be_asked_for_in_both_protocols() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(1)).await;
    let write = "/prometheus/api/v1/write";
    for (version, name) in [(Version::One, "orders_total"), (Version::Two, "errors_total")] {
        let samples = vec![Sample { at: Timestamp::now().as_millisecond(), value: 4.0 }];
        let of = |name: &str| Labels::new([(NAME, name), ("job", "other")]);
        let ours = Series { labels: of("daybook_replica_up"), samples: samples.clone(), ..Series::default() };
        let theirs = Series { labels: of(name), samples, ..Series::default() };
        let about =
            Metadata { metric: name.to_owned(), kind: Kind::Counter, help: "Of others.".into(), unit: String::new() };
        for request in requests(version, std::slice::from_ref(&theirs), &[about], 100) {
            let (status, body, headers) = post(dir.path(), write, &version.headers(), request.body).await;
            assert_eq!((status, body.len()), (204, 0), "{headers}");
            assert_eq!(headers.contains("samples-written\": \"1\""), version == Version::Two, "{headers}");
        }
        assert_eq!(value(&server, name).await.as_deref(), Some("4"));
        for request in requests(version, std::slice::from_ref(&ours), &[], 100) {
            let (status, body, _) = post(dir.path(), write, &version.headers(), request.body).await;
            assert_eq!(status, 400, "it is not to be sent again");
            assert!(String::from_utf8_lossy(&body).contains("Daybook's own"));
        }
        assert_eq!(value(&server, r#"daybook_replica_up{job="other"}"#).await, None);
    }
    let none = post(dir.path(), write, &[JSON], b"{}".to_vec()).await;
    assert_eq!(none.0, 415);
    let broken = post(dir.path(), write, &Version::One.headers(), b"what".to_vec()).await;
    assert_eq!(broken.0, 400);
    let large = post(dir.path(), write, &[("content-type", "application/x-protobuf")], vec![0; (16 << 20) + 1]).await;
    assert!((400..500).contains(&large.0), "{}", large.0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_exporter_sends_is_there_as_series_lines_and_steps() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(1)).await;
    let resource = json!({ "attributes": [
        { "key": "service.name", "value": { "stringValue": "web" } },
        { "key": "service.namespace", "value": { "stringValue": "shop" } }] });

    // What it grew by is added up.
    for grown in ["2", "3"] {
        let point = json!({ "asInt": grown, "timeUnixNano": nanoseconds() });
        let sum = json!({ "dataPoints": [point], "aggregationTemporality": 1, "isMonotonic": true });
        let metric = json!({ "name": "orders", "unit": "1", "sum": sum });
        let body = json!({ "resourceMetrics": [{ "resource": resource, "scopeMetrics": [{ "metrics": [metric] }] }] });
        let (status, body, _) =
            post(dir.path(), "/prometheus/api/v1/otlp/v1/metrics", &[JSON], body.to_string().into_bytes()).await;
        assert_eq!((status, String::from_utf8(body).unwrap().as_str()), (200, "{}"));
    }
    assert_eq!(value(&server, r#"orders_total{job="shop/web"}"#).await.as_deref(), Some("5"));

    let span = |id: &str, parent: &str, name: &str| {
        json!({ "traceId": TRACE, "spanId": id, "parentSpanId": parent, "name": name, "kind": 2,
            "startTimeUnixNano": nanoseconds(), "endTimeUnixNano": nanoseconds(),
            "status": { "code": if parent.is_empty() { 1 } else { 2 }, "message": "no card" } })
    };
    let spans = [span("b7ad6b7169203331", "", "GET /"), span("00f067aa0ba902b7", "b7ad6b7169203331", "pay")];
    let body = json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "spans": spans }] }] });
    let (status, ..) = post(dir.path(), "/prometheus/v1/traces", &[JSON], body.to_string().into_bytes()).await;
    assert_eq!(status, 200);
    let trace = server.client.trace(TRACE).await.unwrap();
    let steps: Vec<_> = trace.spans.iter().map(|span| (span.depth, span.name.as_str(), span.failed)).collect();
    assert_eq!(steps, [(0, "GET /", false), (1, "pay", true)]);
    assert_eq!((trace.spans[1].service.as_str(), trace.spans[1].error.as_str()), ("web", "no card"));
    let list = server.client.traces(&TracesQuery { failed: true, ..TracesQuery::default() }).await.unwrap();
    assert_eq!((list.len(), list[0].trace.as_str(), list[0].spans), (1, TRACE, 2));
    let other = TracesQuery { service: Some("worker".to_owned()), ..TracesQuery::default() };
    assert!(server.client.traces(&other).await.unwrap().is_empty());
    assert!(server.client.trace("4bf92f3577b34da6a3ce929d0e0e4737").await.is_err());
    assert!(server.client.trace("x").await.is_err());

    let record = json!({ "timeUnixNano": nanoseconds(), "severityNumber": 17, "traceId": TRACE,
        "body": { "stringValue": "the card is refused" } });
    let logs = json!({ "resourceLogs": [{ "resource": resource, "scopeLogs": [{ "logRecords": [record] }] }] });
    let (status, body, _) = post(dir.path(), "/prometheus/v1/logs", &[JSON], logs.to_string().into_bytes()).await;
    assert_eq!((status, String::from_utf8(body).unwrap().as_str()), (200, "{}"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exporters_may_speak_grpc() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(1)).await;
    let call = async |method: &str, message: &[u8]| {
        let path = format!("/prometheus/opentelemetry.proto.collector.{method}/Export");
        let headers = [("content-type", "application/grpc"), ("te", "trailers")];
        post(dir.path(), &path, &headers, grpc::frame(message)).await
    };
    let (status, body, told) = call("metrics.v1.MetricsService", &[]).await;
    assert_eq!((status, body), (200, grpc::frame(&otlp::response(&daybook_ingest::remote::Skipped::default()))));
    assert!(told.contains(r#""grpc-status": "0""#), "{told}");
    let (_, body, told) = call("trace.v1.TraceService", b"\xff\xff").await;
    assert!(body.is_empty() && told.contains(r#""grpc-status": "3""#), "{told}");
    let (_, _, told) = call("profiles.v1.ProfilesService", &[]).await;
    assert!(told.contains(r#""grpc-status": "12""#), "{told}");
    server.stop().await;
}
