//! What runs replicas: the [`Runtime`] trait, and its simulated, process and docker implementations.
//!
//! A driver acts and reports; it decides nothing. Every act is idempotent: carried out twice, by the
//! same or by another server, it leaves what once would have left. Everything that a runtime makes
//! carries [`labels`], and a runtime touches only what carries them.

pub mod addresses;
pub mod artifacts;
pub mod credentials;
pub mod docker;
mod files;
pub mod identity;
pub mod labels;
pub mod listening;
pub mod owner;
pub mod probe;
pub mod process;
pub mod reference;
pub mod simulated;
pub mod snapshot;
pub mod volume_files;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daybook_model::fingerprint::Fingerprint;
use daybook_model::launch::Role;
use daybook_model::name::{EnvKey, NetworkName, ServiceName, VolumeName};
use daybook_model::observed::SeenChart;
use daybook_model::spec::{Artifact, ChartObjects, Check, Network, Quota, Service, Stop, Volume};
use daybook_model::traffic::Traffic;
use daybook_model::trouble::Trouble;
use daybook_model::{Digest, EnvRoutes, Launch, ReplicaId, SeenReplica, Target, Timestamp};
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use volume_files::Taken;

/// What runs replicas. One contract suite holds for every implementation (`tests/contract.rs`).
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// What it is, and what of a manifest it can honour.
    fn capabilities(&self) -> Capabilities;

    /// Says where an environment is, from now on: calls about it mean that place. `None` is where this runtime puts
    /// what says nothing. [`ErrorKind::Refused`] for what it cannot reach.
    async fn place(&self, key: &EnvKey, target: Option<&Target>) -> Result<()> {
        let ours = self.capabilities().name;
        let ours = if ours == "podman" { "docker" } else { &ours };
        match target.map(Target::runtime).filter(|wanted| *wanted != ours) {
            None => Ok(()),
            Some(wanted) => {
                let message = format!("this server runs replicas by `{ours}`, not by `{wanted}`");
                Err(Error::new(ErrorKind::Refused, format!("find the target of {key}"), message))
            }
        }
    }

    /// The targets that environments are on, and how each is: this runtime itself first.
    async fn targets(&self) -> Vec<TargetState> {
        let version = self.check().await.map_err(|error| error.to_string());
        vec![TargetState { target: None, version, machines: None, environments: BTreeSet::new() }]
    }

    /// Looks at everything that a target depends on.
    async fn examine(&self, target: &Target) -> Result<Vec<Finding>> {
        let message = format!("{target} is no cluster; `daybook doctor` looks at this machine");
        Err(Error::new(ErrorKind::Refused, format!("examine {target}"), message))
    }

    /// What it can honour for one environment, where it runs different ones in different ways.
    fn capabilities_for(&self, _: &EnvKey) -> Capabilities {
        self.capabilities()
    }

    /// Whether it can be used now, and its version: for `doctor`, and before the first plan.
    async fn check(&self) -> Result<String>;

    /// The identity of an artifact: asks the image store, the registry, or hashes a directory.
    /// Changes nothing. `Error::kind` is [`ErrorKind::NotFound`] for an image that nobody has.
    async fn resolve(&self, key: &EnvKey, artifact: &Artifact) -> Result<Digest>;

    /// Which of `digests` are where replicas of an environment can have them, so that [`Runtime::prepare`] has
    /// nothing to do.
    async fn present(&self, key: &EnvKey, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>>;

    /// Gets a resolved artifact onto this machine: pulls, builds or snapshots. Each line of its
    /// progress goes to `progress`.
    async fn prepare(&self, key: &EnvKey, artifact: &Artifact, progress: Progress<'_>) -> Result<()>;

    /// What is there of one environment.
    async fn observe(&self, key: &EnvKey) -> Result<Seen>;

    /// Environments that something with our labels belongs to: how state is rebuilt. Those of
    /// [`Runtime::others`] are not among them.
    async fn environments(&self) -> Result<BTreeSet<EnvKey>>;

    /// Environments that belong to another Daybook, which may live. They are left alone: whatever is
    /// asked of them is refused with [`ErrorKind::Conflict`]. A runtime that keeps all that it makes in
    /// its state directory has none.
    async fn others(&self) -> Result<BTreeMap<EnvKey, Owner>> {
        Ok(BTreeMap::new())
    }

    /// Takes an environment over from another Daybook, which a person says is no more.
    /// [`ErrorKind::Conflict`] when its server answers.
    async fn take_over(&self, key: &EnvKey) -> Result<()> {
        let message = format!("{key} belongs to no other Daybook");
        Err(Error::new(ErrorKind::NotFound, format!("take over {key}"), message))
    }

    /// Makes a network unless it is there.
    async fn create_network(&self, key: &EnvKey, name: &NetworkName, network: &Network) -> Result<()>;

    /// Makes a volume unless it is there.
    async fn create_volume(&self, key: &EnvKey, name: &VolumeName, volume: &Volume) -> Result<()>;

    /// The directory of this machine that holds a volume: for whoever backs it up. `None` where it is in none, and what
    /// it holds is carried by [`Runtime::take_volume`] and [`Runtime::lay_volume`].
    async fn volume_directory(&self, _: &EnvKey, _: &VolumeName, _: &Volume) -> Result<Option<PathBuf>> {
        Ok(None)
    }

    /// Copies what a volume holds to a directory that is not there yet, while it is in use.
    async fn take_volume(&self, far: &FarVolume<'_>, _: &Path) -> Result<Taken> {
        Err(not_carried(&self.capabilities_for(far.key), far))
    }

    /// Copies what is in a directory into a volume, beside what it holds, which stays as it is. What was laid there before
    /// goes.
    async fn lay_volume(&self, far: &FarVolume<'_>, _: &Path) -> Result<()> {
        Err(not_carried(&self.capabilities_for(far.key), far))
    }

    /// Puts what was laid beside in the place of what a volume holds, which stays aside in it. Nobody may use the volume
    /// meanwhile.
    async fn exchange_volume(&self, far: &FarVolume<'_>) -> Result<()> {
        Err(not_carried(&self.capabilities_for(far.key), far))
    }

    /// Ends [`Runtime::exchange_volume`] where a server was killed in its midst, or takes away what was laid beside where it
    /// had not begun.
    async fn settle_volume(&self, far: &FarVolume<'_>) -> Result<Exchange> {
        Err(not_carried(&self.capabilities_for(far.key), far))
    }

    /// Makes sure that a process of the replica is there: makes the replica if it is missing, starts
    /// it if it has ended. Does not wait for readiness. A replica of this id and another fingerprint
    /// is an error of kind [`ErrorKind::Conflict`].
    async fn start(&self, launch: &Launch) -> Result<()>;

    /// Asks the replica's process to end, kills it after the grace, and returns when it has ended.
    /// One that has ended, or is not there, is fine. It will not be started again by the runtime.
    async fn stop(&self, key: &EnvKey, id: &ReplicaId, role: Role, stop: &Stop) -> Result<()>;

    /// Removes a replica that has ended, its log and its anonymous volumes. Not there is fine.
    async fn remove(&self, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<()>;

    /// An address of this machine that belongs to one service for as long as the environment lives, at
    /// which the edge listens for calls of other services. The same each time it is asked for. `None`:
    /// this runtime cannot give one, and services reach each other's replicas directly.
    async fn service_address(&self, key: &EnvKey, service: &ServiceName) -> Result<Option<IpAddr>>;

    /// Where a replica finds what the manifest has at an absolute path: there, if it has a file system of its own.
    async fn path_inside(&self, key: &EnvKey, id: &ReplicaId, role: Role, path: &str) -> Result<String> {
        let _ = (key, id, role);
        Ok(path.to_owned())
    }

    /// What is known to be in the way of a service's replicas, beside what [`Runtime::observe`] tells of each.
    async fn troubles(&self, _: &EnvKey, _: &ServiceName) -> Result<Vec<Trouble>> {
        Ok(Vec::new())
    }

    /// What a resolved chart of a service makes with its values. Changes nothing.
    async fn chart_objects(&self, key: &EnvKey, service: &Service) -> Result<ChartObjects> {
        let _ = key;
        Err(no_charts(service.name.as_str()))
    }

    /// Releases a service's chart, which must be prepared, and waits until what it makes is ready. Released already
    /// with this configuration is fine.
    async fn release_chart(&self, key: &EnvKey, service: &Service, fingerprint: &Fingerprint) -> Result<()> {
        let _ = (key, fingerprint);
        Err(no_charts(service.name.as_str()))
    }

    /// Takes everything away that a service's chart has made, but for the volumes that it keeps. Not there is fine.
    async fn remove_chart(&self, key: &EnvKey, service: &ServiceName) -> Result<()> {
        let _ = key;
        Err(no_charts(service.as_str()))
    }

    /// Bounds what all replicas of an environment may have together, or no longer. Those that run go on. Called only
    /// where [`Capabilities::quotas`] says so.
    async fn set_quota(&self, key: &EnvKey, _quota: Option<&Quota>) -> Result<()> {
        let message = format!("`{}` keeps to no quota", self.capabilities().name);
        Err(Error::new(ErrorKind::Refused, format!("bound {key}"), message))
    }

    /// Gives back what an environment as a whole has, once nothing else of it is there: the addresses of its
    /// services, its namespace.
    async fn release(&self, key: &EnvKey) -> Result<()>;

    /// Removes a network of ours. Not there is fine.
    async fn remove_network(&self, key: &EnvKey, name: &NetworkName) -> Result<()>;

    /// Removes a volume of ours and what it holds. Not there is fine.
    async fn remove_volume(&self, key: &EnvKey, name: &VolumeName) -> Result<()>;

    /// Asks a check once. A bad answer is `Ok(Answer::Bad)`; an error means that the question could
    /// not be put.
    async fn probe(&self, key: &EnvKey, replica: &SeenReplica, check: &Check) -> Result<Answer>;

    /// Where this machine reaches a port of a running replica, for as long as the answer is kept.
    async fn reach(&self, key: &EnvKey, replica: &SeenReplica, port: u16) -> Result<Reached> {
        let _ = key;
        let address = replica.address.ok_or_else(|| {
            let operation = format!("reach port {port} of {}", replica.id);
            Error::new(ErrorKind::Unavailable, operation, "it has no address")
        })?;
        Ok(Reached { address: SocketAddr::new(address, replica.port(port)), way: None })
    }

    /// The lines of a replica's log, oldest first. With `follow` the stream ends when the replica
    /// does.
    async fn logs(
        &self,
        key: &EnvKey,
        id: &ReplicaId,
        role: Role,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>>;

    /// What running replicas of an environment use now.
    async fn usage(&self, key: &EnvKey) -> Result<Vec<Usage>>;

    /// Runs a command inside a running replica.
    async fn exec(&self, key: &EnvKey, id: &ReplicaId, command: &ExecRequest) -> Result<Exec>;
}

/// Sends requests to replicas: the edge, as the executor sees it. The real one is a client of the
/// `daybook edge` process; the simulated one lives in the same world as the simulated runtime.
#[async_trait]
pub trait Router: Send + Sync + 'static {
    /// Replaces the routes of one environment, and returns when the edge has persisted the whole new
    /// table and serves by it.
    async fn set(&self, key: &EnvKey, routes: EnvRoutes) -> Result<()>;

    /// The routes of one environment that the edge serves by now.
    async fn get(&self, key: &EnvKey) -> Result<EnvRoutes>;

    /// What the edge has counted for one environment.
    async fn traffic(&self, key: &EnvKey) -> Result<Traffic>;

    /// Where users come in, where that is not this machine's edge.
    async fn entrance(&self, _: &EnvKey) -> Result<Option<Entrance>> {
        Ok(None)
    }
}

/// A volume that is in no directory of this machine.
#[derive(Debug, Clone)]
pub struct FarVolume<'a> {
    /// Its environment.
    pub key: &'a EnvKey,
    /// Its name there.
    pub name: &'a VolumeName,
    /// What the manifest says of it.
    pub volume: &'a Volume,
    /// Services that have it: their users own what is in it.
    pub services: Vec<&'a Service>,
}

/// What became of an exchange of what a volume holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    /// What was restored is in its place.
    Done,
    /// What was there is.
    Undone,
}

