//! What the journal holds.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::backup::{ArchiveNote, BackupId, BackupOutcome, DrillOutcome, Holding};
use crate::clone::{CloneData, CloneOutcome};
use crate::database::DatabaseServer;
use crate::id::{Digest, PlanId, ReleaseNumber, ReplicaId, RunId, StepId};
use crate::incident::{IncidentEvent, IncidentId};
use crate::name::{ChannelName, DatabaseName, EnvKey, EnvName, SecretName, ServiceName, TargetName, VolumeName};
use crate::notify::ChannelNote;
use crate::oncall::{Override, Window};
use crate::plan::{Effect, Plan};
use crate::rules::Silence;
use crate::spec::Spec;
use crate::target::Target;
use crate::upgrade::{RehearsalOutcome, UpgradeOutcome};

/// One line of the journal. `hash` covers every other field, `previous` among them, so that entries
/// form a chain in which nothing can be altered, dropped or put in unseen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Place in the journal, from 1, without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The environment it is about.
    pub key: Option<EnvKey>,
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// Who caused it.
    pub actor: Actor,
    /// What happened.
    pub event: Event,
    /// Hash of the entry before; of nothing for the first.
    pub previous: Digest,
    /// Hash of this entry.
    pub hash: Digest,
}

/// Who caused something, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// A person's login, or `daybook` for what it does by itself.
    pub name: String,
    /// The way in: `cli`, `api`, `timer`, `heal`.
    pub origin: String,
}

