//! Kubernetes: replicas as Deployments, StatefulSets and Jobs, and the same as plain YAML.
//!
//! - [`KubernetesRuntime`] is the [`daybook_runtime::Runtime`] of a cluster. An environment is a namespace, a replica
//!   is one workload of one pod; `objects` says what becomes what, and is pure.
//! - Whatever is made carries labels to select it and annotations ([`daybook_runtime::labels`]) that say exactly what
//!   it is; whatever does not carry them is never touched.
//! - [`export`] says of a whole environment what would be applied where no Daybook decides.
//! - Objects are applied by the server (server-side apply) under our own name: what somebody else has set is reported
//!   as a conflict, and stays.
//! - Nothing is remembered between calls that matters. A cluster goes on when no Daybook looks.

mod cache;
mod charts;
mod cluster;
mod edge;
mod entry;
mod environments;
mod error;
mod examine;
mod exec;
pub mod export;
mod images;
mod keeper;
mod lease;
mod logs;
pub mod names;
mod objects;
mod observe;
mod pods;
mod probe;
mod program;
mod reach;
mod rendered;
mod replica;
mod resources;
mod seen;
mod silence;
mod troubles;
mod tunnel;
mod usage;
mod volume_files;
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use daybook_model::fingerprint::Fingerprint;
use daybook_model::launch::Role;
use daybook_model::name::{EnvKey, NetworkName, ServiceName, VolumeName};
use daybook_model::spec::{Artifact, ChartObjects, Check, Network, Quota, Stop, Volume};
use daybook_model::target::ClusterTarget;
use daybook_model::trouble::Trouble;
use daybook_model::{Digest, Launch, ReplicaId, SeenReplica, Service, Target};
use daybook_runtime::docker::DockerRuntime;
use daybook_runtime::owner::Owners;
use daybook_runtime::volume_files::Taken;
use daybook_runtime::{
    Answer, Capabilities, Error, ErrorKind, Exchange, Exec, ExecRequest, FarVolume, Finding, LogLine, LogQuery, Owner,
    Progress, Reached, Result, Runtime, Seen, TargetState, Usage,
};
use futures::stream::BoxStream;

use cache::Cache;
use charts::Helm;
use cluster::Cluster;
pub use edge::{ClusterEdge, EdgeFiles, KeptTable, Outside};
use environments::Made;
use images::Images;
use keeper::Keepers;
pub use lease::{Held, Lease};
pub use objects::entry::Hosts;
use silence::Silence;
use troubles::Told;
pub use tunnel::Tunnel;
use volume_files::Helped;

/// Which cluster, and what is needed beside it.
pub struct Config {
    /// The cluster, and how it is reached.
    pub target: ClusterTarget,
    /// The file with its address and credentials. `None`: `KUBECONFIG`, then `~/.kube/config`; in a pod, the pod's own.
    pub kubeconfig: Option<PathBuf>,
    /// Daybook's state directory.
    pub state: PathBuf,
    /// Whose the things are that are made, where several servers share their state. `None`: the state directory's.
    pub owner: Option<String>,
    /// What builds images. `None`: only images that a registry has can run.
    pub builder: Option<DockerRuntime>,
}

/// Runs replicas in a cluster.
pub struct KubernetesRuntime {
    cluster: Cluster,
    cache: Cache,
    keepers: Keepers,
    told: Told,
    silence: Arc<Silence>,
    measuring: Silence,
    owners: Owners,
    images: Images,
    helm: Helm,
    made: Made,
    helped: Helped,
    target: ClusterTarget,
    reaches_pods: bool,
}

impl KubernetesRuntime {
    /// Finds the cluster and asks who else uses it.
    ///
    /// `ErrorKind::Unavailable` when it does not answer, `ErrorKind::Refused` for a kubeconfig that cannot be used and
    /// for credentials that the cluster does not accept.
    pub async fn connect(config: Config) -> Result<Self> {
        let cluster = Cluster::connect(&config.target, config.kubeconfig.as_deref()).await?;
        let labelled = match environments::labelled(&cluster).await {
            // What may not be looked at cannot be ours; what else is not permitted is told when it is needed.
            Err(error) if error.kind == ErrorKind::Refused => Vec::new(),
            labelled => labelled?,
        };
        let owners = match config.owner {
            Some(id) => Owners::shared(&config.state, id)?,
            None => Owners::open(&config.state, &labelled)?,
        };
        Ok(Self {
            helm: Helm::new(config.kubeconfig, cluster.context.clone(), &config.state),
            images: Images::new(config.target.registry.clone(), config.builder, &config.state),
            cache: Cache::begin(&cluster),
            keepers: Keepers::default(),
            told: Told::default(),
            silence: Arc::new(Silence::of(3)),
            measuring: Silence::of(1),
            cluster,
            owners,
            made: Made::default(),
            helped: Helped::default(),
            reaches_pods: config.target.reaches_pods,
            target: config.target,
        })
    }
}

