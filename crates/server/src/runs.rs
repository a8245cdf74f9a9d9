//! Planning a change, and beginning a run of it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use daybook_api::ErrorCode;
use daybook_api::change::Change;
use daybook_api::plan::{CostView, PlanReply, PlanRequest};
use daybook_api::run::{Expect, NothingToDo, RunReply, RunRequest, RunStarted};
use daybook_decide::Problem;
use daybook_decide::cost::{Bill, Catalogue, Invalid, bill};
use daybook_decide::plan::asks_databases;
use daybook_decide::risk::{self, Past};
use daybook_decide::text::Beside;
use daybook_executor::RunStart;
use daybook_manifest::Aim;
use daybook_model::event::Verdict;
use daybook_model::spec::SecretRef;
use daybook_model::{Actor, Digest, EnvKey, Event, Observed, Plan, Release, ReleaseNumber, RunId, RunKind, Spec};
use daybook_store::{Journal, Query, Write};
use serde::Serialize;

use crate::App;
use crate::approvals::Approval;
use crate::change::Desired;
use crate::error::ApiError;
use crate::policy::{Judged, refuse_denied};

/// The prices that come along, read when the first plan needs them.
static PRICES: LazyLock<Result<Catalogue, Vec<Invalid>>> = LazyLock::new(Catalogue::built_in);

/// Runs among which the last one like a plan is looked for.
const LOOKED_AT: usize = 5;

/// A plan and what it was made from.
struct Preview {
    plan: Plan,
    problems: Vec<Problem>,
    basis: String,
}

/// What a change comes to that nothing refuses.
pub(crate) enum Ready {
    /// A run of it may begin.
    Run {
        /// What it leads to.
        desired: Box<Desired>,
        /// The id of its plan.
        plan_id: String,
    },
    /// There is nothing to do.
    Nothing(NothingToDo),
}

impl App {
    /// What a change would do.
    pub(crate) async fn plan(&self, request: &PlanRequest) -> Result<PlanReply, ApiError> {
        let aim = if request.carry_out { Aim::Act } else { Aim::Look };
        if aim == Aim::Act {
            self.refuse_without_space()?;
        }
        let desired = self.desired(&request.change, aim).await?;
        let mut preview = self.preview(&desired).await?;
        if aim == Aim::Look {
            preview.problems.retain(|problem| !problem.is_open());
        }
        refuse_problems(&desired, &preview.problems)?;
        let bill = self.bill(&desired)?;
        if aim == Aim::Act {
            refuse_denied(&desired)?;
            refuse_over_budget(&desired, bill.as_ref())?;
        }
        let policy = desired.policy.as_ref();
        let approval = self.approval(&desired, &preview.plan, &preview.basis).await?;
        let mut text = self.text(&desired, &preview.plan, bill.as_ref(), &approval).await?;
        let nothing_to_do = nothing_to_do(&desired, &preview.plan);
        if preview.plan.is_empty() && !nothing_to_do {
            text.push_str(&format!("It is recorded as release {}.\n", desired.to));
        }
        let policy = policy.map(Judged::view);
        let reply = PlanReply::of(&preview.plan, text, preview.basis, desired.diagnostics);
        let cost = bill.map(|bill| CostView {
            before: bill.before.map(|before| before.to_string()),
            after: bill.after.to_string(),
            currency: bill.currency.code().to_owned(),
            place: bill.place,
            budget: bill.budget.map(|budget| budget.to_string()),
            refused: bill.refused,
            unpriced: bill.unpriced.into_iter().map(|lacks| lacks.what).collect(),
        });
        Ok(PlanReply { empty: nothing_to_do, unresolved: desired.unresolved, cost, policy, ..reply })
    }

    /// A plan as people read it, with what is said beside it.
    async fn text(
        &self,
        desired: &Desired,
        plan: &Plan,
        bill: Option<&Bill>,
        approval: &Approval,
    ) -> Result<String, ApiError> {
        let beside = Beside {
            bill,
            policy: desired.policy.as_ref().map(Judged::lines).unwrap_or_default(),
            undo: Some(risk::undo(plan)),
            last: self.last_like(desired).await?,
            approval: approval.words(),
        };
        Ok(daybook_decide::text::render_with(plan, &beside))
    }

    /// What came of the last run that was for the same.
    async fn last_like(&self, desired: &Desired) -> Result<Option<String>, ApiError> {
        let runs = self.inner.store.runs(Some(&desired.key), LOOKED_AT).await?;
        let past = runs.iter().find_map(|run| {
            let finished = run.finished.as_ref()?;
            let (Event::RunStarted { purpose, to, .. }, Event::RunFinished { verdict }) =
                (&run.started.event, &finished.event)
            else {
                return None;
            };
            let took_ms = finished.at.as_millisecond().saturating_sub(run.started.at.as_millisecond());
            let took_ms = u64::try_from(took_ms).unwrap_or(0);
            (*purpose == desired.purpose).then_some(Past { to: *to, at: finished.at, took_ms, verdict })
        });
        Ok(past.as_ref().map(risk::last))
    }

