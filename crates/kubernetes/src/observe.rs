//! What is there of an environment.

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::Digest;
use daybook_model::name::EnvKey;
use daybook_runtime::{Result, Seen};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::KubernetesRuntime;
use crate::keeper::annotations;
use crate::objects::of_environment;
use crate::pods::instance;
use crate::seen::seen;

impl KubernetesRuntime {
    pub(crate) async fn observe_environment(&self, key: &EnvKey) -> Result<Seen> {
        let (namespace, labels) = (self.cluster.namespace(key), of_environment(key));
        let namespace = Some(namespace.as_str());
        // Pods after their workloads: a pod without a workload is none of ours to tell of.
        let (keepers, claims, policies) = futures::try_join!(
            self.keepers(key),
            self.cluster.list::<PersistentVolumeClaim>(namespace, &labels),
            self.cluster.list::<NetworkPolicy>(namespace, &labels),
        )?;
        let mut pods = self.cluster.list::<Pod>(namespace, &labels).await?;
        pods.sort_by_key(|pod| pod.metadata.creation_timestamp.clone());
        let mut by_keeper: BTreeMap<&str, Vec<&Pod>> = BTreeMap::new();
        for pod in &pods {
            by_keeper.entry(instance(pod).unwrap_or_default()).or_default().push(pod);
        }
        let of = |name: &str| by_keeper.get(name).map_or(&[][..], Vec::as_slice);
        let mut replicas: Vec<_> = keepers.iter().map(|keeper| seen(keeper, of(&keeper.name))).collect();
        replicas.sort_by(|a, b| (&a.id, a.role).cmp(&(&b.id, b.role)));
        Ok(Seen {
            replicas,
            volumes: claims.iter().filter_map(|claim| named(key, &claim.metadata)?.parse().ok()).collect(),
            networks: policies.iter().filter_map(|policy| named(key, &policy.metadata)?.parse().ok()).collect(),
        })
    }

    /// Which images machines can get: those that a registry is known to have, and those that workloads already name.
    pub(crate) async fn present_images(&self, key: &EnvKey, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>> {
        let mut present = self.images.present(digests).await?;
        if present.len() < digests.len() {
            let keepers = self.keepers(key).await?;
            let named = keepers.iter().filter(|keeper| keeper.pulls).map(|keeper| keeper.identity.artifact);
            let named: Vec<_> = named.filter(|digest| digests.contains(digest)).collect();
            named.iter().for_each(|digest| self.images.remember(digest));
            present.extend(named);
        }
        Ok(present)
    }
}

/// The name of a volume or network inside its environment, if it is one and stays.
fn named(key: &EnvKey, meta: &ObjectMeta) -> Option<String> {
    let annotations = annotations(meta);
    let is_of_this = daybook_runtime::identity::environment(&annotations)?.ok()? == *key;
    let name = annotations.get(daybook_runtime::labels::NAME)?;
    (is_of_this && meta.deletion_timestamp.is_none()).then(|| name.clone())
}
