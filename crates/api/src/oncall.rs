//! `/v1/on-call`, `/v1/overrides` and `/v1/maintenance`: who is woken when, and when nobody is.

use daybook_model::{EnvKey, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which time of which schedules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OnCallQuery {
    /// The environment.
    #[param(value_type = String)]
    pub key: EnvKey,
    /// From when on; from now on, where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub at: Option<Timestamp>,
    /// For so many days, at most 366; fourteen, where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
}

/// A schedule, and who is on call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScheduleView {
    /// The environment.
    #[schema(value_type = String)]
    pub key: EnvKey,
    /// Its name.
    pub schedule: String,
    /// IANA name of the time zone in which its times are read.
    pub zone: String,
    /// Who is on call. Nothing: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Until when. Nothing: for a year at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who is then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The time that was asked about, one shift after the other.
    pub shifts: Vec<ShiftView>,
    /// Who takes over for a while by `daybook oncall override`.
    pub overrides: Vec<OverrideView>,
}

/// A time in which one person is on call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShiftView {
    /// Who. Nothing: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// Somebody who takes over for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OverrideView {
    /// What it is known by.
    pub id: String,
    /// The environment.
    #[schema(value_type = String)]
    pub key: EnvKey,
    /// The schedule.
    pub schedule: String,
    /// Who takes over.
    pub person: String,
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Who said so.
    pub by: String,
}

/// Somebody is to take over for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddOverride {
    /// The environment.
    #[schema(value_type = String)]
    pub key: EnvKey,
    /// The schedule.
    pub schedule: String,
    /// Who takes over: one of the manifest's `on_call.people`.
    pub person: String,
    /// From when on; from now on, where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Until when.
    pub until: Timestamp,
}

/// A maintenance window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MaintenanceView {
    /// What it is known by. Nothing: the manifest describes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The environment.
    #[schema(value_type = String)]
    pub key: EnvKey,
    /// What it is for; the status page shows it.
    pub title: String,
    /// Services that are worked on. None: all.
    pub services: Vec<String>,
    /// `open`, `planned` or `over`.
    pub state: String,
    /// When it began, or begins next.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// When it comes again, as cron writes it, and the time zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A maintenance window that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddMaintenance {
    /// The environment.
    #[schema(value_type = String)]
    pub key: EnvKey,
    /// What it is for; the status page shows it.
    pub title: String,
    /// Services that are worked on. None: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// From when on; from now on, where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// For how long: milliseconds.
    pub for_ms: u64,
}
