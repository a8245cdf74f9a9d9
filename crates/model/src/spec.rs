//! The desired state of one environment, fully resolved.
//!
//! `manifest` makes a [`Spec`] from text; the server then resolves each artifact to a digest and each
//! secret to a version. Maps are sorted, so equal specs serialize to equal bytes.

mod artifact;
mod means;

use std::borrow::Cow;
use std::collections::BTreeMap;

use litemap::LiteMap;
use serde::{Deserialize, Serialize};

use crate::backup::{BackupPolicy, BackupStore};
use crate::database::{Database, DatabaseUse};
use crate::forward::Forward;
use crate::name::{DatabaseName, EnvKey, NetworkName, SecretName, ServiceName, VolumeName};
use crate::notify::Channel;
use crate::oncall::{OnCall, Window};
use crate::rare::RareOptions;
use crate::remedy;
use crate::rules::Rules;
use crate::target::Target;
use crate::vault::Vault;

pub use artifact::{Artifact, Build, Chart, ChartObjects, PullPolicy};
pub use means::{Budget, Quota};

/// One environment's desired state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Which environment this is the desired state of.
    pub key: EnvKey,
    /// Where it runs. `None`: where the server runs what says nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Where it still runs as well, because clients come in there until they are told of the new entrance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Target>,
    /// What all replicas may have together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// What it may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Whether a second person has to approve what changes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// Who else keeps values of its secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<Vault>,
    /// Every workload, by name. Services of inactive profiles are not here. A service is large, so the map holds
    /// pointers: otherwise it would be moved with each of its neighbours, and half-filled nodes would cost memory.
    pub services: BTreeMap<ServiceName, Box<Service>>,
    /// Databases that services use by reference: those that Daybook runs, each by a service of its name, and others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub databases: BTreeMap<DatabaseName, Database>,
    /// Where backups are kept. `None`: in the server's state directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backups: Option<BackupStore>,
    /// What is alerted about, beside what is by default.
    #[serde(default, skip_serializing_if = "Rules::is_empty")]
    pub rules: Rules,
    /// What may be mended by itself. The first rule that may do something about an incident does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<remedy::Rule>,
    /// Where people are told of incidents. Their order is that in which they tell of each other's trouble.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<Channel>,
    /// Who else has what is measured and logged.
    #[serde(default, skip_serializing_if = "Forward::is_empty")]
    pub forward: Forward,
    /// The key by which other tools may tell of alerts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive: Option<SecretRef>,
    /// Who is woken.
    #[serde(default, skip_serializing_if = "OnCall::is_empty")]
    pub on_call: OnCall,
    /// When nobody is, because somebody works on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maintenance: Vec<Window>,
    /// Named volumes.
    pub volumes: BTreeMap<VolumeName, Volume>,
    /// Networks inside the environment. The network `default` is here when anything uses it.
    pub networks: BTreeMap<NetworkName, Network>,
}

impl Spec {
    /// The desired state of an environment in which nothing should run.
    pub fn empty(key: EnvKey) -> Self {
        Self {
            key,
            target: None,
            leaving: None,
            quota: None,
            budget: None,
            protected: false,
            vault: None,
            services: BTreeMap::new(),
            databases: BTreeMap::new(),
            backups: None,
            rules: Rules::default(),
            remedies: Vec::new(),
            notify: Vec::new(),
            forward: Forward::default(),
            receive: None,
            on_call: OnCall::default(),
            maintenance: Vec::new(),
            volumes: BTreeMap::new(),
            networks: BTreeMap::new(),
        }
    }

    /// The most replicas that one environment may have: a plan names each of them.
    pub const MOST_REPLICAS: u64 = 20_000;

