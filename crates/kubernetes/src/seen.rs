//! From workloads and pods to replicas: pure.

use daybook_model::observed::{Exit, Health, ReplicaState};
use daybook_model::{SeenReplica, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};

use crate::keeper::Keeper;
use crate::objects::Kind;
use crate::pods::{has_ended, is_running, last_exit, status};

/// The code of what never ran.
const NEVER_RAN: i32 = -1;

/// A replica, from its workload and its pods, the newest last.
pub(crate) fn seen(keeper: &Keeper, pods: &[&Pod]) -> SeenReplica {
    let pod = pods.iter().rev().find(|pod| !has_ended(pod)).or(pods.last()).copied();
    let state = state(keeper, pod);
    let known = &keeper.identity;
    let status = pod.and_then(status);
    let ended = pods.iter().rev().find_map(|pod| last_exit(pod)).or_else(|| keeper.exit.clone());
    let started = status.and_then(|status| status.state.as_ref()?.running.as_ref()?.started_at.as_ref());
    SeenReplica {
        id: known.id.clone(),
        role: known.role,
        fingerprint: known.fingerprint.clone(),
        release: known.release,
        run: known.run,
        artifact: known.artifact,
        state,
        health: pod.filter(|_| state == ReplicaState::Running).map_or(Health::Unasked, health),
        started_at: started.map(|time| time.0),
        restarts: status.map_or(0, |status| u32::try_from(status.restart_count).unwrap_or(0)) + attempts(keeper, state),
        last_exit: if state == ReplicaState::Starting { pod.and_then(hindrance).or(ended) } else { ended },
        address: pod.filter(|_| state == ReplicaState::Running).and_then(address),
        ports: std::collections::BTreeMap::new(),
    }
}

/// Attempts that were followed by another.
fn attempts(keeper: &Keeper, state: ReplicaState) -> u32 {
    if state == ReplicaState::Exited { keeper.failed.saturating_sub(1) } else { keeper.failed }
}

fn state(keeper: &Keeper, pod: Option<&Pod>) -> ReplicaState {
    let Some(pod) = pod else {
        return if keeper.wanted && !keeper.over { ReplicaState::Starting } else { ReplicaState::Exited };
    };
    let status = status(pod);
    let reason = status.and_then(waits);
    match status {
        Some(status) if is_running(status) => ReplicaState::Running,
        _ if reason == Some("CrashLoopBackOff") => ReplicaState::Restarting,
        Some(status) if status.state.as_ref().is_some_and(|state| state.terminated.is_some()) => ended(keeper, pod),
        _ if has_ended(pod) => ended(keeper, pod),
        _ if keeper.wanted => ReplicaState::Starting,
        _ => ReplicaState::Exited,
    }
}

/// The state of a replica whose process has ended.
fn ended(keeper: &Keeper, pod: &Pod) -> ReplicaState {
    let is_tried_again = match keeper.kind {
        Kind::Deployment | Kind::StatefulSet => keeper.wanted,
        Kind::Job => keeper.wanted && !keeper.over && retries(pod) && last_exit(pod).is_none_or(|exit| exit.code != 0),
    };
    if is_tried_again { ReplicaState::Restarting } else { ReplicaState::Exited }
}

/// Whether the Job of a pod tries more than once: its template says so.
fn retries(pod: &Pod) -> bool {
    pod.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(crate::objects::RETRIES))
}

fn waits(status: &ContainerStatus) -> Option<&str> {
    status.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

/// What keeps a pod from starting, in the cluster's words.
pub(crate) fn hindrance(pod: &Pod) -> Option<Exit> {
    let why = status(pod).and_then(trouble).or_else(|| unscheduled(pod))?;
    Some(Exit { code: NEVER_RAN, oom: false, error: Some(why), at: None })
}

/// Why a container waits, unless it is only being made.
fn trouble(status: &ContainerStatus) -> Option<String> {
    let waiting = status.state.as_ref()?.waiting.as_ref()?;
    let reason =
        waiting.reason.as_deref().filter(|reason| !matches!(*reason, "ContainerCreating" | "PodInitializing"))?;
    Some(match &waiting.message {
        Some(message) => format!("{reason}: {message}"),
        None => reason.to_owned(),
    })
}

fn unscheduled(pod: &Pod) -> Option<String> {
    let scheduled = condition(pod, "PodScheduled").filter(|condition| condition.status == "False")?;
    Some(format!("no machine takes it: {}", scheduled.message.as_deref().unwrap_or("the cluster does not say why")))
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// The kubelet's answer where it alone can ask: by a command.
fn health(pod: &Pod) -> Health {
    let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
    let asks = container.and_then(|c| c.readiness_probe.as_ref()).is_some_and(|probe| probe.exec.is_some());
    if !asks {
        return Health::Unasked;
    }
    let ready = condition(pod, "Ready");
    if ready.is_some_and(|ready| ready.status == "True") {
        return Health::Healthy;
    }
    // A replica that was never ready is so since before its process began.
    let since = ready.and_then(|ready| ready.last_transition_time.as_ref()).map(|time| time.0);
    let began =
        status(pod).and_then(|status| status.state.as_ref()?.running.as_ref()?.started_at.as_ref()).map(|time| time.0);
    match (since, began) {
        (Some(since), Some(began)) if is_later(since, began) => Health::Unhealthy("its check fails".to_owned()),
        _ => Health::Starting,
    }
}

/// Times are told in whole seconds.
fn is_later(time: Timestamp, than: Timestamp) -> bool {
    time.as_second() > than.as_second() + 1
}

fn address(pod: &Pod) -> Option<std::net::IpAddr> {
    pod.status.as_ref()?.pod_ip.as_deref()?.parse().ok()
}

#[cfg(test)]
mod tests;
