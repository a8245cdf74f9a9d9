//! Rollouts: what a user of the shop must not notice, and what happens when the new version is bad.

use std::time::{Duration, Instant};

use daybook_bench::load::Load;
use daybook_bench::shop;
use daybook_e2e::World;

#[tokio::test(flavor = "multi_thread")]
async fn r01_rollouts_under_load_fail_no_request() {
    let world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let before = shop::served(world.daybook.http, shop::HOST).await.unwrap();
    let load = Load::start(world.load());
    for build in 2..=4 {
        world.up(build, &[("SHOP_VERSION", if build % 2 == 0 { "2" } else { "1" })]).await.expect(0);
        assert_eq!(world.build().await, build.to_string());
    }
    let report = load.stop().await;
    world.expect_no_failure(&report);
    assert!(report.sent() > 100, "{report}");
    shop::reconcile(&report, &before, &shop::served(world.daybook.http, shop::HOST).await.unwrap()).unwrap();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_a_version_that_never_gets_ready_leaves_the_old_one_serving() {
    let world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let load = Load::start(world.load());
    let up = world.up(2, &[("SHOP_FAULT", "not-ready")]).await.expect(4);
    assert!(up.err.contains("web") && up.err.contains("503"), "the verdict says which and why: {up}");
    let report = load.stop().await;
    world.expect_no_failure(&report);
    assert_eq!(world.build().await, "1");
    assert_eq!(world.replicas("web").await.len(), 2, "what was started for the new version is gone");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_a_failing_release_hook_leaves_the_old_version_serving() {
    let world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let up = world.up(2, &[("SHOP_FAULT", "migrate")]).await.expect(4);
    assert!(up.err.contains("migration failed"), "the hook's own words are shown: {up}");
    assert_eq!(world.build().await, "1");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_a_first_deployment_that_fails_says_so() {
    let world = World::new().await;
    let up = world.up(1, &[("SHOP_FAULT", "not-ready")]).await.expect(1);
    assert!(up.err.contains("503"), "{up}");
    world.up(2, &[]).await.expect(0);
    assert_eq!(world.build().await, "2");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r05_a_worse_version_is_swapped_back() {
    let world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let address = world.daybook.http;
    let stop = std::sync::Arc::new(tokio::sync::Notify::new());
    let stopped = std::sync::Arc::clone(&stop);
    let user = tokio::spawn(async move {
        let mut bad: Vec<Instant> = Vec::new();
        loop {
            let reply = daybook_bench::load::get(address, shop::HOST, "/api/products").await;
            if reply.is_ok_and(|reply| reply.status == 500) {
                bad.push(Instant::now());
            }
            tokio::select! {
                () = stopped.notified() => return bad,
                () = tokio::time::sleep(Duration::from_millis(10)) => {}
            }
        }
    });
    let faults = [("SHOP_FAULT", "errors"), ("SHOP_FAULT_AFTER", "4"), ("SHOP_PROBATION", "30s")];
    let up = world.up(2, &faults).await.expect(4);
    stop.notify_one();
    let bad = user.await.unwrap();
    let suffered = bad.first().zip(bad.last()).map(|(first, last)| last.duration_since(*first));
    println!("users saw errors for {suffered:?}");
    assert!(suffered.is_some(), "the new version did serve: {up}");
    assert!(up.err.contains("web"), "{up}");
    assert_eq!(world.build().await, "1");
    let history = world.run(&["history"]).await.expect(0);
    assert!(history.out.contains("swapped back") || history.out.contains("swapped_back"), "{history}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r08_a_worker_never_runs_twice() {
    let world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let state = world.state();
    let workers = || {
        let pids = daybook_bench::process::working_beneath(&state);
        pids.into_iter().filter(|pid| daybook_bench::process::command(*pid).ends_with("bin/shop worker")).count()
    };
    assert_eq!(workers(), 1);
    for build in 2..=3 {
        let build = build.to_string();
        let variables = [("SHOP_BUILD", &*build)];
        let mut up = std::pin::pin!(world.run_with(&["up", "--yes", "--no-input"], &variables));
        let ended = loop {
            tokio::select! {
                ended = &mut up => break ended,
                () = tokio::time::sleep(Duration::from_millis(5)) => assert!(workers() <= 1, "two workers at once"),
            }
        };
        ended.expect(0);
        assert_eq!(workers(), 1);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_a_fleet_is_rolled_out_in_waves_and_stops_at_the_first_bad_one() {
    let world = World::new().await;
    let shop = daybook_e2e::manifest();
    let fleet = |us: &str| {
        format!(
            "{shop}
environments:
  canary: {{services: {{web: {{domain: canary.localhost}}}}}}
  eu: {{services: {{web: {{domain: eu.localhost}}}}}}
  us: {{services: {{web: {{domain: us.localhost{us}}}}}}}
fleets:
  production: {{waves: [canary, [eu, us]], soak: 1s}}
"
        )
    };
    let up = async |build: &str, fault: &str| {
        world
            .run_with(
                &["up", "--fleet", "production", "--yes", "--no-input"],
                &[("SHOP_BUILD", build), ("SHOP_FAULT", fault)],
            )
            .await
    };
    let builds = async || {
        let mut builds = Vec::new();
        for host in ["canary.localhost", "eu.localhost", "us.localhost"] {
            let reply = daybook_bench::load::get(world.daybook.http, host, "/api/about").await.unwrap();
            builds.push(reply.json()["build"].as_str().unwrap_or_default().to_owned());
        }
        builds.join(" ")
    };
    world.write("daybook.yaml", &fleet(""));
    up("1", "none").await.expect(0);
    assert_eq!(builds().await, "1 1 1");

    // The first wave goes wrong: nobody else sees it.
    let bad = up("2", "not-ready").await.expect(4);
    assert!(bad.err.contains("stops at wave 1 of 2") && bad.err.contains("not begun: shop/eu, shop/us"), "{bad}");
    assert_eq!(builds().await, "1 1 1");

    // One of the second goes wrong: the others stay where they are, and the way back is named.
    world.write("daybook.yaml", &fleet(", environment: {SHOP_FAULT: not-ready}"));
    let bad = up("3", "none").await.expect(4);
    assert!(bad.err.contains("stops at wave 2 of 2") && bad.err.contains("daybook rollback -e canary"), "{bad}");
    assert_eq!(builds().await, "3 3 1");

    // Corrected, the same command goes on from there.
    world.write("daybook.yaml", &fleet(""));
    let plan = world.run_with(&["plan", "--fleet", "production"], &[("SHOP_BUILD", "3")]).await.expect(2);
    assert!(plan.out.contains("shop/canary at release") && plan.out.contains("shop/us"), "{plan}");
    let rest = up("3", "none").await.expect(0);
    assert!(rest.err.contains("shop/canary: nothing to change"), "{rest}");
    assert_eq!(builds().await, "3 3 3");
    let wrong = world.run(&["up", "--fleet", "produktion"]).await;
    assert!(wrong.code != 0 && wrong.err.contains("it describes production"), "{wrong}");
    for environment in ["canary", "eu", "us"] {
        world.run(&["down", "-e", environment, "--yes", "--no-input"]).await.expect(0);
    }
    world.daybook.end("shop").await.unwrap_or_else(|error| panic!("{error:#}"));
}