    /// What a change does to the cost of its environment, where the manifest says whose prices count.
    fn bill(&self, desired: &Desired) -> Result<Option<Bill>, ApiError> {
        let Some(budget) = &desired.spec.budget else { return Ok(None) };
        let catalogue = PRICES.as_ref().map_err(|invalid| {
            let first = invalid.first().map(ToString::to_string).unwrap_or_default();
            ApiError::new(ErrorCode::Internal, format!("the prices that come along cannot be read: {first}"))
        })?;
        let today = self.now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let before = desired.current.as_ref().map(|release| &release.spec);
        bill(before, &desired.spec, catalogue, today).transpose().map_err(|why| {
            let line = budget.line.map(|line| format!(" (manifest line {line})")).unwrap_or_default();
            ApiError::invalid(format!("the budget{line} cannot be kept to: {why}"))
                .hint("`daybook cost` compares the places that have prices")
        })
    }

    /// Begins to carry a change out, unless there is nothing to do.
    ///
    /// Refused when a run of the environment is open, and when the plan is not the one that the caller
    /// has looked at.
    pub(crate) async fn begin(&self, request: &RunRequest, actor: Actor) -> Result<RunReply, ApiError> {
        let key = self.key_of(&request.change)?;
        // An upgrade keeps others from planning until it is over: nobody waits for that. `ready` asks again: one that began
        // meanwhile and broke off is still open, and keeps nobody from planning.
        if !matches!(request.change, Change::Down(_)) {
            self.refuse_if_upgrading(&key).await?;
        }
        let planning = self.planning(&key);
        let _planning = planning.lock().await;
        match self.ready(&key, request, &actor).await? {
            Ready::Nothing(nothing) => Ok(RunReply::Nothing(nothing)),
            Ready::Run { desired, plan_id } => {
                let to = desired.to;
                let run = self.start_run(new_run(), *desired, actor).await?;
                Ok(RunReply::Started(RunStarted { run, key, to, plan_id }))
            }
        }
    }

    /// What is about to be carried out, if nothing refuses it. Whoever calls it keeps others from planning for the environment.
    pub(crate) async fn ready(&self, key: &EnvKey, request: &RunRequest, actor: &Actor) -> Result<Ready, ApiError> {
        if !matches!(request.change, Change::Down(_)) {
            self.refuse_if_upgrading(key).await?;
        }
        self.refuse_if_locked(key).await?;
        self.refuse_without_space()?;
        let desired = self.desired(&request.change, Aim::Act).await?;
        let preview = self.preview(&desired).await?;
        refuse_problems(&desired, &preview.problems)?;
        refuse_denied(&desired)?;
        let bill = self.bill(&desired)?;
        refuse_over_budget(&desired, bill.as_ref())?;
        if let Some(expect) = &request.expect {
            refuse_if_stale(expect, &preview)?;
        }
        let approval = self.approval(&desired, &preview.plan, &preview.basis).await?;
        if approval.is_missing() {
            let text = self.text(&desired, &preview.plan, bill.as_ref(), &approval).await?;
            let Preview { plan, basis, .. } = preview;
            return Err(self.refuse_unapproved(&desired, &plan.id, basis, text, &approval, actor).await);
        }
        let release = desired.current.as_ref().map(|release| release.number);
        if nothing_to_do(&desired, &preview.plan) {
            if desired.purpose == RunKind::Down {
                self.retire(key, actor).await?;
            }
            return Ok(Ready::Nothing(NothingToDo { empty: true, key: key.clone(), release }));
        }
        let plan_id = preview.plan.id.0.to_string();
        Ok(Ready::Run { desired: Box::new(desired), plan_id })
    }

    /// Begins to bring an environment back to its release, if it still is not there.
    pub(crate) async fn begin_heal(&self, release: Release, why: &str) -> Result<Option<RunId>, ApiError> {
        let key = release.spec.key.clone();
        let planning = self.planning(&key);
        let _planning = planning.lock().await;
        self.refuse_if_locked(&key).await?;
        let seen = self.inner.executor.observe(&key, Some(&release.spec)).await?;
        let still_in_force =
            self.inner.store.current_release(&key).await?.is_some_and(|now| now.number == release.number);
        if !still_in_force || self.what_is_amiss(&release, &seen).await?.is_none() {
            return Ok(None);
        }
        let desired = Desired {
            key,
            spec: release.spec.clone(),
            manifest: release.manifest,
            purpose: RunKind::Heal,
            reason: format!("heal: {why}"),
            to: release.number,
            current: Some(release),
            remove_volumes: BTreeSet::new(),
            diagnostics: Vec::new(),
            sealing: None,
            policy: None,
            unresolved: Vec::new(),
        };
        self.start_run(new_run(), desired, Actor::daybook("heal")).await.map(Some)
    }