/// The places that environments can be at. An environment that moves is at two for a while.
#[async_trait]
pub trait Places: Send + Sync + 'static {
    /// The target that is meant where none is named.
    fn home(&self) -> Target;

    /// What runs replicas at a target, and what sends requests to them.
    async fn at(&self, target: &Target) -> Result<Side>;

    /// How two targets lie to each other, for one environment.
    async fn apart(&self, key: &EnvKey, one: &Target, other: &Target) -> Result<Apart>;
}

/// One place.
#[derive(Clone)]
pub struct Side {
    /// What runs replicas there.
    pub runtime: Arc<dyn Runtime>,
    /// What sends requests to them.
    pub router: Arc<dyn Router>,
}

/// How two places lie to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apart {
    /// They are one.
    Nowhere,
    /// Requests come in through one edge.
    OneEntrance,
    /// Each has an edge of its own.
    TwoEntrances,
}

/// The only place of a server that has no other.
#[async_trait]
impl Places for Side {
    fn home(&self) -> Target {
        self.runtime.capabilities().target()
    }

    async fn at(&self, target: &Target) -> Result<Side> {
        if *target == self.home() {
            return Ok(self.clone());
        }
        let message = "this server has no way there";
        Err(Error::new(ErrorKind::Refused, format!("reach {target}"), message))
    }

