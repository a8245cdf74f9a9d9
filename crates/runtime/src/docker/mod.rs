//! Replicas as containers of a Docker Engine, or of Podman's socket, which speaks the same API.
//!
//! - Whatever is made carries [`crate::labels`]; whatever does not is never touched, even if it has
//!   the name that something of ours should have.
//! - What belongs to another Daybook is not touched either: see `owner`.
//! - Nothing is remembered between calls that matters: the daemon is asked each time, so a daemon
//!   that was killed and came back is the same daemon.
//! - Containers run exactly the resolved artifact: an image by its digest, never by its tag.

mod body;
mod build;
mod engine;
mod environments;
mod error;
mod examine;
mod exec;
mod exits;
mod files;
mod health;
mod host;
mod image;
mod logs;
mod mounts;
mod names;
mod network;
mod observe;
mod probe;
mod replica;
mod seen;
mod service_address;
mod usage;
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use async_trait::async_trait;
use daybook_model::launch::Role;
use daybook_model::name::{EnvKey, NetworkName, ServiceName, VolumeName};
use daybook_model::spec::{Artifact, Check, Network, Stop, Volume};
use daybook_model::trouble::Trouble;
use daybook_model::{Digest, Launch, ReplicaId, SeenReplica, Target};
use futures::stream::BoxStream;

use crate::artifacts::{Artifacts, Source};
use crate::credentials::Logins;
use crate::listening::listening;
use crate::owner::Owners;
use crate::{
    Answer, Capabilities, Exec, ExecRequest, Finding, LogLine, LogQuery, Owner, Progress, Result, Runtime, Seen, Usage,
};
use engine::Engine;
use exits::Exits;
use files::SecretFiles;
use service_address::ServiceAddresses;
use usage::Samples;

/// Where the daemon is and where the runtime keeps what the daemon cannot keep for it.
#[derive(Debug, Clone)]
pub struct Config {
    /// The daemon's socket. `None`: `DOCKER_HOST`, then the usual places of Docker and of Podman.
    pub socket: Option<PathBuf>,
    /// Daybook's state directory.
    pub state: PathBuf,
    /// The directory of `docker login`. `None`: `DOCKER_CONFIG`, then `~/.docker`.
    pub logins: Option<PathBuf>,
}

/// Runs replicas as containers.
pub struct DockerRuntime {
    engine: Engine,
    owners: Owners,
    artifacts: Artifacts,
    logins: Logins,
    secrets: SecretFiles,
    addresses: Option<ServiceAddresses>,
    samples: Samples,
    exits: Exits,
}

impl DockerRuntime {
    /// Finds the daemon, agrees on an API version with it and learns what it can do.
    ///
    /// `ErrorKind::Unavailable` when no daemon answers, `ErrorKind::Refused` when it is too old or
    /// `DOCKER_HOST` is no Unix socket.
    pub async fn connect(config: Config) -> Result<Self> {
        let engine = Engine::connect(config.socket.as_deref()).await?;
        let owners = Owners::open(&config.state, &engine.labelled().await?)?;
        let addresses = ServiceAddresses::open(&engine, &config.state)?;
        let runtime = Self {
            secrets: SecretFiles::new(&config.state),
            artifacts: Artifacts::of(&config.state),
            engine,
            owners,
            logins: Logins::new(config.logins),
            addresses,
            samples: Samples::default(),
            exits: Exits::default(),
        };
        runtime.restore_addresses().await?;
        Ok(runtime)
    }
}

