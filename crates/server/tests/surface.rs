//! What the API shows, refuses and never shows.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{Server, key, manifest, scale, up, up_with};
use daybook_api::event::{EventView, EventsQuery};
use daybook_api::history::HistoryQuery;
use daybook_api::logs::LogsQuery;
use daybook_api::run::{RunRequest, RunsQuery};
use daybook_api::secret::SetSecret;
use daybook_api::{ErrorBody, ErrorCode};
use daybook_runtime::simulated::Simulated;
use futures::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Sends a request as it is and returns the answer, head and body.
async fn raw(state: &Path, request: &str) -> String {
    let mut stream = tokio::net::UnixStream::connect(state.join("daybook.sock")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn request(line: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{line} HTTP/1.1\r\nhost: daybook\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_has_the_one_shape() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(1)).await;
    for (line, sent, status, code) in [
        ("GET /v1/nothing", "", 404, ErrorCode::NotFound),
        ("DELETE /v1/version", "", 400, ErrorCode::Usage),
        ("GET /v1/environments/shop/production/status", "", 404, ErrorCode::NotFound),
        ("GET /v1/environments/sh..op/%24(x)/status", "", 400, ErrorCode::Usage),
        ("GET /v1/runs/not-a-run", "", 400, ErrorCode::Usage),
        ("GET /v1/runs/018f0000-0000-7000-8000-000000000000", "", 404, ErrorCode::NotFound),
        ("GET /v1/events?after=x", "", 400, ErrorCode::Usage),
        ("POST /v1/runs", "{", 400, ErrorCode::Usage),
        ("POST /v1/runs", "{\"change\": {\"explode\": {}}}", 400, ErrorCode::Usage),
        ("POST /v1/plan", "{\"change\": {\"stop\": {\"key\": \"a/b\"}}}", 404, ErrorCode::NotFound),
        ("POST /v1/edge/upgrade", "", 404, ErrorCode::NotFound),
        ("PUT /v1/environments/shop/production/secrets/x", "{\"generate\": false}", 400, ErrorCode::Usage),
    ] {
        let answer = raw(dir.path(), &request(line, sent)).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {answer}");
        assert!(answer.contains("x-request-id: "), "{line}: {answer}");
        let refused: ErrorBody =
            serde_json::from_str(body(&answer)).unwrap_or_else(|e| panic!("{line}: {e}: {answer}"));
        assert_eq!(refused.code, code, "{line}: {answer}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r36_a_body_that_is_too_large_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(1)).await;
    let head = "POST /v1/plan HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
                content-length: 999999999\r\n\r\n";
    let answer = raw(dir.path(), head).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(serde_json::from_str::<ErrorBody>(body(&answer)).is_ok(), "{answer}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r36_more_replicas_than_a_plan_can_name_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(1)).await;
    server.carry_out(up(&manifest("1", ""))).await;
    let many = "app: shop\nservices:\n  a: {image: shop:1, scale: 9000}\n  b: {image: shop:1, scale: 10000}\n  \
                c: {image: shop:1, scale: 9000}\n";
    for change in [scale(u32::MAX), up(many)] {
        let refused = server.client.run(&RunRequest { change, expect: None }).await.unwrap_err();
        assert_eq!(refused.refusal().unwrap().code, ErrorCode::Invalid, "{refused}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_manifest_comes_back_with_every_error_located() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(1)).await;
    let broken = "app: shop\nservices:\n  web:\n    imag: shop:1\n    port: http\n";
    let refused = server.client.run(&RunRequest { change: up(broken), expect: None }).await.unwrap_err();
    let refused = refused.refusal().unwrap();
    assert_eq!(refused.code, ErrorCode::Invalid);
    assert!(refused.diagnostics.len() >= 2, "{refused:?}");
    assert!(refused.diagnostics.iter().any(|d| d.line == 4 && d.rendered.contains("imag")), "{refused:?}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r31_secrets_are_in_no_answer_and_no_file() {
    const CANARIES: [&str; 4] = ["canary-literal-11f", "canary-in-url-22f", "canary-stored-33f", "canary-variable-44f"];
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(1)).await;
    let name = "api.token".parse().unwrap();
    let value = SetSecret::Value { value: CANARIES[2].to_owned() };
    server.client.set_secret(&key(), &name, &value).await.unwrap();
    let environment = "    environment:\n      DB_PASSWORD: canary-literal-11f\n      \
         DATABASE_URL: \"postgres://app:canary-in-url-22f@db/app\"\n      API: {secret: api.token}\n      \
         SESSION: {secret: generate}\n";
    let secrets = "    secrets: [outside]\nsecrets: {outside: {environment: OUTSIDE}}\n";
    let variables = BTreeMap::from([("OUTSIDE".to_owned(), CANARIES[3].to_owned())]);
    let change = || up_with(&manifest("1", &format!("{environment}{secrets}")), variables.clone());
    let plan = server.plan(change()).await;
    let first = server.carry_out(change()).await;
    assert!(server.plan(change()).await.empty, "the same values have the same versions");
    let second = server.carry_out(scale(2)).await;

    let client = &server.client;
    let mut said = vec![
        format!("{plan:?} {first:?} {second:?}"),
        format!("{:?}", client.status(&key()).await.unwrap()),
        format!("{:?}", client.history(&key(), &HistoryQuery::default()).await.unwrap()),
        format!(
            "{:?}",
            client.events(&EventsQuery { after: Some(0), limit: Some(1_000), ..Default::default() }).await.unwrap()
        ),
        format!("{:?}", client.runs(&RunsQuery::default()).await.unwrap()),
        format!("{:?}", client.logs(&key(), &LogsQuery::default()).await.unwrap()),
        format!("{:?}", client.why(&key(), &"web".parse().unwrap()).await.unwrap()),
        format!("{:?}", client.secrets(&key()).await.unwrap()),
    ];
    let path = "PUT /v1/environments/shop/production/secrets/x";
    said.push(raw(dir.path(), &request(path, "{\"value\": [\"canary-stored-33f\"]}")).await);
    said.push(raw(dir.path(), &request(path, "{\"value\": \"canary-stored-33f\" \"")).await);
    server.stop().await;
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let content = std::fs::read(file.unwrap().path()).unwrap_or_default();
        said.push(String::from_utf8_lossy(&content).into_owned());
    }
    for canary in CANARIES {
        let leak = said.iter().find(|text| text.contains(canary));
        assert!(leak.is_none(), "{canary} leaked: {}", leak.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_needed_secret_is_not_removed_and_a_missing_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(1)).await;
    let change = || up(&manifest("1", "    environment: {API: {secret: api.token}}\n"));
    let missing = server.client.run(&RunRequest { change: change(), expect: None }).await.unwrap_err();
    assert!(missing.to_string().contains("api.token"), "{missing}");
    let name = "api.token".parse().unwrap();
    server.client.set_secret(&key(), &name, &SetSecret::Generate { generate: true }).await.unwrap();
    server.carry_out(change()).await;
    let refused = server.client.remove_secret(&key(), &name).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().code, ErrorCode::Denied);
    server.carry_out(up(&manifest("1", ""))).await;
    server.client.remove_secret(&key(), &name).await.unwrap();
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_resume_without_gaps_and_without_doubles() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(1)).await;
    let started = server.begin(up(&manifest("1", ""))).await;
    let mut seen: Vec<u64> = Vec::new();
    let mut over = false;
    while !over {
        let query = EventsQuery { after: Some(seen.last().copied().unwrap_or(0)), ..EventsQuery::default() };
        let events = server.client.follow_events(&query).await.unwrap();
        let mut journaled = std::pin::pin!(events.filter_map(|event| async { event.ok().filter(|e| e.seq.is_some()) }));
        // Reads three, and comes again; the last ones may be fewer.
        for _ in 0..3 {
            let event: EventView = journaled.next().await.unwrap();
            seen.extend(event.seq);
            over = event.kind == "run_finished" && event.run == Some(started.run);
            if over {
                break;
            }
        }
    }
    let expected: Vec<u64> = (1..=*seen.last().unwrap()).collect();
    assert_eq!(seen, expected);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_at_logs_usage_version_and_health() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(1)).await;
    server.carry_out(up(&manifest("1", "    scale: 2\n"))).await;
    let logs = server.client.logs(&key(), &LogsQuery { service: Some("web".to_owned()), ..Default::default() }).await;
    assert_eq!(logs.unwrap().len(), 2);
    assert_eq!(server.client.top(&key()).await.unwrap().replicas.len(), 2);
    let version = server.client.version().await.unwrap();
    assert_eq!((version.pid, version.runtime.name.as_str()), (std::process::id(), "simulated"));
    let checks = server.client.doctor().await.unwrap();
    assert!(checks.iter().any(|check| check.check == "journal"));
    let query = LogsQuery { follow: true, ..LogsQuery::default() };
    let mut follow = std::pin::pin!(server.client.follow_logs(&key(), &query).await.unwrap());
    assert!(follow.next().await.unwrap().unwrap().text.ends_with("says hello"));
    let query = LogsQuery { replica: Some("web.1".parse().unwrap()), ..query };
    let of_one: Vec<_> = server.client.follow_logs(&key(), &query).await.unwrap().collect().await;
    assert_eq!(of_one.len(), 1, "the stream of one replica ends with its log");
    server.stop().await;
}
