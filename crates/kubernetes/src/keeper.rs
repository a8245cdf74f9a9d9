//! The workload that keeps a replica, whichever kind it is.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use daybook_model::ReplicaId;
use daybook_model::launch::Role;
use daybook_model::name::EnvKey;
use daybook_model::observed::Exit;
use daybook_runtime::identity::{Identity, identity};
use daybook_runtime::{Error, ErrorKind, Result};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::objects::{Kind, MANAGED_BY, Pairs};
use crate::{KubernetesRuntime, names};

/// How the process of a replica ended that was asked to: written down, because its pod is no more.
pub(crate) const EXIT: &str = "daybook.dev/exit";

/// A workload of ours.
#[derive(Debug, Clone)]
pub(crate) struct Keeper {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) identity: Identity,
    /// Whether a pod of it should be there.
    pub(crate) wanted: bool,
    /// Whether it has come to its end by itself.
    pub(crate) over: bool,
    /// Attempts that failed.
    pub(crate) failed: u32,
    /// See [`EXIT`].
    pub(crate) exit: Option<Exit>,
    /// It is being deleted.
    pub(crate) leaving: bool,
    /// Its image is the artifact itself, not one that was built here out of it.
    pub(crate) pulls: bool,
}

/// Workloads that were read, by their identity in the cluster: of most of them nothing changes between two looks.
#[derive(Default)]
pub(crate) struct Keepers(Mutex<HashMap<String, Known>>);

struct Known {
    version: String,
    keeper: Option<Arc<Keeper>>,
}

impl Keepers {
    /// So many are remembered beyond those that were looked at last.
    const SPARE: usize = 1_000;

    /// A workload, read if it is not known in its version.
    fn of(&self, meta: &ObjectMeta, read: impl FnOnce() -> Option<Keeper>) -> Option<Arc<Keeper>> {
        let (Some(uid), Some(version)) = (&meta.uid, &meta.resource_version) else { return read().map(Arc::new) };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(uid).filter(|known| known.version == *version) {
            return known.keeper.clone();
        }
        let keeper = read().map(Arc::new);
        all.insert(uid.clone(), Known { version: version.clone(), keeper: keeper.clone() });
        keeper
    }

    /// Forgets them all where most are not there any more.
    pub(crate) fn tidy(&self, there: usize) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() > 2 * there + Self::SPARE {
            all.clear();
        }
    }
}

impl Keeper {
    /// A workload as it is read. `None`: it is not ours.
    fn read(kind: Kind, meta: &ObjectMeta, pod: Option<&PodSpec>) -> Option<Self> {
        let annotations = annotations(meta);
        let identity = match identity(annotations) {
            Ok(identity) => identity,
            Err(error) => {
                let name = meta.name.as_deref().unwrap_or_default();
                tracing::warn!(name, error, "annotations of ours are malformed; the workload is left alone");
                return None;
            }
        };
        let image = pod.and_then(|pod| pod.containers.first()?.image.as_deref()).unwrap_or_default();
        Some(Self {
            kind,
            name: meta.name.clone().unwrap_or_default(),
            pulls: image.ends_with(&format!("@{}", identity.artifact)),
            identity,
            wanted: true,
            over: false,
            failed: 0,
            exit: annotations.get(EXIT).and_then(|text| serde_json::from_str(text).ok()),
            leaving: meta.deletion_timestamp.is_some(),
        })
    }

    pub(crate) fn of_deployment(found: &Deployment) -> Option<Self> {
        let wanted = found.spec.replicas != Some(0);
        Some(Self { wanted, ..Self::read(Kind::Deployment, &found.metadata, found.spec.template.spec.as_ref())? })
    }

    pub(crate) fn of_stateful_set(found: &StatefulSet) -> Option<Self> {
        let wanted = found.spec.replicas != Some(0);
        Some(Self { wanted, ..Self::read(Kind::StatefulSet, &found.metadata, found.spec.template.spec.as_ref())? })
    }

    pub(crate) fn of_job(found: &Job) -> Option<Self> {
        let status = found.status.as_ref();
        let is_over = |kind: &str| matches!(kind, "Complete" | "Failed");
        let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let failed = status.and_then(|status| status.failed).and_then(|count| u32::try_from(count).ok());
        Some(Self {
            wanted: found.spec.as_ref().and_then(|spec| spec.suspend) != Some(true),
            over: conditions.iter().any(|condition| is_over(&condition.type_) && condition.status == "True"),
            failed: failed.unwrap_or(0),
            ..Self::read(Kind::Job, &found.metadata, found.spec.as_ref().and_then(|spec| spec.template.spec.as_ref()))?
        })
    }
}

