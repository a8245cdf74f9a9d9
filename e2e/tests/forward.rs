//! What is measured and printed goes elsewhere as well: to a Prometheus as Debian has it, to a receiver that takes what Loki's
//! documentation says a push is, and to another Daybook.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use daybook_bench::shop::free_address;
use daybook_e2e::World;
use daybook_e2e::receiver::request;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

const TOKEN: &str = "token-of-this-test";

/// A service that counts, says so, and lets itself be measured.
const COUNTER: &str = r##"
import http.server, itertools, os, threading, time
count = 0
class Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"# HELP ticks_total Ticks.\n# TYPE ticks_total counter\nticks_total {count}\n".encode())
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer((os.environ.get("HOST", "0.0.0.0"), int(os.environ["PORT"])), Metrics)
threading.Thread(target=server.serve_forever, daemon=True).start()
for count in itertools.count(1):
    print(f'{{"tick": {count}, "said": "tick \\"{count}\\""}}', flush=True)
    time.sleep(0.1)
"##;

/// The service in a manifest.
const SERVICES: &str = "app: shop\nservices:\n  counter:\n    build: ./web\n    command: python3 counter.py\n    \
                        port: 8080\n    metrics: {every: 1s}\n";

/// Writes the service and its manifest, and puts it into force.
async fn count(world: &World) {
    std::fs::create_dir_all(world.path().join("web")).expect("make a directory");
    world.write("web/counter.py", COUNTER);
    world.write("daybook.yaml", SERVICES);
    world.run(&["up", "-y", "--no-input"]).await.expect(0);
}

/// Whether a question has an answer.
async fn is_measured(world: &World, question: &str) -> bool {
    let said = world.run(&["query", question, "-o", "json"]).await.expect(0).json();
    said["data"]["result"].as_array().is_some_and(|all| !all.is_empty())
}

/// Whoever takes a push, as Loki would.
struct Loki {
    address: SocketAddr,
    /// The ticks that were pushed, each with when it was, in the order in which they came.
    ticks: Arc<Mutex<Vec<(u64, String)>>>,
    labels: Arc<Mutex<BTreeSet<String>>>,
    answers: Arc<AtomicU16>,
    refused: Arc<AtomicUsize>,
}

impl Loki {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let loki = Self {
            address: listener.local_addr().expect("a bound socket has an address"),
            ticks: Arc::default(),
            labels: Arc::default(),
            answers: Arc::new(AtomicU16::new(204)),
            refused: Arc::default(),
        };
        let (ticks, labels) = (loki.ticks.clone(), loki.labels.clone());
        let (answers, refused) = (loki.answers.clone(), loki.refused.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some((head, body)) = request(&mut stream).await else { continue };
                let status = answers.load(Ordering::SeqCst);
                if status < 300 {
                    take(&head, &body, &ticks, &labels);
                } else {
                    refused.fetch_add(1, Ordering::SeqCst);
                }
                let answer = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        loki
    }

    fn ticks(&self) -> Vec<u64> {
        self.ticks.lock().expect("nobody panicked with it").iter().map(|(tick, _)| *tick).collect()
    }

    fn last(&self) -> u64 {
        self.ticks().into_iter().max().unwrap_or_default()
    }
}

/// Checks a push against its documentation, and takes what is in it.
fn take(head: &str, body: &[u8], ticks: &Mutex<Vec<(u64, String)>>, labels: &Mutex<BTreeSet<String>>) {
    assert!(head.starts_with("post /loki/api/v1/push http/1.1"), "{head}");
    assert!(head.contains("content-type: application/json") && head.contains("x-scope-orgid: shops"), "{head}");
    assert!(head.contains(&format!("authorization: bearer {TOKEN}")), "{head}");
    let body: Value = serde_json::from_slice(body).expect("a push is JSON");
    for stream in body["streams"].as_array().expect("a push has streams") {
        let of = stream["stream"].as_object().expect("a stream has labels");
        assert!(of.values().all(Value::is_string), "labels are texts: {of:?}");
        labels.lock().expect("nobody panicked with it").insert(stream["stream"].to_string());
        for value in stream["values"].as_array().expect("a stream has lines") {
            let (Some(at), Some(text)) = (value[0].as_str(), value[1].as_str()) else { panic!("two texts: {value}") };
            assert!(at.len() == 19 && at.parse::<u64>().is_ok(), "nanoseconds since 1970: {at}");
            let line: Value = serde_json::from_str(text).unwrap_or_default();
            if let Some(tick) = line["tick"].as_u64() {
                ticks.lock().expect("nobody panicked with it").push((tick, at.to_owned()));
            }
        }
    }
}

