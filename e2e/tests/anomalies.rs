//! What is unusual is told without anybody having configured anything, by what was measured in the weeks before.

use std::path::Path;
use std::time::{Duration, Instant};

use daybook_e2e::{World, manifest};
use daybook_metrics::store::{Batch, Options, Store};
use daybook_metrics::{Labels, NAME};
use serde_json::Value;

const DAY: i64 = 86_400_000;
/// Between two samples of the past.
const SLOT: i64 = 300_000;
/// Three weeks are learnt from, by a server without optimisation, before rules that wait a minute are asked.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Requests a second at a time, more by day than by night.
fn usual(at: i64) -> f64 {
    let day = (at % DAY) as f64 / DAY as f64 * std::f64::consts::TAU;
    100.0 - 60.0 * day.cos()
}

/// Gives a server that does not run three weeks of a past, in which `web` and `kiosk` had visitors; `kiosk` goes on to have them
/// for some minutes.
fn remember(state: &Path, now: i64) {
    let directory = state.join("metrics");
    std::fs::remove_dir_all(&directory).expect("what was measured can be removed");
    let (store, _) = Store::open(&directory, Options::default()).expect("measurements can be kept");
    let labels = |service| {
        let of = [("app", "shop"), ("env", "production"), ("service", service)];
        Labels::new(of.into_iter().chain([(NAME, "daybook_service:http_requests:rate5m")]))
    };
    let keep = |service, at, clock| {
        let mut batch = Batch::default();
        batch.add(labels(service), at, usual(at));
        let receipt = store.append(&batch, clock).expect("a sample can be kept");
        assert!(receipt.refused.is_empty(), "{:?}", receipt.refused);
    };
    for at in (0..21 * DAY / SLOT).rev().map(|back| now - back * SLOT) {
        keep("web", at, at);
        keep("kiosk", at, at);
    }
    for at in (1..39).map(|step| now + step * 15_000) {
        keep("kiosk", at, now);
    }
}

/// Alerts that fire or are about to.
async fn alerts(world: &World) -> Vec<Value> {
    world.run(&["alert", "-o", "json"]).await.expect(0).json().as_array().cloned().unwrap_or_default()
}

/// The value that a question has, if it has one value.
async fn value(world: &World, question: &str) -> Option<f64> {
    let answer = world.run(&["query", question, "-o", "json"]).await.expect(0).json();
    let result = &answer["data"]["result"];
    let point = if result[0].is_object() { &result[0]["value"][1] } else { &result[1] };
    point.as_str().and_then(|text| text.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_who_stay_away_are_told_of_and_a_usual_day_is_not() {
    let mut world = World::new().await;
    let soon = "\nalerts:\n  TrafficDrop: {for: 1s}\n  TrafficSpike: {for: 1s}\n";
    world.write("daybook.yaml", &format!("{}{soon}", manifest()));
    world.up(1, &[]).await.expect(0);
    assert_eq!(world.get("/").await.unwrap().status, 200);
    let now = value(&world, "time()").await.expect("there is a time") * 1e3;

    world.daybook.kill_server().await.unwrap();
    remember(&world.state(), now as i64);
    world.daybook.serve().await.unwrap();

    let is_drop = |alert: &&Value| alert["name"] == "TrafficDrop" && alert["state"] == "firing";
    let began = Instant::now();
    let all = loop {
        let all = alerts(&world).await;
        if all.iter().any(|alert| is_drop(&alert)) {
            break all;
        }
        assert!(began.elapsed() < PATIENCE, "no drop is told: {all:?}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let drop = all.iter().find(is_drop).expect("it fires");
    assert_eq!((&drop["labels"]["service"], &drop["severity"]), (&"web".into(), &"ticket".into()), "{drop}");
    let summary = drop["summary"].as_str().unwrap_or_default();
    assert!(summary.starts_with("web in production gets ") && summary.contains(" requests a second; "), "{drop}");
    assert!(summary.ends_with(" are usual at this time") && !summary.contains("error"), "{drop}");

    // The band is there to be drawn, and what is within it is no alert.
    let band =
        |metric: &str, service: &str| format!("daybook_anomaly_{metric}{{of=\"requests\",service=\"{service}\"}}");
    let lower = value(&world, &band("lower", "web")).await.expect("there is a lower bound");
    assert!(lower > 1.0 && lower < 160.0, "{lower}");
    let away = value(&world, &band("away", "kiosk")).await.expect("the usual day is watched");
    assert!(away.abs() <= 1.0, "{away}");
    assert!(all.iter().all(|alert| alert["labels"]["service"] != "kiosk"), "{all:?}");

    // The past tells the same.
    let test = world.run(&["alert", "test", "TrafficDrop", "--since", "5m", "-o", "json"]).await.expect(0).json();
    assert_eq!(test["alerts"][0]["fired"], 1, "{test}");
    world.end().await;
}