    /// Every secret that a version is chosen for: those of services, of databases, of where backups go, of channels both ways, and of who has what is measured.
    pub fn secrets_mut(&mut self) -> impl Iterator<Item = &mut SecretRef> {
        let of_services = self.services.values_mut().flat_map(|service| service.container.secrets_mut());
        let access = self.backups.as_mut().and_then(|store| store.access.as_mut());
        let of_backups = access.into_iter().flat_map(|(who, proof)| [who, proof]);
        let of_channels = self.notify.iter_mut().flat_map(Channel::secrets_mut);
        let of_databases = self.databases.values_mut().flat_map(Database::secrets_mut);
        let others = of_channels.chain(self.forward.secrets_mut()).chain(self.receive.as_mut());
        of_services.chain(of_databases).chain(of_backups).chain(others)
    }

    /// How many replicas the services have at most.
    pub fn replicas(&self) -> u64 {
        self.services.values().map(|service| u64::from(service.scale.max)).sum()
    }
}

/// A named workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name; also the host name by which other services of the environment reach it.
    pub name: ServiceName,
    /// Line of the manifest where it is described, from 1, for the plan's causes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// When it runs.
    pub kind: Kind,
    /// What it runs.
    pub artifact: Artifact,
    /// The part of the configuration that a running replica holds.
    pub container: Container,
    /// How many replicas.
    pub scale: Scale,
    /// Ports that it listens on.
    pub ports: Vec<Port>,
    /// Public names and paths that the edge sends to it.
    pub routes: Vec<Domain>,
    /// How to tell that a replica works. `None`: see [`Service::effective_check`].
    pub check: Option<Check>,
    /// What must be there before it starts.
    pub depends_on: Vec<Dependency>,
    /// What happens when its process ends.
    pub restart: Restart,
    /// How it is asked to end.
    pub stop: Stop,
    /// How a new version replaces the old.
    pub rollout: Rollout,
    /// Where it tells measurements of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Scrape>,
    /// How well it is to serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo: Option<Slo>,
    /// Command that runs once in the new artifact before traffic moves, as an argument vector.
    pub release_hook: Option<Vec<String>>,
    /// The service should not run now (`daybook stop`), though it stays configured.
    #[serde(default)]
    pub stopped: bool,
    /// Grows with each `daybook restart`, so that replicas are replaced without another change.
    #[serde(default)]
    pub generation: u64,
}

/// Where replicas tell measurements of their own, as Prometheus and OpenMetrics have them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrape {
    /// The container's port.
    pub port: u16,
    /// The path, with its query.
    pub path: String,
    /// Between two askings, milliseconds.
    pub every_ms: u64,
}

impl Scrape {
    /// Between two askings where nothing else is said, milliseconds.
    pub const EVERY_MS: u64 = 15_000;
}

/// How well a service is to serve, over a month. At least one goal is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Slo {
    /// Millionths of the requests that are to be answered without a fault of the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<u32>,
    /// How fast they are to be answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub latency: Vec<LatencyGoal>,
}

/// A share of the requests that is to be answered within a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyGoal {
    /// Millionths of the requests.
    pub share: u32,
    /// Milliseconds.
    pub within_ms: u64,
}

/// When a service runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Always: web services, workers, databases in containers.
    Service,
    /// Once for each configuration, to completion: other services wait for its success.
    Task,
    /// At the times of a schedule; one run at a time.
    Job(Schedule),
}

/// A cron expression and the time zone in which it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Five fields, or `@daily` and the like. Checked by `manifest`.
    pub cron: String,
    /// IANA name, `UTC` by default.
    pub zone: String,
}

/// The part of a service that a running replica holds: everything here enters the fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Container {
    /// Replaces the image's entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command; what the `process` runtime executes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Where it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// User, or `user:group`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "LiteMap::is_empty")]
    pub environment: LiteMap<String, EnvValue>,
    /// Mounts of volumes, host paths and memory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Configuration and secrets as files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileMount>,
    /// Networks to be on; empty with `network_mode`.
    #[serde(default, skip_serializing_if = "LiteMap::is_empty")]
    pub networks: LiteMap<NetworkName, Attachment>,
    /// Limits and reservations.
    pub resources: Resources,
    /// Labels as written in the manifest. Ours are added by the runtime.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Bound of what the log keeps.
    pub log: LogBound,
    /// Less common container settings.
    #[serde(default, skip_serializing_if = "RareOptions::is_none")]
    pub options: RareOptions,
}

