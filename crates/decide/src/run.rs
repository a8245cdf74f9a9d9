//! A run: the carrying out of a plan, folded from its journal entries.
//!
//! [`Run`] does nothing itself. The executor writes an event to the journal, gives it to
//! [`Run::record`], and asks [`Run::next`] what follows. After a crash the same entries make the same
//! run again; [`Run::resume`] then says that nobody is carrying out what had been begun.

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::event::{Answer, Failure, StepOutcome, Toward};
use daybook_model::plan::{Effect, WatchPhase};
use daybook_model::{Action, Digest, Event, Plan, ReleaseNumber, RunKind, Spec, Step, StepId, Verdict, VolumeName};

use crate::plan::Progress;

/// A run so far.
#[derive(Debug, Clone)]
pub struct Run {
    /// What it is for.
    pub purpose: RunKind,
    /// Why, in words.
    pub reason: String,
    /// The release it leads to.
    pub to: ReleaseNumber,
    /// The release that was in force when it began.
    pub from: Option<ReleaseNumber>,
    /// The desired state it leads to.
    pub spec: Spec,
    /// Hash of the manifest that the spec came from.
    pub manifest: Option<Digest>,
    /// Volumes that the person asked to remove, by name.
    pub remove_volumes: BTreeSet<VolumeName>,
    /// The plan being carried out.
    pub plan: Option<Plan>,
    /// What that plan leads to.
    pub toward: Toward,
    /// What has been reached.
    pub progress: Progress,
    /// Why it failed, once it has.
    pub failure: Option<Failure>,
    /// Where each step of the plan is.
    pub steps: Vec<StepState>,
    /// A person asked it to stop.
    pub interrupted: bool,
    /// How it ended.
    pub verdict: Option<Verdict>,
    swapping_back: bool,
    needs_plan: bool,
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// Not begun.
    Waiting,
    /// Begun, and being carried out.
    UnderWay,
    /// Begun by a process that is gone.
    Lost,
    /// Done.
    Done,
    /// Failed.
    Failed,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Observe, and plan toward this.
    Plan(Toward),
    /// Ask the world whether this step happened, before anything else.
    Ask(StepId),
    /// Begin these steps; their needs are done.
    Start(Vec<StepId>),
    /// Steps are under way: nothing to begin until one of them ends.
    Wait,
    /// A step failed: give up those that only wait, let those that act end, and go back.
    SwapBack(String),
    /// Record the verdict; the run is over.
    Finish(Verdict),
    /// The run is interrupted and nothing is under way: it waits to be resumed.
    Parked,
    /// The run is over.
    Over,
}

/// An event that cannot follow on those before it: a bug, or a damaged journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the event does not fit the run: {0}")]
pub struct IllegalEvent(pub String);

impl Run {
    /// The run that `first` began. It must be a `RunStarted`.
    pub fn begin(first: &Event) -> Result<Self, IllegalEvent> {
        let Event::RunStarted { purpose, reason, to, from, spec, remove_volumes, manifest } = first else {
            return Err(IllegalEvent("a run begins with RunStarted".to_owned()));
        };
        Ok(Self {
            purpose: *purpose,
            reason: reason.clone(),
            to: *to,
            from: *from,
            spec: (**spec).clone(),
            manifest: *manifest,
            remove_volumes: remove_volumes.clone(),
            plan: None,
            toward: Toward::Target,
            progress: Progress::default(),
            failure: None,
            steps: Vec::new(),
            interrupted: false,
            verdict: None,
            swapping_back: false,
            needs_plan: true,
        })
    }

    /// Takes the next event of the run. One that cannot follow is an error and changes nothing.
    pub fn record(&mut self, event: &Event) -> Result<(), IllegalEvent> {
        if self.verdict.is_some() {
            return Err(IllegalEvent("the run has finished".to_owned()));
        }
        match event {
            Event::Planned { plan, toward } => self.planned(plan, *toward),
            Event::StepStarted { plan, step, .. } => self.step_started(plan, *step)?,
            Event::StepFinished { plan, step, outcome, .. } => self.step_finished(plan, *step, outcome)?,
            Event::StepAsked { plan, step, answer } => self.step_asked(plan, *step, answer)?,
            Event::SwapBack { .. } => {
                self.swapping_back = true;
                self.toward = Toward::Previous;
                self.needs_plan = true;
            }
            Event::RunInterrupted => self.interrupted = true,
            Event::RunResumed => {
                self.interrupted = false;
                self.needs_plan = true;
            }
            Event::RunFinished { verdict } => self.verdict = Some(verdict.clone()),
            _ => {}
        }
        Ok(())
    }