    /// Begins to carry out what nobody has looked at before: Daybook itself wants it.
    #[cfg(feature = "databases")]
    pub(crate) async fn begin_desired(&self, desired: Desired, actor: Actor) -> Result<RunId, ApiError> {
        self.refuse_if_locked(&desired.key).await?;
        let preview = self.preview(&desired).await?;
        refuse_problems(&desired, &preview.problems)?;
        self.start_run(new_run(), desired, actor).await
    }

    /// Begins a run, by the id that it is to have.
    pub(crate) async fn start_run(&self, run: RunId, desired: Desired, actor: Actor) -> Result<RunId, ApiError> {
        let Desired { key, spec, manifest, purpose, reason, current, to, remove_volumes, sealing, .. } = desired;
        if let Some(sealing) = sealing {
            sealing.commit(&self.inner.store, &actor).await?;
        }
        let from = current.map(|release| release.number);
        self.begin_traffic(&key, run).await;
        let (doing, by) = (reason.clone(), actor.clone());
        let start = RunStart { run, purpose, reason, actor, spec, manifest, from, to, expected: None, remove_volumes };
        self.inner.executor.start(start).await?;
        // What the edge is about to serve must be there.
        self.write_status_pages(&key).await;
        self.drive(key.clone(), run);
        self.acted(&key, run, &doing, &by).await;
        Ok(run)
    }

    pub(crate) async fn refuse_if_locked(&self, key: &EnvKey) -> Result<(), ApiError> {
        let known = self.inner.store.environment(key).await?;
        match known.and_then(|environment| environment.open_run) {
            Some(run) => Err(daybook_store::Error::Locked { key: key.clone(), run }.into()),
            None => Ok(()),
        }
    }

    /// An environment in which nothing runs, and nothing is to, is managed no more.
    pub(crate) async fn retire(&self, key: &EnvKey, actor: &Actor) -> Result<(), ApiError> {
        let write = Write {
            key: Some(key.clone()),
            run: None,
            actor: actor.clone(),
            event: Event::EnvironmentRetired,
            expected: None,
        };
        self.inner.store.append(write).await?;
        Ok(())
    }

    async fn preview(&self, desired: &Desired) -> Result<Preview, ApiError> {
        let executor = &self.inner.executor;
        let from = desired.current.as_ref().map(|release| &release.spec);
        let before: Vec<_> = from.filter(|_| desired.purpose == RunKind::Move).into_iter().collect();
        let mut seen = executor.survey(&desired.spec, &before).await?;
        if asks_databases(desired.purpose) {
            let unsealed = |secret: &SecretRef| desired.sealing.as_ref().and_then(|sealing| sealing.value(secret));
            seen.databases = executor.look_at_databases(&desired.spec, from, &unsealed).await?;
        }
        let Desired { spec, purpose, current, to, remove_volumes, .. } = desired;
        let (plan, problems) = executor.preview(spec, &seen, *purpose, current.as_ref(), *to, remove_volumes).await?;
        let basis = basis(spec, &seen, current.as_ref().map(|release| release.number));
        Ok(Preview { plan, problems, basis })
    }

    /// Asks a run to stop where it is.
    pub(crate) async fn interrupt(&self, run: RunId, actor: Actor) -> Result<(), ApiError> {
        let key = self.open_run(run).await?;
        if self.inner.drivers.is_driven(run) {
            self.inner.drivers.interrupt(run);
        } else if !self.is_interrupted(&key, run).await? {
            self.append_to(&key, run, actor, Event::RunInterrupted).await?;
        }
        Ok(())
    }

    /// Lets an interrupted run go on.
    pub(crate) async fn resume(&self, run: RunId, actor: Actor) -> Result<(), ApiError> {
        let key = self.open_run(run).await?;
        if self.inner.drivers.is_driven(run) && self.is_interrupted(&key, run).await? {
            self.inner.drivers.rest(run).await;
        }
        if self.is_interrupted(&key, run).await? {
            self.append_to(&key, run, actor, Event::RunResumed).await?;
        }
        self.drive(key, run);
        Ok(())
    }