    async fn apart(&self, _: &EnvKey, _: &Target, _: &Target) -> Result<Apart> {
        Ok(Apart::Nowhere)
    }
}

/// What the server writes has no content that a runtime could have.
fn no_content() -> Error {
    Error::new(ErrorKind::Internal, "look for a status page", "it is no artifact of a runtime")
}

/// What a volume holds is neither here nor carried.
fn not_carried(by: &Capabilities, far: &FarVolume<'_>) -> Error {
    let message = format!("`{}` keeps volumes where this machine does not reach them", by.name);
    Error::new(ErrorKind::Refused, format!("find what volume {} holds", far.name), message)
        .hint("back it up where it is")
}

/// Only clusters have charts.
fn no_charts(name: &str) -> Error {
    let operation = format!("release the chart {name}");
    Error::new(ErrorKind::Refused, operation, "charts are released in Kubernetes clusters only")
        .hint("set `target: kubernetes://CONTEXT`")
}

/// Where users of an environment come in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entrance {
    /// The port of plain HTTP.
    pub http: Option<u16>,
    /// The port of HTTPS.
    pub https: Option<u16>,
    /// Names or addresses that lead there, as far as they are known.
    pub addresses: Vec<String>,
}

/// Where a port of a replica is reached.
pub struct Reached {
    /// At this address.
    pub address: SocketAddr,
    /// What leads there, where that is not the network alone: it ends with this.
    pub way: Option<Box<dyn Any + Send + Sync>>,
}

