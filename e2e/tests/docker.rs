//! The same on Docker. `scripts/dockerd start` gives a daemon; without one these fail.

use daybook_bench::load::Load;
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
    for entry in std::fs::read_dir(world.state()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("daybook.db") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    world.daybook.serve().await.unwrap();
    let status = world.daybook.settled("lost/production").await.unwrap();
    assert_ne!("lost/production", KEY);
    assert_eq!(status["adopted"], true, "{status:#}");
    world
        .run(&["down", "--app", "lost", "--volumes", "orders", "--confirm=lost/production", "--no-input"])
        .await
        .expect(0);
    world.end().await;
}
