//! Pods of a replica.

use std::borrow::Borrow;

use daybook_model::launch::Role;
use daybook_model::name::EnvKey;
use daybook_model::observed::Exit;
use daybook_model::{ReplicaId, Timestamp};
use daybook_runtime::{Error, ErrorKind, Result};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};

use crate::KubernetesRuntime;
use crate::cluster::Cluster;
use crate::objects::{INSTANCE, of_replica};

impl Cluster {
    /// The pods of one replica, the newest last.
    pub(crate) async fn pods_of(&self, key: &EnvKey, id: &ReplicaId, role: Role) -> Result<Vec<Pod>> {
        let namespace = self.namespace(key);
        let mut pods = self.list::<Pod>(Some(&namespace), &of_replica(key, id, role)).await?;
        newest_last(&mut pods);
        Ok(pods)
    }
}

/// Puts pods into the order in which they were made.
pub(crate) fn newest_last(pods: &mut [impl Borrow<Pod>]) {
    pods.sort_by(|a, b| a.borrow().metadata.creation_timestamp.cmp(&b.borrow().metadata.creation_timestamp));
}

impl KubernetesRuntime {
    /// The name of the pod in which a replica runs. `ErrorKind::NotFound` when it does not run.
    pub(crate) async fn running_pod(
        &self,
        operation: &str,
        key: &EnvKey,
        id: &ReplicaId,
        role: Role,
    ) -> Result<String> {
        let pods = self.cluster.pods_of(key, id, role).await?;
        let running = pods.iter().rev().find(|pod| status(pod).is_some_and(is_running));
        let name = running.and_then(|pod| pod.metadata.name.clone());
        name.ok_or_else(|| Error::new(ErrorKind::NotFound, operation, format!("{id} does not run")))
    }
}

/// Which workload's pod it is.
pub(crate) fn instance(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get(INSTANCE).map(String::as_str)
}

/// What is known of its container.
pub(crate) fn status(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

pub(crate) fn is_running(status: &ContainerStatus) -> bool {
    status.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// Whether a pod has come to its end: nothing of it runs and nothing will.
pub(crate) fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// How its process ended the last time, if it has.
pub(crate) fn last_exit(pod: &Pod) -> Option<Exit> {
    let Some(status) = status(pod) else { return put_out(pod) };
    let ended = |state: Option<&k8s_openapi::api::core::v1::ContainerState>| state?.terminated.as_ref().map(exit);
    ended(status.state.as_ref()).or_else(|| ended(status.last_state.as_ref()))
}

/// Why a pod was put out of its machine, of whose process nobody tells.
fn put_out(pod: &Pod) -> Option<Exit> {
    let told = pod.status.as_ref().filter(|_| has_ended(pod))?;
    let reason = told.reason.as_deref()?;
    let error = told.message.as_ref().map_or(reason.to_owned(), |message| format!("{reason}: {message}"));
    Some(Exit { code: UNTOLD, oom: false, error: Some(error), at: None })
}

/// The code of a process that nobody tells of.
const UNTOLD: i32 = -1;

/// Reasons that say no more than the exit code does.
const PLAIN: [&str; 3] = ["Completed", "Error", "OOMKilled"];

fn exit(ended: &ContainerStateTerminated) -> Exit {
    let reason = ended.reason.as_deref().unwrap_or_default();
    let said = ended.message.as_deref().map(str::trim).filter(|said| !said.is_empty());
    let error = (!PLAIN.contains(&reason) && !reason.is_empty()).then(|| match said {
        Some(said) => format!("{reason}: {said}"),
        None => reason.to_owned(),
    });
    Exit {
        code: ended.exit_code,
        oom: reason == "OOMKilled",
        error,
        at: ended.finished_at.as_ref().map(|time| time.0).filter(|at: &Timestamp| at.as_second() > 0),
    }
}