impl Container {
    /// What it is told of databases, in variables.
    pub fn databases(&self) -> impl Iterator<Item = &DatabaseUse> {
        let parts = self.environment.values().flat_map(|value| match value {
            EnvValue::Template(parts) => parts.as_slice(),
            EnvValue::Text(_) | EnvValue::Secret(_) => &[],
        });
        parts.filter_map(|part| match part {
            TemplatePart::Database(used) => Some(used.as_ref()),
            _ => None,
        })
    }

    /// Every secret that it is given: in variables, then in files.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        let in_variables = self.environment.values().flat_map(EnvValue::secrets);
        in_variables.chain(self.files.iter().flat_map(|file| file.content.secrets()))
    }

    /// The same, to be changed.
    pub fn secrets_mut(&mut self) -> impl Iterator<Item = &mut SecretRef> {
        let in_variables = self.environment.iter_mut().flat_map(|(_, value)| value.secrets_mut());
        in_variables.chain(self.files.iter_mut().flat_map(|file| file.content.secrets_mut()))
    }
}

/// The value of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvValue {
    /// As written.
    Text(String),
    /// From the sealed store; the value is known to nobody but the replica.
    Secret(SecretRef),
    /// Where another service of this environment is reached: `${web.host}`, `${web.port}`,
    /// `${web.url}` between literal text.
    Template(Vec<TemplatePart>),
}

impl EnvValue {
    fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        let (whole, parts) = match self {
            Self::Text(_) => (None, &[][..]),
            Self::Secret(secret) => (Some(secret), &[][..]),
            Self::Template(parts) => (None, parts.as_slice()),
        };
        whole.into_iter().chain(parts.iter().filter_map(TemplatePart::secret))
    }

    fn secrets_mut(&mut self) -> impl Iterator<Item = &mut SecretRef> {
        let (whole, parts) = match self {
            Self::Text(_) => (None, &mut [][..]),
            Self::Secret(secret) => (Some(secret), &mut [][..]),
            Self::Template(parts) => (None, parts.as_mut_slice()),
        };
        whole.into_iter().chain(parts.iter_mut().filter_map(TemplatePart::secret_mut))
    }
}

/// A piece of a templated value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplatePart {
    /// Literal text.
    Text(String),
    /// A fact about a service, known when the replica starts.
    Service(ServiceName, ServiceFact),
    /// A secret in the middle of a text.
    Secret(SecretRef),
    /// What a service is told of a database.
    Database(Box<DatabaseUse>),
}

impl TemplatePart {
    /// The secret that it is filled in from, if it is from one.
    pub fn secret(&self) -> Option<&SecretRef> {
        match self {
            Self::Secret(secret) => Some(secret),
            Self::Database(used) => Some(&used.login),
            Self::Text(_) | Self::Service(..) => None,
        }
    }

    fn secret_mut(&mut self) -> Option<&mut SecretRef> {
        match self {
            Self::Secret(secret) => Some(secret),
            Self::Database(used) => Some(&mut used.login),
            Self::Text(_) | Self::Service(..) => None,
        }
    }
}

/// What can be asked of a service in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceFact {
    /// Host name or address.
    Host,
    /// First port.
    Port,
    /// `http://host:port`.
    Url,
}

/// A secret by name and version; never by value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRef {
    /// Its name in the environment's sealed store.
    pub name: SecretName,
    /// The version, once resolved: a rotated secret is a change of configuration.
    pub version: Option<u64>,
    /// Make a random value if there is none yet (`{secret: generate}`).
    #[serde(default)]
    pub generate: bool,
}

/// A file whose content Daybook provides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMount {
    /// Absolute path inside the replica.
    pub target: String,
    /// What it holds.
    pub content: FileContent,
    /// Owner, numeric.
    pub uid: Option<u32>,
    /// Group, numeric.
    pub gid: Option<u32>,
    /// Permission bits; 0o444 by default.
    pub mode: u32,
}

