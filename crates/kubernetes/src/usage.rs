//! What replicas use, as the kubelets measure it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use daybook_model::name::EnvKey;
use daybook_runtime::{Error, ErrorKind, Result, Usage};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;

use crate::KubernetesRuntime;
use crate::cache::Workloads;
use crate::cluster::answer;
use crate::keeper::Keeper;
use crate::pods::{instance, is_running, status};
use crate::silence::machine_has_answered;

/// Machines that are asked together.
const AT_ONCE: usize = 8;

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
    /// What replicas use, of machines that tell. An error where none does.
    pub(crate) async fn measure(&self, key: &EnvKey) -> Result<Vec<Usage>> {
        let Workloads { deployments, stateful_sets, jobs, pods } = self.parts(key).await?.workloads;
        let keepers = self.keepers_among(key, &deployments, &stateful_sets, &jobs)?;
        let keepers: BTreeMap<&str, &Keeper> = keepers.iter().map(|keeper| (keeper.name.as_str(), &**keeper)).collect();
        let running: BTreeMap<PodRef, &Pod> = pods
            .iter()
            .filter(|pod| status(pod).is_some_and(is_running))
            .map(|pod| {
                let meta = &pod.metadata;
                let (name, namespace) = (meta.name.clone().unwrap_or_default(), meta.namespace.clone());
                (PodRef { name, namespace: namespace.unwrap_or_default() }, pod.as_ref())
            })
            .collect();
        let nodes: BTreeSet<_> = running.values().filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref()).collect();
        let asked: Vec<_> = nodes.into_iter().map(|node| self.summary(node)).collect();
        let mut told = futures::stream::iter(asked).buffer_unordered(AT_ONCE);
        let (mut all, mut failed, mut has_told) = (Vec::new(), None, false);
        while let Some(summary) = told.next().await {
            match summary {
                Ok(summary) => {
                    has_told = true;
                    for measured in summary.pods {
                        let Some(pod) = running.get(&measured.pod_ref) else { continue };
                        let keeper = instance(pod).and_then(|name| keepers.get(name));
                        all.extend(keeper.map(|keeper| usage(&keeper.identity.id, pod, &measured)));
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "what its replicas use is not known");
                    failed = Some(error);
                }
            }
        }
        if let Some(error) = failed.filter(|_| !has_told) {
            return Err(error);
        }
        all.sort_by(|a: &Usage, b| a.id.cmp(&b.id));
        Ok(all)
    }

    async fn summary(&self, node: &str) -> Result<Summary> {
        let operation = format!("ask node {node} what its pods use");
        if !self.measuring.may_ask(node, Instant::now()) {
            return Err(Error::new(ErrorKind::Unavailable, operation, "it has not answered of late"));
        }
        let path = format!("/api/v1/nodes/{node}/proxy/stats/summary");
        let request = http::Request::get(path).body(Vec::new());
        let request = request.map_err(|said| Error::new(ErrorKind::Internal, operation.as_str(), said))?;
        let mut has_answered = None;
        let asked = async {
            let told = self.cluster.client.request(request).await;
            has_answered = machine_has_answered(&told);
            told
        };
        let answered = answer(&operation, asked).await;
        if let Some(has_answered) = has_answered {
            self.measuring.asked(node, "usage", has_answered, Instant::now());
        }
        answered
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