/// Puts this very program into a registry, unless it is there. Its image, by digest.
pub async fn publish_program(registry: &str) -> Result<String> {
    // Nothing is kept in a state directory for this.
    let images = Images::new(Some(registry.to_owned()), None, Path::new(""));
    images.publish_program(program::Program::own().await?).await
}

impl KubernetesRuntime {
    /// Where the API server is. Two targets with one address are in one cluster.
    pub fn api_server(&self) -> &str {
        &self.cluster.url
    }

    /// The one namespace of all environments, where the target names one.
    pub fn only_namespace(&self) -> Option<&str> {
        self.cluster.only.as_deref()
    }
}

/// An error of a launch that a cluster cannot honour.
fn refused(launch: &Launch, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Refused, format!("make {}", launch.id), why)
}

#[async_trait]
impl Runtime for KubernetesRuntime {
    fn capabilities(&self) -> Capabilities {
        // What bounds a namespace bounds all who share it.
        Capabilities { quotas: self.cluster.only.is_none(), ..Capabilities::of_a_cluster() }
    }

    async fn check(&self) -> Result<String> {
        self.cluster.version().await
    }

    async fn targets(&self) -> Vec<TargetState> {
        let version = self.check().await.map_err(|error| error.to_string());
        let machines = self.machines().await.ok();
        let target = Some(Target::Kubernetes(self.target.clone()));
        vec![TargetState { target, version, machines, environments: BTreeSet::new() }]
    }

    async fn troubles(&self, key: &EnvKey, service: &ServiceName) -> Result<Vec<Trouble>> {
        match self.is_chart(key, service).await? {
            true => self.troubles_of_chart(key, service).await,
            false => self.troubles_of(key, service).await,
        }
    }

    async fn examine(&self, _: &Target) -> Result<Vec<Finding>> {
        self.look_at_everything().await
    }

    async fn resolve(&self, key: &EnvKey, artifact: &Artifact) -> Result<Digest> {
        match artifact.chart() {
            Some(chart) => self.helm.resolve(chart).await,
            None => self.images.resolve(key, artifact).await,
        }
    }

    async fn present(&self, key: &EnvKey, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>> {
        self.present_images(key, digests).await
    }

    async fn prepare(&self, key: &EnvKey, artifact: &Artifact, progress: Progress<'_>) -> Result<()> {
        match artifact.chart() {
            Some(chart) => self.helm.prepare(chart, progress).await,
            None => self.images.prepare(key, artifact, progress).await,
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

    async fn set_quota(&self, key: &EnvKey, quota: Option<&Quota>) -> Result<()> {
        self.bound(key, quota).await
    }

    async fn create_network(&self, key: &EnvKey, name: &NetworkName, network: &Network) -> Result<()> {
        self.make_network(key, name, network).await
    }

    async fn create_volume(&self, key: &EnvKey, name: &VolumeName, volume: &Volume) -> Result<()> {
        self.make_volume(key, name, volume).await
    }

    async fn take_volume(&self, far: &FarVolume<'_>, into: &Path) -> Result<Taken> {
        self.take_files(far, into).await
    }

    async fn lay_volume(&self, far: &FarVolume<'_>, from: &Path) -> Result<()> {
        self.lay_files(far, from).await
    }

    async fn exchange_volume(&self, far: &FarVolume<'_>) -> Result<()> {
        self.exchange_files(far).await
    }

    async fn settle_volume(&self, far: &FarVolume<'_>) -> Result<Exchange> {
        self.settle_files(far).await
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

    /// Services have names of their own in the cluster, which the nodes balance.
    async fn service_address(&self, _: &EnvKey, _: &ServiceName) -> Result<Option<IpAddr>> {
        Ok(None)
    }

    async fn release(&self, key: &EnvKey) -> Result<()> {
        self.drop_environment(key).await
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

    async fn reach(&self, key: &EnvKey, replica: &SeenReplica, port: u16) -> Result<Reached> {
        self.way_to(key, replica, port).await
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

    async fn chart_objects(&self, key: &EnvKey, service: &Service) -> Result<ChartObjects> {
        self.render(key, service).await
    }

    async fn release_chart(&self, key: &EnvKey, service: &Service, fingerprint: &Fingerprint) -> Result<()> {
        self.release_by_helm(key, service, fingerprint).await
    }

    async fn remove_chart(&self, key: &EnvKey, service: &ServiceName) -> Result<()> {
        self.remove_by_helm(key, service).await
    }

    async fn usage(&self, key: &EnvKey) -> Result<Vec<Usage>> {
        self.measure(key).await
    }

    async fn exec(&self, key: &EnvKey, id: &ReplicaId, command: &ExecRequest) -> Result<Exec> {
        self.run_inside(key, id, command).await
    }
}
