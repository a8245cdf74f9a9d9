//! Steps that wait for replicas and for requests in flight.

use std::time::Duration;

use daybook_decide::readiness::{Heard, Readiness, Stage, Wanted};
use daybook_decide::text::seconds;
use daybook_decide::why::{self, Evidence, why as conclude};
use daybook_model::event::{Failure, StepOutcome};
use daybook_model::launch::Role;
use daybook_model::observed::Health;
use daybook_model::spec::{Check, CheckTest};
use daybook_model::{EnvKey, ReplicaId, ReplicaState, SeenReplica, Service, Step};
use daybook_runtime::Answer;
use tokio::time::Instant;

use crate::act::service;
use crate::drive::RunContext;
use crate::evidence::{ending, exit_words};
use crate::hindrance::{Hindrance, hindrance};
use crate::hook::STARTS_WITHIN;
use crate::{Executor, Result};

/// Between two looks.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);

/// The log of a replica that runs and does not answer yet is looked at so often.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// Requests in flight may take so long where no release says otherwise, milliseconds.
const USUAL_DRAIN_MS: u64 = 30_000;

/// The edge enforces the bound itself; this much later nothing can be left.
const DRAIN_SLACK: Duration = Duration::from_secs(2);

impl Executor {
    pub(crate) async fn await_ready(
        &self,
        cx: &RunContext,
        step: &Step,
        id: &ReplicaId,
        wanted: Wanted,
    ) -> Result<StepOutcome> {
        let service = service(cx, &id.service)?;
        let check = service.effective_check();
        let began = Instant::now();
        let mut readiness = Readiness::new(&check, wanted, self.now(), service.rollout.ready_ms);
        let interval_ms = check.start_interval_ms.min(check.interval_ms).min(1_000);
        let mut said = String::new();
        let mut hindrance = Hindrance::new();
        let (mut read, mut does) = (Instant::now(), None);
        let mut waits = Some(cx.backlog.one());
        loop {
            let seen = self.glance_at(&cx.key, id, Role::Main).await?;
            let has_begun = |seen: &SeenReplica| !matches!(seen.state, ReplicaState::Created | ReplicaState::Starting);
            if seen.as_ref().is_none_or(has_begun) {
                drop(waits.take());
            }
            let restarts = seen.as_ref().map_or(0, |replica| replica.restarts);
            let mut heard = self.hear(&cx.key, service, &check, seen.as_ref()).await?;
            match &seen {
                Some(seen) if seen.state == ReplicaState::Starting => {
                    self.ask_what_hinders(&cx.key, &service.name, &mut hindrance).await;
                    let cause = || hindrance.cause(seen, Some(service));
                    heard = hindrance.no_use(Some(service)).map_or_else(|| Heard::Bad(cause()), Heard::Ended);
                }
                // It may load for minutes: what it says meanwhile tells that it does.
                Some(seen) if seen.is_running() && matches!(heard, Heard::Bad(_)) && read.elapsed() > READ_AGAIN => {
                    read = Instant::now();
                    does = self.last_lines(&cx.key, id, Role::Main).await.pop();
                }
                _ => {}
            }
            match readiness.hear(heard, restarts, self.now()) {
                Stage::Ready => {
                    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                    let what = match wanted {
                        Wanted::Answer => "answered",
                        Wanted::Ready => "ready",
                    };
                    return Ok(StepOutcome::Done(format!("{what} after {}", seconds(took))));
                }
                Stage::Never(why) => {
                    let said = (why.as_str(), readiness.last_bad());
                    return Ok(StepOutcome::Failed(self.not_ready(cx, service, seen.as_ref(), id, said).await));
                }
                Stage::NotYet => {}
            }
            if let Some(last) = readiness.last_bad() {
                let last = does.as_ref().map_or(last.to_owned(), |line| format!("{last}; its log: {line}"));
                if last != said {
                    self.note(cx, step, &last);
                    said = last;
                }
            }
            tokio::time::sleep(Duration::from_millis(readiness.pause_ms(self.now(), interval_ms))).await;
        }
    }

    async fn hear(&self, key: &EnvKey, service: &Service, check: &Check, seen: Option<&SeenReplica>) -> Result<Heard> {
        let Some(replica) = seen else { return Ok(Heard::Ended("its replica is gone".to_owned())) };
        let last = || replica.last_exit.as_ref().map_or("its process ended".to_owned(), exit_words);
        match replica.state {
            ReplicaState::Exited => return Ok(Heard::Ended(last())),
            ReplicaState::Restarting => {
                let never = replica.last_exit.as_ref().is_some_and(why::never_starts);
                return Ok(if never { Heard::Ended(last()) } else { Heard::Bad(last()) });
            }
            ReplicaState::Created | ReplicaState::Starting => return Ok(Heard::Bad(hindrance(replica))),
            ReplicaState::Running => {}
        }
        match (&check.test, &replica.health) {
            (CheckTest::Command(_), Health::Healthy) => return Ok(Heard::Good),
            (CheckTest::Command(_), Health::Unhealthy(said)) => return Ok(Heard::Bad(said.clone())),
            (CheckTest::Command(_), Health::Starting) => {}
            (_, Health::Unhealthy(said)) if service.check.is_none() => return Ok(Heard::Bad(said.clone())),
            (_, Health::Starting) if service.check.is_none() => {
                return Ok(Heard::Bad("the image's own health check has not answered yet".to_owned()));
            }
            // The look has told already what there is to tell.
            (CheckTest::Running | CheckTest::Disabled, _) => return Ok(Heard::Good),
            _ => {}
        }
        Ok(match self.inner.runtime.probe(key, replica, check).await? {
            Answer::Good(_) => Heard::Good,
            Answer::Bad(said) => Heard::Bad(said),
            Answer::NotRunning => Heard::Bad(last()),
        })
    }

