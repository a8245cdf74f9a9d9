//! A run as its journal entries tell it.

use std::collections::HashMap;

use daybook_api::run::{RunState, RunStep, RunTraffic, RunView, StepState};
use daybook_decide::text;
use daybook_model::event::{Answer, StepOutcome, Toward};
use daybook_model::{Entry, Event, Plan, PlanId, RunId, StepId};

use crate::App;
use crate::error::ApiError;
use crate::runs::no_run;

impl App {
    /// A run with its steps, its latest progress notes and its requests.
    pub(crate) async fn run_view(&self, run: RunId) -> Result<RunView, ApiError> {
        let mut view = self.folded(run).await?;
        self.add_notes(&mut view);
        view.traffic = self.run_traffic(&view.key, run).await;
        if view.state == RunState::Interrupted && self.inner.drivers.is_driven(run) {
            view.state = RunState::Running;
        }
        Ok(view)
    }

    /// What the journal tells of a run. Of an open one that was looked at before, only what is new is read.
    async fn folded(&self, run: RunId) -> Result<RunView, ApiError> {
        let read = async |key, after| {
            let query = daybook_store::Query { run: Some(run), key, after, ..Default::default() };
            daybook_store::Journal::read(&self.inner.store, &query).await
        };
        let known = self.live().foldings.remove(&run);
        let folding = match known {
            Some(mut folding) => {
                let new = read(Some(folding.view.key.clone()), folding.seq).await?;
                new.iter().for_each(|entry| folding.take(entry));
                folding
            }
            None => {
                let record = self.inner.store.run(run).await?.ok_or_else(|| no_run(run))?;
                Folding::of(&read(record.started.key, 0).await?).ok_or_else(|| no_run(run))?
            }
        };
        let view = folding.view.clone();
        if view.state != RunState::Finished {
            self.live().foldings.insert(run, folding);
        }
        Ok(view)
    }

    fn add_notes(&self, view: &mut RunView) {
        let live = self.live();
        for step in view.steps.iter_mut().filter(|step| step.state == StepState::Running) {
            step.note = live.notes.get(&(view.id, StepId(step.id))).cloned();
        }
    }
}

fn begun(first: &Entry) -> Option<RunView> {
    let Event::RunStarted { purpose, reason, to, from, .. } = &first.event else { return None };
    Some(RunView {
        id: first.run?,
        key: first.key.clone()?,
        purpose: *purpose,
        reason: reason.clone(),
        actor: (&first.actor).into(),
        from: *from,
        to: *to,
        started_at: first.at,
        finished_at: None,
        state: RunState::Planning,
        verdict: None,
        steps: Vec::new(),
        traffic: RunTraffic::default(),
    })
}

/// A run as far as its entries were taken in.
pub(crate) struct Folding {
    view: RunView,
    plan: Option<PlanId>,
    /// Where the steps of the present plan are.
    places: HashMap<StepId, usize>,
    /// The last entry that was taken in.
    seq: u64,
}

impl Folding {
    /// Folds the entries of a run. `None` if they do not begin with `RunStarted`.
    pub(crate) fn of(entries: &[Entry]) -> Option<Self> {
        let (first, rest) = entries.split_first()?;
        let mut folding = Self { view: begun(first)?, plan: None, places: HashMap::new(), seq: first.seq };
        rest.iter().for_each(|entry| folding.take(entry));
        Some(folding)
    }

    pub(crate) fn into_view(self) -> RunView {
        self.view
    }

    fn take(&mut self, entry: &Entry) {
        self.seq = entry.seq;
        match &entry.event {
            Event::Planned { plan, toward } => self.planned(plan, *toward),
            Event::StepStarted { plan, step, .. } => self.with(plan, *step, |step| {
                step.state = StepState::Running;
                step.started_at = Some(entry.at);
            }),
            Event::StepFinished { plan, step, outcome, took_ms } => self.with(plan, *step, |step| {
                step.took_ms = Some(*took_ms);
                finish(step, outcome);
            }),
            Event::StepAsked { plan, step, answer } => self.with(plan, *step, |step| answered(step, answer)),
            Event::SwapBack { .. } => self.view.state = RunState::SwappingBack,
            Event::RunInterrupted => self.view.state = RunState::Interrupted,
            Event::RunResumed => self.view.state = RunState::Planning,
            Event::RunFinished { verdict } => {
                self.view.state = RunState::Finished;
                self.view.verdict = Some(verdict.into());
                self.view.finished_at = Some(entry.at);
            }
            _ => {}
        }
    }

    /// What was done under earlier plans stays; what was not, is for the new plan to say.
    fn planned(&mut self, plan: &Plan, toward: Toward) {
        self.view.steps.retain(|step| matches!(step.state, StepState::Done | StepState::Failed));
        let steps = plan.steps.iter().map(|step| RunStep::waiting(plan, step, toward, text::step(step)));
        let first = self.view.steps.len();
        self.places = plan.steps.iter().enumerate().map(|(at, step)| (step.id, first + at)).collect();
        self.view.steps.extend(steps);
        self.plan = Some(plan.id.clone());
        self.view.state = if toward == Toward::Previous { RunState::SwappingBack } else { RunState::Running };
    }

