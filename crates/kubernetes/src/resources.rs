//! Volumes, networks and the quota of an environment.

use daybook_model::name::{EnvKey, NetworkName, VolumeName};
use daybook_model::spec::{Network, Quota, Volume};
use daybook_runtime::{Error, ErrorKind, Result, labels};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, ResourceQuota};
use k8s_openapi::api::networking::v1::NetworkPolicy;

use crate::KubernetesRuntime;
use crate::cluster::{Kept, kind};
use crate::keeper::annotations;
use crate::objects::{self, Level, Surroundings, of_environment};

impl KubernetesRuntime {
    pub(crate) async fn make_network(&self, key: &EnvKey, name: &NetworkName, network: &Network) -> Result<()> {
        self.make_environment(key, Level::Restricted).await?;
        let policy = objects::network(key, name, network, &self.around(key));
        self.put(key, &policy).await
    }

    /// Of one namespace for all environments nothing can be bounded but the whole.
    pub(crate) async fn bound(&self, key: &EnvKey, quota: Option<&Quota>) -> Result<()> {
        let Some(quota) = quota else { return self.delete_whole::<ResourceQuota>(key, objects::quota::NAME).await };
        self.make_environment(key, Level::Restricted).await?;
        self.put(key, &objects::quota::quota(key, quota, &self.around(key))).await
    }

    /// A claim is made once: what it asks for cannot be taken back.
    pub(crate) async fn make_volume(&self, key: &EnvKey, name: &VolumeName, volume: &Volume) -> Result<()> {
        self.make_environment(key, Level::Restricted).await?;
        let claim = objects::claim(key, name, volume, &self.around(key));
        let called = claim.metadata.name.clone().unwrap_or_default();
        match self.cluster.get::<PersistentVolumeClaim>(key, &called).await? {
            None => self.cluster.apply(key, &claim).await.map(drop),
            Some(found) if found.metadata.deletion_timestamp.is_some() => {
                let message = format!("the volume {called} of the same name is still being removed");
                Err(Error::new(ErrorKind::Unavailable, format!("make volume {name}"), message))
            }
            Some(found) => self.owned(&format!("make volume {name}"), key, name.as_str(), &found),
        }
    }

    pub(crate) async fn drop_network(&self, key: &EnvKey, name: &NetworkName) -> Result<()> {
        self.drop_named::<NetworkPolicy>(key, name.as_str()).await
    }

    pub(crate) async fn drop_volume(&self, key: &EnvKey, name: &VolumeName) -> Result<()> {
        // A pod that has it keeps it from going.
        self.dismiss_helper(key, name).await?;
        self.drop_named::<PersistentVolumeClaim>(key, name.as_str()).await
    }

    /// Removes what has this name inside of the environment, whatever it is called outside.
    async fn drop_named<K: Kept>(&self, key: &EnvKey, name: &str) -> Result<()> {
        let namespace = self.cluster.namespace(key);
        for found in self.cluster.list::<K>(Some(&namespace), &of_environment(key)).await? {
            if annotations(found.meta()).get(labels::NAME).is_some_and(|there| there == name) {
                self.owned(&format!("remove {} {name}", kind::<K>()), key, name, &found)?;
                self.delete_whole::<K>(key, found.meta().name.as_deref().unwrap_or_default()).await?;
            }
        }
        Ok(())
    }

    /// That a thing is the environment's and has this name in it.
    fn owned<K: Kept>(&self, operation: &str, key: &EnvKey, name: &str, found: &K) -> Result<()> {
        let said = annotations(found.meta());
        self.owners.refuse(operation, key, said)?;
        let is_of_this = daybook_runtime::identity::environment(said).is_some_and(|of| of.as_ref() == Ok(key));
        if is_of_this && said.get(labels::NAME).is_some_and(|there| there == name) {
            return Ok(());
        }
        let called = found.meta().name.as_deref().unwrap_or_default();
        let message = format!("{} {called} is there and is not ours", kind::<K>());
        Err(Error::new(ErrorKind::Conflict, operation, message).hint(format!("rename or remove {called}")))
    }

    pub(crate) fn around(&self, key: &EnvKey) -> Surroundings {
        Surroundings {
            owner: self.owner_annotations(),
            namespace: self.cluster.namespace(key),
            ..Surroundings::default()
        }
    }
}
