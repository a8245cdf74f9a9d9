//! What others send: a recorded remote write, OpenTelemetry's JSON, and a Prometheus as Debian has it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use daybook_bench::shop::free_address;
use daybook_e2e::World;
use daybook_e2e::workspace::root;
use daybook_ingest::remote::{Version, read, requests};
use daybook_ingest::{Encoding, Limits};
use daybook_metrics::{Labels, NAME, Sample, Series};
use serde_json::{Value, json};
use tokio::process::Command;

async fn world() -> (World, SocketAddr) {
    let address = free_address().expect("there is a free port");
    (World::answering_as_prometheus(address).await, address)
}

/// What curl is answered: the body, and the status after it.
async fn post(world: &World, address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> String {
    let file = world.path().join("body");
    std::fs::write(&file, body).expect("write the body");
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "60", "--write-out", "%{http_code}", "--data-binary"]);
    curl.arg(format!("@{}", file.display()));
    for (name, value) in headers {
        curl.args(["--header", &format!("{name}: {value}")]);
    }
    let output = curl.arg(format!("http://{address}{path}")).output().await.expect("curl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn answer(world: &World, question: &str) -> Value {
    world.run(&["query", question, "-o", "json"]).await.expect(0).json()["data"]["result"].clone()
}

/// Seconds since 1970, in the unit of which there are so many in a second.
async fn now(world: &World, units: f64) -> f64 {
    let said = answer(world, "time()").await;
    said[1].as_str().and_then(|text| text.parse::<f64>().ok()).expect("there is a time") * units
}

/// What a Prometheus sent once, as if it were sent now: what is older than an hour is not taken any more.
async fn recorded(world: &World) -> (Vec<Series>, Vec<String>) {
    let path = root().join("crates/ingest/tests/fixtures/prometheus-2.42-samples.snappy");
    let body = std::fs::read(path).expect("the recorded body is there");
    let write = read(Version::One, Encoding::Snappy, &body, Limits::default()).expect("it can be read");
    let at = now(world, 1000.0).await as i64;
    let series = write.batch.samples().map(|(labels, _, value)| Series {
        labels: labels.clone(),
        samples: vec![Sample { at, value }],
        ..Series::default()
    });
    let mut series: Vec<Series> = series.collect();
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    series.dedup_by(|a, b| a.labels == b.labels);
    let names = series.iter().map(|series: &Series| Labels::metric(&series.labels).to_owned()).collect();
    (series, names)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_prometheus_and_a_collector_send_can_be_asked_for() {
    let (world, address) = world().await;
    let (series, names) = recorded(&world).await;
    assert!(!series.is_empty());
    for version in [Version::One, Version::Two] {
        for request in requests(version, &series, &[], 10_000) {
            let said = post(&world, address, "/api/v1/write", &version.headers(), &request.body).await;
            assert_eq!(said, "204", "what is sent twice is there once");
        }
    }
    let name = names.iter().find(|name| !name.is_empty()).expect("there is a metric");
    let count = series.iter().filter(|series| series.labels.get(NAME) == *name).count();
    assert_eq!(answer(&world, name).await.as_array().map(Vec::len), Some(count), "{name}");

    world.up(1, &[]).await.expect(0);
    let resource = json!({ "attributes": [
        { "key": "service.name", "value": { "stringValue": "checkout" } },
        { "key": "service.namespace", "value": { "stringValue": "shop" } },
        { "key": "deployment.environment", "value": { "stringValue": "production" } }] });
    let at = format!("{:.0}", now(&world, 1e9).await);
    let json = [("content-type", "application/json")];
    let point = json!({ "asInt": "7", "timeUnixNano": at });
    let sum = json!({ "dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": true });
    let metrics = json!({ "resourceMetrics": [{ "resource": resource,
        "scopeMetrics": [{ "metrics": [{ "name": "cards.charged", "sum": sum }] }] }] });
    let said = post(&world, address, "/api/v1/otlp/v1/metrics", &json, metrics.to_string().as_bytes()).await;
    assert_eq!(said, "{}200");
    assert_eq!(answer(&world, "cards_charged_total").await[0]["value"][1], "7");

    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let record = json!({ "timeUnixNano": at, "severityNumber": 17, "traceId": trace,
        "body": { "stringValue": "no card was charged" } });
    let logs = json!({ "resourceLogs": [{ "resource": resource, "scopeLogs": [{ "logRecords": [record] }] }] });
    assert_eq!(post(&world, address, "/v1/logs", &json, logs.to_string().as_bytes()).await, "{}200");
    let found = world.run(&["logs", "--search", "charged"]).await.expect(0);
    assert!(found.out.contains("no card was charged"), "{found}");

    let span = json!({ "traceId": trace, "spanId": "b7ad6b7169203331", "name": "POST /cards", "kind": 2,
        "startTimeUnixNano": at, "endTimeUnixNano": at });
    let spans = json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": [{ "spans": [span] }] }] });
    assert_eq!(post(&world, address, "/v1/traces", &json, spans.to_string().as_bytes()).await, "{}200");
    let drawn = world.run(&["trace", trace]).await.expect(0);
    assert!(drawn.out.contains("POST /cards") && drawn.out.contains('█'), "{drawn}");
    assert_eq!(world.run(&["trace", "-o", "json"]).await.expect(0).json()[0]["trace"], trace);
    world.run(&["trace", "00000000000000000000000000000001"]).await.expect(1);
    world.end().await;
}

/// Prometheus, with a configuration that makes it scrape itself and send that.
fn prometheus(directory: &Path, here: SocketAddr, to: SocketAddr) -> tokio::process::Child {
    let configuration = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n  - job_name: itself\n    static_configs:\n      - targets: ['{here}']\n\
         remote_write:\n  - url: http://{to}/api/v1/write\n    metadata_config: {{send_interval: 1s}}\n"
    );
    let file = directory.join("prometheus.yml");
    std::fs::write(&file, configuration).expect("write the configuration");
    Command::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", directory.join("tsdb").display()))
        .arg(format!("--web.listen-address={here}"))
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("scripts/setup installs prometheus")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_sends_what_it_measures() {
    let (world, address) = world().await;
    let here = free_address().expect("there is a free port");
    let mut sender = prometheus(world.path(), here, address);
    world
        .until("the Prometheus is up here", async |world| {
            answer(world, r#"up{job="itself"} == 1"#).await.as_array().is_some_and(|all| all.len() == 1)
        })
        .await;
    let sent = "rate(prometheus_remote_storage_samples_total[1m]) > 0";
    world.until("it counts what it sends", async |world| !answer(world, sent).await[0].is_null()).await;
    let failed = answer(&world, "prometheus_remote_storage_samples_failed_total > 0").await;
    assert_eq!(failed, json!([]), "nothing that it sends is refused");
    let help = format!("http://{address}/api/v1/metadata?metric=prometheus_build_info");
    world
        .until("what it says of its metrics is known", async |_| {
            let output = Command::new("curl").args(["--silent", &help]).output().await.expect("curl runs");
            String::from_utf8_lossy(&output.stdout).contains("gauge")
        })
        .await;
    sender.kill().await.expect("it ends");
    world.end().await;
}
