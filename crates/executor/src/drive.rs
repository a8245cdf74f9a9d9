//! The loop of a run.

use std::sync::Arc;
use std::time::Duration;

use daybook_decide::plan::{Problem, asks_databases};
use daybook_decide::run::{Next, Run, fold};
use daybook_decide::{PlanContext, plan};
use daybook_model::event::{Failure, StepOutcome, Toward};
use daybook_model::{
    Action, Actor, EnvKey, Event, PlanId, Release, ReleaseNumber, RunId, RunKind, Spec, Step, StepId, Target, Verdict,
};
use daybook_store::{Query, Write};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backlog::Backlog;
use crate::patience::patiently;
use crate::{Error, Executor, Result};

/// Steps that make work for machines at the same time, at most: starting fifty containers at once starves what serves.
const ACTS_AT_ONCE: usize = 6;

/// How driving a run came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The run is over.
    Over(Verdict),
    /// It was interrupted, and waits to be resumed.
    Parked,
}

/// What every step of a plan needs to know.
pub(crate) struct RunContext {
    pub(crate) key: EnvKey,
    pub(crate) run: RunId,
    /// What the present plan leads to.
    pub(crate) spec: Arc<Spec>,
    /// What was there before, for what goes.
    pub(crate) previous: Option<Arc<Spec>>,
    /// The release that replicas started now belong to.
    pub(crate) release: ReleaseNumber,
    /// Its replicas that have not begun.
    pub(crate) backlog: Arc<Backlog>,
    /// The target that the environment leaves, where requests come in by the same edge as at the new one.
    pub(crate) behind: Option<Target>,
}

struct Ended {
    step: StepId,
    outcome: Option<StepOutcome>,
    took: Duration,
}

struct Driver<'a> {
    executor: &'a Executor,
    key: EnvKey,
    id: RunId,
    actor: Actor,
    run: Run,
    previous: Option<Release>,
    context: Option<Arc<RunContext>>,
    active: FuturesUnordered<BoxFuture<'a, Ended>>,
    acting: usize,
    backlog: Arc<Backlog>,
    stop_waiting: CancellationToken,
}

impl Executor {
    /// Carries a run out from where its journal entries leave it, until it is over or interrupted.
    ///
    /// An error means that the journal, the runtime or the edge could not be reached; the run stays
    /// open and can be driven again. Only one caller may drive a run at a time.
    pub async fn drive(&self, key: &EnvKey, id: RunId, interrupt: CancellationToken) -> Result<Ending> {
        let query = Query { key: Some(key.clone()), run: Some(id), ..Query::default() };
        let entries = self.inner.ledger.read(&query).await?;
        let illegal = |why: String| Error::Illegal { run: id, why };
        let mut run = fold(entries.iter().map(|entry| &entry.event)).map_err(|e| illegal(e.to_string()))?;
        run.resume();
        let actor = entries.first().map(|entry| entry.actor.clone()).unwrap_or_else(|| Actor::daybook("executor"));
        let previous = match run.from {
            Some(number) => self.inner.ledger.release(key, number).await?,
            None => None,
        };
        let driver = Driver {
            executor: self,
            key: key.clone(),
            id,
            actor,
            run,
            previous,
            context: None,
            active: FuturesUnordered::new(),
            acting: 0,
            backlog: Arc::default(),
            stop_waiting: CancellationToken::new(),
        };
        driver.until_over(interrupt).await
    }
}