/// Prometheus, which takes remote writes.
fn prometheus(directory: &Path, here: SocketAddr) -> Child {
    let file = directory.join("prometheus.yml");
    std::fs::write(&file, "global: {scrape_interval: 1h}\n").expect("write the configuration");
    let log = std::fs::File::options().create(true).append(true).open(directory.join("prometheus.log"));
    Command::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", directory.join("tsdb").display()))
        .arg(format!("--web.listen-address={here}"))
        .arg("--web.enable-remote-write-receiver")
        .stdout(Stdio::null())
        .stderr(log.expect("open a log"))
        .kill_on_drop(true)
        .spawn()
        .expect("scripts/setup installs prometheus")
}

/// Samples by their times.
type Samples = BTreeMap<String, String>;

fn samples(answer: &Value) -> Samples {
    let values = answer["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
    values.iter().map(|value| (value[0].to_string(), value[1].as_str().unwrap_or_default().to_owned())).collect()
}

/// What both have of a question about samples.
async fn asked(world: &World, there: SocketAddr, question: &str) -> (Samples, Samples) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "60", "--get", "--data-urlencode", &format!("query={question}")]);
    let output = curl.arg(format!("http://{there}/api/v1/query")).output().await.expect("curl runs");
    // Later, so that it has at least as much.
    let ours = world.run(&["query", question, "-o", "json"]).await.expect(0).json();
    (samples(&ours), samples(&serde_json::from_slice(&output.stdout).unwrap_or_default()))
}

/// Waits until something is measured here that is newer, and the Prometheus has it, or what is newer still. Answers its time.
async fn until_it_has_more(world: &World, there: SocketAddr, question: &str, than: &str) -> String {
    let newest =
        async |world: &World| asked(world, there, question).await.0.into_keys().next_back().unwrap_or_default();
    world.until(&format!("{question} is measured"), async |world| *newest(world).await > *than).await;
    let last = newest(world).await;
    let what = format!("the Prometheus has {question} of {last}");
    world
        .until(&what, async |world| {
            let (_, theirs) = asked(world, there, question).await;
            theirs.last_key_value().is_some_and(|(newest, _)| *newest >= last)
        })
        .await;
    last
}

/// That the Prometheus has every sample from its first one on, with its value.
async fn expect_no_gap(world: &World, there: SocketAddr, question: &str) {
    let (ours, theirs) = asked(world, there, question).await;
    let (first, last) = (theirs.keys().next().expect("it has some"), theirs.keys().next_back().expect("it has some"));
    let between: Samples =
        ours.range(first.clone()..=last.clone()).map(|(at, value)| (at.clone(), value.clone())).collect();
    assert_eq!(theirs, between, "{question}");
}

