//! The life of one replica: made, started, asked to end, removed.

use std::time::Duration;

use daybook_model::launch::Role;
use daybook_model::name::EnvKey;
use daybook_model::observed::{Exit, ReplicaState};
use daybook_model::spec::{MountSource, Stop};
use daybook_model::{Launch, ReplicaId};
use daybook_runtime::{Error, ErrorKind, Result};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, PropagationPolicy};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;

use crate::cluster::{Kept, kind};
use crate::keeper::{EXIT, Keeper, annotations, is_managed};
use crate::objects::{
    self, Kind, LEAVING, SERVICE, Surroundings, Workload, of_environment, of_replica, of_service, selector,
};
use crate::pods::{has_ended, last_exit};
use crate::seen::seen;
use crate::{KubernetesRuntime, names};

/// How long the cluster gets to carry out a stop or a removal beyond what was asked for.
const END_PATIENCE: Duration = Duration::from_secs(60);
/// How long a controller may take to know that a workload should have no pod any more.
const TAKEN_BACK_WITHIN: Duration = Duration::from_secs(5);
/// Until it is asked again whether it does.
const SOON: Duration = Duration::from_millis(30);
/// Until something is looked at again that is going away.
const AGAIN: Duration = Duration::from_millis(100);

impl KubernetesRuntime {
    pub(crate) async fn start_replica(&self, launch: &Launch) -> Result<()> {
        let operation = format!("start {}", launch.id);
        let Some(keeper) = self.keeper(&operation, &launch.key, &launch.id, launch.role).await? else {
            return self.make(launch).await;
        };
        if keeper.leaving {
            let message = "it is still being removed";
            return Err(Error::new(ErrorKind::Unavailable, operation, message));
        }
        let there = &keeper.identity.fingerprint;
        if *there != launch.fingerprint {
            let message = format!("it is there with configuration {there}, not {}", launch.fingerprint);
            return Err(Error::new(ErrorKind::Conflict, operation, message));
        }
        match keeper.kind {
            Kind::Job if keeper.over || !keeper.wanted => {
                self.delete_keeper(&launch.key, &keeper).await?;
                self.make(launch).await
            }
            Kind::Job => Ok(()),
            Kind::Deployment | Kind::StatefulSet if keeper.wanted => Ok(()),
            Kind::Deployment | Kind::StatefulSet => self.set_wanted(&launch.key, &keeper, true).await,
        }
    }

    /// Makes a replica: what it needs first, so that its pod never waits for it.
    async fn make(&self, launch: &Launch) -> Result<()> {
        self.check_volumes(launch).await?;
        let around = self.surroundings(launch).await?;
        let (level, reasons) = objects::needs(launch, &around);
        self.make_environment(&launch.key, level).await?;
        if !reasons.is_empty() {
            tracing::info!(replica = %launch.id, level = level.as_str(), reasons = reasons.join("; "), "more than restricted");
        }
        let workload = objects::workload(launch, &around)?;
        if let Some(secret) = objects::secret(launch, &around) {
            self.put(&launch.key, &secret).await?;
        }
        if let Some(map) = objects::config_map(launch, &around) {
            self.put(&launch.key, &map).await?;
        }
        for service in objects::services(launch, &around) {
            self.put(&launch.key, &service).await?;
        }
        if let Some(budget) = objects::budget(launch, &around) {
            self.put(&launch.key, &budget).await?;
        }
        match workload {
            Workload::Deployment(it) => self.cluster.apply(&launch.key, &*it).await.map(drop),
            Workload::StatefulSet(it) => self.cluster.apply(&launch.key, &*it).await.map(drop),
            Workload::Job(it) => self.cluster.apply(&launch.key, &*it).await.map(drop),
        }
    }

    async fn surroundings(&self, launch: &Launch) -> Result<Surroundings> {
        let image = self.images.of(launch).await?;
        Ok(Surroundings {
            image: image.reference,
            image_user: image.user,
            owner: self.owner_annotations(),
            namespace: self.cluster.namespace(&launch.key),
            ..Surroundings::default()
        })
    }

    /// Applies something that may be there already, if it is ours. Of what cannot be changed once it is there, what an
    /// interrupted start has left goes first.
    pub(crate) async fn put<K: Kept>(&self, key: &EnvKey, object: &K) -> Result<()> {
        let name = object.meta().name.clone().unwrap_or_default();
        if let Some(found) = self.cluster.get::<K>(key, &name).await? {
            let operation = format!("apply {} {name}", kind::<K>());
            self.owners.refuse(&operation, key, annotations(found.meta()))?;
            if !is_managed(found.meta()) {
                let message = format!("it is there in namespace {} and is not ours", self.cluster.namespace(key));
                return Err(
                    Error::new(ErrorKind::Conflict, operation, message).hint(format!("rename or remove {name}"))
                );
            }
        }
        match self.cluster.apply(key, object).await {
            Err(error) if error.kind == ErrorKind::Refused && error.message.contains("immutable") => {
                self.delete_ours::<K>(key, &name).await?;
                self.cluster.apply(key, object).await.map(drop)
            }
            other => other.map(drop),
        }
    }