    /// Nobody carries the run out any more: what was under way is lost, and the world has to be looked
    /// at again.
    pub fn resume(&mut self) {
        for state in &mut self.steps {
            if *state == StepState::UnderWay {
                *state = StepState::Lost;
            }
        }
        self.needs_plan = true;
    }

    /// A step that only waited was given up, because the run is stopping.
    pub fn give_up(&mut self, id: StepId) {
        if self.state(id) == StepState::UnderWay {
            self.set(id, StepState::Lost);
        }
    }

    /// What follows now.
    pub fn next(&self) -> Next {
        if self.verdict.is_some() {
            return Next::Over;
        }
        if let Some(step) = self.lost_once() {
            return Next::Ask(step);
        }
        let under_way = self.steps.contains(&StepState::UnderWay);
        if self.interrupted {
            return if under_way { Next::Wait } else { Next::Parked };
        }
        if self.failed_now() {
            return if under_way { Next::Wait } else { self.after_failure() };
        }
        if self.needs_plan {
            return if under_way { Next::Wait } else { Next::Plan(self.toward) };
        }
        let free = self.free();
        if !free.is_empty() {
            return Next::Start(free);
        }
        if under_way { Next::Wait } else { Next::Finish(self.final_verdict()) }
    }

    /// Whether the run is ending early, so that steps which only wait should be given up.
    pub fn is_stopping(&self) -> bool {
        self.interrupted || self.failed_now()
    }

    /// The step of the present plan.
    pub fn step(&self, id: StepId) -> Option<&Step> {
        self.plan.as_ref().and_then(|plan| plan.step(id))
    }

    fn planned(&mut self, plan: &Plan, toward: Toward) {
        self.steps = vec![StepState::Waiting; plan.steps.len()];
        self.plan = Some(plan.clone());
        self.toward = toward;
        self.needs_plan = false;
    }

    fn step_started(&mut self, plan: &daybook_model::PlanId, id: StepId) -> Result<(), IllegalEvent> {
        let step = self.known(plan, id)?.clone();
        let open = step.needs.iter().find(|need| self.state(**need) != StepState::Done);
        if let Some(need) = open {
            return Err(IllegalEvent(format!("step {id} began before step {need}, which it needs, was done")));
        }
        self.expect(id, &[StepState::Waiting])?;
        self.set(id, StepState::UnderWay);
        if let Action::Start { replica, .. } = &step.action {
            self.progress.started.insert(replica.clone());
        }
        Ok(())
    }

    fn step_finished(
        &mut self,
        plan: &daybook_model::PlanId,
        id: StepId,
        outcome: &StepOutcome,
    ) -> Result<(), IllegalEvent> {
        let step = self.known(plan, id)?.clone();
        self.expect(id, &[StepState::UnderWay])?;
        match outcome {
            StepOutcome::Done(_) => self.done(&step),
            StepOutcome::Failed(failure) => self.fail(&step, failure),
        }
        Ok(())
    }

    fn step_asked(&mut self, plan: &daybook_model::PlanId, id: StepId, answer: &Answer) -> Result<(), IllegalEvent> {
        let step = self.known(plan, id)?.clone();
        self.expect(id, &[StepState::Lost])?;
        match answer {
            Answer::Happened => self.done(&step),
            Answer::HappenedAndFailed(failure) => self.fail(&step, failure),
            Answer::DidNotHappen => self.set(id, StepState::Waiting),
        }
        Ok(())
    }

    fn done(&mut self, step: &Step) {
        self.set(step.id, StepState::Done);
        match &step.action {
            Action::RunHook { service, .. } => {
                self.progress.hooks.insert(service.clone());
                self.progress.hooks_ended.insert(service.clone());
            }
            Action::AwaitReady { replica } | Action::AwaitCompleted { replica } => {
                self.progress.ready.insert(replica.clone());
            }
            Action::Watch { service, phase: WatchPhase::Canary, .. } => {
                self.progress.canaries.insert(service.clone());
            }
            Action::Watch { service, phase: WatchPhase::Probation, .. } => {
                self.progress.probations.insert(service.clone());
            }
            _ => {}
        }
    }

