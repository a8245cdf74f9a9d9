//! What must not be noticed by those who are served: new tables, and new generations of the edge.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod common;

use std::collections::BTreeMap;

use common::load::Load;
use common::replica::Replica;
use common::{TestEdge, endpoint, program, until, web};

#[tokio::test(flavor = "multi_thread")]
async fn r01_no_request_fails_while_replicas_are_replaced() {
    let edge = TestEdge::start().await;
    let mut replica = Replica::start("web.1").await;
    edge.set(vec![("web", web(vec![endpoint("web.1", replica.address)]))]).await;
    let load = Load::start(edge.http);
    load.more_answers(50).await;
    let mut sent = BTreeMap::new();
    const ROLLOUTS: u64 = 25;
    for number in 2..2 + ROLLOUTS {
        let name = format!("web.{number}");
        let next = Replica::start(&name).await;
        edge.set(vec![("web", web(vec![endpoint(&name, next.address)]))]).await;
        until("the old replica has drained", async || edge.in_flight(&replica.name).await == 0).await;
        replica.stop();
        sent.extend(replica.seen.lock().unwrap().clone());
        replica = next;
        load.more_answers(30).await;
    }
    let seen = load.stop().await;
    assert_eq!(seen.failures, Vec::<String>::new(), "of {}", seen.answered.len());
    for (id, times) in replica.seen.lock().unwrap().iter() {
        *sent.entry(id.clone()).or_default() += times;
    }
    for id in &seen.answered {
        let times = sent.get(id).copied().unwrap_or(0);
        assert_eq!(times, 1, "{id} was answered once and carried out {times} times");
    }
    assert!(seen.ended_well >= ROLLOUTS, "streams and sockets ended well: {}", seen.ended_well);
}

#[tokio::test(flavor = "multi_thread")]
async fn r03_upgrades_of_the_edge_are_not_noticed() {
    let edge = TestEdge::start().await;
    let replica = Replica::start("web.1").await;
    edge.set(vec![("web", web(vec![endpoint("web.1", replica.address)]))]).await;
    let load = Load::start(edge.http);
    load.more_answers(50).await;
    const UPGRADES: u64 = 100;
    let mut pids = vec![edge.client.status().await.unwrap().pid];
    for generation in 2..2 + UPGRADES {
        let status = edge.client.upgrade(&program()).await.unwrap();
        assert_eq!(status.generation, generation);
        assert!(status.listeners.iter().all(|listener| listener.error.is_none()), "{:?}", status.listeners);
        pids.push(status.pid);
        load.more_answers(100).await;
        // The new generation takes tables at once.
        edge.set(vec![("web", web(vec![endpoint("web.1", replica.address)]))]).await;
    }
    let last = pids.pop().unwrap();
    for pid in pids {
        until("an old generation ends within its bound", async || !is_running(pid)).await;
    }
    assert!(is_running(last));
    let seen = load.stop().await;
    assert_eq!(seen.failures, Vec::<String>::new(), "of {}", seen.answered.len());
    // A stream that is opened while the next upgrade has begun outlives it.
    assert!(seen.ended_well >= UPGRADES / 2, "streams and sockets ended well: {}", seen.ended_well);
}

/// Whether a process lives; one that has ended and waits to be collected does not.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}
