//! `POST /v1/plan`: what a change would do.

use daybook_model::plan::{Change as ModelChange, Subject};
use daybook_model::{EnvKey, Plan, ReleaseNumber};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::change::Change;

/// Asks what a change would do. Nothing is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanRequest {
    /// The change.
    pub change: Change,
    /// The plan is wanted in order to carry it out: what cannot be had now, and what the manifest names and is
    /// not there, is refused, all of it at once. Without it, such a plan comes with what is `unresolved`.
    #[serde(default)]
    pub carry_out: bool,
}

/// A plan, as data and as the text that people read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanReply {
    /// Hash of what the plan contains.
    pub plan_id: String,
    /// The environment.
    #[schema(value_type = String, example = "shop/production")]
    pub key: EnvKey,
    /// The release in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub from: Option<ReleaseNumber>,
    /// The release that it leads to.
    #[schema(value_type = u64)]
    pub to: ReleaseNumber,
    /// There is nothing to do.
    pub empty: bool,
    /// Something is lost that cannot be had back.
    pub destructive: bool,
    /// Requests are held, or work stops, for about so long, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime_ms: Option<u64>,
    /// The plan as people read it, without colour.
    pub text: String,
    /// Steps in the order of their needs.
    pub steps: Vec<PlanStep>,
    /// What changes.
    pub changes: Vec<PlanChange>,
    /// Warnings of the manifest, and what of it is not honoured.
    #[serde(default)]
    pub diagnostics: Vec<DiagnosticView>,
    /// What nobody can tell now, so that this plan cannot be carried out as it is: digests of images whose
    /// registry does not answer, builds without their files, secrets without a value.
    #[serde(default)]
    pub unresolved: Vec<Unresolved>,
    /// What it costs, where the manifest's `budget` says whose prices count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostView>,
    /// What the policy says of it, where the change comes with a manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyView>,
    /// Hash of what the plan was made from (spec, observed state, release); a saved plan carries it.
    pub basis: String,
}

impl PlanReply {
    /// The reply for `plan`, whose text form is `text`.
    pub fn of(plan: &Plan, text: String, basis: String, diagnostics: Vec<DiagnosticView>) -> Self {
        Self {
            plan_id: plan.id.0.to_string(),
            key: plan.key.clone(),
            from: plan.from,
            to: plan.to,
            empty: plan.is_empty(),
            destructive: plan.changes.iter().any(|change| change.destructive),
            downtime_ms: plan.changes.iter().filter_map(|change| change.downtime_ms).max(),
            text,
            steps: plan.steps.iter().map(PlanStep::of).collect(),
            changes: plan.changes.iter().map(PlanChange::of).collect(),
            diagnostics,
            unresolved: Vec::new(),
            cost: None,
            policy: None,
            basis,
        }
    }
}

/// What an environment costs in a month, before and after a plan. Amounts are decimal numbers as text, exact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CostView {
    /// What runs now; missing when nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "212.40")]
    pub before: Option<String>,
    /// What is planned.
    #[schema(example = "219.10")]
    pub after: String,
    /// What amounts are in (ISO 4217).
    #[schema(example = "USD")]
    pub currency: String,
    /// Whose prices these are.
    #[schema(example = "aws/eu-central-1")]
    pub place: String,
    /// What it may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<String>,
    /// The budget forbids it.
    pub refused: bool,
    /// What has no price, and is in no amount.
    pub unpriced: Vec<String>,
}

/// What a policy says of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyView {
    /// Checks, guard rails and rules that were asked.
    pub asked: usize,
    /// How many of them found nothing that counts.
    pub passed: usize,
    /// What they found: what denies first, then the worst; 500 at most.
    pub findings: Vec<FindingView>,
    /// How many more there are: `daybook policy` has them all.
    #[serde(default)]
    pub left_out: usize,
}

/// Something that a policy does not like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FindingView {
    /// Id of the check.
    #[schema(example = "DB019")]
    pub check: String,
    /// Its name.
    #[schema(example = "no-memory-limit")]
    pub name: String,
    /// `critical`, `high`, `medium` or `low`.
    pub severity: String,
    /// The service that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Where in the manifest.
    #[schema(example = "services.web.mem_limit")]
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// Whether `daybook policy --fix` can do it.
    pub can_be_fixed: bool,
    /// The file that it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// `denied`, `warned` or `waived`.
    pub fate: String,
}

/// Something that a plan needs and that cannot be had now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unresolved {
    /// `image`, `build`, `files` or `secret`.
    pub kind: String,
    /// What it is called: an image's name, a directory, a secret's name.
    pub name: String,
    /// The services that need it.
    pub services: Vec<String>,
    /// Line of the manifest at which the first of them stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Why it cannot be had. The same cause has the same words.
    pub reason: String,
    /// What a person may try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanStep {
    /// Its place in the plan, from 0.
    pub id: u32,
    /// What is done, as data: `{"do": "start", "replica": "web.3", …}`.
    #[schema(value_type = Object)]
    pub action: serde_json::Value,
    /// The service it is about, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Why.
    pub cause: String,
    /// Line of the manifest that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Steps that must be done before.
    pub needs: Vec<u32>,
}

impl PlanStep {
    fn of(step: &daybook_model::Step) -> Self {
        Self {
            id: step.id.0,
            action: serde_json::to_value(&step.action).expect("an action is plain data"),
            service: step.action.service().map(ToString::to_string),
            cause: step.cause.why.to_string(),
            line: step.cause.line,
            needs: step.needs.iter().map(|id| id.0).collect(),
        }
    }
}

/// One thing that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanChange {
    /// `+`, `~`, `-/+` or `-`.
    pub sign: String,
    /// `service`, `volume` or `network`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What changes about it, a line each.
    pub details: Vec<PlanDetail>,
    /// Requests are held, or work stops, for about so long, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime_ms: Option<u64>,
    /// Something is lost that cannot be had back.
    pub destructive: bool,
}

impl PlanChange {
    fn of(change: &ModelChange) -> Self {
        let (kind, name) = match &change.subject {
            Subject::Service(name) => ("service", name.to_string()),
            Subject::Database(name) => ("database", name.to_string()),
            Subject::Volume(name) => ("volume", name.to_string()),
            Subject::Network(name) => ("network", name.to_string()),
            Subject::Target(target) => ("target", target.name()),
            Subject::Quota => ("quota", "quota".to_owned()),
            Subject::Rules => ("rules", "rules".to_owned()),
            Subject::Channels => ("notify", "notify".to_owned()),
            Subject::OnCall => ("on_call", "on_call".to_owned()),
            Subject::Maintenance => ("maintenance", "maintenance".to_owned()),
            Subject::Forward => ("forward", "forward".to_owned()),
            Subject::Remedies => ("remedies", "remedies".to_owned()),
        };
        let detail = |d: &daybook_model::plan::Detail| PlanDetail { text: d.text.clone(), line: d.line };
        Self {
            sign: change.sign.mark().to_owned(),
            kind: kind.to_owned(),
            name,
            details: change.details.iter().map(detail).collect(),
            downtime_ms: change.downtime_ms,
            destructive: change.destructive,
        }
    }
}

/// A line under a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlanDetail {
    /// The line.
    pub text: String,
    /// Line of the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// A located remark on a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiagnosticView {
    /// Stable code, `M0107`; `daybook explain` documents it.
    pub code: String,
    /// `error`, `warning` or `note`.
    pub severity: String,
    /// One sentence.
    pub message: String,
    /// The file, as the person named it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// The remark with the lines it is about, as a terminal shows it, without colour.
    pub rendered: String,
}