    /// Gives an open run up, so that another change can begin. What it did stays.
    pub(crate) async fn abandon(&self, run: RunId, actor: Actor) -> Result<(), ApiError> {
        let key = self.open_run(run).await?;
        self.inner.drivers.rest(run).await;
        self.append_to(&key, run, actor, Event::RunFinished { verdict: Verdict::Abandoned }).await?;
        self.count_traffic(&key, run).await;
        self.place_after_run(&key).await?;
        Ok(())
    }

    async fn append_to(&self, key: &EnvKey, run: RunId, actor: Actor, event: Event) -> Result<(), ApiError> {
        let write = Write { key: Some(key.clone()), run: Some(run), actor, event, expected: None };
        self.inner.store.append(write).await?;
        Ok(())
    }

    /// The environment of a run that is not over.
    async fn open_run(&self, run: RunId) -> Result<EnvKey, ApiError> {
        let record = self.inner.store.run(run).await?.ok_or_else(|| no_run(run))?;
        if record.finished.is_some() {
            return Err(ApiError::new(ErrorCode::Stale, format!("run {run} is over")));
        }
        record.started.key.ok_or_else(|| no_run(run))
    }

    /// Whether a person asked the run to stop and nobody let it go on since.
    pub(crate) async fn is_interrupted(&self, key: &EnvKey, run: RunId) -> Result<bool, ApiError> {
        let query = Query { key: Some(key.clone()), run: Some(run), ..Query::default() };
        let entries = self.inner.store.read(&query).await?;
        let last = entries.iter().rev().find_map(|entry| match entry.event {
            Event::RunInterrupted => Some(true),
            Event::RunResumed => Some(false),
            _ => None,
        });
        Ok(last.unwrap_or(false))
    }
}

fn new_run() -> RunId {
    RunId(uuid::Uuid::now_v7())
}

/// Whether a run would change neither what is there nor what is recorded. What runs without a release
/// (it was taken on after our records were lost) is still to be recorded as one.
fn nothing_to_do(desired: &Desired, plan: &Plan) -> bool {
    plan.is_empty() && (desired.current.is_some() || desired.purpose == RunKind::Down)
}

/// There is no such run.
pub(crate) fn no_run(run: RunId) -> ApiError {
    ApiError::not_found(format!("there is no run {run}"))
}

pub(crate) fn refuse_problems(desired: &Desired, problems: &[Problem]) -> Result<(), ApiError> {
    let Some(first) = problems.first() else { return Ok(()) };
    let diagnostics = problems.iter().map(crate::manifest::diagnostic_of_problem);
    let mut error = ApiError::invalid(first.message.clone()).hint(first.hint.clone());
    error.0.diagnostics = desired.diagnostics.iter().cloned().chain(diagnostics).collect();
    Err(error)
}

/// A budget that blocks is a rule: exit 3.
fn refuse_over_budget(desired: &Desired, bill: Option<&Bill>) -> Result<(), ApiError> {
    let Some((bill, budget)) = bill.filter(|bill| bill.refused).and_then(|bill| Some((bill, bill.budget?))) else {
        return Ok(());
    };
    let show = |amount| bill.currency.show(amount);
    let message =
        format!("{} would cost {} a month, more than its budget of {}", desired.key, show(bill.after), show(budget));
    Err(ApiError::new(ErrorCode::Denied, message)
        .hint("`daybook cost` shows each line; ask for less, or raise `budget: {monthly: …}`"))
}

fn refuse_if_stale(expect: &Expect, preview: &Preview) -> Result<(), ApiError> {
    let same = expect.basis == preview.basis && expect.plan_id == preview.plan.id.0.to_string();
    if same {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::Stale, "what the plan was made from has changed since").hint("plan again"))
}

/// Hash of what a plan is made from. Of what is there, only what a plan depends on: a replica that was
/// restarted meanwhile makes no plan stale.
fn basis(spec: &Spec, seen: &Observed, release: Option<ReleaseNumber>) -> String {
    #[derive(Serialize)]
    struct Basis<'a> {
        spec: &'a Spec,
        release: Option<ReleaseNumber>,
        replicas: Vec<(String, &'a daybook_model::fingerprint::Fingerprint, bool)>,
        volumes: &'a BTreeSet<daybook_model::VolumeName>,
        routes: &'a daybook_model::EnvRoutes,
    }
    let exited = |state| state == daybook_model::ReplicaState::Exited;
    let basis = Basis {
        spec,
        release,
        replicas: seen.replicas.iter().map(|r| (r.id.to_string(), &r.fingerprint, exited(r.state))).collect(),
        volumes: &seen.volumes,
        routes: &seen.routes,
    };
    Digest::of(&serde_json::to_vec(&basis).expect("a spec and what was seen are plain data")).to_string()
}