/// Where a file's content comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileContent {
    /// A `config`: its text, which is part of the manifest and no secret.
    Text(String),
    /// A text with secrets in it.
    Template(Vec<TemplatePart>),
    /// A secret in the sealed store.
    Secret(SecretRef),
    /// The certificate of an authority whose key is sealed.
    Authority(SecretRef),
    /// A key and a certificate of this authority, in one file of PEM. They are made whenever a replica starts.
    Certificate(SecretRef),
    /// A secret or config that is a file of this machine and no text: read whenever a replica starts.
    HostFile(String),
}

impl FileContent {
    fn secrets(&self) -> impl Iterator<Item = &SecretRef> {
        let (whole, parts) = match self {
            Self::Secret(secret) | Self::Authority(secret) | Self::Certificate(secret) => (Some(secret), &[][..]),
            Self::Template(parts) => (None, parts.as_slice()),
            Self::Text(_) | Self::HostFile(_) => (None, &[][..]),
        };
        whole.into_iter().chain(parts.iter().filter_map(TemplatePart::secret))
    }

    fn secrets_mut(&mut self) -> impl Iterator<Item = &mut SecretRef> {
        let (whole, parts) = match self {
            Self::Secret(secret) | Self::Authority(secret) | Self::Certificate(secret) => (Some(secret), &mut [][..]),
            Self::Template(parts) => (None, parts.as_mut_slice()),
            Self::Text(_) | Self::HostFile(_) => (None, &mut [][..]),
        };
        whole.into_iter().chain(parts.iter_mut().filter_map(TemplatePart::secret_mut))
    }
}

/// Something mounted into a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path inside the replica.
    pub target: String,
    /// What is mounted.
    pub source: MountSource,
    /// No writes.
    pub read_only: bool,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A named volume.
    Volume {
        /// The volume.
        name: VolumeName,
        /// Path beneath the volume's root.
        subpath: Option<String>,
        /// Do not copy the image's files into an empty volume.
        nocopy: bool,
    },
    /// A volume without a name, kept with the replica's service.
    Anonymous,
    /// A path of this machine, absolute.
    Bind {
        /// The path.
        path: String,
        /// Make the directory if it is missing (Compose's short form does).
        create: bool,
        /// Mount propagation, as Docker names it.
        propagation: Option<String>,
        /// SELinux relabelling: `z` or `Z`.
        selinux: Option<char>,
    },
    /// Memory, gone with the replica.
    Tmpfs {
        /// Bound in bytes.
        size: Option<u64>,
        /// Permission bits.
        mode: Option<u32>,
    },
}

/// How a replica joins a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Attachment {
    /// Further names by which it is found there.
    pub aliases: Vec<String>,
    /// Fixed IPv4 address.
    pub ipv4: Option<String>,
    /// Fixed IPv6 address.
    pub ipv6: Option<String>,
    /// Order of attachment, highest first.
    pub priority: i64,
}

/// Limits and reservations of one replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Resources {
    /// Limit in thousandths of a core.
    pub cpu_millis: Option<u64>,
    /// Limit in bytes; going over it kills the replica.
    pub memory_bytes: Option<u64>,
    /// Limit of processes and threads.
    pub pids: Option<u64>,
    /// Reserved thousandths of a core.
    pub reserve_cpu_millis: Option<u64>,
    /// Reserved bytes.
    pub reserve_memory_bytes: Option<u64>,
    /// Number of GPUs (`deploy.resources.reservations.devices`); `u32::MAX` is "all".
    pub gpus: Option<u32>,
}

/// What the log of one replica may take on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogBound {
    /// Bytes of one file.
    pub max_bytes: u64,
    /// Files kept.
    pub files: u32,
}

impl Default for LogBound {
    fn default() -> Self {
        Self { max_bytes: 10 << 20, files: 3 }
    }
}