    fn with(&mut self, plan: &PlanId, id: StepId, change: impl FnOnce(&mut RunStep)) {
        if self.plan.as_ref() != Some(plan) {
            return;
        }
        let step = self.places.get(&id).and_then(|at| self.view.steps.get_mut(*at));
        step.map(change);
    }
}

fn finish(step: &mut RunStep, outcome: &StepOutcome) {
    match outcome {
        StepOutcome::Done(note) => {
            step.state = StepState::Done;
            step.note = Some(note.clone()).filter(|note| !note.is_empty());
        }
        StepOutcome::Failed(failure) => {
            step.state = StepState::Failed;
            step.note = Some(failure.why.clone());
            step.failure = Some(failure.into());
        }
    }
}

fn answered(step: &mut RunStep, answer: &Answer) {
    match answer {
        Answer::Happened => finish(step, &StepOutcome::Done("it had happened before the interruption".to_owned())),
        Answer::HappenedAndFailed(failure) => finish(step, &StepOutcome::Failed(failure.clone())),
        Answer::DidNotHappen => step.state = StepState::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use daybook_model::event::{Failure, Verdict};
    use daybook_model::{Action, Cause, Digest, EnvKey, ReleaseNumber, RunKind, Spec, Step};

    fn key() -> EnvKey {
        "shop/production".parse().unwrap()
    }

    fn entry(seq: u64, event: Event) -> Entry {
        let run = Some(RunId(uuid::Uuid::from_u128(1)));
        Entry { seq, run, ..fixture::entry(event, &format!("2026-01-01T00:00:0{seq}Z")) }
    }

    fn started() -> Event {
        Event::RunStarted {
            purpose: RunKind::Up,
            reason: "up".to_owned(),
            to: ReleaseNumber(2),
            from: Some(ReleaseNumber(1)),
            spec: Box::new(Spec::empty(key())),
            manifest: None,
            remove_volumes: Default::default(),
        }
    }

    fn plan(name: &[u8]) -> Plan {
        let step = |n: u32, replica: &str| Step {
            id: StepId(n),
            action: Action::AwaitReady { replica: replica.parse().unwrap() },
            cause: Cause { why: "wanted".into(), line: None },
            needs: Vec::new(),
        };
        Plan {
            id: PlanId(Digest::of(name)),
            parent: None,
            key: key(),
            from: None,
            to: ReleaseNumber(2),
            steps: vec![step(0, "web.1"), step(1, "web.2")],
            changes: Vec::new(),
        }
    }

    fn finished(plan: &Plan, step: u32, outcome: StepOutcome) -> Event {
        Event::StepFinished { plan: plan.id.clone(), step: StepId(step), outcome, took_ms: 40 }
    }

    fn began(plan: &Plan, step: u32) -> Event {
        let effect = daybook_model::Effect::Repeatable;
        Event::StepStarted { plan: plan.id.clone(), step: StepId(step), effect }
    }

    #[test]
    fn a_new_plan_keeps_what_was_done_and_drops_what_was_not() {
        let (first, second) = (plan(b"1"), plan(b"2"));
        let failure = Failure { why: "503".to_owned(), ..Failure::default() };
        let events = [
            started(),
            Event::Planned { plan: Box::new(first.clone()), toward: Toward::Target },
            began(&first, 0),
            finished(&first, 0, StepOutcome::Failed(failure.clone())),
            began(&first, 1),
            Event::SwapBack { why: "503".to_owned() },
            Event::Planned { plan: Box::new(second.clone()), toward: Toward::Previous },
            Event::RunFinished { verdict: Verdict::SwappedBack(failure) },
        ];
        let entries: Vec<_> = events.into_iter().zip(1..).map(|(event, seq)| entry(seq, event)).collect();
        let swapping = Folding::of(&entries[..7]).unwrap().into_view();
        assert_eq!(swapping.state, RunState::SwappingBack);
        let states: Vec<_> = swapping.steps.iter().map(|step| (step.text.as_str(), step.state)).collect();
        assert_eq!(
            states,
            [
                ("wait until web.1 is ready", StepState::Failed),
                ("wait until web.1 is ready", StepState::Waiting),
                ("wait until web.2 is ready", StepState::Waiting)
            ]
        );
        assert_eq!(Folding::of(&entries).unwrap().into_view().state, RunState::Finished);
    }

    #[test]
    fn a_step_that_was_asked_about_and_did_not_happen_waits_again() {
        let plan = plan(b"1");
        let asked = Event::StepAsked { plan: plan.id.clone(), step: StepId(0), answer: Answer::DidNotHappen };
        let events = [
            started(),
            Event::Planned { plan: Box::new(plan.clone()), toward: Toward::Target },
            began(&plan, 0),
            asked,
        ];
        let entries: Vec<_> = events.into_iter().zip(1..).map(|(event, seq)| entry(seq, event)).collect();
        assert_eq!(Folding::of(&entries).unwrap().into_view().steps[0].state, StepState::Waiting);
    }
}
