//! Rules that the manifest brings along: they fire, are silenced, are replayed, and go back with the release.

use daybook_e2e::{World, manifest};
use serde_json::Value;

const RULES: &str = r#"
groups:
  - name: shop
    interval: 15s
    rules:
      - record: shop:up:sum
        expr: sum by (service) (daybook_replica_up)
      - alert: WebServes
        expr: shop:up:sum{service="web"} > 0
        for: 15s
        labels: {severity: ticket}
        annotations: {summary: "{{ $labels.service }} has {{ $value }} replicas"}
      - alert: WorkerServes
        expr: shop:up:sum{service="worker"} > 0
        for: 15s
        labels: {severity: ticket}
"#;
const FILE: &str = "monitoring/shop.rules.yaml";

async fn alert(world: &World, name: &str) -> Option<Value> {
    let listed = world.run(&["alert", "-o", "json"]).await.expect(0).json();
    listed.as_array().into_iter().flatten().find(|alert| alert["name"] == name).cloned()
}

/// The names of the alerts of all incidents that go on.
async fn told(world: &World) -> Vec<String> {
    let listed = world.run(&["incident", "ls", "-o", "json"]).await.expect(0).json();
    let alerts = listed.as_array().into_iter().flatten().filter_map(|incident| incident["alerts"].as_array());
    alerts.flatten().filter_map(|alert| alert["name"].as_str().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_the_manifest_fire_are_silenced_and_go_back_with_the_release() {
    let world = World::new().await;
    std::fs::create_dir(world.path().join("monitoring")).expect("a directory can be made");
    world.write("daybook.yaml", &format!("{}\nrules: monitoring/*.rules.yaml\n", manifest()));

    // What is wrong is told with its place before anything happens.
    world.write(FILE, &RULES.replace("daybook_replica_up)", "daybook_replica_up"));
    for command in ["validate", "plan"] {
        let refused = world.run(&[command]).await.expect(1);
        assert!(refused.all().contains("P0121") && refused.all().contains(&format!("{FILE}:7:")), "{refused}");
    }
    world.write(FILE, RULES);
    world.up(1, &[]).await.expect(0);
    let silence = ["silence", "add", "service=worker", "--for", "1h", "--why", "we know", "-o", "json"];
    let silence = world.run(&silence).await.expect(0).json();

    let fires = |name: &'static str| {
        async move |world: &World| alert(world, name).await.is_some_and(|alert| alert["state"] == "firing")
    };
    world.until("the rules fire", fires("WebServes")).await;
    world.until("the silenced rule fires as well", fires("WorkerServes")).await;
    world.until("an incident is open", async |world| told(world).await.contains(&"WebServes".to_owned())).await;
    let web = alert(&world, "WebServes").await.expect("it fires");
    assert_eq!((&web["key"], &web["labels"]["env"]), (&"shop/production".into(), &"production".into()), "{web}");
    assert_eq!(web["summary"], "web has 2 replicas");
    assert!(web["silenced"].is_null(), "{web}");
    let worker = alert(&world, "WorkerServes").await.expect("it is shown");
    assert_eq!(worker["silenced"], silence["id"], "{worker}");
    assert!(!told(&world).await.contains(&"WorkerServes".to_owned()), "nobody is told of it");

    // The silence outlives a server, and ends when somebody ends it.
    let id = silence["id"].as_str().expect("a silence has an id");
    let listed = world.run(&["silence", "ls"]).await.expect(0);
    assert!(listed.out.contains(id) && listed.out.contains("we know"), "{listed}");
    world.run(&["silence", "rm", id]).await.expect(0);
    world.until("somebody is told", async |world| told(world).await.contains(&"WorkerServes".to_owned())).await;
    world.run(&["silence", "rm", id]).await.expect(1);

    // The past would have been the same.
    let test = world.run(&["alert", "test", "WebServes", "--since", "10m", "-o", "json"]).await.expect(0).json();
    assert_eq!(test["alerts"][0]["fired"], 1, "{test}");
    assert!(test["alerts"][0]["episodes"][0]["ended"].is_null(), "{test}");

    // Rules are a part of the release.
    world.write(FILE, &RULES.replace("WebServes", "WebIsThere"));
    let plan = world.run(&["plan"]).await.expect(2);
    assert!(plan.out.contains(&format!("changed: {FILE}")), "{plan}");
    world.up(1, &[]).await.expect(0);
    world.run(&["alert", "test", "WebServes", "--since", "10m"]).await.expect(1);
    world.run(&["alert", "test", "WebIsThere", "--since", "10m"]).await.expect(0);
    world.run(&["rollback", "1", "--yes"]).await.expect(0);
    world.run(&["alert", "test", "WebServes", "--since", "10m"]).await.expect(0);
    world.end().await;
}