#[async_trait]
impl Runtime for DockerRuntime {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: self.engine.flavour.name().to_owned(),
            images: true,
            networks: true,
            memory_limits: self.engine.memory_limits,
            service_addresses: self.addresses.is_some(),
            log_streams: true,
            charts: false,
            quotas: false,
        }
    }

    async fn examine(&self, target: &Target) -> Result<Vec<Finding>> {
        self.examine_daemon(target).await
    }

    async fn check(&self) -> Result<String> {
        self.engine.check().await
    }

    async fn resolve(&self, _: &EnvKey, artifact: &Artifact) -> Result<Digest> {
        match artifact {
            Artifact::Image { reference, pull, .. } => self.resolve_image(reference, *pull).await,
            Artifact::Build(build) => build::resolve(build.clone()).await,
            Artifact::Static { root, .. } => Source::site(root).digest().await,
            Artifact::Chart(chart) => Err(crate::no_charts(&chart.reference)),
            Artifact::StatusPage(_) => Err(crate::no_content()),
        }
    }

    async fn present(&self, _: &EnvKey, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>> {
        let mut present = self.present_images(digests).await?;
        present.extend(digests.iter().filter(|digest| self.artifacts.holds(digest)));
        Ok(present)
    }

    async fn prepare(&self, key: &EnvKey, artifact: &Artifact, progress: Progress<'_>) -> Result<()> {
        match artifact {
            Artifact::Image { reference, digest, .. } => self.pull(reference, digest.as_ref(), progress).await,
            Artifact::Build(build) => self.build(key, build, progress).await,
            Artifact::Static { root, digest } => {
                self.artifacts.take(Source::site(root), digest.as_ref(), progress).await
            }
            Artifact::Chart(chart) => Err(crate::no_charts(&chart.reference)),
            Artifact::StatusPage(_) => Err(crate::no_content()),
        }
    }

    async fn observe(&self, key: &EnvKey) -> Result<Seen> {
        self.observe_environment(key).await
    }

    async fn environments(&self) -> Result<BTreeSet<EnvKey>> {
        self.our_environments().await
    }

    async fn others(&self) -> Result<BTreeMap<EnvKey, Owner>> {
        self.others_environments().await
    }

    async fn take_over(&self, key: &EnvKey) -> Result<()> {
        self.take_from_others(key).await
    }

    async fn create_network(&self, key: &EnvKey, name: &NetworkName, network: &Network) -> Result<()> {
        self.make_network(key, name, network).await
    }

    async fn create_volume(&self, key: &EnvKey, name: &VolumeName, volume: &Volume) -> Result<()> {
        self.make_volume(key, name, volume).await
    }

    async fn volume_directory(&self, key: &EnvKey, name: &VolumeName, volume: &Volume) -> Result<Option<PathBuf>> {
        self.directory_of(key, name, volume).await.map(Some)
    }

    async fn start(&self, launch: &Launch) -> Result<()> {
        self.start_replica(launch).await
    }

    async fn stop(&self, key: &EnvKey, id: &ReplicaId, role: Role, stop: &Stop) -> Result<()> {
        self.stop_replica(key, id, role, stop).await
    }

    async fn remove(&self, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<()> {
        self.remove_replica(key, id, role).await
    }

    async fn service_address(&self, key: &EnvKey, service: &ServiceName) -> Result<Option<IpAddr>> {
        match &self.addresses {
            Some(addresses) => addresses.of(key, service).await.map(Some),
            None => Ok(None),
        }
    }

    async fn release(&self, key: &EnvKey) -> Result<()> {
        match &self.addresses {
            Some(addresses) => addresses.release(key).await,
            None => Ok(()),
        }
    }

    async fn remove_network(&self, key: &EnvKey, name: &NetworkName) -> Result<()> {
        self.drop_network(key, name).await
    }

    async fn remove_volume(&self, key: &EnvKey, name: &VolumeName) -> Result<()> {
        self.drop_volume(key, name).await
    }

    async fn probe(&self, key: &EnvKey, replica: &SeenReplica, check: &Check) -> Result<Answer> {
        self.ask(key, replica, check).await
    }

    async fn troubles(&self, key: &EnvKey, service: &ServiceName) -> Result<Vec<Trouble>> {
        let seen = self.observe(key).await?;
        let runs = |replica: &&SeenReplica| &replica.id.service == service && replica.is_running();
        let Some(newest) = seen.replicas.iter().filter(runs).max_by_key(|replica| replica.id.ordinal) else {
            return Ok(Vec::new());
        };
        Ok(listening(self, key, &newest.id).await.into_iter().collect())
    }

    async fn logs(
        &self,
        key: &EnvKey,
        id: &ReplicaId,
        role: Role,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.log_lines(key, id, role, query).await
    }

    async fn usage(&self, key: &EnvKey) -> Result<Vec<Usage>> {
        self.measure(key).await
    }

    async fn exec(&self, key: &EnvKey, id: &ReplicaId, command: &ExecRequest) -> Result<Exec> {
        self.run_inside(key, id, command).await
    }
}
