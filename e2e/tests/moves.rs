//! An environment moves between this machine and a cluster. `scripts/cluster start` gives one; without one these fail.

use daybook_bench::load::{Load, get};
use daybook_bench::shop;
use daybook_e2e::cluster::{NAMESPACE, kubectl, target};
use daybook_e2e::{Ended, KEY, World};

/// The cluster for tests, whose pods this machine reaches: its own edge serves both sides of a move.
fn direct() -> String {
    format!("{}&pods=direct", target())
}

async fn move_to(world: &World, target: &str, build: u32, variables: &[(&str, &str)]) -> Ended {
    let build = build.to_string();
    let words = ["env", "move", "production", "--to", target, "--empty-volumes", "--yes", "--no-input"];
    world.run_with(&words, &[&[("SHOP_BUILD", &*build)], variables].concat()).await
}

async fn pods() -> String {
    kubectl(&["-n", NAMESPACE, "get", "pods", "-o", "name"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_a_move_there_and_back_fails_no_request_with_the_server_killed_on_the_way() {
    let mut world = World::beside_the_cluster().await;
    world.up(1, &[]).await.expect(0);
    let load = Load::start(world.load());
    let there = direct();
    for (to, kills) in [(&*there, [3, 9]), ("process", [2, 8])] {
        let words = ["env", "move", "production", "--to", to, "--empty-volumes", "--yes", "--no-input"];
        let mut moving = world.command(&words).env("SHOP_BUILD", "1").kill_on_drop(true).spawn().unwrap();
        for steps in kills {
            world.until_steps(steps).await;
            world.daybook.kill_server().await.unwrap();
            world.daybook.serve().await.unwrap();
        }
        let status = world.daybook.settled(KEY).await.unwrap();
        moving.wait().await.unwrap();
        assert_eq!(
            status["target"],
            if to == "process" { "process" } else { "kubernetes://daybook-test" },
            "{status:#}"
        );
        world.until("two replicas serve", async |world| world.replicas("web").await.len() == 2).await;
        assert_eq!(world.build().await, "1");
    }
    let report = load.stop().await;
    world.expect_no_failure(&report);
    assert_eq!(pods().await, "", "nothing is left where it was");
    world.run(&["journal", "verify"]).await.expect(0);
    kubectl(&["delete", "namespace", NAMESPACE, "--timeout=90s"]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r04_what_does_worse_at_the_new_target_moves_back() {
    let world = World::beside_the_cluster().await;
    world.up(1, &[]).await.expect(0);
    let load = Load::start(world.load());
    let moved = move_to(&world, &direct(), 2, &[("SHOP_FAULT", "not-ready")]).await.expect(4);
    assert!(moved.err.contains("web") && moved.err.contains("503"), "{moved}");
    let report = load.stop().await;
    world.expect_no_failure(&report);
    let load = Load::start(world.load());
    let moved = move_to(&world, &direct(), 3, &[("SHOP_FAULT", "errors"), ("SHOP_FAULT_AFTER", "0")]).await;
    load.stop().await;
    let moved = moved.expect(4);
    assert!(moved.err.contains("requests failed"), "{moved}");
    assert_eq!(world.build().await, "1");
    assert_eq!(world.status().await["target"], "process");
    assert_eq!((world.replicas("web").await.len(), world.replicas("worker").await.len()), (2, 1));
    assert_eq!(pods().await, "", "what was started there is gone");
    kubectl(&["delete", "namespace", NAMESPACE, "--timeout=90s"]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r01_both_targets_serve_until_the_names_lead_to_the_new_entrance() {
    let world = World::beside_the_cluster().await;
    world.up(1, &[]).await.expect(0);
    let words = ["env", "move", "production", "--to", &target(), "--yes", "--no-input"];
    let data = world.run(&words).await.expect(1);
    assert!(data.all().contains("P0106") && data.all().contains("`orders`"), "{data}");

    let load = Load::start(world.load());
    let moved = move_to(&world, &target(), 2, &[]).await.expect(0);
    assert!(moved.all().contains("both serve") && moved.all().contains("--finish"), "{moved}");
    let entrance = world.entrance_of_the_cluster().await;
    let there = get(entrance, shop::HOST, "/api/about").await.expect("the new entrance answers");
    assert_eq!((there.status, &there.json()["build"]), (200, &"2".into()));
    assert_eq!(world.build().await, "1", "the old entrance serves on");

    let finish = ["env", "move", "production", "--finish", "--yes", "--no-input"];
    let refused = world.run(&finish).await;
    assert!(refused.code != 0 && refused.all().contains("clients still come in at process"), "{refused}");
    let down = world.run(&["down", "--yes", "--no-input"]).await;
    assert!(down.code != 0 && down.all().contains("--finish"), "{down}");
    let report = load.stop().await;
    world.expect_no_failure(&report);

    let load = Load::start(daybook_bench::load::Options { address: entrance, ..world.load() });
    world.run(&finish).await.expect(0);
    let report = load.stop().await;
    world.expect_no_failure(&report);
    assert_ne!(get(world.daybook.http, shop::HOST, "/api/about").await.expect("an edge answers").status, 200);
    let environments = world.run(&["env", "ls"]).await.expect(0);
    assert!(environments.out.contains("kubernetes://daybook-test") && !environments.out.contains("still serves"));
    world.end_on_the_cluster().await;
}