    /// Tells why a replica never became ready, while there is still something to be seen of it.
    async fn not_ready(
        &self,
        cx: &RunContext,
        service: &Service,
        seen: Option<&SeenReplica>,
        id: &ReplicaId,
        (why, said): (&str, Option<&str>),
    ) -> Failure {
        let troubles = self.inner.runtime.troubles(&cx.key, &id.service).await.unwrap_or_default();
        let log = self.last_lines(&cx.key, id, Role::Main).await;
        let answers = said.filter(|_| seen.is_some_and(SeenReplica::is_running));
        let answers: Vec<_> = answers.map(|said| (id.to_string(), Some(said.to_owned()))).into_iter().collect();
        let concluded = conclude(&Evidence {
            spec: Some(service),
            replicas: seen.map(std::slice::from_ref).unwrap_or_default(),
            troubles: &troubles,
            answers: &answers,
            log: &log,
            now: self.now(),
            ..Evidence::of(&id.service)
        });
        let mut evidence = Vec::new();
        evidence.extend(concluded.cause.clone().filter(|cause| !why.contains(cause.as_str())));
        let trouble = why::in_the_way(&troubles);
        evidence.extend(trouble.map(|trouble| format!("the cluster says: {}", trouble.said)));
        if let Some(replica) = seen {
            // What never ran has no end to tell of.
            let ended = replica.last_exit.as_ref().filter(|_| trouble.is_none()).map(exit_words);
            evidence.extend(ended.filter(|ended| !why.contains(ended.as_str())));
            match replica.restarts {
                0 => {}
                1 => evidence.push("its process was started again once".to_owned()),
                more => evidence.push(format!("its process was started again {more} times")),
            }
        }
        let why = format!("{id} never became ready: {why}");
        let mut options = concluded.options;
        // It is what happens now.
        options.retain(|option| option.command != "daybook rollback");
        Failure { why, evidence, log, cause: concluded.cause, options }
    }

    pub(crate) async fn await_completed(&self, cx: &RunContext, id: &ReplicaId) -> Result<StepOutcome> {
        let began = Instant::now();
        let service = service(cx, &id.service)?;
        let mut known = Hindrance::new();
        loop {
            let Some(seen) = self.glance_at(&cx.key, id, Role::Main).await? else {
                return Ok(StepOutcome::Failed(ending(&format!("{id} is gone before it completed"), None)));
            };
            if seen.state == ReplicaState::Starting {
                self.ask_what_hinders(&cx.key, &id.service, &mut known).await;
                let no_use = known.no_use(Some(service));
                if no_use.is_some() || began.elapsed() > STARTS_WITHIN {
                    let cause = no_use.unwrap_or_else(|| known.cause(&seen, Some(service)));
                    let failure = ending(&format!("{id} did not start: {cause}"), None);
                    return Ok(StepOutcome::Failed(Failure { cause: Some(cause), ..failure }));
                }
            }
            let exit = seen.last_exit.as_ref();
            if seen.state == ReplicaState::Exited {
                if exit.is_some_and(|exit| exit.code == 0) {
                    return Ok(StepOutcome::Done("exit code 0".to_owned()));
                }
                let mut failure = ending(&format!("{id} did not complete"), exit);
                failure.log = self.last_lines(&cx.key, id, Role::Main).await;
                return Ok(StepOutcome::Failed(failure));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    pub(crate) async fn drain(&self, cx: &RunContext, replicas: &[ReplicaId]) -> Result<StepOutcome> {
        let name = replicas.first().map(|id| &id.service);
        let specs = [cx.previous.as_ref(), Some(&cx.spec)].into_iter().flatten();
        let bound = specs.filter_map(|spec| spec.services.get(name?)).map(|s| s.rollout.drain_ms).max();
        let bound = Duration::from_millis(bound.unwrap_or(USUAL_DRAIN_MS)) + DRAIN_SLACK;
        let began = Instant::now();
        loop {
            let traffic = self.counted(&cx.key).await?;
            let left: u64 =
                replicas.iter().filter_map(|id| traffic.replicas.get(id)).map(|t| t.in_flight.total()).sum();
            if left == 0 {
                return Ok(StepOutcome::Done("nothing in flight".to_owned()));
            }
            if began.elapsed() >= bound {
                return Ok(StepOutcome::Done(format!("{left} still in flight at the bound")));
            }
            tokio::time::sleep(PAUSE / 2).await;
        }
    }
}
