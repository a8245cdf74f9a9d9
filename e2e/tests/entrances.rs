//! Somebody else's controller before the edge of a cluster. `scripts/cluster start` gives a cluster; without one these
//! fail.

use daybook_bench::load::{Load, get};
use daybook_bench::shop;
use daybook_e2e::World;
use daybook_e2e::cluster::kubectl;

/// What leads requests to the edge, of whichever kind.
async fn leading() -> String {
    kubectl(&["get", "httproutes,ingresses", "--all-namespaces", "-o", "name"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn r01_rollouts_behind_a_gateway_fail_no_request() {
    let world = World::behind("gateway/entry/public").await;
    world.up(1, &[]).await.expect(0);
    world
        .until("the Gateway serves it", async |world| world.get("/api/about").await.is_ok_and(|r| r.status == 200))
        .await;
    let load = Load::start(world.load());
    world.up(2, &[("SHOP_VERSION", "2")]).await.expect(0);
    let pods = kubectl(&["-n", "daybook-system", "get", "pods", "-l", "daybook.dev/edge=true", "-o", "name"]).await;
    let one = pods.lines().next().expect("the edge runs");
    kubectl(&["-n", "daybook-system", "delete", one, "--wait=false"]).await;
    world.up(3, &[]).await.expect(0);
    assert_eq!(world.build().await, "3");
    let report = load.stop().await;
    world.expect_no_failure(&report);
    let status = world.run(&["status"]).await.expect(0);
    assert!(status.out.contains("2/2"), "{status}");
    world.end_on_the_cluster().await;
    assert_eq!(leading().await, "", "nothing leads to what is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn r01_rollouts_behind_an_ingress_controller_fail_no_request() {
    let world = World::behind("ingress/traefik").await;
    world.up(1, &[]).await.expect(0);
    world.until("it is served", async |world| world.get("/api/about").await.is_ok_and(|r| r.status == 200)).await;
    let load = Load::start(world.load());
    world.up(2, &[]).await.expect(0);
    let report = load.stop().await;
    world.expect_no_failure(&report);
    assert_eq!(world.build().await, "2");
    world.end_on_the_cluster().await;
    assert_eq!(leading().await, "", "nothing leads to what is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_in_that_is_not_there_or_refuses_is_told_and_nothing_is_left_of_it() {
    let world = World::behind("gateway/entry/nowhere").await;
    for (entry, why) in [
        ("gateway/entry/nowhere", "there are: entry/private, entry/public"),
        ("gateway/entry/private", "NotAllowedByListeners"),
        ("ingress/nginx", "there are: traefik"),
        ("ingress", "no IngressClass is the default"),
    ] {
        world.come_in_by(entry);
        let up = world.up(1, &[]).await;
        assert!(up.code != 0 && up.all().contains(why), "{entry}: {up}");
        let target = format!("{}&entry={entry}", daybook_e2e::cluster::target());
        let check = world.run(&["target", "check", &target]).await;
        assert_eq!(check.code == 0, entry == "gateway/entry/private", "{entry}: {check}");
        assert_eq!(leading().await, "", "{entry}");
    }
    assert!(get(world.address(), shop::HOST, "/api/about").await.is_ok_and(|reply| reply.status == 404));
    world.end().await;
}
