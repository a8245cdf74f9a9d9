//! What a run does beside going well: it is interrupted, refused, healed, and takes everything down.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use daybook_executor::simulation::{Simulation, shop};
use daybook_executor::{Ending, Error};
use daybook_model::spec::{Artifact, Scale};
use daybook_model::{Digest, RunKind, Spec, Verdict};
use daybook_runtime::simulated::Behaviour;
use daybook_store::Error as StoreError;
use tokio_util::sync::CancellationToken;

#[tokio::test(start_paused = true)]
async fn an_interrupted_run_goes_on_where_it_was() {
    let mut simulation = Simulation::new(1, 0);
    simulation.run(RunKind::Up, shop("1")).await.unwrap();
    let (key, run) = simulation.begin(RunKind::Up, shop("2")).await.unwrap();
    let interrupt = CancellationToken::new();
    let trigger = interrupt.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(700)).await;
        trigger.cancel();
    });
    let server = simulation.server();
    assert_eq!(server.drive(&key, run, interrupt).await.unwrap(), Ending::Parked);
    assert_eq!(simulation.world.violations(), Vec::<String>::new());
    assert_eq!(
        server.drive(&key, run, CancellationToken::new()).await.unwrap(),
        Ending::Parked,
        "only a person resumes what a person interrupted"
    );
    server.resume(&key, run, daybook_model::Actor::daybook("test")).await.unwrap();
    assert_eq!(simulation.until_over(&key, run).await.unwrap(), Verdict::Reached);
    assert_eq!(simulation.left_to_do(&key).await.unwrap(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn machines_that_are_slow_to_begin_replicas_get_no_more_than_they_can_begin_in_time() {
    let mut simulation = Simulation::new(1, 0);
    // A replica has 8 s, and all of them take 12.
    simulation.world.begin_one_every(30);
    let mut spec = shop("1");
    let worker = spec.services.values_mut().find(|service| service.name.as_str() == "worker").unwrap();
    worker.scale = Scale { min: 400, max: 400 };
    worker.rollout.ready_ms = 8_000;
    assert_eq!(simulation.run(RunKind::Up, spec).await.unwrap(), Verdict::Reached);
}

#[tokio::test(start_paused = true)]
async fn r15_a_second_change_is_refused_while_the_first_is_open() {
    let mut simulation = Simulation::new(1, 0);
    let (key, run) = simulation.begin(RunKind::Up, shop("1")).await.unwrap();
    let refused = simulation.begin(RunKind::Up, shop("2")).await.unwrap_err();
    assert!(matches!(&refused, Error::Journal(StoreError::Locked { run: holder, .. }) if *holder == run), "{refused}");
    assert_eq!(simulation.until_over(&key, run).await.unwrap(), Verdict::Reached);
}

#[tokio::test(start_paused = true)]
async fn r33_steps_wait_until_a_full_disk_has_room_again() {
    let mut simulation = Simulation::new(1, 0);
    simulation.run(RunKind::Up, shop("1")).await.unwrap();
    let (key, run) = simulation.begin(RunKind::Up, shop("2")).await.unwrap();
    let world = simulation.world.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(700)).await;
        world.fill(true);
        tokio::time::sleep(Duration::from_secs(30)).await;
        world.fill(false);
    });
    assert_eq!(simulation.until_over(&key, run).await.unwrap(), Verdict::Reached);
    assert_eq!(simulation.left_to_do(&key).await.unwrap(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_lost_replica_is_healed() {
    let mut simulation = Simulation::new(1, 0);
    simulation.run(RunKind::Up, shop("1")).await.unwrap();
    let before = simulation.world.picture();
    simulation.world.lose("web.1");
    assert_ne!(simulation.world.picture(), before);
    assert_eq!(simulation.run(RunKind::Heal, shop("1")).await.unwrap(), Verdict::Reached);
    assert_eq!(simulation.world.picture(), before);
    assert_eq!(simulation.world.hook_runs().len(), 1, "healing runs no hook");
}

#[tokio::test(start_paused = true)]
async fn r16_down_removes_everything_but_the_volumes() {
    let mut simulation = Simulation::new(1, 0);
    simulation.run(RunKind::Up, shop("1")).await.unwrap();
    let key = shop("1").key;
    assert_eq!(simulation.run(RunKind::Down, Spec::empty(key)).await.unwrap(), Verdict::Reached);
    assert_eq!(simulation.world.picture(), "shop/production volume data");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_brings_back_the_configuration() {
    let mut simulation = Simulation::new(1, 0);
    simulation.run(RunKind::Up, shop("1")).await.unwrap();
    let before = simulation.world.picture();
    simulation.run(RunKind::Up, shop("2")).await.unwrap();
    assert_ne!(simulation.world.picture(), before);
    assert_eq!(simulation.run(RunKind::Rollback, shop("1")).await.unwrap(), Verdict::Reached);
    assert_eq!(simulation.world.picture(), before);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_tells_stays_open_and_the_rest_is_resolved() {
    let simulation = Simulation::new(1, 0);
    let spec = shop("1");
    let wanted = spec.services.values().find_map(|service| match &service.artifact {
        Artifact::Image { reference, .. } => Some(reference.clone()),
        _ => None,
    });
    let reference = wanted.unwrap();
    let unknown = Behaviour { unknown: true, ..Behaviour::default() };
    simulation.world.behave(&Digest::of(reference.as_bytes()), unknown);
    let resolved = simulation.server().resolve(spec, Duration::from_secs(10)).await;
    let names: Vec<_> = resolved.open.iter().flat_map(|open| &open.services).collect();
    assert!(!names.is_empty());
    for service in resolved.spec.services.values() {
        assert_eq!(service.artifact.digest().is_none(), names.contains(&&service.name), "{}", service.name);
    }
}