/// Container settings that Compose knows and that we hand through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct ContainerOptions {
    /// Full access to the machine.
    pub privileged: bool,
    /// The root file system cannot be written.
    pub read_only: bool,
    /// An init process reaps children.
    pub init: Option<bool>,
    /// Allocate a terminal.
    pub tty: bool,
    /// Keep standard input open.
    pub stdin_open: bool,
    /// Host name inside.
    pub hostname: Option<String>,
    /// Domain name inside.
    pub domainname: Option<String>,
    /// `host`, `none`, `service:NAME`.
    pub network_mode: Option<String>,
    /// `host`, `service:NAME`.
    pub pid: Option<String>,
    /// `host`, `shareable`, `service:NAME`.
    pub ipc: Option<String>,
    /// `host`.
    pub userns_mode: Option<String>,
    /// `os/arch`.
    pub platform: Option<String>,
    /// OCI runtime by name.
    pub runtime: Option<String>,
    /// Size of `/dev/shm`, bytes.
    pub shm_size: Option<u64>,
    /// Capabilities to add.
    pub cap_add: Vec<String>,
    /// Capabilities to drop.
    pub cap_drop: Vec<String>,
    /// Devices, `host:container:permissions`.
    pub devices: Vec<String>,
    /// Rules of the device cgroup.
    pub device_cgroup_rules: Vec<String>,
    /// DNS servers.
    pub dns: Vec<String>,
    /// DNS search domains.
    pub dns_search: Vec<String>,
    /// DNS options.
    pub dns_opt: Vec<String>,
    /// `host:address` lines for `/etc/hosts`.
    pub extra_hosts: Vec<String>,
    /// Supplementary groups.
    pub group_add: Vec<String>,
    /// Security options.
    pub security_opt: Vec<String>,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// Limits as soft and hard value; -1 is "unlimited".
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// OOM killer preference.
    pub oom_score_adj: Option<i64>,
    /// Log driver and options where the manifest names another than the default.
    pub log_driver: Option<(String, BTreeMap<String, String>)>,
}

/// How many replicas run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    /// At least; what runs now, until autoscaling comes.
    pub min: u32,
    /// At most.
    pub max: u32,
}

impl Scale {
    /// The most replicas that one service may have.
    pub const MOST: u32 = 10_000;
}

impl Default for Scale {
    fn default() -> Self {
        Self { min: 1, max: 1 }
    }
}

/// A port that a service listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Inside the replica.
    pub container: u16,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where this machine offers it; `None` is reachable inside the environment only.
    pub publish: Option<Publish>,
}

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1, HTTP/2 without TLS, WebSocket: routed request by request.
    Http,
    /// Bytes: routed connection by connection.
    Tcp,
    /// HTTP if the client's first bytes say so, otherwise bytes.
    Detect,
    /// Datagrams: published by the runtime, not by the edge.
    Udp,
}

/// An address of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// Address to bind; all by default.
    pub ip: Option<std::net::IpAddr>,
    /// Port to bind; `None` is any free one.
    pub port: Option<u16>,
}

/// A public name that leads to a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Host name, `*.example.com`, or `*` for every host.
    pub host: String,
    /// Path prefix, `/` by default.
    pub path: String,
    /// The service's port it leads to.
    pub port: u16,
    /// Where the certificate comes from.
    pub tls: Tls,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// No TLS for this name.
    Off,
    /// From Daybook's own certificate authority, for development.
    Internal,
    /// From files, PEM.
    Files {
        /// Certificate chain.
        cert: String,
        /// Private key.
        key: String,
    },
}

/// How to tell that a replica works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is asked.
    pub test: CheckTest,
    /// Between two questions, milliseconds.
    pub interval_ms: u64,
    /// For one answer, milliseconds.
    pub timeout_ms: u64,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
    /// After its start, failures do not count for so long, milliseconds.
    pub start_period_ms: u64,
    /// Between two questions during the start, milliseconds.
    pub start_interval_ms: u64,
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckTest {
    /// `GET path` answers 2xx or 3xx.
    Http {
        /// Path and query.
        path: String,
        /// Port inside the replica.
        port: u16,
    },
    /// A connection is accepted.
    Tcp {
        /// Port inside the replica.
        port: u16,
    },
    /// A command inside the replica exits with 0.
    Command(Vec<String>),
    /// It keeps running: all that can be asked of a worker without a check.
    Running,
    /// Nothing is asked (`healthcheck: {disable: true}`): started is ready.
    Disabled,
}