impl Actor {
    /// Daybook itself, acting through `origin`.
    pub fn daybook(origin: &str) -> Self {
        Self { name: "daybook".to_owned(), origin: origin.to_owned() }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Event {
    /// A run began. No other run of the environment may begin until it has finished.
    RunStarted {
        /// What for.
        purpose: RunKind,
        /// In words, as the person gave it: "up", "rollback to 41".
        reason: String,
        /// The release it leads to.
        to: ReleaseNumber,
        /// The release it left.
        from: Option<ReleaseNumber>,
        /// The desired state.
        spec: Box<Spec>,
        /// The manifest it came from.
        manifest: Option<Digest>,
        /// Volumes that the person asked to remove, by name.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        remove_volumes: BTreeSet<VolumeName>,
    },
    /// A plan was made for the run; the later one replaces the earlier.
    Planned {
        /// The plan, whole.
        plan: Box<Plan>,
        /// What the plan leads to: the run's own spec, or back to the release before.
        toward: Toward,
    },
    /// A step is about to be carried out.
    StepStarted {
        /// Of which plan.
        plan: PlanId,
        /// Which.
        step: StepId,
        /// Whether it may be repeated blindly.
        effect: Effect,
    },
    /// A step was carried out, or failed.
    StepFinished {
        /// Of which plan.
        plan: PlanId,
        /// Which.
        step: StepId,
        /// How it ended.
        outcome: StepOutcome,
        /// How long it took, milliseconds.
        took_ms: u64,
    },
    /// The world was asked whether an interrupted step had happened.
    StepAsked {
        /// Of which plan.
        plan: PlanId,
        /// Which.
        step: StepId,
        /// What the world said.
        answer: Answer,
    },
    /// The run will go back to the release before.
    SwapBack {
        /// Why.
        why: String,
    },
    /// A person asked the run to stop where it is.
    RunInterrupted,
    /// A run that had been interrupted goes on.
    RunResumed,
    /// A run ended.
    RunFinished {
        /// How.
        verdict: Verdict,
    },
    /// A spec became the environment's release.
    ReleaseAccepted {
        /// Its number.
        number: ReleaseNumber,
    },
    /// An environment was made in which nothing runs yet (`env create`).
    EnvironmentCreated,
    /// An environment ceased to be managed (`down`).
    EnvironmentRetired,
    /// A person gave a cluster a name.
    TargetAdded {
        /// The name.
        name: TargetName,
        /// The cluster.
        target: Target,
    },
    /// A cluster lost its name.
    TargetRemoved {
        /// The name.
        name: TargetName,
    },
    /// A scheduled job's time came and its run was recorded as begun.
    JobStarted {
        /// Which job.
        service: ServiceName,
        /// The time it was due.
        due: Timestamp,
        /// The replica that runs it.
        replica: ReplicaId,
    },
    /// A scheduled job's run ended.
    JobFinished {
        /// Which job.
        service: ServiceName,
        /// The time it was due.
        due: Timestamp,
        /// Exit code.
        code: i32,
    },
    /// A scheduled time was passed over, and why.
    JobSkipped {
        /// Which job.
        service: ServiceName,
        /// The time it was due.
        due: Timestamp,
        /// In words.
        why: String,
    },
    /// Something was seen that no step caused: a crash, an ejection, a lost replica.
    Noticed {
        /// The replica.
        replica: ReplicaId,
        /// What, in words.
        what: String,
    },
    /// A secret got a new version. Never its value.
    SecretSet {
        /// Which.
        name: SecretName,
        /// The version.
        version: u64,
    },
    /// A secret was removed.
    SecretRemoved {
        /// Which.
        name: SecretName,
    },
    /// The history of a database is about to be changed by hand, or was.
    HistoryChanged {
        /// Which.
        database: DatabaseName,
        /// What, in words: what is meant before it is done, what came of it afterwards.
        what: String,
    },
    /// A backup is about to be made.
    BackupStarted {
        /// Which.
        backup: BackupId,
        /// Of what.
        of: Holding,
        /// Why, in words: "asked for", "every 6 h".
        why: String,
    },
    /// A backup was made, or failed.
    BackupFinished {
        /// Which.
        backup: BackupId,
        /// Of what.
        of: Holding,
        /// What came of it.
        outcome: BackupOutcome,
        /// How long it took, milliseconds.
        took_ms: u64,
    },
    /// Backups that nothing keeps any more are gone.
    BackupsRemoved {
        /// Of what.
        of: Holding,
        /// Which.
        backups: Vec<BackupId>,
    },
    /// A backup is about to be restored into a scratch copy, and looked at there.
    DrillStarted {
        /// The drill.
        drill: BackupId,
        /// Of what.
        of: Holding,
        /// Which backup.
        backup: BackupId,
    },
    /// A drill came to its end.
    DrillFinished {
        /// The drill.
        drill: BackupId,
        /// Of what.
        of: Holding,
        /// Which backup.
        backup: BackupId,
        /// What came of it.
        outcome: DrillOutcome,
        /// How long it took with everything, milliseconds.
        took_ms: u64,
    },
    /// Something should have had a backup or a drill by now.
    BackupOverdue {
        /// What.
        of: Holding,
        /// What, in words.
        what: String,
    },
    /// What came of a backup of Daybook's own state, or of a drill; or that one is overdue.
    StateBackup {
        /// In words.
        what: String,
    },
    /// Something became of the archive of what is written to a database.
    Archive {
        /// Which.
        database: DatabaseName,
        /// What.
        note: ArchiveNote,
    },
    /// What is there is about to be replaced by a backup, or was.
    Restored {
        /// Of what.
        of: Holding,
        /// Which backup.
        backup: BackupId,
        /// What, in words: what is meant before it is done, what came of it afterwards.
        what: String,
    },
    /// Services that use a volume are about to be stopped, so that what it holds can be replaced.
    StoppedToRestore {
        /// The volume.
        of: Holding,
        /// By which backup.
        backup: BackupId,
        /// Which services: each is to run again afterwards.
        services: BTreeSet<ServiceName>,
    },
    /// A plan for a protected environment waits for a second person.
    ApprovalAsked {
        /// The plan.
        plan: PlanId,
        /// Hash of what it was made from.
        basis: String,
        /// What for, as the person gave it: "up", "scale web=3".
        reason: String,
        /// The plan as people read it.
        text: String,
    },
    /// A second person has looked at the plan, and lets it be carried out.
    PlanApproved {
        /// The plan.
        plan: PlanId,
        /// Hash of what it was made from.
        basis: String,
    },
    /// The environment is about to become a clone of another one of its app.
    CloneStarted {
        /// Of which.
        from: EnvName,
        /// What it is to have of its data.
        data: CloneData,
        /// Whether the environment was not there before.
        is_new: bool,
        /// As it was at this moment. `None`: as it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Timestamp>,
        /// What scratch copies are called, one after the other, that it needs on the way.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scratch: Option<BackupId>,
    },
    /// The clone is there as a whole, or not at all.
    CloneFinished {
        /// What came of it.
        outcome: CloneOutcome,
    },
    /// A copy of another version of a database server was filled with what the database holds.
    UpgradeRehearsed {
        /// The database.
        database: DatabaseName,
        /// The server that it has.
        from: DatabaseServer,
        /// The server that was tried.
        to: DatabaseServer,
        /// What came of it.
        outcome: RehearsalOutcome,
    },
    /// A database server is about to be replaced by one of another series. Nothing else changes the environment until
    /// that has come to its end.
    UpgradeStarted {
        /// The upgrade.
        upgrade: BackupId,
        /// The database.
        database: DatabaseName,
        /// The server that it has.
        from: DatabaseServer,
        /// The server that it gets.
        to: DatabaseServer,
        /// The release in force, which is the way back.
        release: ReleaseNumber,
    },
    /// The new server has every row that the old one had; what uses it is about to start.
    UpgradeFilled {
        /// The upgrade.
        upgrade: BackupId,
        /// The database.
        database: DatabaseName,
    },
    /// An upgrade came to its end.
    UpgradeFinished {
        /// The upgrade.
        upgrade: BackupId,
        /// The database.
        database: DatabaseName,
        /// What came of it.
        outcome: UpgradeOutcome,
    },
    /// The files that the server before an upgrade has left are about to be removed.
    OldFilesRemoved {
        /// The database.
        database: DatabaseName,
        /// The server that they are of.
        of: DatabaseServer,
    },
    /// Something happened to an incident.
    Incident {
        /// Which.
        incident: IncidentId,
        /// What.
        what: Box<IncidentEvent>,
    },
    /// Nobody is to be told of some alerts for a time.
    Silenced {
        /// Which, until when and why.
        silence: Silence,
    },
    /// A silence is over before its time.
    SilenceEnded {
        /// Which.
        id: String,
    },
    /// Somebody works on something for a time: alerts about it open nothing, and the public sees it.
    MaintenanceAdded {
        /// What it is known by.
        id: String,
        /// When, and what for.
        window: Window,
    },
    /// Such a time is over before its end.
    MaintenanceEnded {
        /// Which.
        id: String,
    },
    /// Somebody takes over in a schedule for a while.
    OverrideAdded {
        /// What it is known by.
        id: String,
        /// The schedule.
        schedule: String,
        /// Who, and when.
        #[serde(rename = "override")]
        what: Override,
    },
    /// They do not any more.
    OverrideEnded {
        /// Which.
        id: String,
    },
    /// Another one is on call in a schedule that tells whoever goes on call.
    ShiftBegan {
        /// The schedule.
        schedule: String,
        /// Who. `None`: nobody.
        person: Option<String>,
        /// Until when, as it was planned then. `None`: for good.
        until: Option<Timestamp>,
    },
    /// Something became of a channel, or of what is told there.
    Channel {
        /// Which.
        channel: ChannelName,
        /// What.
        note: ChannelNote,
    },
    /// A tool that is not ours says that something was changed.
    ChangedElsewhere {
        /// What, in one line.
        what: String,
        /// Where, as it says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
    },
    /// The state was rebuilt from what runs.
    Adopted {
        /// How many replicas were found.
        replicas: u64,
    },
    /// A person ran a command inside a replica.
    Executed {
        /// The replica.
        replica: ReplicaId,
        /// The program's name; arguments may hold secrets and are left out.
        program: String,
    },
}

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// A manifest is carried out.
    Up,
    /// An earlier release is carried out again.
    Rollback,
    /// The number of replicas changes.
    Scale,
    /// Secrets get new values.
    Rotate,
    /// Replicas are replaced by equal ones.
    Restart,
    /// Services end and stay configured.
    Stop,
    /// Stopped services start.
    Start,
    /// The environment goes to another target, or leaves the one that it came from.
    Move,
    /// Everything goes.
    Down,
    /// What is there is brought back to the release.
    Heal,
    /// A step of the way from one series of a database server to another. It asks no database and migrates none.
    Upgrade,
}

/// What a plan of a run leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Toward {
    /// The run's own spec.
    Target,
    /// The release that was in force before, because the run failed.
    Previous,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// As it should; a fact worth showing, such as "healthy after 0.4 s".
    Done(String),
    /// It failed, and trying again will not help.
    Failed(Failure),
}

/// Why a step failed, with what a person needs to understand it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Failure {
    /// One sentence.
    pub why: String,
    /// What was seen: the exit code, the last answer of a check.
    pub evidence: Vec<String>,
    /// The last lines of the replica's log.
    pub log: Vec<String>,
    /// What caused it, where that could be told while it was there to be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What a person may do about the cause.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Choice>,
}

/// Something that a person may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// In words.
    pub text: String,
    /// The command for it.
    pub command: String,
}

/// What the world said about an interrupted `Once` step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It happened, and succeeded.
    Happened,
    /// It happened, and failed.
    HappenedAndFailed(Failure),
    /// It did not happen.
    DidNotHappen,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The environment is at the release it was meant to be at.
    Reached,
    /// It failed and the release before serves.
    SwappedBack(Failure),
    /// It failed, and there was no release to go back to, or going back failed too.
    Failed(Failure),
    /// A person stopped it and it was given up for another change.
    Abandoned,
}
