//! What runs is measured, without anybody having configured anything, and can be asked about.

use daybook_bench::shop;
use daybook_e2e::{World, manifest};
use serde_json::Value;

/// The value that a question has, if it has one value.
async fn value(world: &World, question: &str) -> Option<f64> {
    let answer = world.run(&["query", question, "-o", "json"]).await.expect(0).json();
    let result = &answer["data"]["result"];
    let point = if result[0].is_object() { &result[0]["value"][1] } else { &result[1] };
    point.as_str().and_then(|text| text.parse().ok())
}

async fn until_measured(world: &World, question: &str, holds: impl Fn(f64) -> bool) {
    world.until(&format!("{question} holds"), async |world| value(world, question).await.is_some_and(&holds)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_is_measured_from_its_first_start() {
    let world = World::new().await;
    let metrics =
        manifest().replace("    healthcheck: /healthz\n", "    healthcheck: /healthz\n    metrics: /metrics\n");
    world.write("daybook.yaml", &metrics);
    world.up(1, &[]).await.expect(0);
    for _ in 0..20 {
        assert_eq!(world.get("/").await.unwrap().status, 200);
    }
    world.order().await;

    let requests = r#"sum(daybook_http_requests_total{app="shop",service="web",code="2xx"})"#;
    until_measured(&world, requests, |count| count >= 20.0).await;
    until_measured(&world, r#"count(daybook_replica_memory_bytes{service="web"} > 1e5)"#, |count| count >= 2.0).await;
    until_measured(&world, r#"sum(daybook_replica_cpu_seconds_total{service="web"})"#, |seconds| seconds > 0.0).await;
    until_measured(&world, r#"daybook_service_replicas_running{service="worker"}"#, |count| count == 1.0).await;
    until_measured(&world, "daybook_host_cpus", |count| count >= 1.0).await;
    let p95 = r#"histogram_quantile(0.95, sum by (le) (daybook_http_request_duration_seconds_bucket{service="web"}))"#;
    until_measured(&world, p95, |seconds| seconds > 0.0 && seconds < 30.0).await;

    // By route as the manifest has it, whatever was asked for there.
    let route = r#"sum(daybook_route_requests_total{app="shop",service="web",code="2xx"}) by (route)"#;
    until_measured(&world, route, |count| count >= 21.0).await;
    let routes = world.run(&["query", route, "-o", "json"]).await.expect(0).json();
    let routes = routes["data"]["result"].as_array().cloned().unwrap_or_default();
    let names: Vec<_> = routes.iter().map(|row| row["metric"]["route"].as_str().unwrap_or_default()).collect();
    assert_eq!(names, [format!("{}/", shop::HOST)]);

    // What the shop tells of itself, at each replica.
    until_measured(&world, r#"count(up{job="shop/production/web"} == 1)"#, |count| count == 2.0).await;
    until_measured(&world, r#"max(sum by (replica) (shop_orders))"#, |count| count == 1.0).await;

    // A query that is none is refused in words, and so is one that would take too much.
    let wrong = world.run(&["query", "sum(", "-o", "json"]).await.expect(64);
    assert!(wrong.err.contains("query"), "{wrong}");

    // The line of a range.
    let range = world.run(&["query", "daybook_host_load1", "--range", "5m"]).await.expect(0);
    assert!(range.out.contains("OVER TIME"), "{range}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r12_what_was_measured_outlives_the_server() {
    let mut world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let requests = r#"sum(daybook_http_requests_total{service="web",code="2xx"})"#;
    for _ in 0..7 {
        world.get("/").await.unwrap();
    }
    until_measured(&world, requests, |count| count >= 7.0).await;
    let before = world.run(&["query", requests, "--range", "10m", "--step", "1s", "-o", "json"]).await.expect(0).json();
    let last = |answer: &Value| answer["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
    let seen = last(&before);
    assert!(!seen.is_empty());

    world.daybook.kill_server().await.expect("the server is killed");
    world.daybook.serve().await.expect("the server starts again");
    let after = world.run(&["query", requests, "--range", "10m", "--step", "1s", "-o", "json"]).await.expect(0).json();
    let kept: Vec<_> = last(&after).into_iter().map(|point| point[1].clone()).collect();
    let newest = &seen.last().expect("there is one")[1];
    assert!(kept.contains(newest), "{newest} is there no more: {after}");
    world.end().await;
}
