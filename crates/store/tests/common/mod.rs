//! Writes for tests of journals.
#![allow(dead_code, unreachable_pub)]

use daybook_model::event::Verdict;
use daybook_model::{Actor, EnvKey, Event, ReleaseNumber, ReplicaId, RunId, RunKind, Spec};
use daybook_store::Write;

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