/// What must be there before a service starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The other service.
    pub service: ServiceName,
    /// How far it must be.
    pub condition: Condition,
}

/// How far a dependency must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Started.
    Started,
    /// Its check answers.
    Healthy,
    /// It ended with exit code 0.
    Completed,
}

/// What happens when a replica's process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// It is started again, with back-off.
    Always,
    /// Only when it failed; at most so many times where a number is given.
    OnFailure(Option<u32>),
    /// It stays ended.
    No,
}

/// How a replica is asked to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Signal by name, `SIGTERM` by default.
    pub signal: String,
    /// Until SIGKILL, milliseconds.
    pub grace_ms: u64,
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: "SIGTERM".to_owned(), grace_ms: 10_000 }
    }
}

/// How a new version replaces the old.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Which goes first.
    pub order: RolloutOrder,
    /// Share of the requests, in percent, that new replicas get before all of them.
    pub canary_percent: Option<u8>,
    /// How long the canary share is watched, milliseconds.
    pub canary_ms: u64,
    /// How long old replicas stay warm after traffic moved, milliseconds.
    pub probation_ms: u64,
    /// How long a new replica may take to get ready, milliseconds.
    pub ready_ms: u64,
    /// How long requests in flight may take to end, milliseconds.
    pub drain_ms: u64,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            order: RolloutOrder::Auto,
            canary_percent: None,
            canary_ms: 60_000,
            probation_ms: 10_000,
            ready_ms: 120_000,
            drain_ms: 30_000,
        }
    }
}

/// Which goes first in a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutOrder {
    /// As the service's nature asks: see [`Service::stop_first`].
    Auto,
    /// New replicas first; both versions run for a while.
    StartFirst,
    /// Old replicas end first; the edge holds requests meanwhile.
    StopFirst,
}

/// A named volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Volume {
    /// It exists already and is not ours: never made, never removed.
    pub external: bool,
    /// Its name outside, where it differs from ours.
    pub outside_name: Option<String>,
    /// Driver; `local` by default.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Labels as written.
    pub labels: BTreeMap<String, String>,
    /// What it should have room for, bytes: what a cluster is asked for. `None`: as usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// More than one replica may write to it at once (`x-daybook-shared: true` or `shared: true`).
    pub shared: bool,
    /// When backups of it are made, kept and proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupPolicy>,
}

/// A network inside an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Network {
    /// It exists already and is not ours.
    pub external: bool,
    /// Its name outside, where it differs from ours.
    pub outside_name: Option<String>,
    /// Driver; `bridge` by default.
    pub driver: Option<String>,
    /// Options of the driver.
    pub driver_opts: BTreeMap<String, String>,
    /// Nothing outside is reachable from it.
    pub internal: bool,
    /// IPv6 too.
    pub ipv6: bool,
    /// Subnets in CIDR form, with their gateways.
    pub subnets: Vec<(String, Option<String>)>,
    /// Labels as written.
    pub labels: BTreeMap<String, String>,
}

/// The part of a service that enters its fingerprint.
#[derive(Serialize)]
pub(crate) struct RuntimePart<'a> {
    artifact: Cow<'a, str>,
    container: &'a Container,
    ports: Vec<(u16, Protocol)>,
    udp: Vec<&'a Publish>,
    command_check: Option<&'a Check>,
    restart: Restart,
    stop: &'a Stop,
    generation: u64,
    one_shot: bool,
}

