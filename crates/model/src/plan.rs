//! The steps from what is there to what should be.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::database::Pending;
use crate::fingerprint::Fingerprint;
use crate::id::{PlanId, ReleaseNumber, ReplicaId, StepId};
use crate::launch::Role;
use crate::name::{DatabaseName, EnvKey, NetworkName, ServiceName, VolumeName};
use crate::spec::{Quota, RolloutOrder};
use crate::target::Target;

/// A plan: data that leaves no choice to whoever carries it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Hash of everything below.
    pub id: PlanId,
    /// The plan that this one goes on from, after a crash or a failed step.
    pub parent: Option<PlanId>,
    /// The environment.
    pub key: EnvKey,
    /// The release in force when this was planned.
    pub from: Option<ReleaseNumber>,
    /// The release that it leads to.
    pub to: ReleaseNumber,
    /// In topological order: a step needs only earlier ones.
    pub steps: Vec<Step>,
    /// What changes, a line for each thing, for people.
    pub changes: Vec<Change>,
}

impl Plan {
    /// Whether there is nothing to do: what is there is what should be, and is recorded as such.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.changes.is_empty()
    }

    /// The step of this id.
    pub fn step(&self, id: StepId) -> Option<&Step> {
        self.steps.get(usize::try_from(id.0).ok()?)
    }
}

/// One act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its place in the plan.
    pub id: StepId,
    /// What to do.
    pub action: Action,
    /// Why.
    pub cause: Cause,
    /// Steps that must be done before.
    pub needs: Vec<StepId>,
}

/// One call of a driver, with exactly what it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Action {
    /// Get a service's artifact onto this machine: pull, build or snapshot it.
    Prepare {
        /// Whose artifact.
        service: ServiceName,
    },
    /// Make a network unless it is there.
    CreateNetwork {
        /// Which.
        network: NetworkName,
    },
    /// Make a volume unless it is there.
    CreateVolume {
        /// Which.
        volume: VolumeName,
    },
    /// Bound what all replicas of the environment may have together, or no longer.
    SetQuota {
        /// What they may have.
        quota: Option<Quota>,
    },
    /// See that a database is there, and that each service that uses it can log in to it.
    GrantLogins {
        /// Which.
        database: DatabaseName,
    },
    /// Make a backup of a database, before something happens to it that cannot be taken back.
    BackUp {
        /// Which.
        database: DatabaseName,
    },
    /// Bring a database to the version that the release's migrations lead to.
    Migrate {
        /// Which.
        database: DatabaseName,
        /// What it lacks, in the order that they are run; nothing where that is known only once it answers.
        migrations: Vec<Pending>,
    },
    /// Run a release hook, once for a release.
    RunHook {
        /// Whose hook.
        service: ServiceName,
        /// The replica that runs it.
        replica: ReplicaId,
    },
    /// Make sure that a replica's process is there.
    Start {
        /// Which.
        replica: ReplicaId,
        /// Its configuration's identity.
        fingerprint: Fingerprint,
    },
    /// Wait until a replica has answered its service's check once. Enough for requests where nothing
    /// serves them; whether it works is for [`Action::AwaitReady`] to tell.
    AwaitAnswer {
        /// Which.
        replica: ReplicaId,
    },
    /// Wait until a replica is ready by its service's check.
    AwaitReady {
        /// Which.
        replica: ReplicaId,
    },
    /// Wait until a task's replica has ended with exit code 0.
    AwaitCompleted {
        /// Which.
        replica: ReplicaId,
    },
    /// Give the edge a service's endpoints and entries.
    Route {
        /// Whose.
        service: ServiceName,
        /// Replicas and their shares. Weight 0: warm.
        endpoints: Vec<(ReplicaId, u32)>,
    },
    /// Let the edge hold requests for a service.
    Hold {
        /// Whose.
        service: ServiceName,
    },
    /// Let the edge forget a service.
    Unroute {
        /// Which.
        service: ServiceName,
    },
    /// Wait until replicas that get nothing new have nothing in flight, within the drain bound.
    Drain {
        /// Which.
        replicas: Vec<ReplicaId>,
    },
    /// Compare new replicas with old ones for a while; worse is a failure of this step.
    Watch {
        /// Of which service.
        service: ServiceName,
        /// The canary share, or all traffic.
        phase: WatchPhase,
        /// New ones.
        new: Vec<ReplicaId>,
        /// What they are compared with.
        old: Vec<ReplicaId>,
        /// For how long, milliseconds.
        for_ms: u64,
    },
    /// Ask a replica's process to end, and see that it does. It can be started again.
    Stop {
        /// Which.
        replica: ReplicaId,
    },
    /// Remove a replica that has ended.
    Remove {
        /// Which.
        replica: ReplicaId,
        /// What it was for.
        role: Role,
    },
    /// Stop a replica at the target that the environment leaves.
    StopAt {
        /// Where.
        target: Target,
        /// Which.
        replica: ReplicaId,
        /// What it was for.
        role: Role,
    },
    /// Remove a replica that has ended at the target that the environment leaves.
    RemoveAt {
        /// Where.
        target: Target,
        /// Which.
        replica: ReplicaId,
        /// What it was for.
        role: Role,
    },
    /// Let the edge of the target that the environment leaves forget it, once it has nothing in flight.
    CloseAt {
        /// Where.
        target: Target,
    },
    /// Give back what the environment as a whole has at the target that it leaves. Its volumes stay.
    Leave {
        /// Which.
        target: Target,
    },
    /// Release a service's chart, and wait until what it makes is ready.
    ReleaseChart {
        /// Whose chart.
        service: ServiceName,
        /// Its configuration's identity.
        fingerprint: Fingerprint,
    },
    /// Take everything away that a chart has made.
    RemoveChart {
        /// Whose chart.
        service: ServiceName,
    },
    /// Remove a network.
    RemoveNetwork {
        /// Which.
        network: NetworkName,
    },
    /// Remove a volume and what it holds. Planned only when asked for by name.
    RemoveVolume {
        /// Which.
        volume: VolumeName,
    },
}

