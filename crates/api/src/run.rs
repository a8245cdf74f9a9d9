//! `/v1/runs`: carrying out a change, and how far it is.

use daybook_model::event::{Failure, Toward};
use daybook_model::{Actor, EnvKey, Plan, ReleaseNumber, RunId, RunKind, Step, Timestamp, Verdict};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::change::Change;

/// Asks for a change to be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunRequest {
    /// The change.
    pub change: Change,
    /// Refuse (`stale`) unless the plan is still the one that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

/// The plan that a person looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Expect {
    /// Its id.
    pub plan_id: String,
    /// What it was made from.
    pub basis: String,
}

/// A run began (status 202).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunStarted {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub run: RunId,
    /// The environment.
    #[schema(value_type = String, example = "shop/production")]
    pub key: EnvKey,
    /// The release that it leads to.
    #[schema(value_type = u64)]
    pub to: ReleaseNumber,
    /// The plan that it begins with.
    pub plan_id: String,
}

/// No run began because there is nothing to do (status 200).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NothingToDo {
    /// Always true.
    pub empty: bool,
    /// The environment.
    #[schema(value_type = String, example = "shop/production")]
    pub key: EnvKey,
    /// The release in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub release: Option<ReleaseNumber>,
}

/// What became of a [`RunRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunReply {
    /// A run began.
    Started(RunStarted),
    /// There is nothing to do.
    Nothing(NothingToDo),
}

/// A run and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    pub id: RunId,
    /// The environment.
    #[schema(value_type = String, example = "shop/production")]
    pub key: EnvKey,
    /// What for: `up`, `rollback`, `scale`, `restart`, `stop`, `start`, `down`, `heal`.
    #[schema(value_type = String, example = "up")]
    pub purpose: RunKind,
    /// In words: "scale web=3".
    pub reason: String,
    /// Who asked.
    pub actor: ActorView,
    /// The release it left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub from: Option<ReleaseNumber>,
    /// The release it leads to.
    #[schema(value_type = u64)]
    pub to: ReleaseNumber,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// What it is doing.
    pub state: RunState,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictView>,
    /// Steps that were begun under earlier plans, then all of the plan in force. Empty in lists.
    #[serde(default)]
    pub steps: Vec<RunStep>,
    /// Requests of the environment since the run began.
    #[serde(default)]
    pub traffic: RunTraffic,
}

/// Who asked, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActorView {
    /// A person's login, or `daybook`.
    pub name: String,
    /// The way in: `cli`, `api`, `timer`, `heal`.
    pub origin: String,
}

impl From<&Actor> for ActorView {
    fn from(actor: &Actor) -> Self {
        Self { name: actor.name.clone(), origin: actor.origin.clone() }
    }
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It looks at what is there.
    Planning,
    /// It carries out steps.
    Running,
    /// It goes back to the release before.
    SwappingBack,
    /// It was stopped and can be resumed or abandoned.
    Interrupted,
    /// It ended.
    Finished,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerdictView {
    /// In one word.
    pub outcome: Outcome,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
}

impl From<&Verdict> for VerdictView {
    fn from(verdict: &Verdict) -> Self {
        let (outcome, failure) = match verdict {
            Verdict::Reached => (Outcome::Reached, None),
            Verdict::SwappedBack(failure) => (Outcome::SwappedBack, Some(failure.into())),
            Verdict::Failed(failure) => (Outcome::Failed, Some(failure.into())),
            Verdict::Abandoned => (Outcome::Abandoned, None),
        };
        Self { outcome, failure }
    }
}

/// How a run ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The environment is where it was meant to be.
    Reached,
    /// It failed, and the release before serves.
    SwappedBack,
    /// It failed, and there was nothing to go back to, or going back failed too.
    Failed,
    /// A person gave it up for another change.
    Abandoned,
}

/// Why something failed, with what a person needs to understand it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct FailureView {
    /// One sentence.
    pub why: String,
    /// What was seen.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// The last lines of the replica's log.
    #[serde(default)]
    pub log: Vec<String>,
}

impl From<&Failure> for FailureView {
    fn from(failure: &Failure) -> Self {
        Self { why: failure.why.clone(), evidence: failure.evidence.clone(), log: failure.log.clone() }
    }
}

/// One step of a run and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunStep {
    /// The plan it belongs to.
    pub plan: String,
    /// Its place in that plan, from 0.
    pub id: u32,
    /// What that plan leads to.
    pub toward: TowardView,
    /// What is done, as the plan's data names it: `start`, `await_ready`, `route`.
    #[serde(default)]
    pub action: String,
    /// What is done, in words: "start web.3".
    pub text: String,
    /// The service it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The database it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// How far it is.
    pub state: StepState,
    /// What it is doing now, or how it ended: "healthy after 0.4 s".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// How long it took, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureView>,
}

impl RunStep {
    /// A step that has not begun, in words as `text` has them.
    pub fn waiting(plan: &Plan, step: &Step, toward: Toward, text: String) -> Self {
        let action = serde_json::to_value(&step.action).expect("an action is plain data");
        Self {
            plan: plan.id.to_string(),
            id: step.id.0,
            toward: toward.into(),
            action: action.get("do").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned(),
            text,
            service: step.action.service().map(ToString::to_string),
            database: step.action.database().map(ToString::to_string),
            state: StepState::Waiting,
            note: None,
            started_at: None,
            took_ms: None,
            failure: None,
        }
    }
}

/// What a plan of a run leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TowardView {
    /// The run's own goal.
    Target,
    /// The release that was in force before.
    Previous,
}

impl From<Toward> for TowardView {
    fn from(toward: Toward) -> Self {
        match toward {
            Toward::Target => Self::Target,
            Toward::Previous => Self::Previous,
        }
    }
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// It waits for others.
    Waiting,
    /// It is being carried out.
    Running,
    /// It was carried out.
    Done,
    /// It failed.
    Failed,
}

/// Requests of an environment during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct RunTraffic {
    /// Requests that were answered or failed.
    pub requests: u64,
    /// Requests that failed through no fault of the client.
    pub failed: u64,
}

/// `GET /v1/runs`: which runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RunsQuery {
    /// Only of this environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub key: Option<EnvKey>,
    /// At most so many, the newest; they come newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}