/// A result of a runtime.
pub type Result<T> = std::result::Result<T, Error>;

/// Takes progress lines ("Step 3/7", "pulling 12 of 40 MB").
pub type Progress<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// What a runtime is and can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// `process`, `docker`, `podman`, `simulated`.
    pub name: String,
    /// Runs images; without it only builds (as snapshots of directories) and static sites.
    pub images: bool,
    /// Has networks of its own, with names in them.
    pub networks: bool,
    /// Keeps a replica's memory within its limit.
    pub memory_limits: bool,
    /// Gives services addresses of their own: see [`Runtime::service_address`].
    pub service_addresses: bool,
    /// Knows of each line of a log whether it came from standard error.
    pub log_streams: bool,
    /// Releases Helm charts.
    #[serde(default)]
    pub charts: bool,
    /// Keeps the replicas of an environment within a quota.
    #[serde(default)]
    pub quotas: bool,
}

impl Capabilities {
    /// What every Kubernetes cluster can honour, connected to or not.
    pub fn of_a_cluster() -> Self {
        Self {
            name: "kubernetes".to_owned(),
            images: true,
            networks: true,
            memory_limits: true,
            service_addresses: false,
            log_streams: false,
            charts: true,
            quotas: true,
        }
    }

    /// The target that names what runs replicas on a machine itself.
    pub fn target(&self) -> Target {
        if self.images { Target::Docker } else { Target::Process }
    }
}

/// A target that environments are on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetState {
    /// `None`: this machine.
    pub target: Option<Target>,
    /// What answers there and its version; or why nothing does.
    pub version: std::result::Result<String, String>,
    /// The machines of a cluster.
    pub machines: Option<Machines>,
    /// Those environments.
    pub environments: BTreeSet<EnvKey>,
}

/// The machines of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Machines {
    /// Those that are ready.
    pub ready: u32,
    /// All of them.
    pub all: u32,
    /// Thousandths of a core that replicas can have, of those that are ready.
    pub cpu_millis: u64,
    /// Bytes of memory that replicas can have, of those that are ready.
    pub memory_bytes: u64,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What: "permissions".
    pub check: String,
    /// How it is.
    pub rank: Rank,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// How a thing is that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// As it should be.
    Fine,
    /// It works, with less than could be.
    Lacking,
    /// It stands in the way.
    Missing,
}

