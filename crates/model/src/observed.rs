//! What a runtime reports to be there now.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::database::SeenDatabase;
use crate::fingerprint::Fingerprint;
use crate::id::{Digest, ReleaseNumber, ReplicaId, RunId};
use crate::launch::Role;
use crate::name::{DatabaseName, EnvKey, NetworkName, ServiceName, VolumeName};
use crate::route::EnvRoutes;
use crate::spec::Quota;
use crate::target::Target;

/// What is there, of one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The environment that was looked at.
    pub key: EnvKey,
    /// Every replica with our labels, running or not, in order of its id.
    pub replicas: Vec<SeenReplica>,
    /// Volumes of ours that exist, and external ones that the runtime found.
    pub volumes: BTreeSet<VolumeName>,
    /// Networks of ours that exist.
    pub networks: BTreeSet<NetworkName>,
    /// Artifacts that this machine has, of those that were asked about.
    pub artifacts: BTreeSet<Digest>,
    /// What the edge serves for this environment now.
    pub routes: EnvRoutes,
    /// Charts that are released here, by the service that they are of.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub charts: BTreeMap<ServiceName, SeenChart>,
    /// What its databases hold, of those that were asked about.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub databases: BTreeMap<DatabaseName, SeenDatabase>,
    /// What its replicas may have together, as far as that is enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// What is of it at the target that it leaves, while it moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away: Option<Away>,
}

/// What is of an environment at the target that it leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    /// Where.
    pub target: Target,
    /// Whether requests come in through one edge here and there: its routes are those of [`Observed::routes`].
    pub shares_entrance: bool,
    /// Every replica there.
    pub replicas: Vec<SeenReplica>,
    /// Volumes there.
    pub volumes: BTreeSet<VolumeName>,
}

impl Observed {
    /// Nothing is there.
    pub fn nothing(key: EnvKey) -> Self {
        Self {
            key,
            replicas: Vec::new(),
            volumes: BTreeSet::new(),
            networks: BTreeSet::new(),
            artifacts: BTreeSet::new(),
            routes: EnvRoutes::default(),
            charts: BTreeMap::new(),
            databases: BTreeMap::new(),
            quota: None,
            away: None,
        }
    }
}

/// A release of a chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenChart {
    /// Identity of the configuration that was released last.
    pub fingerprint: Fingerprint,
    /// The chart's own count of its releases.
    pub revision: u32,
    /// What became of the last one.
    pub state: ChartState,
}

/// What became of the last release of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChartState {
    /// It is there.
    Released,
    /// It is under way, or whoever made it died.
    Pending,
    /// It failed.
    Failed,
}

/// One replica as a runtime sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenReplica {
    /// Its name.
    pub id: ReplicaId,
    /// What it is for.
    pub role: Role,
    /// Identity of its configuration.
    pub fingerprint: Fingerprint,
    /// The release that started it.
    pub release: ReleaseNumber,
    /// The run that started it.
    pub run: RunId,
    /// The artifact it runs.
    pub artifact: Digest,
    /// Whether and how it runs.
    pub state: ReplicaState,
    /// The answer of the runtime's own check, where it has one.
    pub health: Health,
    /// When its present process started.
    pub started_at: Option<Timestamp>,
    /// How often the runtime started it again.
    pub restarts: u32,
    /// How its last process ended, if one has.
    pub last_exit: Option<Exit>,
    /// Address at which this machine reaches it.
    pub address: Option<IpAddr>,
    /// Where each container port is reached at that address. A port that is missing is reached
    /// under its own number.
    pub ports: BTreeMap<u16, u16>,
}

impl SeenReplica {
    /// Whether a process of it is there now.
    pub fn is_running(&self) -> bool {
        matches!(self.state, ReplicaState::Running)
    }

    /// The port at which a container port is reached.
    pub fn port(&self, container: u16) -> u16 {
        self.ports.get(&container).copied().unwrap_or(container)
    }
}

impl ReplicaState {
    /// Whether a process of it is there, or will be without anybody asking.
    pub fn is_live(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Restarting)
    }
}

/// Whether and how a replica runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaState {
    /// Made, never started: nobody will start it but us.
    Created,
    /// It is going to run, and no process of it is there yet: a machine is looked for, its image is fetched.
    /// [`SeenReplica::last_exit`] holds what is in its way, if something is.
    Starting,
    /// Its process is there.
    Running,
    /// Its process ended and the runtime will start it again.
    Restarting,
    /// Its process ended and stays so.
    Exited,
}

/// The answer of a runtime's own check (a command inside the replica).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// The runtime asks nothing.
    Unasked,
    /// No answer counts yet.
    Starting,
    /// The last answer was good.
    Healthy,
    /// Too many bad answers in a row; the last one's output.
    Unhealthy(String),
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code; 128 + n for a signal n.
    pub code: i32,
    /// It was killed for using more memory than its limit.
    pub oom: bool,
    /// What the runtime says, such as "exec: no such file".
    pub error: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
}
