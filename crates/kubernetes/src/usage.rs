//! What replicas use, as the kubelets measure it.

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::name::EnvKey;
use daybook_runtime::{Error, ErrorKind, Result, Usage};
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;

use crate::KubernetesRuntime;
use crate::cluster::answer;
use crate::objects::of_environment;
use crate::pods::{instance, is_running, status};

/// The kubelet's summary, as far as it matters.
#[derive(Deserialize)]
struct Summary {
    pods: Vec<Measured>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    pod_ref: PodRef,
    #[serde(default)]
    cpu: Cpu,
    #[serde(default)]
    memory: Memory,
    #[serde(default, rename = "process_stats")]
    processes: Processes,
}

#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct PodRef {
    name: String,
    namespace: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Cpu {
    usage_nano_cores: f64,
    usage_core_nano_seconds: f64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Memory {
    working_set_bytes: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Processes {
    process_count: u64,
}

impl KubernetesRuntime {
    pub(crate) async fn measure(&self, key: &EnvKey) -> Result<Vec<Usage>> {
        let (namespace, labels) = (self.cluster.namespace(key), of_environment(key));
        let (keepers, pods) =
            futures::try_join!(self.keepers(key), self.cluster.list::<Pod>(Some(&namespace), &labels),)?;
        let running: BTreeMap<PodRef, &Pod> = pods
            .iter()
            .filter(|pod| status(pod).is_some_and(is_running))
            .map(|pod| {
                (PodRef { name: pod.metadata.name.clone().unwrap_or_default(), namespace: namespace.clone() }, pod)
            })
            .collect();
        let nodes: BTreeSet<_> = running.values().filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref()).collect();
        let mut all = Vec::new();
        for node in nodes {
            for measured in self.summary(node).await?.pods {
                let Some(pod) = running.get(&measured.pod_ref) else { continue };
                let keeper = keepers.iter().find(|keeper| instance(pod) == Some(&keeper.name));
                all.extend(keeper.map(|keeper| usage(&keeper.identity.id, pod, &measured)));
            }
        }
        all.sort_by(|a: &Usage, b| a.id.cmp(&b.id));
        Ok(all)
    }

    async fn summary(&self, node: &str) -> Result<Summary> {
        let operation = format!("ask node {node} what its pods use");
        let path = format!("/api/v1/nodes/{node}/proxy/stats/summary");
        let request = http::Request::get(path).body(Vec::new());
        let request = request.map_err(|said| Error::new(ErrorKind::Internal, operation.as_str(), said))?;
        answer(&operation, self.cluster.client.request(request)).await
    }
}

fn usage(id: &daybook_model::ReplicaId, pod: &Pod, measured: &Measured) -> Usage {
    let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
    let limits = container.and_then(|container| container.resources.as_ref()?.limits.as_ref());
    // We write limits as plain bytes.
    let limit = limits.and_then(|limits| limits.get("memory")?.0.parse().ok());
    Usage {
        id: id.clone(),
        cpu_cores: measured.cpu.usage_nano_cores / 1e9,
        cpu_seconds: measured.cpu.usage_core_nano_seconds / 1e9,
        memory_bytes: measured.memory.working_set_bytes,
        memory_limit_bytes: limit,
        pids: measured.processes.process_count.max(1),
    }
}