    fn fail(&mut self, step: &Step, failure: &Failure) {
        self.set(step.id, StepState::Failed);
        if let Action::RunHook { service, .. } = &step.action {
            self.progress.hooks_ended.insert(service.clone());
        }
        if self.failure.is_none() || self.swapping_back {
            self.failure = Some(match self.failure.take() {
                Some(first) => Failure {
                    why: format!("{}; going back failed too: {}", first.why, failure.why),
                    evidence: first.evidence.into_iter().chain(failure.evidence.iter().cloned()).collect(),
                    log: first.log,
                    cause: first.cause,
                    options: first.options,
                },
                None => failure.clone(),
            });
        }
    }

    fn known(&self, plan: &daybook_model::PlanId, id: StepId) -> Result<&Step, IllegalEvent> {
        let current = self.plan.as_ref().filter(|current| &current.id == plan);
        let current = current.ok_or_else(|| IllegalEvent(format!("plan {plan} is not the one being carried out")))?;
        current.step(id).ok_or_else(|| IllegalEvent(format!("plan {plan} has no step {id}")))
    }

    fn state(&self, id: StepId) -> StepState {
        self.steps.get(id.0 as usize).copied().unwrap_or(StepState::Waiting)
    }

    fn set(&mut self, id: StepId, state: StepState) {
        if let Some(slot) = self.steps.get_mut(id.0 as usize) {
            *slot = state;
        }
    }

    fn expect(&self, id: StepId, allowed: &[StepState]) -> Result<(), IllegalEvent> {
        let state = self.state(id);
        if allowed.contains(&state) || (state == StepState::Lost && allowed.contains(&StepState::UnderWay)) {
            Ok(())
        } else {
            Err(IllegalEvent(format!("step {id} is {state:?}")))
        }
    }

    fn lost_once(&self) -> Option<StepId> {
        let plan = self.plan.as_ref()?;
        let lost = |step: &&Step| self.state(step.id) == StepState::Lost && step.action.effect() == Effect::Once;
        plan.steps.iter().find(lost).map(|step| step.id)
    }

    fn failed_now(&self) -> bool {
        self.steps.contains(&StepState::Failed)
    }

    fn after_failure(&self) -> Next {
        let failure = self.failure.clone().unwrap_or_default();
        if self.toward == Toward::Target
            && !self.swapping_back
            && !matches!(self.purpose, RunKind::Down | RunKind::Heal)
        {
            return Next::SwapBack(failure.why);
        }
        if self.needs_plan && self.swapping_back {
            return Next::Plan(Toward::Previous);
        }
        Next::Finish(Verdict::Failed(failure))
    }

    fn free(&self) -> Vec<StepId> {
        let steps = self.plan.as_ref().map(|plan| plan.steps.as_slice()).unwrap_or_default();
        steps
            .iter()
            .filter(|step| self.state(step.id) == StepState::Waiting)
            .filter(|step| step.needs.iter().all(|need| self.state(*need) == StepState::Done))
            .map(|step| step.id)
            .collect()
    }

    fn final_verdict(&self) -> Verdict {
        match (&self.failure, self.toward, self.from) {
            (None, ..) => Verdict::Reached,
            (Some(failure), Toward::Previous, Some(_)) => Verdict::SwappedBack(failure.clone()),
            (Some(failure), ..) => Verdict::Failed(failure.clone()),
        }
    }

    /// What a plan toward [`Toward::Previous`] aims at: the release before; without one, as much of the
    /// new spec as was reached, so that a first deployment that fails in one service keeps the others
    /// and leaves nothing half-started.
    pub fn fallback(&self, previous: Option<&Spec>) -> Spec {
        if let Some(previous) = previous {
            return previous.clone();
        }
        let mut started: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        for replica in &self.progress.started {
            let (all, ready) = started.entry(&replica.service).or_default();
            *all += 1;
            *ready += usize::from(self.progress.ready.contains(replica));
        }
        let mut spec = self.spec.clone();
        spec.services.retain(|name, service| match started.get(name) {
            Some((all, ready)) => all == ready,
            None => service.replicas() == 0,
        });
        spec
    }
}

/// Makes a run from all of its entries, in order.
pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Run, IllegalEvent> {
    let mut events = events.into_iter();
    let first = events.next().ok_or_else(|| IllegalEvent("the run has no entries".to_owned()))?;
    let mut run = Run::begin(first)?;
    for event in events {
        run.record(event)?;
    }
    Ok(run)
}