/// Which Daybook something belongs to: one state directory of one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The identity of the state directory.
    pub id: String,
    /// The machine: its name, and what tells its root directory from others.
    pub machine: String,
    /// The state directory.
    pub state: PathBuf,
}

impl Owner {
    /// The name of the machine alone.
    pub fn host(&self) -> &str {
        self.machine.split(' ').next().unwrap_or_default()
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "another Daybook, the one of {} on {}", self.state.display(), self.host())
    }
}

/// What [`Runtime::observe`] finds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Replicas of every role, in order of their ids.
    pub replicas: Vec<SeenReplica>,
    /// Volumes of the environment.
    pub volumes: BTreeSet<VolumeName>,
    /// Networks of the environment.
    pub networks: BTreeSet<NetworkName>,
    /// Charts that are released in it.
    pub charts: BTreeMap<ServiceName, SeenChart>,
    /// What its replicas may have together, where [`Runtime::set_quota`] keeps them within it.
    pub quota: Option<Quota>,
}

/// What a check's question was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Good; a word about it ("200 in 3 ms").
    Good(String),
    /// Bad; what was answered, or why there was no answer.
    Bad(String),
    /// The replica has no process now.
    NotRunning,
}

/// Which lines of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Only lines from this time on.
    pub since: Option<Timestamp>,
    /// Only so many of the last lines.
    pub tail: Option<usize>,
    /// Go on with new lines.
    pub follow: bool,
}

/// One line of a replica's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// It came from standard error.
    pub stderr: bool,
    /// Without the line break. Bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// What one replica uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The replica.
    pub id: ReplicaId,
    /// Cores, over the last moment: 0.5 is half a core.
    pub cpu_cores: f64,
    /// Processor time since its process began, in seconds.
    pub cpu_seconds: f64,
    /// Bytes of memory that cannot be dropped.
    pub memory_bytes: u64,
    /// Its limit, if there is one.
    pub memory_limit_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: u64,
}

/// A command to run inside a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecRequest {
    /// Program and arguments; no shell reads them.
    pub argv: Vec<String>,
    /// A terminal of so many columns and rows.
    pub tty: Option<(u16, u16)>,
    /// As which user.
    pub user: Option<String>,
    /// In which directory.
    pub working_dir: Option<String>,
}

/// A command that runs inside a replica.
pub struct Exec {
    /// What it prints. Standard output and error come marked.
    pub output: BoxStream<'static, Result<ExecOutput>>,
    /// What it reads. Dropping it is the end of its input.
    pub input: Box<dyn tokio::io::AsyncWrite + Send + Unpin>,
    /// Its exit code, once `output` has ended.
    pub code: futures::future::BoxFuture<'static, Result<i32>>,
    /// Gives its terminal another size, in columns and rows. Without a terminal it does nothing.
    pub resize: Resize,
}

/// Gives the terminal of a command another size, in columns and rows.
pub type Resize = Box<dyn Fn(u16, u16) -> futures::future::BoxFuture<'static, Result<()>> + Send + Sync>;

/// A piece of what a command printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// From standard error.
    pub stderr: bool,
    /// The bytes.
    pub bytes: bytes::Bytes,
}

/// Why an act of a runtime failed: what was tried, on what, and what was said.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct Error {
    /// What was tried, with its object: "pull nginx:1.27".
    pub operation: String,
    /// What was said, whole.
    pub message: String,
    /// Who must act, and whether trying again helps.
    pub kind: ErrorKind,
    /// What a person may try, if we know.
    pub hint: Option<String>,
}

/// Who must act on an error, and whether trying again helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// An image, a file or a replica is not there: the user must act.
    NotFound,
    /// The request cannot be honoured: the manifest must change.
    Refused,
    /// Something of the same name is there and is different, or a port is taken.
    Conflict,
    /// A build failed; the message holds its last lines.
    BuildFailed,
    /// No space is left: trying again helps once somebody has made room.
    Full,
    /// The runtime cannot be reached, or is too busy: trying again helps.
    Unavailable,
    /// Anything else.
    Internal,
}

impl Error {
    /// An error of `operation`.
    pub fn new(kind: ErrorKind, operation: impl Into<String>, message: impl std::fmt::Display) -> Self {
        Self { operation: operation.into(), message: message.to_string(), kind, hint: None }
    }

    /// Adds what a person may try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether the same act may succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Full)
    }
}

/// How long a runtime waits before it reports that its daemon does not answer.
pub const UNAVAILABLE_AFTER: Duration = Duration::from_secs(30);
