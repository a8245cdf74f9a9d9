//! What a Prometheus and an Alertmanager really send: Debian's, started here (`scripts/setup`).
#![cfg(feature = "peer-tests")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use daybook_notify::Severity;
use daybook_notify::inbound::State;
use daybook_notify::inbound::alertmanager::{alerts, webhook};
use jiff::Timestamp;
use serde_json::json;
use support::{Requests, answer, http};

/// A server of others. Ends with this value.
struct Peer(Child);

impl Peer {
    fn start(program: &str, arguments: &[String], directory: &Path) -> Self {
        let log = fs::File::create(directory.join("log")).expect("a file can be made");
        let mut command = Command::new(program);
        command.args(arguments).current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Self(command.spawn().unwrap_or_else(|error| panic!("{program}: {error}: run scripts/setup")))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until somebody posted something with this in it.
async fn posted(requests: &Requests, part: &str, directory: &Path) -> Vec<u8> {
    let begun = Instant::now();
    loop {
        let found = requests
            .lock()
            .expect("nobody panicked with it")
            .iter()
            .find_map(|(_, body)| String::from_utf8_lossy(body).contains(part).then(|| body.clone()));
        if let Some(body) = found {
            return body;
        }
        let log = || fs::read_to_string(directory.join("log")).unwrap_or_default();
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing came:\n{}", log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_alertmanager_tells_us_what_it_was_told_and_knows_alerts_by_the_same_names() {
    let (address, requests) = http(answer("200 OK", "", "")).await;
    let directory = tempfile::tempdir().unwrap();
    let config = format!(
        "route: {{receiver: daybook, group_by: [alertname], group_wait: 1s}}\n\
         receivers: [{{name: daybook, webhook_configs: [{{url: 'http://{address}/'}}]}}]\n"
    );
    fs::write(directory.path().join("alertmanager.yml"), config).unwrap();
    let port = support::free_port();
    let arguments = [
        "--config.file=alertmanager.yml".to_owned(),
        "--storage.path=data".to_owned(),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--cluster.listen-address=".to_owned(),
    ];
    let _peer = Peer::start("prometheus-alertmanager", &arguments, directory.path());
    let now = Timestamp::now();
    let body = json!([{
        "labels": {"alertname": "Down", "instance": "a:9100", "severity": "critical", "team": "é"},
        "annotations": {"summary": "a is down", "description": "for five minutes"},
        "startsAt": now.to_string(),
        "generatorURL": "http://prometheus.example.com/graph",
    }])
    .to_string();
    support::provider();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://127.0.0.1:{port}/api/v2/alerts");
    let begun = Instant::now();
    loop {
        let request = client.post(&url).header("content-type", "application/json").body(body.clone());
        if request.send().await.is_ok_and(|answer| answer.status().is_success()) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "Alertmanager does not come up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let group = webhook(&posted(&requests, "a is down", directory.path()).await).unwrap();
    let ours = alerts(body.as_bytes(), now).unwrap();
    let (theirs, ours) = (&group.signals[0], &ours.signals[0]);
    assert_eq!((theirs.state, theirs.severity), (State::Firing, Some(Severity::Critical)));
    assert_eq!(theirs.key, ours.key, "the fingerprint is theirs");
    assert_eq!((&theirs.labels, &theirs.title, &theirs.text), (&ours.labels, &ours.title, &ours.text));
    assert_eq!((theirs.at, theirs.until), (ours.at, None));
    assert_eq!((group.receiver.as_str(), group.truncated), ("daybook", 0));
}

#[tokio::test]
async fn a_prometheus_takes_us_for_its_alertmanager() {
    let (address, requests) = http(answer("200 OK", "", "")).await;
    let directory = tempfile::tempdir().unwrap();
    let config = format!(
        "global: {{evaluation_interval: 1s}}\n\
         rule_files: [rules.yml]\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{address}']}}]}}]}}\n"
    );
    let rules = "groups: [{name: a, rules: [{alert: Down, expr: vector(1), labels: {severity: warning}, \
                 annotations: {summary: 'it is down'}}]}]\n";
    fs::write(directory.path().join("prometheus.yml"), config).unwrap();
    fs::write(directory.path().join("rules.yml"), rules).unwrap();
    let arguments = [
        "--config.file=prometheus.yml".to_owned(),
        "--storage.tsdb.path=data".to_owned(),
        // It sends before it has found us, and would only do so again after a minute.
        "--rules.alert.resend-delay=1s".to_owned(),
        format!("--web.listen-address=127.0.0.1:{}", support::free_port()),
    ];
    let _peer = Peer::start("prometheus", &arguments, directory.path());
    let body = posted(&requests, "it is down", directory.path()).await;
    let (head, _) = requests.lock().expect("nobody panicked with it").remove(0);
    assert!(head.starts_with("post /api/v2/alerts http/1.1"), "{head}");
    let read = alerts(&body, Timestamp::now()).unwrap();
    assert!(read.problems.is_empty(), "{:?}", read.problems);
    let signal = &read.signals[0];
    assert_eq!((signal.state, signal.severity), (State::Firing, Some(Severity::Warning)));
    assert_eq!((signal.title.as_str(), signal.labels["alertname"].as_str()), ("it is down", "Down"));
    assert!(signal.at < signal.until, "{signal:?}");
}
