//! What is known of a replica, on disk and between a server and a shim. Nothing here holds a secret
//! but [`Begin`], which never touches a disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use daybook_model::launch::Role;
use daybook_model::name::{EnvKey, VolumeName};
use daybook_model::observed::{Exit, ReplicaState};
use daybook_model::spec::{LogBound, Resources, Restart, Stop};
use daybook_model::{Digest, ReleaseNumber, ReplicaId, RunId, Timestamp, fingerprint::Fingerprint};
use serde::{Deserialize, Serialize};

/// Who a replica is: `replica.json` in its directory, and the shim's answer to "who are you".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The environment it belongs to.
    pub(crate) key: EnvKey,
    /// Its name.
    pub(crate) id: ReplicaId,
    /// What it is for.
    pub(crate) role: Role,
    /// The release that asked for it.
    pub(crate) release: ReleaseNumber,
    /// The run that made it.
    pub(crate) run: RunId,
    /// Identity of its configuration.
    pub(crate) fingerprint: Fingerprint,
    /// The snapshot it runs.
    pub(crate) artifact: Digest,
    /// By port of the manifest: the port of 127.0.0.1 that it was given.
    pub(crate) ports: BTreeMap<u16, u16>,
    /// The named volumes that it uses.
    pub(crate) volumes: Vec<VolumeName>,
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
    /// What happens when it ends by itself.
    pub(crate) restart: Restart,
    /// How it is asked to end.
    pub(crate) stop: Stop,
    /// Bound of its log.
    pub(crate) log: LogBound,
    /// Its limits.
    pub(crate) resources: Resources,
}

/// How it is with a replica's process: `state.json` in its directory, and part of the shim's answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Life {
    /// Whether and how it runs.
    pub(crate) state: ReplicaState,
    /// Its process, the leader of its process group.
    pub(crate) pid: Option<i32>,
    /// When the present process started.
    pub(crate) started_at: Option<Timestamp>,
    /// How often the shim started it again.
    pub(crate) restarts: u32,
    /// How the last process ended.
    pub(crate) last_exit: Option<Exit>,
    /// The shim.
    pub(crate) shim: ProcessId,
}

/// A process of this machine, told apart from later ones of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub(crate) struct ProcessId {
    /// Its number.
    pub(crate) pid: i32,
    /// Clock ticks from the machine's start to the process's.
    pub(crate) start: u64,
}

/// What a shim is handed on its standard input.
#[derive(Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// Who the replica is.
    pub(crate) record: Record,
    /// How its process begins.
    pub(crate) begin: Begin,
    /// Name of the abstract socket at which the shim answers.
    pub(crate) socket: String,
    /// The command line that starts a shim.
    pub(crate) shim: Vec<String>,
}

/// How a replica's process begins. The environment holds the values of secrets.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Begin {
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
    /// All of its environment; nothing is inherited.
    pub(crate) environment: Vec<(String, String)>,
    /// Where it starts.
    pub(crate) directory: PathBuf,
    /// As which user; as the server's without.
    pub(crate) user: Option<UserIds>,
    /// Directories of control groups to be in.
    pub(crate) cgroups: Vec<PathBuf>,
    /// Limits by their Compose names; -1 is "unlimited".
    pub(crate) ulimits: BTreeMap<String, (i64, i64)>,
    /// OOM killer preference.
    pub(crate) oom_score_adj: Option<i64>,
}

/// A user in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UserIds {
    /// User.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Further groups.
    pub(crate) groups: Vec<u32>,
}

/// What a shim can be asked. One line of JSON each; the answer is one line too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Who it keeps and how that is: answered with [`Kept`].
    Who,
    /// End it: answered with [`Life`] once everything of it has ended.
    Stop(Stop),
    /// How its process begins, for a command that joins it: answered with [`Begin`].
    Context,
}

/// Who a shim keeps, and how that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Who.
    pub(crate) record: Record,
    /// How it is.
    pub(crate) life: Life,
}

/// The name of a role in paths and labels.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Main => "main",
        Role::Hook => "hook",
        Role::Job => "job",
        Role::OneOff => "one_off",
    }
}
