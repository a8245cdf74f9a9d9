//! What runs replicas wherever a target leads to: this machine, and any number of clusters.

#[cfg(feature = "kubernetes")]
mod clusters;
#[cfg(not(feature = "kubernetes"))]
#[path = "fleet/none.rs"]
mod clusters;
mod places;
#[cfg(feature = "kubernetes")]
mod router;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use daybook_model::fingerprint::Fingerprint;
use daybook_model::launch::Role;
use daybook_model::name::{NetworkName, VolumeName};
use daybook_model::spec::{Artifact, ChartObjects, Check, Network, Quota, Service, Stop, Volume};
use daybook_model::target::ClusterTarget;
use daybook_model::traffic::Traffic;
use daybook_model::trouble::Trouble;
use daybook_model::{Digest, EnvKey, EnvRoutes, Launch, ReplicaId, SeenReplica, ServiceName, Target};
use daybook_runtime::volume_files::Taken;
use daybook_runtime::{
    Answer, Capabilities, Entrance, Exchange, Exec, ExecRequest, FarVolume, Finding, LogLine, LogQuery, Owner,
    Progress, Reached, Result, Router, Runtime, Seen, TargetState, Usage,
};
use futures::stream::BoxStream;
use tokio::sync::OnceCell;

use clusters::Joined;

use crate::term::Term;

/// This machine and the clusters that environments are on.
pub(crate) struct Fleet {
    home: Arc<dyn Runtime>,
    home_router: Arc<dyn Router>,
    state: PathBuf,
    /// Whose the things are that are made, where several servers share their state.
    owner: Option<String>,
    /// Nothing is changed after it.
    term: Term,
    clusters: Mutex<BTreeMap<ClusterTarget, Arc<OnceCell<Joined>>>>,
    places: Mutex<BTreeMap<EnvKey, ClusterTarget>>,
}

impl Fleet {
    /// A fleet that has only this machine's runtime until an environment is placed elsewhere.
    pub(crate) fn new(
        home: Arc<dyn Runtime>,
        home_router: Arc<dyn Router>,
        state: PathBuf,
        owner: Option<String>,
        term: Term,
    ) -> Self {
        Self { home, home_router, state, owner, term, clusters: Mutex::default(), places: Mutex::default() }
    }

    fn cluster_of(&self, key: &EnvKey) -> Option<ClusterTarget> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// What runs an environment. A cluster is connected to when it is first needed: one that is away delays nobody
    /// who needs another.
    async fn of(&self, key: &EnvKey) -> Result<Arc<dyn Runtime>> {
        match self.cluster_of(key) {
            None => Ok(self.home.clone()),
            Some(target) => Ok(self.cluster(&target).await?.runtime),
        }
    }

    /// What sends requests to an environment.
    async fn router_of(&self, key: &EnvKey) -> Result<Arc<dyn Router>> {
        match self.cluster_of(key) {
            Some(target) if !target.reaches_pods => Ok(self.cluster(&target).await?.router),
            _ => Ok(self.home_router.clone()),
        }
    }

    async fn cluster(&self, target: &ClusterTarget) -> Result<Joined> {
        let cell = {
            let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
            clusters.entry(target.clone()).or_default().clone()
        };
        cell.get_or_try_init(|| clusters::join(target, &self.state, self.owner.clone())).await.cloned()
    }

    async fn state_of(&self, target: &ClusterTarget) -> Vec<TargetState> {
        match self.cluster(target).await {
            Ok(joined) => joined.runtime.targets().await,
            Err(error) => vec![TargetState {
                target: Some(Target::Kubernetes(target.clone())),
                version: Err(error.to_string()),
                machines: None,
                environments: BTreeSet::new(),
            }],
        }
    }

    /// The clusters that some environment is on.
    fn clusters(&self) -> BTreeSet<ClusterTarget> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[async_trait]
impl Router for Fleet {
    async fn set(&self, key: &EnvKey, routes: EnvRoutes) -> Result<()> {
        self.term.within(async { self.router_of(key).await?.set(key, routes).await }).await
    }

