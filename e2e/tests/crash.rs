//! Killed servers and edges, lost state, two changes at once, interrupted commands.

use std::collections::BTreeSet;

use daybook_bench::load::Load;
use daybook_bench::process::{self, signal};
use daybook_e2e::{KEY, World};
use rustix::process::Signal;

/// How often the shop's release hook ran for a build, by the shop's own record.
async fn migrations(world: &World, build: u32) -> usize {
    let lines = world.get("/api/migrations").await.expect("the shop answers").json();
    let of_build = format!(" build {build} ");
    lines.as_array().into_iter().flatten().filter(|line| line.to_string().contains(&of_build)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn r02_a_server_killed_during_a_rollout_goes_on_where_it_was() {
    let mut world = World::new().await;
    world.up(1, &[]).await.expect(0);
    for (build, steps) in [(2, 1), (3, 3), (4, 6), (5, 9)] {
        let mut up = world.command(&["up", "--yes", "--no-input"]);
        let mut up = up.env("SHOP_BUILD", build.to_string()).kill_on_drop(true).spawn().unwrap();
        world.until_steps(steps).await;
        world.daybook.kill_server().await.unwrap();
        world.daybook.serve().await.unwrap();
        let status = world.daybook.settled(KEY).await.unwrap();
        up.wait().await.unwrap();
        assert_eq!(world.build().await, build.to_string(), "after {steps} steps: {status:#}");
        assert_eq!(world.replicas("web").await.len(), 2, "no replica is left over");
        assert_eq!(migrations(&world, build).await, 1, "the release hook ran once");
    }
    world.run(&["journal", "verify"]).await.expect(0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r03_a_killed_server_and_an_upgraded_edge_are_not_noticed() {
    let mut world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let load = Load::start(world.load());
    for _ in 0..3 {
        world.daybook.kill_server().await.unwrap();
        world.daybook.serve().await.unwrap();
        let (_, before) = world.daybook.pids().await.unwrap();
        world.daybook.post("/v1/edge/upgrade").await.unwrap();
        let upgraded = async |world: &World| world.daybook.pids().await.is_ok_and(|(_, edge)| edge != before);
        world.until("the next generation of the edge serves", upgraded).await;
    }
    let report = load.stop().await;
    world.expect_no_failure(&report);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r06_after_everything_was_killed_the_first_answer_is_a_good_one() {
    let mut world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let (server, edge) = world.daybook.pids().await.unwrap();
    for pid in process::of_state(&world.state()).into_iter().chain([server, edge]) {
        signal(pid, Signal::KILL);
    }
    world.until("everything has ended", async |world| process::of_state(&world.state()).is_empty()).await;
    world.daybook.serve().await.unwrap();
    let address = world.daybook.http;
    world.until("the edge listens", async |_| tokio::net::TcpStream::connect(address).await.is_ok()).await;
    let reply = world.get("/api/about").await.unwrap();
    assert_eq!(reply.status, 200, "held until a replica answered: {}", String::from_utf8_lossy(&reply.body));
    world.daybook.settled(KEY).await.unwrap();
    world.until("both replicas are there", async |world| world.replicas("web").await.len() == 2).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r06_a_killed_edge_is_started_again() {
    let world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let (_, edge) = world.daybook.pids().await.unwrap();
    signal(edge, Signal::KILL);
    world.until("another edge answers", async |world| world.get("/healthz").await.is_ok()).await;
    assert_eq!(world.build().await, "1");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r14_what_runs_is_adopted_after_our_own_state_was_lost() {
    let mut world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let before = world.replicas("web").await;
    world.daybook.kill_server().await.unwrap();
    for entry in std::fs::read_dir(world.state()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("daybook.db") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    world.daybook.serve().await.unwrap();
    let status = world.daybook.settled(KEY).await.unwrap();
    assert_eq!(status["adopted"], true, "{status:#}");
    let after = world.replicas("web").await;
    let ids = |replicas: &[serde_json::Value]| replicas.iter().map(|r| r["id"].to_string()).collect::<BTreeSet<_>>();
    assert_eq!(ids(&before), ids(&after), "nothing was stopped or started");
    assert_eq!(world.build().await, "1", "and nobody noticed");
    world.up(2, &[]).await.expect(0);
    assert_eq!(world.build().await, "2");
    assert_eq!(world.replicas("web").await.len(), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r15_of_two_changes_at_once_one_wins_and_the_other_is_told() {
    let world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let (two, three) = tokio::join!(world.up(2, &[]), world.up(3, &[]));
    let winner = if two.code == 0 { "2" } else { "3" };
    let codes = BTreeSet::from([two.code, three.code]);
    assert_eq!(codes, BTreeSet::from([0, 5]), "{two}\n{three}");
    assert_eq!(world.build().await, winner);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_can_be_resumed() {
    let world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let mut up = world.command(&["up", "--yes", "--no-input"]);
    up.env("SHOP_BUILD", "2").env("SHOP_PROBATION", "20s").kill_on_drop(true);
    let mut up = up.spawn().unwrap();
    world.until_steps(1).await;
    signal(up.id().unwrap(), Signal::INT);
    assert_eq!(up.wait().await.unwrap().code(), Some(6), "interrupted, resumable");
    let refused = world.up(3, &[]).await.expect(5);
    assert!(refused.err.contains("resume"), "the way out is told: {refused}");
    assert!(world.get("/healthz").await.is_ok_and(|reply| reply.status == 200), "something serves all the time");
    world.run(&["resume"]).await.expect(0);
    assert_eq!(world.build().await, "2");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_interrupts_leave_at_once() {
    let world = World::new().await;
    world.up(1, &[]).await.expect(0);
    let mut up = world.command(&["up", "--yes", "--no-input"]);
    up.env("SHOP_BUILD", "2").env("SHOP_PROBATION", "20s").kill_on_drop(true);
    let mut up = up.spawn().unwrap();
    world.until_steps(1).await;
    signal(up.id().unwrap(), Signal::INT);
    signal(up.id().unwrap(), Signal::INT);
    let code = up.wait().await.unwrap().code();
    assert!(matches!(code, Some(6 | 130)), "{code:?}");
    assert!(world.get("/healthz").await.is_ok_and(|reply| reply.status == 200));
    let abandoned = async |world: &World| world.run(&["resume", "--abandon"]).await.code == 0;
    world.until("the run that stopped is given up", abandoned).await;
    world.end().await;
}
