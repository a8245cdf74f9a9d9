//! Helm charts as services, on a real cluster and by the real Helm. `scripts/cluster start` gives both.

#![allow(clippy::unwrap_used)]

use daybook_e2e::cluster::{NAMESPACE, helm, kubectl, target};
use daybook_e2e::{KEY, World, workspace};

/// Writes a manifest whose one service is a chart with values. It reaches its pods' registry by itself.
fn write(world: &World, chart: &str, values: &str) {
    let registry = std::env::var("DAYBOOK_REGISTRY").unwrap();
    let text = format!(
        "app: shop
target: {}
services:
  pages:
    helm:
      chart: {chart}
      values: {{image: \"{registry}/busybox:1.35\", {values}}}
    rollout: {{ready: 15s}}
",
        target()
    );
    world.write("daybook.yaml", &text);
}

/// The text that the chart's page has.
async fn page() -> String {
    let path = "jsonpath={.spec.template.spec.containers[0].env[0].value}";
    kubectl(&["-n", NAMESPACE, "get", "deployment", "pages", "-o", path]).await
}

async fn in_state(state: &str) -> usize {
    let records = format!("owner=helm,name=pages,status={state}");
    kubectl(&["-n", NAMESPACE, "get", "secrets", "-l", &records, "-o", "name"]).await.lines().count()
}

async fn newest_state() -> String {
    let column = "custom-columns=V:.metadata.labels.version,S:.metadata.labels.status";
    let list = ["-n", NAMESPACE, "get", "secrets", "-l", "owner=helm,name=pages", "--no-headers", "-o", column];
    let records = kubectl(&list).await;
    let parsed = records.lines().filter_map(|line| line.split_once(char::is_whitespace));
    let newest = parsed.max_by_key(|(version, _)| version.parse::<u32>().unwrap_or_default());
    newest.map(|(_, state)| state.trim().to_owned()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_a_chart_is_released_changed_swapped_back_rolled_back_and_taken_away() {
    let mut world = World::beside_the_cluster().await;
    let chart = workspace::root().join("e2e/charts/pages");
    let local = chart.display().to_string();
    write(&world, &local, "text: first");
    let plan = world.run(&["plan"]).await.expect(2);
    assert!(plan.out.contains("makes Deployment pages, Service pages"), "{plan}");
    world.run(&["up", "--yes"]).await.expect(0);
    assert_eq!(page().await, "first");
    assert_eq!(world.run(&["plan"]).await.expect(0).code, 0, "it is as it should be");

    // What it changes is planned; one that never gets ready is named, and the one before is back.
    write(&world, &local, "text: broken, image: \"127.0.0.1:1/nothing:1\"");
    let twice = world.run(&["validate"]).await;
    assert_ne!(twice.code, 0, "`image` is there twice: {twice}");
    write(&world, &local, "text: broken, delay: 600");
    let plan = world.run(&["plan"]).await.expect(2);
    for line in ["text  first → broken", "delay  (none) → 600", "~ Deployment pages"] {
        assert!(plan.out.contains(line), "{plan}");
    }
    world.run(&["up", "--yes"]).await.expect(4);
    assert_eq!(page().await, "first");
    assert!(world.run(&["status"]).await.expect(0).out.contains("running"));

    // The server is killed while Helm waits.
    write(&world, &local, "text: second, delay: 6");
    let mut up = world.command(&["up", "--yes", "--no-input"]).kill_on_drop(true).spawn().unwrap();
    world.until("a release is under way", async |_| in_state("pending-upgrade").await == 1).await;
    world.daybook.kill_server().await.unwrap();
    world.daybook.serve().await.unwrap();
    world.daybook.settled(KEY).await.unwrap();
    up.wait().await.unwrap();
    assert_eq!(page().await, "second", "{}", world.run(&["history"]).await);
    // Helm may have gone down with the server; then its record stays behind a newer one.
    assert_eq!(newest_state().await, "deployed");

    // From a registry, and back again though the registry is asked no more.
    let packed = tempfile::tempdir().unwrap();
    let into = packed.path().display().to_string();
    let charts = format!("oci://{}/charts", std::env::var("DAYBOOK_REGISTRY").unwrap());
    helm(&["package", &local, "--version", "1.3.0", "--destination", &into]).await;
    helm(&["push", "--plain-http", &format!("{into}/pages-1.3.0.tgz"), &charts]).await;
    write(&world, &format!("{charts}/pages"), "text: third");
    world.run(&["up", "--yes"]).await.expect(0);
    assert!(world.run(&["status"]).await.expect(0).out.contains("pages 1.3.0"));
    assert_eq!(page().await, "third");
    world.run(&["rollback", "--yes"]).await.expect(0);
    assert_eq!(page().await, "second");

    // Somebody else's release of a name stays theirs.
    let image = format!("image={}/busybox:1.35", std::env::var("DAYBOOK_REGISTRY").unwrap());
    helm(&["install", "theirs", &local, "-n", NAMESPACE, "--set", &image]).await;
    let manifest = std::fs::read_to_string(world.path().join("daybook.yaml")).unwrap();
    world.write("daybook.yaml", &manifest.replace("  pages:\n", "  theirs:\n"));
    let up = world.run(&["up", "--yes"]).await;
    assert_ne!(up.code, 0, "{up}");
    assert!(up.all().contains("somebody else has released a chart as `theirs`"), "{up}");
    assert_eq!(page().await, "second");
    helm(&["uninstall", "theirs", "-n", NAMESPACE]).await;

    // Without it in the manifest, nothing of it is left.
    let registry = std::env::var("DAYBOOK_REGISTRY").unwrap();
    let other = format!("{{image: \"{registry}/busybox:1.35\", command: [sleep, \"9999\"], stop_grace_period: 1s}}");
    world.write("daybook.yaml", &format!("app: shop\ntarget: {}\nservices: {{other: {other}}}\n", target()));
    let plan = world.run(&["plan"]).await.expect(2);
    assert!(plan.out.contains("pages leaves"), "{plan}");
    world.run(&["up", "--yes"]).await.expect(0);
    let left = kubectl(&["-n", NAMESPACE, "get", "deployments,services", "-o", "name"]).await;
    assert!(!left.contains("pages"), "nothing of the chart is left: {left}");
    world.run(&["down", "--yes"]).await.expect(0);
    world.run(&["journal", "verify"]).await.expect(0);
    world.end().await;
}
