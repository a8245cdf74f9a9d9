//! `/v1/incidents` and `/v1/alerts`: what hurts, since when, and what is suspected.

use std::collections::BTreeMap;

use daybook_model::{EnvKey, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// One incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncidentView {
    /// Its id.
    pub id: String,
    /// The end of its id, which tells it from others for people.
    pub short: String,
    /// The environment; none for what is about the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub key: Option<EnvKey>,
    /// In one sentence.
    pub title: String,
    /// `page`, `ticket` or `info`.
    pub severity: String,
    /// `open`, `acknowledged`, `resolved` or `merged`.
    pub state: String,
    /// When it was opened.
    pub opened: Timestamp,
    /// Since when it is felt.
    pub onset: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Services that it is about.
    pub services: Vec<String>,
    /// Who saw to it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged_by: Option<String>,
    /// Who sees to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Its alerts, in the order in which they came.
    pub alerts: Vec<AlertLine>,
    /// What users felt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<ImpactView>,
    /// What is suspected, most first.
    pub suspects: Vec<SuspectView>,
    /// What was done about it, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionLine>,
    /// Why the rules of the environment do nothing about it by themselves; nothing where there are none. Told of one
    /// incident, not of a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_alone: Vec<String>,
    /// Everything that happened, oldest first.
    pub timeline: Vec<IncidentLine>,
}

/// An alert of an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertLine {
    /// The rule.
    pub name: String,
    /// `page`, `ticket` or `info`.
    pub severity: String,
    /// In one sentence.
    pub summary: String,
    /// What tells it from other alerts of the rule.
    pub labels: BTreeMap<String, String>,
    /// Since when it fires.
    pub started: Timestamp,
    /// When it ceased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// The page that says what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
}

/// What users feel, in numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImpactView {
    /// Requests since it began.
    pub requests: u64,
    /// Those that failed.
    pub failed: u64,
    /// The 95th percentile of how long they took, milliseconds: half an hour before, and now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<(u64, u64)>,
    /// The routes at which most of them failed, worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteImpact>,
}

/// What users feel at one route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RouteImpact {
    /// Host and path prefix as the manifest has them, or a published address.
    pub route: String,
    /// Requests that failed there since it began.
    pub failed: u64,
}

/// What may have caused an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SuspectView {
    /// What kind of thing it is: `release`, `certificate`, …
    pub kind: String,
    /// In one sentence.
    pub title: String,
    /// When it began.
    pub at: Timestamp,
    /// Its share of everything that is suspected, percent.
    pub share: u8,
    /// What speaks for it and against it.
    pub evidence: Vec<String>,
    /// What may be done about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The command that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// Something that was done about an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ActionLine {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What.
    pub what: String,
    /// The run that does it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub run: Option<RunId>,
    /// The rule that had it done; none where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// A line of a timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IncidentLine {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What.
    pub text: String,
}

/// Which incidents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct IncidentsQuery {
    /// Only of this environment, and of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub key: Option<EnvKey>,
    /// Also those that have ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
}

/// An incident that no alert told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenIncident {
    /// The environment.
    #[schema(value_type = String)]
    pub key: EnvKey,
    /// In one sentence.
    pub title: String,
    /// `page`, `ticket` or `info`.
    pub severity: String,
    /// Services that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}

/// What a person says about an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "mark", rename_all = "snake_case")]
pub enum Marking {
    /// They see to it.
    Acknowledge,
    /// It is over.
    Resolve {
        /// What is said of it.
        #[serde(default)]
        note: String,
    },
    /// It was not over.
    Reopen {
        /// Why.
        why: String,
    },
    /// Something to remember.
    Note {
        /// What.
        text: String,
    },
    /// Something for the public.
    Publish {
        /// What.
        text: String,
    },
    /// Somebody else sees to it.
    HandOver {
        /// Who.
        to: String,
        /// What they have to know.
        #[serde(default)]
        note: String,
    },
}

/// An alert that fires, or is about to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertView {
    /// The environment; none for what is about the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub key: Option<EnvKey>,
    /// `pending`, `firing` or `inactive`.
    pub state: String,
    /// The alert.
    #[serde(flatten)]
    pub alert: AlertLine,
    /// What is to be known of it, with its numbers.
    pub description: String,
    /// The silence by which nobody is told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced: Option<String>,
    /// The maintenance window by which nobody is told of it: what that is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<String>,
    /// The value of its query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}