    async fn delete_ours<K: Kept>(&self, key: &EnvKey, name: &str) -> Result<()> {
        let found = self.cluster.get::<K>(key, name).await?;
        if found.is_some_and(|found| is_managed(found.meta())) {
            self.cluster.delete::<K>(key, name, &DeleteParams::default()).await?;
        }
        Ok(())
    }

    /// A pod whose claim is missing waits for ever.
    async fn check_volumes(&self, launch: &Launch) -> Result<()> {
        for mount in &launch.container.mounts {
            let MountSource::Volume { name, .. } = &mount.source else { continue };
            let called = objects::claim_name(launch, name);
            if self.cluster.get::<PersistentVolumeClaim>(&launch.key, &called).await?.is_none() {
                let message = format!("volume {called} is not there");
                return Err(Error::new(ErrorKind::NotFound, format!("make {}", launch.id), message));
            }
        }
        Ok(())
    }

    async fn set_wanted(&self, key: &EnvKey, keeper: &Keeper, wanted: bool) -> Result<()> {
        let change = match keeper.kind {
            Kind::Deployment | Kind::StatefulSet => json!({"spec": {"replicas": i32::from(wanted)}}),
            Kind::Job => json!({"spec": {"suspend": !wanted}}),
        };
        self.change_keeper(key, keeper, change).await
    }

    async fn change_keeper(&self, key: &EnvKey, keeper: &Keeper, change: serde_json::Value) -> Result<()> {
        match keeper.kind {
            Kind::Deployment => self.cluster.change::<Deployment>(key, &keeper.name, change).await,
            Kind::StatefulSet => self.cluster.change::<StatefulSet>(key, &keeper.name, change).await,
            Kind::Job => self.cluster.change::<Job>(key, &keeper.name, change).await,
        }
    }

    /// Ends a replica's process and sees that it has ended. That it should run is taken back first, so that nobody
    /// starts it again; how it ended is written down, because its pod goes.
    pub(crate) async fn stop_replica(&self, key: &EnvKey, id: &ReplicaId, role: Role, stop: &Stop) -> Result<()> {
        let operation = format!("stop {id}");
        let Some(keeper) = self.keeper(&operation, key, id, role).await? else { return Ok(()) };
        let pods = self.cluster.pods_of(key, id, role).await?;
        let living: Vec<_> = pods.iter().filter(|pod| !has_ended(pod)).collect();
        if living.is_empty() && (keeper.over || !keeper.wanted) {
            return Ok(());
        }
        if keeper.wanted && !keeper.over {
            self.set_wanted(key, &keeper, false).await?;
            self.until_taken_back(key, &keeper).await?;
        }
        let grace = stop.grace_ms.div_ceil(1000).max(1);
        for pod in &living {
            let seconds = grace + leaving(pod);
            let how = DeleteParams { grace_period_seconds: u32::try_from(seconds).ok(), ..DeleteParams::default() };
            self.cluster.delete::<Pod>(key, pod.metadata.name.as_deref().unwrap_or_default(), &how).await?;
        }
        let patience = Duration::from_secs(grace + LEAVING) + END_PATIENCE;
        let waited = tokio::time::timeout(patience, self.until_gone(&operation, key, id, role)).await;
        let exit = waited.map_err(|_| {
            let message = format!("its pod is still there after {} s", patience.as_secs());
            Error::new(ErrorKind::Unavailable, operation, message).hint("is its node well? `kubectl get nodes` tells")
        })??;
        match exit {
            Some(exit) => self.write_exit(key, &keeper, &exit).await,
            None => Ok(()),
        }
    }

    /// Waits until the controller of a workload knows that no pod of it should be there: before that it makes another in
    /// the place of one that goes. A controller that is away is not waited for.
    async fn until_taken_back(&self, key: &EnvKey, keeper: &Keeper) -> Result<()> {
        let known = async {
            while !self.is_taken_back(key, keeper).await? {
                tokio::time::sleep(SOON).await;
            }
            Ok(())
        };
        tokio::time::timeout(TAKEN_BACK_WITHIN, known).await.unwrap_or(Ok(()))
    }

    async fn is_taken_back(&self, key: &EnvKey, keeper: &Keeper) -> Result<bool> {
        let (asked, observed) = match keeper.kind {
            Kind::Deployment => match self.cluster.get::<Deployment>(key, &keeper.name).await? {
                Some(found) => (found.metadata.generation, found.status.and_then(|status| status.observed_generation)),
                None => return Ok(true),
            },
            Kind::StatefulSet => match self.cluster.get::<StatefulSet>(key, &keeper.name).await? {
                Some(found) => (found.metadata.generation, found.status.and_then(|status| status.observed_generation)),
                None => return Ok(true),
            },
            // Its pods are ended by the controller itself.
            Kind::Job => return Ok(true),
        };
        Ok(observed >= asked)
    }

