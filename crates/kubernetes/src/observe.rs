//! What is there of an environment.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use daybook_model::name::EnvKey;
use daybook_model::{Digest, SeenReplica};
use daybook_runtime::{Result, Seen};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, ResourceQuota, Secret};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::PartialObjectMeta;

use crate::KubernetesRuntime;
use crate::cache::{Parts, Workloads};
use crate::charts;
use crate::keeper::annotations;
use crate::objects::{Pairs, of_environment, quota};
use crate::pods::{instance, newest_last};
use crate::seen::seen;

impl KubernetesRuntime {
    pub(crate) async fn observe_environment(&self, key: &EnvKey) -> Result<Seen> {
        let parts = self.parts(key).await?;
        let replicas = self.replicas_among(key, parts.workloads)?;
        self.keepers.tidy(self.cache.count());
        Ok(Seen {
            replicas,
            volumes: parts.claims.iter().filter_map(|claim| named(key, &claim.metadata)?.parse().ok()).collect(),
            charts: charts::seen(parts.records.iter().map(Arc::as_ref)),
            networks: parts.policies.iter().filter_map(|policy| named(key, &policy.metadata)?.parse().ok()).collect(),
            quota: parts.quotas.iter().find(|quota| is_named(&quota.metadata)).map(|quota| quota::read(quota)),
        })
    }

    /// The replicas of an environment among these workloads and pods, in order.
    pub(crate) fn replicas_among(&self, key: &EnvKey, workloads: Workloads) -> Result<Vec<SeenReplica>> {
        let Workloads { deployments, stateful_sets, jobs, mut pods } = workloads;
        let keepers = self.keepers_among(key, &deployments, &stateful_sets, &jobs)?;
        newest_last(&mut pods);
        let mut by_keeper: HashMap<&str, Vec<&Pod>> = HashMap::with_capacity(keepers.len());
        for pod in &pods {
            by_keeper.entry(instance(pod).unwrap_or_default()).or_default().push(pod);
        }
        let of = |name: &str| by_keeper.get(name).map_or(&[][..], Vec::as_slice);
        let mut replicas: Vec<_> = keepers.iter().map(|keeper| seen(keeper, of(&keeper.name))).collect();
        replicas.sort_by(|a, b| (&a.id, a.role).cmp(&(&b.id, b.role)));
        Ok(replicas)
    }

    /// What runs by such labels under names that begin so, as the watches have told so far, or else as the API server
    /// answers: it may be a little late.
    pub(crate) async fn workloads(&self, key: &EnvKey, begins: &str, labels: &Pairs) -> Result<Workloads> {
        let namespace = self.cluster.namespace(key);
        if let Some(told) = self.cache.workloads(&namespace, begins, labels) {
            return Ok(told);
        }
        self.listed(&namespace, labels).await
    }

    async fn listed(&self, namespace: &str, labels: &Pairs) -> Result<Workloads> {
        let namespace = Some(namespace);
        // Pods after their workloads: a pod without a workload is none of ours to tell of.
        let (deployments, stateful_sets, jobs) = futures::try_join!(
            self.cluster.list::<Deployment>(namespace, labels),
            self.cluster.list::<StatefulSet>(namespace, labels),
            self.cluster.list::<Job>(namespace, labels),
        )?;
        Ok(Workloads {
            deployments: shared(deployments),
            stateful_sets: shared(stateful_sets),
            jobs: shared(jobs),
            pods: shared(self.cluster.list::<Pod>(namespace, labels).await?),
        })
    }

    /// What is there of an environment: what the watches have told, or else what the API server answers now.
    pub(crate) async fn parts(&self, key: &EnvKey) -> Result<Parts> {
        let (namespace, labels) = (self.cluster.namespace(key), of_environment(key));
        if let Some(parts) = self.cache.parts(key, &namespace, &labels).await {
            return Ok(parts);
        }
        let workloads = self.listed(&namespace, &labels);
        let namespace = Some(namespace.as_str());
        let records = charts::records_of(key);
        let (workloads, claims, policies, quotas, records) = futures::try_join!(
            workloads,
            self.cluster.list::<PersistentVolumeClaim>(namespace, &labels),
            self.cluster.list::<NetworkPolicy>(namespace, &labels),
            self.cluster.list::<ResourceQuota>(namespace, &labels),
            self.cluster.list::<PartialObjectMeta<Secret>>(namespace, &records),
        )?;
        Ok(Parts {
            workloads,
            claims: shared(claims),
            policies: shared(policies),
            quotas: shared(quotas),
            records: shared(records),
        })
    }

    /// Which images machines can get: those that a registry is known to have, and those that workloads already name.
    pub(crate) async fn present_images(&self, key: &EnvKey, digests: &BTreeSet<Digest>) -> Result<BTreeSet<Digest>> {
        let mut present = self.images.present(digests).await?;
        if present.len() < digests.len() {
            let Workloads { deployments, stateful_sets, jobs, .. } = self.parts(key).await?.workloads;
            let keepers = self.keepers_among(key, &deployments, &stateful_sets, &jobs)?;
            let named = keepers.iter().filter(|keeper| keeper.pulls).map(|keeper| keeper.identity.artifact);
            let named: Vec<_> = named.filter(|digest| digests.contains(digest)).collect();
            named.iter().for_each(|digest| self.images.remember(digest, true));
            present.extend(named);
        }
        Ok(present)
    }
}

/// Whether it is the quota of an environment, and stays.
fn is_named(meta: &ObjectMeta) -> bool {
    meta.name.as_deref() == Some(quota::NAME) && meta.deletion_timestamp.is_none()
}

fn shared<K>(all: Vec<K>) -> Vec<Arc<K>> {
    all.into_iter().map(Arc::new).collect()
}

/// The name of a volume or network inside its environment, if it is one and stays.
fn named(key: &EnvKey, meta: &ObjectMeta) -> Option<String> {
    let annotations = annotations(meta);
    let is_of_this = daybook_runtime::identity::environment(annotations)?.ok()? == *key;
    let name = annotations.get(daybook_runtime::labels::NAME)?;
    (is_of_this && meta.deletion_timestamp.is_none()).then(|| name.clone())
}
