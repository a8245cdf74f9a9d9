//! The process runtime: replicas are plain processes of this machine.
//!
//! It needs nothing installed. Builds and static sites are snapshots of directories; a replica is a
//! process that runs in a copy of one (see `workdir`), kept by a [`shim`] of its own, so that the
//! server may end and come back at any time. Limits are control groups where Daybook may make them.
//!
//! A replica is told its port in `PORT` and, with several, in `PORT_<port of the manifest>`; `HOST`
//! is the address to listen at. `DAYBOOK_HOST_<SERVICE>` is where another service is reached.

mod cgroup;
mod control;
mod engine;
mod environment;
mod exec;
mod honour;
mod layout;
mod leftovers;
mod logs;
mod observe;
mod ports;
mod probing;
mod proc;
mod record;
pub mod shim;
mod signal;
mod start;
mod usage;
mod users;
mod volumes;
mod workdir;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use daybook_model::launch::Role;
use daybook_model::name::{EnvKey, NetworkName, ServiceName, VolumeName};
use daybook_model::spec::{Artifact, Build, Check, Network, Stop, Volume};
use daybook_model::{Digest, Launch, ReplicaId, SeenReplica};
use futures::stream::BoxStream;

use crate::addresses::{Addresses, Range};
use crate::artifacts::Source;
use crate::files::{self, failed, make_directory};
use crate::{
    Answer, Capabilities, Error, ErrorKind, Exec, ExecRequest, LogLine, LogQuery, Progress, Result, Runtime, Seen,
    Usage,
};
use layout::Layout;

pub use honour::not_honoured;

/// What the process runtime must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The state directory. Users that replicas run as must be able to enter it (mode 0711).
    pub state: PathBuf,
    /// The command line that starts a shim, to which its arguments are added: the path of this
    /// program and `shim`.
    pub shim: Vec<String>,
}

/// Runs replicas as processes of this machine.
#[derive(Clone)]
pub struct ProcessRuntime {
    inner: Arc<Inner>,
}

struct Inner {
    state: PathBuf,
    layout: Layout,
    shim: Vec<String>,
    addresses: Addresses,
    /// When the processor time of a replica was last read, and what it was, in nanoseconds.
    samples: Mutex<HashMap<String, (Instant, u64)>>,
}

impl ProcessRuntime {
    /// Opens the state directory, and makes it if it is missing. Replicas that run already are found
    /// as soon as they are asked for.
    pub fn new(config: Config) -> Result<Self> {
        fs::create_dir_all(&config.state).map_err(|e| failed("make", &config.state, &e))?;
        let layout = Layout::new(&config.state)?;
        make_directory(&layout.root())?;
        let addresses = Addresses::new(layout.addresses(), Range::LOOPBACK);
        let Config { state, shim } = config;
        let inner = Inner { state, layout, shim, addresses, samples: Mutex::default() };
        volumes::purge_tombstones(&inner.layout)?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The directory that is the artifact. A database server of this machine is asked for its version.
    async fn source(&self, artifact: &Artifact) -> Result<Source> {
        let artifact = artifact.clone();
        self.blocking(move |inner| source(&inner.state, &artifact)).await
    }

    /// Does work that waits for files or processes away from the threads that serve.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> Result<T> + Send + 'static) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        files::blocking("run a task", move || work(&inner)).await
    }
}