/// Which part of a rollout is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchPhase {
    /// New replicas get a share.
    Canary,
    /// New replicas get everything; old ones are warm.
    Probation,
}

/// Whether an action may be carried out again when nobody knows whether it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Doing it twice is doing it once.
    Repeatable,
    /// It must not be done twice: the world is asked first.
    Once,
}

impl Action {
    /// Whether it may be repeated blindly.
    pub fn effect(&self) -> Effect {
        match self {
            Self::RunHook { .. } | Self::Migrate { .. } => Effect::Once,
            _ => Effect::Repeatable,
        }
    }

    /// The database it is about, if it is about one.
    pub fn database(&self) -> Option<&DatabaseName> {
        match self {
            Self::GrantLogins { database } | Self::BackUp { database } | Self::Migrate { database, .. } => {
                Some(database)
            }
            _ => None,
        }
    }

    /// The service it is about, if it is about one.
    pub fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::Prepare { service }
            | Self::RunHook { service, .. }
            | Self::Route { service, .. }
            | Self::Hold { service }
            | Self::Unroute { service }
            | Self::ReleaseChart { service, .. }
            | Self::RemoveChart { service }
            | Self::Watch { service, .. } => Some(service),
            Self::Start { replica, .. }
            | Self::AwaitAnswer { replica }
            | Self::AwaitReady { replica }
            | Self::AwaitCompleted { replica }
            | Self::Stop { replica }
            | Self::Remove { replica, .. }
            | Self::StopAt { replica, .. }
            | Self::RemoveAt { replica, .. } => Some(&replica.service),
            Self::Drain { replicas } => replicas.first().map(|replica| &replica.service),
            Self::CreateNetwork { .. }
            | Self::CreateVolume { .. }
            | Self::GrantLogins { .. }
            | Self::BackUp { .. }
            | Self::Migrate { .. }
            | Self::SetQuota { .. }
            | Self::CloseAt { .. }
            | Self::Leave { .. }
            | Self::RemoveNetwork { .. }
            | Self::RemoveVolume { .. } => None,
        }
    }
}

/// Why a step is in the plan. The text form is what a person reads after "because".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// In words: "image changed", "2 replicas wanted, 1 there".
    pub why: Cow<'static, str>,
    /// Line of the manifest that asked for it.
    pub line: Option<u32>,
}

/// One thing that changes, as the plan's summary lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What happens to it.
    pub sign: Sign,
    /// Kind and name: service `web`, volume `data`.
    pub subject: Subject,
    /// One line each: "image sha256:51c0…→a93e…", "LOG_LEVEL info → debug". Values of secrets and of
    /// variables whose names look secret are not shown.
    pub details: Vec<Detail>,
    /// Requests are held, or work stops, for about so long, milliseconds. `None`: not at all.
    pub downtime_ms: Option<u64>,
    /// Something is lost that cannot be had back.
    pub destructive: bool,
    /// The order it takes, for services that are replaced.
    pub order: Option<RolloutOrder>,
}

/// A line under a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// The line.
    pub text: String,
    /// Line of the manifest.
    pub line: Option<u32>,
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A service.
    Service(ServiceName),
    /// What is in a database, and who may log in to it.
    Database(DatabaseName),
    /// A volume.
    Volume(VolumeName),
    /// A network.
    Network(NetworkName),
    /// A target that the environment leaves, or begins to leave.
    Target(Target),
    /// What all replicas may have together.
    Quota,
    /// What is alerted about.
    Rules,
    /// Where people are told of incidents.
    Channels,
    /// Who is woken.
    OnCall,
    /// When nobody is.
    Maintenance,
    /// Who else has what is measured and logged.
    Forward,
    /// What may be mended by itself.
    Remedies,
}

/// What happens to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sign {
    /// `+`: it is new.
    Add,
    /// `~`: it changes and serves on meanwhile.
    Change,
    /// `-/+`: the old one ends before the new one starts.
    Replace,
    /// `-`: it goes.
    Remove,
}

impl Sign {
    /// The plan's mark for it.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Change => "~",
            Self::Replace => "-/+",
            Self::Remove => "-",
        }
    }
}
