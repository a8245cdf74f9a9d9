//! Namespaces, and which environments there are in a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use daybook_model::name::EnvKey;
use daybook_runtime::identity::{Labels, environment};
use daybook_runtime::{Error, ErrorKind, Owner, Result};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Resource as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use tokio::net::UnixStream;

use crate::KubernetesRuntime;
use crate::cluster::{Cluster, MANAGER, answer};
use crate::error::if_there;
use crate::keeper::{annotations, is_managed};
use crate::objects::{self, CLOSED, DAYBOOK, Level, MANAGED_BY, Pairs};

/// The environments whose namespace this process has seen to, and the security level that it set.
#[derive(Default)]
pub(crate) struct Made(Mutex<BTreeMap<EnvKey, Level>>);

impl Made {
    fn has(&self, key: &EnvKey, level: Level) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).is_some_and(|made| *made >= level)
    }

    fn set(&self, key: &EnvKey, level: Level) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), level);
    }

    fn forget(&self, key: &EnvKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

fn ours() -> Pairs {
    [(MANAGED_BY.to_owned(), DAYBOOK.to_owned())].into()
}

/// The annotations of everything in the cluster that makes an environment.
pub(crate) async fn labelled(cluster: &Cluster) -> Result<Vec<Labels>> {
    let (namespace, ours) = (cluster.only.as_deref(), ours());
    let (deployments, sets, jobs, claims, policies) = futures::try_join!(
        cluster.list::<Deployment>(namespace, &ours),
        cluster.list::<StatefulSet>(namespace, &ours),
        cluster.list::<Job>(namespace, &ours),
        cluster.list::<PersistentVolumeClaim>(namespace, &ours),
        cluster.list::<NetworkPolicy>(namespace, &ours),
    )?;
    let metas = deployments.iter().map(|found| &found.metadata).chain(sets.iter().map(|found| &found.metadata));
    let metas = metas.chain(jobs.iter().map(|found| &found.metadata)).chain(claims.iter().map(|found| &found.metadata));
    let metas = metas.chain(policies.iter().map(|found| &found.metadata));
    // The policy that closes an environment is there for as long as its namespace.
    let metas = metas.filter(|meta| meta.deletion_timestamp.is_none() && meta.name.as_deref() != Some(CLOSED));
    Ok(metas.map(|meta| annotations(meta).clone().into_iter().collect()).collect())
}

impl KubernetesRuntime {
    /// Makes the namespace of an environment, in which pods may need `level`, unless it is there.
    pub(crate) async fn make_environment(&self, key: &EnvKey, level: Level) -> Result<()> {
        if self.made.has(key, level) {
            return Ok(());
        }
        let around = self.around(key);
        if self.cluster.only.is_none() {
            self.make_namespace(key, level, &around).await?;
        }
        self.put(key, &objects::closed(key, &around)).await?;
        self.made.set(key, level);
        Ok(())
    }

    async fn make_namespace(&self, key: &EnvKey, level: Level, around: &objects::Surroundings) -> Result<()> {
        let api: Api<Namespace> = Api::all(self.cluster.client.clone());
        let operation = format!("make namespace {}", around.namespace);
        let found = answer(&operation, api.get_opt(&around.namespace)).await?;
        let mut level = level;
        if let Some(found) = found {
            self.owners.refuse(&operation, key, annotations(&found.metadata))?;
            if !is_managed(&found.metadata) {
                return Err(Error::new(ErrorKind::Conflict, operation, "it is there and is not ours").hint(format!(
                    "name it in the target to use it as it is: kubernetes://CONTEXT/{}",
                    around.namespace
                )));
            }
            if let Some(Ok(other)) = environment(annotations(&found.metadata)).filter(|of| of.as_ref() != Ok(key)) {
                return Err(Error::new(ErrorKind::Conflict, operation, format!("it is the one of {other}"))
                    .hint("rename one of the two, or name a namespace in the target: kubernetes://CONTEXT/NAMESPACE"));
            }
            if found.metadata.deletion_timestamp.is_some() {
                return Err(Error::new(ErrorKind::Unavailable, operation, "it is still being removed"));
            }
            // Others in it may need more than this one does.
            level = level.max(Level::of(&found.metadata));
        }
        let wanted = objects::namespace(key, level, around);
        let params = PatchParams::apply(MANAGER);
        answer(&operation, api.patch(&around.namespace, &params, &Patch::Apply(&wanted))).await?;
        Ok(())
    }

    /// Removes what an environment as a whole has: nothing else of it is there any more.
    pub(crate) async fn drop_environment(&self, key: &EnvKey) -> Result<()> {
        self.made.forget(key);
        if self.cluster.only.is_some() {
            return self.delete_whole::<NetworkPolicy>(key, CLOSED).await;
        }
        let name = self.cluster.namespace(key);
        let api: Api<Namespace> = Api::all(self.cluster.client.clone());
        let operation = format!("remove namespace {name}");
        let Some(found) = answer(&operation, api.get_opt(&name)).await? else { return Ok(()) };
        let is_of_this = environment(annotations(&found.metadata)).is_some_and(|of| of.as_ref() == Ok(key));
        if !is_managed(found.meta()) || !is_of_this {
            return Ok(());
        }
        self.owners.refuse(&operation, key, annotations(&found.metadata))?;
        if self.is_used_by_others(key, &name).await? {
            tracing::info!(namespace = name, "somebody else uses the namespace: it stays");
            return self.delete_whole::<NetworkPolicy>(key, CLOSED).await;
        }
        self.cluster.written.unknown(key);
        answer(&operation, async { if_there(api.delete(&name, &DeleteParams::default()).await) }).await.map(drop)
    }

    /// Whether there are pods or claims in a namespace that no Daybook made.
    async fn is_used_by_others(&self, key: &EnvKey, namespace: &str) -> Result<bool> {
        let all = Pairs::new();
        let (pods, claims) = futures::try_join!(
            self.cluster.list::<Pod>(Some(namespace), &all),
            self.cluster.list::<PersistentVolumeClaim>(Some(namespace), &all),
        )?;
        let seen = self.observe_environment(key).await?;
        let foreign =
            pods.iter().any(|pod| !is_managed(&pod.metadata)) || claims.iter().any(|c| !is_managed(&c.metadata));
        Ok(foreign || seen != daybook_runtime::Seen::default())
    }

    /// Environments that something belongs to, and whose they are if they are not ours.
    async fn labelled_environments(&self) -> Result<BTreeMap<EnvKey, Option<Owner>>> {
        Ok(self.owners.environments(labelled(&self.cluster).await?))
    }

    pub(crate) async fn our_environments(&self) -> Result<BTreeSet<EnvKey>> {
        let all = self.labelled_environments().await?;
        Ok(all.into_iter().filter(|(_, other)| other.is_none()).map(|(key, _)| key).collect())
    }

    pub(crate) async fn others_environments(&self) -> Result<BTreeMap<EnvKey, Owner>> {
        let all = self.labelled_environments().await?;
        Ok(all.into_iter().filter_map(|(key, other)| Some((key, other?))).collect())
    }

    /// Gives the owners of an environment up, one after the other: what is there may be of several.
    pub(crate) async fn take_from_others(&self, key: &EnvKey) -> Result<()> {
        let operation = format!("take over {key}");
        let mut found_one = false;
        while let Some(owner) = self.others_environments().await?.remove(key) {
            found_one = true;
            if UnixStream::connect(owner.state.join("daybook.sock")).await.is_ok() {
                let message = format!("it belongs to {owner}, whose server answers");
                return Err(Error::new(ErrorKind::Conflict, operation, message).hint("stop that server first"));
            }
            self.owners.take(key, &owner)?;
        }
        if found_one {
            return Ok(());
        }
        let message = "there is no environment of this name that belongs to another Daybook";
        Err(Error::new(ErrorKind::NotFound, operation, message).hint("`daybook env ls` names those that do"))
    }

    pub(crate) fn owner_annotations(&self) -> Pairs {
        self.owners.labels().into_iter().collect()
    }
}