#[async_trait]
impl Runtime for ProcessRuntime {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: "process".to_owned(),
            images: false,
            networks: false,
            memory_limits: cgroup::available().contains(&"memory"),
            service_addresses: true,
            log_streams: true,
            charts: false,
            quotas: false,
        }
    }

    async fn check(&self) -> Result<String> {
        self.blocking(|inner| {
            let program = inner.shim.first().map(PathBuf::from).unwrap_or_default();
            fs::metadata(&program).map_err(|e| failed("find the shim", &program, &e))?;
            let controllers = cgroup::available();
            let limits = if controllers.is_empty() { "none".to_owned() } else { controllers.join(", ") };
            Ok(format!("processes of this machine; limits: {limits}"))
        })
        .await
    }

    async fn resolve(&self, _: &EnvKey, artifact: &Artifact) -> Result<Digest> {
        self.source(artifact).await?.digest().await
    }

    async fn present(&self, _: &EnvKey, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>> {
        let digests = digests.clone();
        self.blocking(move |inner| Ok(digests.into_iter().filter(|d| inner.layout.artifacts().holds(d)).collect()))
            .await
    }

    async fn prepare(&self, _: &EnvKey, artifact: &Artifact, progress: Progress<'_>) -> Result<()> {
        self.inner.layout.artifacts().take(self.source(artifact).await?, artifact.digest(), progress).await
    }

    async fn observe(&self, key: &EnvKey) -> Result<Seen> {
        let key = key.clone();
        self.blocking(move |inner| observe::environment(&inner.layout, &key)).await
    }

    async fn environments(&self) -> Result<BTreeSet<EnvKey>> {
        self.blocking(|inner| observe::environments(&inner.layout)).await
    }

    async fn create_network(&self, key: &EnvKey, name: &NetworkName, _: &Network) -> Result<()> {
        let (key, name) = (key.clone(), name.clone());
        self.blocking(move |inner| volumes::create_network(&inner.layout, &key, &name)).await
    }

    async fn create_volume(&self, key: &EnvKey, name: &VolumeName, volume: &Volume) -> Result<()> {
        let (key, name, volume) = (key.clone(), name.clone(), volume.clone());
        self.blocking(move |inner| volumes::create(&inner.layout, &key, &name, &volume)).await
    }

    async fn volume_directory(&self, key: &EnvKey, name: &VolumeName, volume: &Volume) -> Result<Option<PathBuf>> {
        volumes::directory(&self.inner.layout, key, name, volume).map(Some)
    }

    async fn start(&self, launch: &Launch) -> Result<()> {
        let launch = launch.clone();
        let Some(prepared) = self.blocking(move |inner| start::prepare(&inner.layout, &inner.shim, &launch)).await?
        else {
            return Ok(());
        };
        prepared.start().await
    }

    async fn stop(&self, key: &EnvKey, id: &ReplicaId, role: Role, stop: &Stop) -> Result<()> {
        let (key, id, stop) = (key.clone(), id.clone(), stop.clone());
        self.blocking(move |inner| leftovers::stop(&inner.layout, &key, &id, role, &stop)).await
    }

    async fn remove(&self, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<()> {
        let (key, id) = (key.clone(), id.clone());
        self.blocking(move |inner| leftovers::remove(&inner.layout, &key, &id, role)).await
    }

    async fn service_address(&self, key: &EnvKey, service: &ServiceName) -> Result<Option<IpAddr>> {
        let (key, service) = (key.clone(), service.clone());
        self.blocking(move |inner| inner.addresses.get(&key, &service).map(|address| Some(IpAddr::V4(address)))).await
    }

    async fn path_inside(&self, key: &EnvKey, id: &ReplicaId, role: Role, path: &str) -> Result<String> {
        let work = self.inner.layout.replica(key, id, role).work();
        Ok(workdir::beneath(&work, path)?.to_string_lossy().into_owned())
    }

    async fn release(&self, key: &EnvKey) -> Result<()> {
        let key = key.clone();
        self.blocking(move |inner| inner.addresses.release(&key)).await
    }

    async fn remove_network(&self, key: &EnvKey, name: &NetworkName) -> Result<()> {
        let (key, name) = (key.clone(), name.clone());
        self.blocking(move |inner| volumes::remove_network(&inner.layout, &key, &name)).await
    }

    async fn remove_volume(&self, key: &EnvKey, name: &VolumeName) -> Result<()> {
        let (key, name) = (key.clone(), name.clone());
        self.blocking(move |inner| volumes::remove(&inner.layout, &key, &name)).await
    }

    async fn probe(&self, key: &EnvKey, replica: &SeenReplica, check: &Check) -> Result<Answer> {
        self.ask(key, replica, check).await
    }

    async fn logs(
        &self,
        key: &EnvKey,
        id: &ReplicaId,
        role: Role,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let (key, id, query) = (key.clone(), id.clone(), query.clone());
        self.blocking(move |inner| logs::stream(&inner.layout, &key, &id, role, &query)).await
    }

    async fn usage(&self, key: &EnvKey) -> Result<Vec<Usage>> {
        self.measure(key).await
    }

    async fn exec(&self, key: &EnvKey, id: &ReplicaId, command: &ExecRequest) -> Result<Exec> {
        self.execute(key, id, command).await
    }
}

/// The directory that is the artifact.
fn source(state: &Path, artifact: &Artifact) -> Result<Source> {
    match artifact {
        Artifact::Image { server: Some(server), .. } => engine::source(state, server),
        Artifact::Build(build) => Ok(Source { root: PathBuf::from(&build.context), extra: inputs(build) }),
        Artifact::Static { root, .. } => Ok(Source::site(root)),
        Artifact::Chart(chart) => Err(crate::no_charts(&chart.reference)),
        Artifact::StatusPage(_) => Err(crate::no_content()),
        Artifact::Image { reference, .. } => {
            let why = "the process runtime runs directories, not images";
            Err(Error::new(ErrorKind::Refused, format!("use image {reference}"), why).hint(
                "images need Docker or Podman: install one of them, or give the service `build: DIRECTORY` and a \
                 `command`",
            ))
        }
    }
}

/// What of a build decides about its snapshot, beside the directory.
fn inputs(build: &Build) -> Vec<u8> {
    serde_json::to_vec(&build.args).expect("build arguments are plain data")
}
