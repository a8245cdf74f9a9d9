//! `…/status`: what is there now, by observation.

use daybook_model::{EnvKey, ReleaseNumber, ReplicaId, RunId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One environment as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusView {
    /// Which.
    #[schema(value_type = String, example = "shop/production")]
    pub key: EnvKey,
    /// The release in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    pub release: Option<ReleaseNumber>,
    /// When it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<Timestamp>,
    /// Digest of the manifest that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// Its state was rebuilt from what runs.
    #[serde(default)]
    pub adopted: bool,
    /// The run that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Uuid)]
    pub open_run: Option<RunId>,
    /// Where the open run leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coming: Option<ComingView>,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schema(example = "kubernetes://prod")]
    pub target: String,
    /// Where it runs as well, until its move is finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<MovingView>,
    /// Every service, by name.
    pub services: Vec<ServiceView>,
    /// Volumes that exist.
    #[serde(default)]
    pub volumes: Vec<String>,
    /// Requests since the edge started.
    #[serde(default)]
    pub requests: u64,
    /// Requests since then that failed through no fault of the client.
    #[serde(default)]
    pub errors: u64,
    /// What keeps the environment from being reached although it runs, in words: a port that another program has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A move that is not finished: both targets serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MovingView {
    /// The target that it leaves.
    #[schema(example = "docker")]
    pub from: String,
    /// Addresses of the new entrance, to which the names of its domains are to lead; none where nobody knows.
    pub entrance: Vec<String>,
}

/// The release that an open run leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ComingView {
    /// Its number.
    #[schema(value_type = u64)]
    pub release: ReleaseNumber,
    /// Nobody carries the run on: a person stopped it, and has not let it go on.
    pub interrupted: bool,
}

/// One service as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceView {
    /// Its name.
    pub name: String,
    /// `service`, `task`, `job`, `static`, `chart` or `status_page`.
    pub kind: String,
    /// How many replicas should run.
    pub wanted: u32,
    /// How many are ready.
    pub ready: u32,
    /// In one word.
    pub state: ServiceState,
    /// What it runs, as written in the manifest.
    #[serde(default)]
    pub image: String,
    /// Where it is reached from outside.
    #[serde(default)]
    pub urls: Vec<String>,
    /// Every replica, by number.
    #[serde(default)]
    pub replicas: Vec<ReplicaView>,
    /// A job's next time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run: Option<Timestamp>,
    /// A job's last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<JobRunView>,
}

/// The state of a service in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Every wanted replica is ready.
    Running,
    /// Replicas are on their way.
    Starting,
    /// Fewer are ready than wanted, and it serves.
    Degraded,
    /// None is ready.
    Failing,
    /// It should not run now.
    Stopped,
    /// It runs at its times.
    Scheduled,
    /// A task that ended with success.
    Completed,
    /// Files, served by the edge.
    Static,
}

/// One replica as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicaView {
    /// Its name.
    #[schema(value_type = String, example = "web.3")]
    pub id: ReplicaId,
    /// `main`, `hook`, `job` or `one_off`.
    #[serde(default)]
    pub role: String,
    /// `created`, `running`, `restarting` or `exited`.
    pub state: String,
    /// `healthy`, `unhealthy`, `starting` or `unasked`.
    pub health: String,
    /// What the last bad answer of its check said, or how its last process ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The release that started it.
    #[schema(value_type = u64)]
    pub release: ReleaseNumber,
    /// How often it was started again.
    pub restarts: u32,
    /// When its present process started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// Where it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The edge sends requests to it.
    pub routed: bool,
    /// Its share of the requests relative to the others.
    #[serde(default)]
    pub weight: u32,
    /// Requests and connections in flight.
    #[serde(default)]
    pub in_flight: u64,
}

/// One run of a scheduled job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobRunView {
    /// The time it was due.
    pub due: Timestamp,
    /// Exit code; none while it runs, or when it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Why it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}
