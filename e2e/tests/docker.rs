//! The same on Docker. `scripts/dockerd start` gives a daemon; without one these fail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use daybook_bench::load::{Load, get};
use daybook_e2e::{KEY, World};

#[tokio::test(flavor = "multi_thread")]
async fn r01_rollouts_on_docker_under_load_fail_no_request() {
    let world = World::on("docker").await;
    world.up(1, &[]).await.expect(0);
    let load = Load::start(world.load());
    for build in 2..=3 {
        world.up(build, &[("SHOP_VERSION", "2")]).await.expect(0);
        assert_eq!(world.build().await, build.to_string());
    }
    let report = load.stop().await;
    world.expect_no_failure(&report);
    world.run(&["down", "--volumes", "orders", "--confirm=shop/production", "--no-input"]).await.expect(0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_what_runs_on_docker_is_adopted_after_the_whole_state_was_lost() {
    let mut world = World::on("docker").await;
    world.write(
        "daybook.yaml",
        &daybook_e2e::manifest().replace("app: shop", "app: lost").replace("shop.localhost", "lost.localhost"),
    );
    world.up(1, &[]).await.expect(0);
    world.daybook.kill_server().await.unwrap();
    // Everything: journal, keys, the edge's table and its socket. The edge itself serves on until the next one.
    std::fs::remove_dir_all(world.state()).unwrap();
    std::fs::create_dir(world.state()).unwrap();
    world.daybook.serve().await.unwrap();
    let status = world.daybook.settled("lost/production").await.unwrap();
    assert_ne!("lost/production", KEY);
    assert_eq!(status["adopted"], true, "{status:#}");
    world.up(1, &[]).await.expect(0);
    let about = get(world.daybook.http, "lost.localhost", "/api/about").await.unwrap();
    assert_eq!(about.status, 200, "the app serves again through an edge of its own");
    world
        .run(&["down", "--app", "lost", "--volumes", "orders", "--confirm=lost/production", "--no-input"])
        .await
        .expect(0);
    world.end().await;
}

/// What people write: a proxy in front of an app, a database with its password in a file, a cache; mounts of files and
/// volumes, dependencies with conditions.
const STACK: &str = r#"
name: shop
services:
  proxy:
    image: nginx:1.22
    ports: ["127.0.0.1:${PROXY_PORT}:81"]
    volumes: ["./nginx.conf:/etc/nginx/conf.d/default.conf:ro"]
    depends_on:
      app: {condition: service_healthy}
  app:
    image: daybook-test/app:1
    environment: ["MESSAGE=${MESSAGE:-one}"]
    expose: ["8080"]
    depends_on:
      db: {condition: service_healthy}
      cache: {condition: service_started}
    deploy: {replicas: 2}
  db:
    image: postgres:15
    environment: {POSTGRES_PASSWORD_FILE: /run/secrets/password, POSTGRES_DB: orders}
    secrets: [password]
    volumes: ["data:/var/lib/postgresql/data"]
    healthcheck: {test: ["CMD-SHELL", "pg_isready -U postgres -d orders"], interval: 1s, retries: 30}
  cache:
    image: redis:7
    volumes: ["cached:/data"]
secrets: {password: {file: ./password.txt}}
volumes: {data: {}, cached: {}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn r01_a_compose_stack_runs_unchanged_and_calls_between_its_services_lose_nothing() {
    let world = World::on("docker").await;
    let proxy = daybook_bench::shop::free_address().unwrap();
    world.write("compose.yaml", STACK);
    world.write("password.txt", "canary-swordfish\n");
    world.write("nginx.conf", "server { listen 81; location / { proxy_pass http://app:8080; } }\n");
    let port = proxy.port().to_string();
    let up = async |message: &str| {
        let arguments = ["up", "--file", "compose.yaml", "--yes", "--no-input"];
        world.run_with(&arguments, &[("PROXY_PORT", &port), ("MESSAGE", message)]).await.expect(0)
    };
    up("one").await;

    let answers = async || String::from_utf8_lossy(&get(proxy, "localhost", "/").await.unwrap().body).into_owned();
    assert_eq!(answers().await, "one");
    let ask =
        ["exec", "db", "--file", "compose.yaml", "psql", "-U", "postgres", "-d", "orders", "-tAc", "select 6 * 7"];
    let asked = world.run_with(&ask, &[("PROXY_PORT", &port)]).await.expect(0);
    assert_eq!(asked.out.trim(), "42");

    // Users go through the proxy, and the proxy through the edge, while the app behind it is replaced.
    let over = Arc::new(AtomicBool::new(false));
    let user = tokio::spawn({
        let over = over.clone();
        async move {
            let mut heard = BTreeMap::<String, u64>::new();
            while !over.load(Relaxed) {
                let reply =
                    get(proxy, "localhost", "/").await.map(|reply| String::from_utf8_lossy(&reply.body).into_owned());
                *heard.entry(reply.unwrap_or_else(|why| why)).or_default() += 1;
            }
            heard
        }
    });
    up("two").await;
    over.store(true, Relaxed);
    let heard = user.await.unwrap();
    assert_eq!(heard.keys().collect::<Vec<_>>(), ["one", "two"], "{heard:?}");
    assert_eq!(answers().await, "two");

    // The password came from a file, and is in none of ours.
    world.write("password.txt", "canary-herring\n");
    let plan = world.run_with(&["plan", "--file", "compose.yaml"], &[("PROXY_PORT", &port), ("MESSAGE", "two")]).await;
    let plan = plan.expect(2);
    assert!(plan.out.contains("db") && !plan.all().contains("canary"), "a changed secret is planned: {plan}");
    world.run(&["down", "--volumes", "data,cached", "--confirm=shop/production", "--no-input"]).await.expect(0);
    world.end().await;
}