    async fn get(&self, key: &EnvKey) -> Result<EnvRoutes> {
        self.router_of(key).await?.get(key).await
    }

    async fn traffic(&self, key: &EnvKey) -> Result<Traffic> {
        self.router_of(key).await?.traffic(key).await
    }

    async fn entrance(&self, key: &EnvKey) -> Result<Option<Entrance>> {
        self.router_of(key).await?.entrance(key).await
    }
}

#[async_trait]
impl Runtime for Fleet {
    fn capabilities(&self) -> Capabilities {
        self.home.capabilities()
    }

    async fn place(&self, key: &EnvKey, target: Option<&Target>) -> Result<()> {
        let Some(Target::Kubernetes(cluster)) = target else {
            self.places.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
            return self.home.place(key, target).await;
        };
        self.places.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), cluster.clone());
        Ok(())
    }

    async fn targets(&self) -> Vec<TargetState> {
        let mut all = self.home.targets().await;
        for target in self.clusters() {
            all.extend(self.state_of(&target).await);
        }
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        for state in &mut all {
            let of_this = |(_, place): &(&EnvKey, &ClusterTarget)| {
                state.target.as_ref() == Some(&Target::Kubernetes((*place).clone()))
            };
            state.environments = places.iter().filter(of_this).map(|(key, _)| key.clone()).collect();
        }
        all
    }

    async fn examine(&self, target: &Target) -> Result<Vec<Finding>> {
        match target {
            Target::Kubernetes(cluster) => self.cluster(cluster).await?.runtime.examine(target).await,
            Target::Process | Target::Docker => self.home.examine(target).await,
        }
    }

    fn capabilities_for(&self, key: &EnvKey) -> Capabilities {
        match self.cluster_of(key) {
            None => self.home.capabilities(),
            Some(_) => Capabilities::of_a_cluster(),
        }
    }

    async fn check(&self) -> Result<String> {
        self.home.check().await
    }

    async fn resolve(&self, key: &EnvKey, artifact: &Artifact) -> Result<Digest> {
        self.of(key).await?.resolve(key, artifact).await
    }

    async fn present(&self, key: &EnvKey, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>> {
        self.of(key).await?.present(key, digests).await
    }

    async fn prepare(&self, key: &EnvKey, artifact: &Artifact, progress: Progress<'_>) -> Result<()> {
        self.term.within(async { self.of(key).await?.prepare(key, artifact, progress).await }).await
    }

    async fn observe(&self, key: &EnvKey) -> Result<Seen> {
        self.of(key).await?.observe(key).await
    }

    async fn environments(&self) -> Result<BTreeSet<EnvKey>> {
        let mut all = self.home.environments().await?;
        for target in self.clusters() {
            all.extend(self.cluster(&target).await?.runtime.environments().await?);
        }
        Ok(all)
    }

    async fn others(&self) -> Result<BTreeMap<EnvKey, Owner>> {
        let mut all = self.home.others().await?;
        for target in self.clusters() {
            all.extend(self.cluster(&target).await?.runtime.others().await?);
        }
        Ok(all)
    }

    async fn take_over(&self, key: &EnvKey) -> Result<()> {
        self.term.within(async { self.of(key).await?.take_over(key).await }).await
    }

    async fn set_quota(&self, key: &EnvKey, quota: Option<&Quota>) -> Result<()> {
        self.term.within(async { self.of(key).await?.set_quota(key, quota).await }).await
    }

    async fn create_network(&self, key: &EnvKey, name: &NetworkName, network: &Network) -> Result<()> {
        self.term.within(async { self.of(key).await?.create_network(key, name, network).await }).await
    }

    async fn create_volume(&self, key: &EnvKey, name: &VolumeName, volume: &Volume) -> Result<()> {
        self.term.within(async { self.of(key).await?.create_volume(key, name, volume).await }).await
    }

    async fn volume_directory(&self, key: &EnvKey, name: &VolumeName, volume: &Volume) -> Result<Option<PathBuf>> {
        self.of(key).await?.volume_directory(key, name, volume).await
    }

    async fn take_volume(&self, far: &FarVolume<'_>, into: &Path) -> Result<Taken> {
        self.term.within(async { self.of(far.key).await?.take_volume(far, into).await }).await
    }

    async fn lay_volume(&self, far: &FarVolume<'_>, from: &Path) -> Result<()> {
        self.term.within(async { self.of(far.key).await?.lay_volume(far, from).await }).await
    }

    async fn exchange_volume(&self, far: &FarVolume<'_>) -> Result<()> {
        self.term.within(async { self.of(far.key).await?.exchange_volume(far).await }).await
    }

    async fn settle_volume(&self, far: &FarVolume<'_>) -> Result<Exchange> {
        self.term.within(async { self.of(far.key).await?.settle_volume(far).await }).await
    }

    async fn start(&self, launch: &Launch) -> Result<()> {
        self.term.within(async { self.of(&launch.key).await?.start(launch).await }).await
    }

    async fn stop(&self, key: &EnvKey, id: &ReplicaId, role: Role, stop: &Stop) -> Result<()> {
        self.term.within(async { self.of(key).await?.stop(key, id, role, stop).await }).await
    }

    async fn remove(&self, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<()> {
        self.term.within(async { self.of(key).await?.remove(key, id, role).await }).await
    }

    async fn service_address(&self, key: &EnvKey, service: &ServiceName) -> Result<Option<IpAddr>> {
        self.of(key).await?.service_address(key, service).await
    }

    async fn path_inside(&self, key: &EnvKey, id: &ReplicaId, role: Role, path: &str) -> Result<String> {
        self.of(key).await?.path_inside(key, id, role, path).await
    }

    async fn chart_objects(&self, key: &EnvKey, service: &Service) -> Result<ChartObjects> {
        self.of(key).await?.chart_objects(key, service).await
    }

    async fn release_chart(&self, key: &EnvKey, service: &Service, fingerprint: &Fingerprint) -> Result<()> {
        self.term.within(async { self.of(key).await?.release_chart(key, service, fingerprint).await }).await
    }

    async fn remove_chart(&self, key: &EnvKey, service: &ServiceName) -> Result<()> {
        self.term.within(async { self.of(key).await?.remove_chart(key, service).await }).await
    }

    async fn release(&self, key: &EnvKey) -> Result<()> {
        self.term.within(async { self.of(key).await?.release(key).await }).await
    }

    async fn remove_network(&self, key: &EnvKey, name: &NetworkName) -> Result<()> {
        self.term.within(async { self.of(key).await?.remove_network(key, name).await }).await
    }

    async fn remove_volume(&self, key: &EnvKey, name: &VolumeName) -> Result<()> {
        self.term.within(async { self.of(key).await?.remove_volume(key, name).await }).await
    }

    async fn probe(&self, key: &EnvKey, replica: &SeenReplica, check: &Check) -> Result<Answer> {
        self.of(key).await?.probe(key, replica, check).await
    }

    async fn reach(&self, key: &EnvKey, replica: &SeenReplica, port: u16) -> Result<Reached> {
        self.of(key).await?.reach(key, replica, port).await
    }

    async fn logs(
        &self,
        key: &EnvKey,
        id: &ReplicaId,
        role: Role,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        self.of(key).await?.logs(key, id, role, query).await
    }

    async fn troubles(&self, key: &EnvKey, service: &ServiceName) -> Result<Vec<Trouble>> {
        self.of(key).await?.troubles(key, service).await
    }

    async fn usage(&self, key: &EnvKey) -> Result<Vec<Usage>> {
        self.of(key).await?.usage(key).await
    }

    async fn exec(&self, key: &EnvKey, id: &ReplicaId, command: &ExecRequest) -> Result<Exec> {
        self.of(key).await?.exec(key, id, command).await
    }
}
