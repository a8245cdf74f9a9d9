//! Writes for tests of journals.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use daybook_model::event::{Toward, Verdict};
use daybook_model::{
    Action, Actor, Cause, Digest, EnvKey, Event, Plan, PlanId, Release, ReleaseNumber, ReplicaId, RunId, RunKind, Spec,
    Step, StepId,
};
use daybook_store::{Store, Write};

pub mod postgres;

use postgres::Postgres;

/// What a store needs for as long as it is used.
pub enum Place {
    Directory(tempfile::TempDir),
    Postgres(Postgres),
}

/// A store in a file, and one in PostgreSQL that leads.
pub async fn stores() -> Vec<(Place, Store)> {
    let dir = tempfile::tempdir().unwrap();
    let file = Store::open(dir.path()).await.unwrap();
    let postgres = Postgres::start();
    let shared = postgres.store().await;
    shared.lead("test").await.unwrap();
    vec![(Place::Directory(dir), file), (Place::Postgres(postgres), shared)]
}

pub fn key() -> EnvKey {
    "shop/production".parse().unwrap()
}

pub fn run(n: u128) -> RunId {
    RunId(uuid::Uuid::from_u128(n))
}

pub fn write(run: Option<RunId>, event: Event) -> Write {
    Write { key: Some(key()), run, actor: Actor::daybook("test"), event, expected: None }
}

pub fn began(n: u128) -> Write {
    let event = Event::RunStarted {
        purpose: RunKind::Up,
        reason: "up".to_owned(),
        to: ReleaseNumber(n as u64),
        from: None,
        spec: Box::new(Spec::empty(key())),
        manifest: None,
        remove_volumes: std::collections::BTreeSet::new(),
    };
    write(Some(run(n)), event)
}

pub fn finished(began: &Write) -> Write {
    write(began.run, Event::RunFinished { verdict: Verdict::Reached })
}

pub fn noticed(what: &str) -> Write {
    let replica: ReplicaId = "web.1".parse().unwrap();
    write(None, Event::Noticed { replica, what: what.to_owned() })
}

pub fn planned(n: u128, replicas: &[&str]) -> Write {
    let action = |replica: &&str| Action::AwaitReady { replica: replica.parse().unwrap() };
    let step = |(i, replica): (usize, &&str)| Step {
        id: StepId(i as u32),
        action: action(replica),
        cause: Cause { why: "wanted".into(), line: None },
        needs: Vec::new(),
    };
    let plan = Plan {
        id: PlanId(Digest::of(b"plan")),
        parent: None,
        key: key(),
        from: None,
        to: ReleaseNumber(1),
        steps: replicas.iter().enumerate().map(step).collect(),
        changes: Vec::new(),
    };
    write(Some(run(n)), Event::Planned { plan: Box::new(plan), toward: Toward::Target })
}

pub fn release(n: u64) -> Release {
    Release {
        number: ReleaseNumber(n),
        run: run(n.into()),
        accepted_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        spec: Spec::empty(key()),
        manifest: None,
        reason: format!("up {n}"),
    }
}
