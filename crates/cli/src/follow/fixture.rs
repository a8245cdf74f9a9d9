//! Runs as the server tells of them, for tests.

use daybook_api::run::{
    ActorView, Outcome, RunState, RunStep, RunTraffic, RunView, StepState, TowardView, VerdictView,
};
use daybook_model::{ReleaseNumber, RunKind, Timestamp};

/// The time of every test.
pub(crate) fn now() -> Timestamp {
    "2026-11-24T12:00:30Z".parse().unwrap()
}

fn began() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

/// One step of plan `p`. Each began two seconds after the one before and took 1.2 s.
pub(crate) fn step(id: u32, action: &str, text: &str, service: Option<&str>, state: StepState) -> RunStep {
    let begun = state != StepState::Waiting;
    let started = began() + jiff::SignedDuration::from_secs(2 * i64::from(id));
    RunStep {
        plan: "p".to_owned(),
        id,
        toward: TowardView::Target,
        action: action.to_owned(),
        text: text.to_owned(),
        service: service.map(str::to_owned),
        database: None,
        state,
        note: None,
        started_at: begun.then_some(started),
        took_ms: (state == StepState::Done).then_some(1_200),
        failure: None,
    }
}

/// A rollout of two services of which the first `done` steps are done and the next one runs.
pub(crate) fn rollout(done: u32) -> RunView {
    let plan = [
        ("create_volume", "make volume data", None),
        ("prepare", "get the artifact of web", Some("web")),
        ("start", "start web.3", Some("web")),
        ("await_ready", "wait until web.3 is ready", Some("web")),
        ("start", "start mailer.1", Some("mailer")),
        ("route", "send requests for web to 1 replica", Some("web")),
        ("watch", "watch web (probation, 10 s)", Some("web")),
        ("stop", "stop web.2", Some("web")),
        ("remove", "remove web.2", Some("web")),
        ("await_ready", "wait until mailer.1 is ready", Some("mailer")),
    ];
    let mut steps = Vec::new();
    for (id, (action, text, service)) in (0..).zip(plan) {
        let state = match id {
            id if id < done => StepState::Done,
            id if id == done => StepState::Running,
            _ => StepState::Waiting,
        };
        let mut step = step(id, action, text, service, state);
        if action == "watch" && state == StepState::Done {
            step.note = Some("1,204 requests, 0 failed, p95 41 ms".to_owned());
        }
        steps.push(step);
    }
    let finished = done >= 10;
    RunView {
        id: serde_json::from_str("\"0192f3a0-0000-7000-8000-000000000001\"").unwrap(),
        key: "shop/production".parse().unwrap(),
        purpose: RunKind::Up,
        reason: "up".to_owned(),
        actor: ActorView { name: "ada".to_owned(), origin: "cli".to_owned() },
        from: Some(ReleaseNumber(41)),
        to: ReleaseNumber(42),
        started_at: began(),
        finished_at: finished.then(|| began() + jiff::SignedDuration::from_secs(187)),
        state: if finished { RunState::Finished } else { RunState::Running },
        verdict: finished.then_some(VerdictView { outcome: Outcome::Reached, failure: None }),
        steps,
        traffic: RunTraffic { requests: 18_330, failed: 0 },
    }
}