const TICKS: &str = r#"ticks_total{app="shop",env="production",service="counter"}[1h]"#;
const RUNNING: &str = r#"daybook_service_replicas_running{app="shop",env="production",service="counter"}[1h]"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_measured_and_printed_arrives_elsewhere_whoever_is_killed() {
    let mut world = World::telling_this_machine(free_address().expect("there is a free port")).await;
    let (there, loki) = (free_address().expect("there is a free port"), Loki::start().await);
    count(&world).await;
    // It runs already: that it is sent elsewhere is all that changes.
    world.write(
        "daybook.yaml",
        &format!(
            "{SERVICES}forward:\n  metrics: {{url: \"http://{there}/api/v1/write\", user: shop, \
             password: {{secret: write-password}}, only: [ticks_total, daybook_service_*]}}\n  \
             logs: {{url: \"http://{}/loki/api/v1/push\", token: {{secret: loki-token}}, tenant: shops}}\n",
            loki.address
        ),
    );
    // Nothing is sent before its secrets are there.
    let missing = world.run(&["up", "-y", "--no-input"]).await;
    assert!(missing.code != 0 && missing.all().contains("loki-token"), "{missing}");
    world.run_reading(&["secret", "set", "loki-token"], TOKEN).await.expect(0);
    world.run_reading(&["secret", "set", "write-password"], "password-of-this-test").await.expect(0);
    let mut receiver = prometheus(world.path(), there);
    world.run(&["up", "-y", "--no-input"]).await.expect(0);
    until_it_has_more(&world, there, TICKS, "").await;
    until_it_has_more(&world, there, RUNNING, "").await;
    world.until("lines arrive", async |_| loki.last() > 0).await;

    // Nobody takes anything for a while, and the server is killed while it tries.
    receiver.kill().await.expect("the Prometheus is killed");
    loki.answers.store(503, Ordering::SeqCst);
    let failing = r#"daybook_forward_behind_seconds{of="metrics"} > 0"#;
    world
        .until("what is measured waits", async |world| {
            is_measured(world, failing).await && loki.refused.load(Ordering::SeqCst) > 1
        })
        .await;
    let before = loki.last();
    let (measured, _) = asked(&world, there, RUNNING).await;
    let measured = measured.into_keys().next_back().expect("there is a sample");
    world.daybook.kill_server().await.expect("the server is killed");
    world.daybook.serve().await.expect("the server starts again");

    let receiver = prometheus(world.path(), there);
    loki.answers.store(204, Ordering::SeqCst);
    until_it_has_more(&world, there, TICKS, &measured).await;
    until_it_has_more(&world, there, RUNNING, &measured).await;
    expect_no_gap(&world, there, TICKS).await;
    expect_no_gap(&world, there, RUNNING).await;
    let (_, others) = asked(&world, there, "daybook_replica_processes[1h]").await;
    assert!(others.is_empty(), "only what is asked for goes there: {others:?}");

    world.until("the lines that waited arrive", async |_| loki.last() > before + 50).await;
    let ticks: BTreeSet<u64> = loki.ticks().into_iter().collect();
    let first = *ticks.first().expect("there are ticks");
    assert!(ticks.iter().copied().eq(first..first + ticks.len() as u64), "no tick is missing: {ticks:?}");
    for labels in loki.labels.lock().expect("nobody panicked with it").iter() {
        assert!(labels.contains(r#""app":"shop","environment":"production""#), "{labels}");
        assert!(labels.contains(r#""service":"counter""#), "{labels}");
    }

    // What is refused for good is dropped, and that is told.
    loki.answers.store(400, Ordering::SeqCst);
    world
        .until("it is told that lines were dropped", async |world| {
            let alerts = world.run(&["alert"]).await.expect(0);
            alerts.out.contains("ForwardDead") && alerts.out.contains("the receiver of logs refused")
        })
        .await;
    let dropped = r#"daybook_forward_dropped_total{of="logs"} > 0"#;
    world.until("they are counted", async |world| is_measured(world, dropped).await).await;
    drop(receiver);
    world.end().await;
}

/// The ticks that a Daybook finds among its lines.
async fn found(world: &World) -> BTreeSet<u64> {
    let found = world.run(&["logs", "--search", "service:counter tick>0", "-n", "10000", "-o", "json"]).await;
    let found = found.expect(0).json();
    let lines = found["lines"].as_array().cloned().unwrap_or_default();
    let tick = |line: &Value| {
        let text: Value = serde_json::from_str(line["text"].as_str()?).ok()?;
        text["tick"].as_u64()
    };
    lines.iter().filter_map(tick).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_can_be_searched_in_another_daybook_that_was_away() {
    let (there, here) = (free_address(), free_address());
    let there = there.expect("there is a free port");
    let mut other = World::answering_as_prometheus(there).await;
    // Lines are found in an environment that it has.
    other.up(1, &[]).await.expect(0);
    let world = World::telling_this_machine(here.expect("there is a free port")).await;
    count(&world).await;
    world.write("daybook.yaml", &format!("{SERVICES}forward:\n  otlp_logs: {{url: \"http://{there}/v1/logs\"}}\n"));
    world.run(&["up", "-y", "--no-input"]).await.expect(0);
    other.until("lines are found there", async |other| !found(other).await.is_empty()).await;

    let before = found(&other).await.into_iter().max().unwrap_or_default();
    other.daybook.kill_server().await.expect("the other server is killed");
    let waits = r#"daybook_forward_behind_seconds{of="otlp_logs"} > 0"#;
    world.until("lines wait", async |world| is_measured(world, waits).await).await;
    other.daybook.serve().await.expect("the other server starts again");
    let arrived = async |other: &World| found(other).await.into_iter().max().is_some_and(|last| last > before + 50);
    other.until("the lines that waited arrive", arrived).await;
    let ticks = found(&other).await;
    let first = *ticks.first().expect("there are ticks");
    assert!(ticks.iter().copied().eq(first..first + ticks.len() as u64), "no tick is missing: {ticks:?}");
    let dropped = r#"daybook_forward_dropped_total{of="otlp_logs"} > 0"#;
    assert!(!is_measured(&world, dropped).await, "nothing is refused");
    world.end().await;
    other.end().await;
}