impl Service {
    /// A service that runs one replica of `artifact` all the time, with every setting at its default.
    pub fn new(name: ServiceName, artifact: Artifact) -> Self {
        Self {
            name,
            line: None,
            kind: Kind::Service,
            artifact,
            container: Container::default(),
            scale: Scale::default(),
            ports: Vec::new(),
            routes: Vec::new(),
            check: None,
            depends_on: Vec::new(),
            restart: Restart::Always,
            stop: Stop::default(),
            rollout: Rollout::default(),
            metrics: None,
            slo: None,
            release_hook: None,
            stopped: false,
            generation: 0,
        }
    }

    /// The check that decides about this service: its own, or one by its nature. A port is asked for
    /// a connection; anything else is asked to keep running.
    pub fn effective_check(&self) -> Check {
        if let Some(check) = &self.check {
            return check.clone();
        }
        let tcp = self.ports.iter().find(|port| port.protocol != Protocol::Udp);
        let test = tcp.map_or(CheckTest::Running, |port| CheckTest::Tcp { port: port.container });
        Check { test, interval_ms: 2_000, timeout_ms: 2_000, retries: 3, start_period_ms: 0, start_interval_ms: 100 }
    }

    /// Whether a new version must wait for the old to end.
    ///
    /// Auto: a service that writes to a volume which is not shared, and a service that nobody can
    /// send requests to (a worker), must not run twice at once. A fixed port that only the runtime
    /// can publish (UDP, host networking) cannot be had twice either.
    pub fn stop_first(&self, volumes: &BTreeMap<VolumeName, Volume>) -> bool {
        match self.rollout.order {
            RolloutOrder::StartFirst => false,
            RolloutOrder::StopFirst => true,
            RolloutOrder::Auto => {
                let udp = self.ports.iter().any(|p| p.protocol == Protocol::Udp && p.publish.is_some());
                let host = self.container.options.network_mode.as_deref() == Some("host");
                self.ports.is_empty() || udp || host || self.single_writer(volumes).is_some()
            }
        }
    }

    /// The volume that only one replica may write to, if there is one.
    pub fn single_writer<'a>(&'a self, volumes: &BTreeMap<VolumeName, Volume>) -> Option<&'a VolumeName> {
        self.container.mounts.iter().find_map(|mount| match &mount.source {
            MountSource::Volume { name, .. } if !mount.read_only && !volumes.get(name).is_some_and(|v| v.shared) => {
                Some(name)
            }
            _ => None,
        })
    }

    /// Whether the edge stands in front of this service: it has a port that is not UDP.
    pub fn has_edge(&self) -> bool {
        self.artifact.is_files() || self.ports.iter().any(|p| p.protocol != Protocol::Udp)
    }

    /// How many replicas should run now.
    pub fn replicas(&self) -> u32 {
        match self.kind {
            _ if self.stopped || !self.artifact.has_replicas() => 0,
            Kind::Service => self.scale.min,
            Kind::Task => 1,
            Kind::Job(_) => 0,
        }
    }

    pub(crate) fn runtime_part(&self) -> RuntimePart<'_> {
        let artifact = match (&self.artifact, self.artifact.digest()) {
            (Artifact::Chart(chart), digest) => {
                let which = digest.map_or_else(|| chart.reference.clone(), ToString::to_string);
                format!("{which} {}", chart.values).into()
            }
            (_, Some(digest)) => digest.to_string().into(),
            (Artifact::Image { reference, .. }, None) => reference.into(),
            (Artifact::Build(build), None) => (&build.context).into(),
            (Artifact::Static { root, .. }, None) => root.into(),
            (Artifact::StatusPage(_), None) => "status page".into(),
        };
        let command_check = self.check.as_ref().filter(|check| matches!(check.test, CheckTest::Command(_)));
        RuntimePart {
            artifact,
            container: &self.container,
            ports: self.ports.iter().map(|p| (p.container, p.protocol)).collect(),
            udp: self.ports.iter().filter(|p| p.protocol == Protocol::Udp).filter_map(|p| p.publish.as_ref()).collect(),
            command_check,
            restart: self.restart,
            stop: &self.stop,
            generation: self.generation,
            one_shot: !matches!(self.kind, Kind::Service),
        }
    }
}