    /// Watches the pods of a replica until none is left that has not ended. How the last one ended, if it was told.
    async fn until_gone(&self, operation: &str, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<Option<Exit>> {
        let config = watcher::Config::default().labels(&selector(&of_replica(key, id, role)));
        let mut events = std::pin::pin!(watcher(self.cluster.of::<Pod>(key), config));
        let mut living = std::collections::BTreeSet::new();
        let mut listed = false;
        let mut exit = None;
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    tracing::debug!(operation, %error, "the watch of a pod is begun again");
                    continue;
                }
            };
            match event {
                Event::Init => {
                    living.clear();
                    listed = false;
                }
                Event::InitDone => listed = true,
                Event::InitApply(pod) | Event::Apply(pod) => {
                    exit = last_exit(&pod).or(exit);
                    let name = pod.metadata.name.clone().unwrap_or_default();
                    if has_ended(&pod) {
                        living.remove(&name)
                    } else {
                        living.insert(name)
                    };
                }
                Event::Delete(pod) => {
                    exit = last_exit(&pod).or(exit);
                    living.remove(pod.metadata.name.as_deref().unwrap_or_default());
                }
            }
            if listed && living.is_empty() {
                return Ok(exit);
            }
        }
        Err(Error::new(ErrorKind::Unavailable, operation, "the API server ended the watch of its pod"))
    }

    async fn write_exit(&self, key: &EnvKey, keeper: &Keeper, exit: &Exit) -> Result<()> {
        let text = serde_json::to_string(exit).expect("an exit is plain data");
        self.change_keeper(key, keeper, json!({"metadata": {"annotations": {EXIT: text}}})).await
    }

    pub(crate) async fn remove_replica(&self, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<()> {
        let operation = format!("remove {id}");
        if let Some(keeper) = self.keeper(&operation, key, id, role).await? {
            let pods = self.cluster.pods_of(key, id, role).await?;
            let now = seen(&keeper, &pods.iter().collect::<Vec<_>>()).state;
            // A pod of one that should not run is on its way out, and goes with it.
            if keeper.wanted && now != ReplicaState::Exited {
                return Err(Error::new(ErrorKind::Conflict, operation, "it runs: stop it first"));
            }
            self.delete_keeper(key, &keeper).await?;
        }
        let name = names::workload(id, role);
        self.delete_ours::<Secret>(key, &name).await?;
        self.delete_ours::<ConfigMap>(key, &name).await?;
        if role == Role::Main {
            self.drop_service_of_none(key, id).await?;
        }
        Ok(())
    }

    /// Deletes a workload and its pods, and waits until it is gone.
    async fn delete_keeper(&self, key: &EnvKey, keeper: &Keeper) -> Result<()> {
        match keeper.kind {
            Kind::Deployment => self.delete_whole::<Deployment>(key, &keeper.name).await,
            Kind::StatefulSet => self.delete_whole::<StatefulSet>(key, &keeper.name).await,
            Kind::Job => self.delete_whole::<Job>(key, &keeper.name).await,
        }
    }

    pub(crate) async fn delete_whole<K: Kept>(&self, key: &EnvKey, name: &str) -> Result<()> {
        let with_pods =
            DeleteParams { propagation_policy: Some(PropagationPolicy::Foreground), ..DeleteParams::default() };
        self.cluster.delete::<K>(key, name, &with_pods).await?;
        let gone = async {
            while self.cluster.get::<K>(key, name).await?.is_some() {
                tokio::time::sleep(AGAIN).await;
            }
            Ok(())
        };
        tokio::time::timeout(END_PATIENCE, gone).await.unwrap_or_else(|_| {
            let message = format!("it is still there after {} s", END_PATIENCE.as_secs());
            Err(Error::new(ErrorKind::Unavailable, format!("delete {} {name}", kind::<K>()), message))
        })
    }

    /// Removes the Services of a service that has no replica any more.
    async fn drop_service_of_none(&self, key: &EnvKey, id: &ReplicaId) -> Result<()> {
        let mut labels = of_environment(key);
        labels.extend(of_service(key, id.service.as_str(), Role::Main).into_iter().filter(|(name, _)| name == SERVICE));
        let all = self.keepers(key, &labels).await?;
        let is_left = |keeper: &Keeper| keeper.identity.id.service == id.service && keeper.identity.role == Role::Main;
        if all.iter().any(|keeper| is_left(keeper)) {
            return Ok(());
        }
        let namespace = self.cluster.namespace(key);
        for service in self.cluster.list::<Service>(Some(&namespace), &labels).await? {
            let name = service.metadata.name.unwrap_or_default();
            self.cluster.delete::<Service>(key, &name, &DeleteParams::default()).await?;
        }
        self.delete_ours::<PodDisruptionBudget>(key, &names::resource(id.service.as_str())).await
    }
}

/// Seconds that a pod sleeps before it is asked to end.
fn leaving(pod: &Pod) -> u64 {
    let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
    let sleep = container.and_then(|container| container.lifecycle.as_ref()?.pre_stop.as_ref()?.sleep.as_ref());
    sleep.and_then(|sleep| u64::try_from(sleep.seconds).ok()).unwrap_or(0)
}
