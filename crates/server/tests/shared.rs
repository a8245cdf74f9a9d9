//! Several servers over one database: the next one goes on where the one before was lost.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../store/tests/common/postgres.rs"]
mod postgres;

use common::{Server, manifest, up};
use daybook_api::run::Outcome;
use daybook_model::{Actor, Event};
use daybook_runtime::simulated::Simulated;
use daybook_store::{Error, Journal as _, Store, Write};
use postgres::Postgres;

const HOOK: &str = "    release: bin/migrate\n";

struct Member {
    server: Server,
    store: Store,
    _state: tempfile::TempDir,
}

/// A server that has been elected.
async fn elected(postgres: &Postgres, world: &Simulated, name: &str) -> Member {
    let state = tempfile::tempdir().unwrap();
    let store = postgres.store().await;
    store.lead(name).await.unwrap();
    let server = Server::start_over(store.clone(), state.path(), world).await;
    Member { server, store, _state: state }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r15_the_next_leader_ends_the_run_of_the_one_before() {
    let postgres = Postgres::start();
    let world = Simulated::new(1);
    let mut leader = elected(&postgres, &world, "server-0").await;
    leader.server.carry_out(up(&manifest("1", HOOK))).await;
    for (n, lost_at) in ["run_started", "planned", "step_started", "step_finished"].into_iter().enumerate() {
        let version = n + 2;
        let run = leader.server.begin(up(&manifest(&version.to_string(), HOOK))).await.run;
        leader.server.until(run, lost_at).await;
        // It has no time to say goodbye, and its connection to the database stays for a while.
        let beside = leader.store.clone();
        let next = postgres.store().await;
        next.lead("elected").await.unwrap();
        let event = Event::Noticed { replica: "web.1".parse().unwrap(), what: "late".to_owned() };
        let late = Write { key: Some(common::key()), run: None, actor: Actor::daybook("test"), event, expected: None };
        assert!(matches!(beside.append(late).await, Err(Error::Deposed { .. })));
        leader.server.app.stop().await;
        leader = elected(&postgres, &world, &format!("server-{version}")).await;
        let view = leader.server.ended(run).await;
        assert_eq!(view.verdict.unwrap().outcome, Outcome::Reached, "lost at {lost_at}");
        assert_eq!(leader.server.client.status(&common::key()).await.unwrap().services[0].ready, 1);
    }
    let hooks = world.hook_runs();
    assert!(hooks.len() >= 5 && hooks.values().all(|runs| *runs == 1), "{hooks:?}");
    assert_eq!(world.violations(), Vec::<String>::new());
    leader.store.verify().await.unwrap();
    leader.server.stop().await;
}
