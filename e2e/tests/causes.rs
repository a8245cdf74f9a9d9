//! `daybook why` names the cause of a failing service.

use daybook_e2e::{Ended, World};

/// Deploys with a fault, and returns what `why web` says while it fails.
async fn why(world: &World, variables: &[(&str, &str)]) -> Ended {
    let up = world.up(2, variables).await;
    assert_ne!(up.code, 0, "{up}");
    world.run(&["why", "web"]).await.expect(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn r07_a_crash_is_told_with_its_exit_code_and_last_words() {
    let world = World::new().await;
    let why = why(&world, &[("SHOP_FAULT", "crash"), ("SHOP_FAULT_AFTER", "0")]).await;
    assert!(why.out.contains('3') && why.out.contains("COUPON_KEY"), "{why}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r07_a_failing_check_is_told_with_its_last_answer() {
    let world = World::new().await;
    let why = why(&world, &[("SHOP_FAULT", "not-ready")]).await;
    assert!(why.out.contains("503"), "{why}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r07_a_wrong_port_is_told() {
    let world = World::new().await;
    let why = why(&world, &[("SHOP_FAULT", "wrong-port")]).await;
    assert!(why.out.to_lowercase().contains("port"), "{why}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r07_a_missing_program_is_told() {
    let world = World::new().await;
    world.write("daybook.yaml", &daybook_e2e::manifest().replace("[bin/shop, web]", "[bin/shopp, web]"));
    let up = world.up(1, &[]).await;
    assert_ne!(up.code, 0, "{up}");
    let why = world.run(&["why", "web"]).await.expect(0);
    assert!(why.out.contains("bin/shopp"), "{why}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r07_a_crashed_replica_is_replaced_and_users_do_not_notice() {
    let world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let state = world.state();
    let shops = || {
        let pids = daybook_bench::process::working_beneath(&state);
        let web = |pid: &u32| daybook_bench::process::command(*pid).ends_with("bin/shop web");
        pids.into_iter().filter(web).collect::<Vec<_>>()
    };
    let victim = shops()[0];
    daybook_bench::process::signal(victim, rustix::process::Signal::KILL);
    let replaced = async |_: &World| shops().len() == 2 && !shops().contains(&victim);
    world.until("another process serves", replaced).await;
    for _ in 0..50 {
        assert_eq!(world.build().await, "1");
    }
    world.end().await;
}
