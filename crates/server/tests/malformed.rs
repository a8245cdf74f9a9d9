//! Every operation of the API with malformed bodies, paths and queries: refused in the one shape, never a fault.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "malformed/operations.rs"]
mod operations;
#[path = "malformed/wire.rs"]
mod wire;

use std::path::Path;
use std::time::{Duration, Instant};

use common::{Server, manifest, up};
use daybook_api::ErrorBody;
use daybook_fuzz::{Chance, Tally, cases};
use daybook_runtime::simulated::Simulated;
use operations::{Operation, operations};
use wire::{Answer, Sent};

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a request and checks what holds for every answer.
async fn survives(state: &Path, tally: &Tally, sent: &Sent) -> Answer {
    let bytes = sent.bytes();
    let started = Instant::now();
    let answer = tokio::time::timeout(PATIENCE, wire::exchange(state, &bytes)).await;
    let answer = answer.unwrap_or_else(|_| panic!("no answer: {}", String::from_utf8_lossy(&bytes)));
    tally.count(&bytes, started.elapsed());
    let shown = || format!("{}\n{:.2000}\n→ {answer:.2000?}", sent.line, String::from_utf8_lossy(&sent.body));
    if answer.status >= 400 {
        let refused: ErrorBody = serde_json::from_str(&answer.body).unwrap_or_else(|e| panic!("{e}: {}", shown()));
        assert!(!refused.message.is_empty() && refused.message.len() < 10_000, "{}", shown());
        assert_eq!(refused.code.status(), answer.status, "{}", shown());
        // The simulation runs no commands in replicas: that much a good request is told.
        let not_simulated = refused.message.starts_with("exec: ") && answer.status == 503;
        assert!(answer.status < 500 || not_simulated, "{}", shown());
    }
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r36_every_operation_refuses_malformed_requests_in_the_one_shape() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(1)).await;
    server.carry_out(up(&manifest("1", ""))).await;
    let operations = operations();
    let tally = Tally::start("requests to the API");
    for seed in 0..u64::from(cases(600)) {
        let chance = &mut Chance::new(seed);
        let operation = &operations[usize::try_from(seed).unwrap() % operations.len()];
        survives(dir.path(), &tally, &operation.malformed(chance)).await;
    }
    assert_eq!(server.client.version().await.unwrap().pid, std::process::id());
    server.stop().await;
}

/// What is wrong with a body is told with its place, and the body itself is not repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r36_a_body_that_is_not_understood_is_told_where() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &Simulated::new(1)).await;
    let tally = Tally::start("bodies that are no JSON");
    let with_body = |operation: &&Operation| operation.body.is_some() && !operation.upgrades();
    for operation in operations().iter().filter(with_body) {
        let deep = ["[".repeat(100_000), "{\"a\":".repeat(100_000)];
        let numbers = format!("{{\"change\": {{\"rollback\": {{\"key\": \"a/b\", \"to\": {}}}}}}}", "9".repeat(1_000));
        for body in
            ["", "{", "nul", "\"", "[1, ]", "\u{feff}{}", "{\"canary\" \"canary\"}", &deep[0], &deep[1], &numbers]
        {
            let answer = survives(dir.path(), &tally, &operation.with(body)).await;
            assert_eq!(answer.status, 400, "{} {body:.100}: {answer:?}", operation.path);
            assert!(answer.body.contains("(line "), "{} {body:.100}: {answer:?}", operation.path);
            assert!(!answer.body.contains("canary"), "{answer:?}");
        }
        let large = " ".repeat(17 << 20);
        assert_eq!(survives(dir.path(), &tally, &operation.with(&large)).await.status, 400);
    }
    server.stop().await;
}