impl Driver<'_> {
    async fn until_over(mut self, interrupt: CancellationToken) -> Result<Ending> {
        loop {
            match self.run.next() {
                Next::Plan(toward) => self.plan(toward).await?,
                Next::Ask(step) => self.ask(step).await?,
                Next::Start(steps) => {
                    let begun = self.begin(&steps).await?;
                    if begun == 0 {
                        self.wait(&interrupt).await?;
                    }
                }
                Next::Wait => self.wait(&interrupt).await?,
                Next::SwapBack(why) => self.write(Event::SwapBack { why }).await?,
                Next::Finish(verdict) => self.finish(verdict).await?,
                Next::Parked => return Ok(Ending::Parked),
                Next::Over => {
                    let verdict = self.run.verdict.clone().expect("a run that is over has a verdict");
                    return Ok(Ending::Over(verdict));
                }
            }
        }
    }

    /// Writes an event of this run, and takes it in.
    async fn write(&mut self, event: Event) -> Result<()> {
        let write = self.entry(event.clone());
        self.executor.inner.ledger.append(write).await?;
        self.record(&event)
    }

    fn entry(&self, event: Event) -> Write {
        let key = Some(self.key.clone());
        Write { key, run: Some(self.id), actor: self.actor.clone(), event, expected: None }
    }

    fn record(&mut self, event: &Event) -> Result<()> {
        self.run.record(event).map_err(|e| Error::Illegal { run: self.id, why: e.to_string() })
    }

    async fn plan(&mut self, toward: Toward) -> Result<()> {
        let spec = match toward {
            Toward::Target => self.run.spec.clone(),
            Toward::Previous => self.run.fallback(self.previous.as_ref().map(|release| &release.spec)),
        };
        let previous = self.previous.as_ref().map(|release| &release.spec);
        let before: Vec<_> = match self.run.purpose {
            RunKind::Move => previous.into_iter().chain([&self.run.spec]).collect(),
            _ => Vec::new(),
        };
        let executor = self.executor;
        patiently(|| Box::pin(executor.place(&self.key, spec.target.as_ref()))).await?;
        let mut seen = patiently(|| Box::pin(executor.survey(&spec, &before))).await?;
        if toward == Toward::Target && asks_databases(self.run.purpose) {
            seen.databases = patiently(|| Box::pin(executor.look_at_databases(&spec, previous, &|_| None))).await?;
        }
        let next_ordinals = self.executor.inner.ledger.next_ordinals(&self.key).await?;
        let parent = self.run.plan.as_ref().map(|plan| plan.id.clone());
        let recovery = toward == Toward::Previous;
        let to = if recovery { self.run.from.unwrap_or(self.run.to) } else { self.run.to };
        let cx = PlanContext {
            current: self.previous.as_ref(),
            to,
            purpose: self.run.purpose,
            recovery,
            parent: parent.as_ref(),
            progress: &self.run.progress,
            next_ordinals: &next_ordinals,
            remove_volumes: &self.run.remove_volumes,
            able: self.executor.able(&spec).await?,
        };
        let (plan, problems) = plan(&spec, &seen, &cx);
        if let Some(problem) = problems.first().filter(|_| !recovery) {
            return self.refuse(problem).await;
        }
        let behind = seen.away.as_ref().filter(|away| away.shares_entrance && spec.leaving.is_none());
        let behind = behind.map(|away| away.target.clone());
        self.context = Some(Arc::new(RunContext {
            backlog: self.backlog.clone(),
            behind,
            key: self.key.clone(),
            run: self.id,
            spec: Arc::new(spec),
            previous: self.previous.as_ref().map(|release| Arc::new(release.spec.clone())),
            release: to,
        }));
        self.stop_waiting = CancellationToken::new();
        self.write(Event::Planned { plan: Box::new(plan), toward }).await
    }

    async fn refuse(&mut self, problem: &Problem) -> Result<()> {
        let evidence = vec![format!("{}: {}", problem.code, problem.hint)];
        let failure = Failure { why: problem.message.clone(), evidence, ..Failure::default() };
        self.write(Event::RunFinished { verdict: Verdict::Failed(failure) }).await
    }

    async fn ask(&mut self, id: StepId) -> Result<()> {
        let (plan, step) = self.step(id)?;
        match &step.action {
            Action::RunHook { replica, .. } => {
                let answer = patiently(|| Box::pin(self.executor.ask_hook(&self.key, replica))).await?;
                self.write(Event::StepAsked { plan, step: id, answer }).await?;
                self.executor.forget_hook(&self.key, replica).await;
                Ok(())
            }
            Action::Migrate { database, .. } => {
                let previous = self.previous.as_ref().map(|release| &release.spec);
                let answer = self.executor.ask_migration(&self.run.spec, previous, database).await?;
                self.write(Event::StepAsked { plan, step: id, answer }).await
            }
            _ => Err(Error::Illegal { run: self.id, why: format!("step {id} is not one to ask about") }),
        }
    }

    fn step(&self, id: StepId) -> Result<(PlanId, Step)> {
        let plan = self.run.plan.as_ref().map(|plan| plan.id.clone());
        let step = self.run.step(id).cloned();
        plan.zip(step).ok_or_else(|| Error::Illegal { run: self.id, why: format!("there is no step {id}") })
    }

    /// Begins as many of `steps` as may act at once; those that make no work are not counted.
    async fn begin(&mut self, steps: &[StepId]) -> Result<usize> {
        let mut begun = 0;
        for id in steps {
            let action = self.run.step(*id).map(|step| &step.action);
            let acts = action.is_some_and(makes_work);
            let is_start = matches!(action, Some(Action::Start { .. }));
            if (acts && self.acting >= ACTS_AT_ONCE) || (is_start && self.backlog.is_full()) {
                continue;
            }
            let (plan, step) = self.step(*id)?;
            self.write(Event::StepStarted { plan, step: *id, effect: step.action.effect() }).await?;
            self.acting += usize::from(acts);
            begun += 1;
            let context = self.context.clone().expect("a plan is being carried out");
            let executor = self.executor;
            let give_up = self.stop_waiting.clone();
            self.active.push(Box::pin(async move { carry_out(executor, &context, &step, give_up).await }));
        }
        Ok(begun)
    }

    /// Waits for a step to end or a replica to begin, or for a person to interrupt.
    async fn wait(&mut self, interrupt: &CancellationToken) -> Result<()> {
        if self.run.is_stopping() {
            self.stop_waiting.cancel();
        }
        tokio::select! {
            ended = self.active.next() => match ended {
                Some(ended) => self.ended(ended).await,
                None => Err(Error::Illegal { run: self.id, why: "a step is under way that nobody carries out".to_owned() }),
            },
            () = self.backlog.shrank() => Ok(()),
            () = interrupt.cancelled(), if !self.run.interrupted => self.write(Event::RunInterrupted).await,
        }
    }

    async fn ended(&mut self, ended: Ended) -> Result<()> {
        let (plan, step) = self.step(ended.step)?;
        self.acting -= usize::from(makes_work(&step.action));
        let Some(outcome) = ended.outcome else {
            self.run.give_up(ended.step);
            return Ok(());
        };
        let took_ms = u64::try_from(ended.took.as_millis()).unwrap_or(u64::MAX);
        self.write(Event::StepFinished { plan, step: ended.step, outcome, took_ms }).await?;
        if let Action::RunHook { replica, .. } = &step.action {
            self.executor.forget_hook(&self.key, replica).await;
        }
        Ok(())
    }

    /// Records the verdict. A run that reached a new release records that first, in one write.
    async fn finish(&mut self, verdict: Verdict) -> Result<()> {
        if verdict == Verdict::Reached && !matches!(self.run.purpose, RunKind::Heal | RunKind::Down) {
            self.accept().await?;
        }
        if verdict == Verdict::Reached && self.run.purpose == RunKind::Down {
            self.executor.inner.runtime.release(&self.key).await?;
            self.write(Event::EnvironmentRetired).await?;
        }
        self.write(Event::RunFinished { verdict }).await
    }

    async fn accept(&mut self) -> Result<()> {
        let release = Release {
            number: self.run.to,
            run: self.id,
            accepted_at: self.executor.now(),
            spec: self.run.spec.clone(),
            manifest: self.run.manifest,
            reason: self.run.reason.clone(),
        };
        let event = Event::ReleaseAccepted { number: release.number };
        let write = self.entry(event.clone());
        self.executor.inner.ledger.accept(write, &release).await?;
        self.record(&event)
    }
}

/// Whether an action only waits and can be given up at any time.
fn only_waits(action: &Action) -> bool {
    matches!(
        action,
        Action::AwaitAnswer { .. }
            | Action::AwaitReady { .. }
            | Action::AwaitCompleted { .. }
            | Action::Drain { .. }
            | Action::Watch { .. }
    )
}

/// Whether an action makes work for machines. Those that wait do not, and changes of routes that meet are made as one:
/// the more of them wait for their turn, the fewer tables has the edge to take. A hold has its turn, since its requests
/// are held for a time only: what they are held for has to follow at once.
fn makes_work(action: &Action) -> bool {
    !only_waits(action) && !matches!(action, Action::Route { .. } | Action::Unroute { .. })
}

async fn carry_out(executor: &Executor, context: &RunContext, step: &Step, give_up: CancellationToken) -> Ended {
    let began = Instant::now();
    let outcome = if only_waits(&step.action) {
        tokio::select! {
            () = give_up.cancelled() => None,
            outcome = executor.act(context, step) => Some(outcome),
        }
    } else {
        Some(executor.act(context, step).await)
    };
    Ended { step: step.id, outcome, took: began.elapsed() }
}