/// What annotations say: a runtime's labels.
pub(crate) fn annotations(meta: &ObjectMeta) -> &BTreeMap<String, String> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    meta.annotations.as_ref().unwrap_or(&NONE)
}

impl KubernetesRuntime {
    /// The workload of a replica. An error of `operation` when its name is taken by something that is not ours.
    pub(crate) async fn keeper(
        &self,
        operation: &str,
        key: &EnvKey,
        id: &ReplicaId,
        role: Role,
    ) -> Result<Option<Keeper>> {
        let name = names::workload(id, role);
        let of_main = async |is_main: bool| match is_main {
            true => futures::try_join!(
                self.cluster.get::<Deployment>(key, &name),
                self.cluster.get::<StatefulSet>(key, &name)
            ),
            false => Ok((None, None)),
        };
        let ((deployment, set), job) =
            futures::try_join!(of_main(role == Role::Main), self.cluster.get::<Job>(key, &name))?;
        let found = [
            deployment.map(|found| (found.metadata.clone(), Keeper::of_deployment(&found))),
            set.map(|found| (found.metadata.clone(), Keeper::of_stateful_set(&found))),
            job.map(|found| (found.metadata.clone(), Keeper::of_job(&found))),
        ];
        let Some((meta, keeper)) = found.into_iter().flatten().next() else { return Ok(None) };
        self.owners.refuse(operation, key, annotations(&meta))?;
        match keeper {
            Some(keeper)
                if keeper.identity.key == *key && keeper.identity.id == *id && keeper.identity.role == role =>
            {
                Ok(Some(keeper))
            }
            _ => {
                let message = format!("{name} is there in namespace {} and is not ours", self.cluster.namespace(key));
                Err(Error::new(ErrorKind::Conflict, operation, message).hint(format!("rename or remove {name}")))
            }
        }
    }

    /// The workload of a replica that must be there.
    pub(crate) async fn known(&self, operation: &str, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<Keeper> {
        let found = self.keeper(operation, key, id, role).await?;
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, operation, format!("{id} is not there")))
    }

    /// The workloads of an environment with such labels, by asking.
    pub(crate) async fn keepers(&self, key: &EnvKey, labels: &Pairs) -> Result<Vec<Arc<Keeper>>> {
        let namespace = self.cluster.namespace(key);
        let namespace = Some(namespace.as_str());
        let (deployments, sets, jobs) = futures::try_join!(
            self.cluster.list::<Deployment>(namespace, labels),
            self.cluster.list::<StatefulSet>(namespace, labels),
            self.cluster.list::<Job>(namespace, labels),
        )?;
        self.keepers_among(key, &deployments, &sets, &jobs)
    }

    /// The workloads of an environment among these. An error where one belongs to another Daybook.
    pub(crate) fn keepers_among(
        &self,
        key: &EnvKey,
        deployments: &[impl Borrow<Deployment>],
        sets: &[impl Borrow<StatefulSet>],
        jobs: &[impl Borrow<Job>],
    ) -> Result<Vec<Arc<Keeper>>> {
        let known = &self.keepers;
        let mut keepers = Vec::with_capacity(deployments.len() + sets.len() + jobs.len());
        let mut take = |meta: &ObjectMeta, keeper: Option<Arc<Keeper>>| -> Result<()> {
            self.owners.refuse("look at replicas", key, annotations(meta))?;
            keepers.extend(keeper.filter(|keeper| keeper.identity.key == *key && !keeper.leaving));
            Ok(())
        };
        for found in deployments.iter().map(Borrow::borrow) {
            take(&found.metadata, known.of(&found.metadata, || Keeper::of_deployment(found)))?;
        }
        for found in sets.iter().map(Borrow::borrow) {
            take(&found.metadata, known.of(&found.metadata, || Keeper::of_stateful_set(found)))?;
        }
        for found in jobs.iter().map(Borrow::borrow) {
            take(&found.metadata, known.of(&found.metadata, || Keeper::of_job(found)))?;
        }
        Ok(keepers)
    }
}

/// Whether an annotation marks a thing: a class as the default.
pub(crate) fn is_marked(meta: &ObjectMeta, mark: &str) -> bool {
    meta.annotations.as_ref().is_some_and(|marks| marks.get(mark).is_some_and(|is| is == "true"))
}

/// Whether labels say that a thing is ours to look at.
pub(crate) fn is_managed(meta: &ObjectMeta) -> bool {
    meta.labels.as_ref().is_some_and(|labels| labels.get(MANAGED_BY).is_some_and(|by| by == crate::objects::DAYBOOK))
}
