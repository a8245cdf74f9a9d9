//! What is in the way of a service's replicas, as the cluster tells it.

mod told;
mod words;

use std::collections::BTreeSet;
use std::sync::Arc;

use daybook_model::SeenReplica;
use daybook_model::launch::Role;
use daybook_model::name::{EnvKey, ServiceName};
use daybook_model::quantity::{bytes, cpu_millis};
use daybook_model::trouble::{Trouble, TroubleKind};
use daybook_runtime::Result;
use daybook_runtime::listening::listening;
use k8s_openapi::api::core::v1::{Event, Node, PersistentVolumeClaim, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::keeper::is_managed;
use crate::objects::{INSTANCE, Pairs, ROLE, of_environment, of_service};
use crate::pods::{has_ended, instance, is_running, last_exit, status};
use crate::{KubernetesRuntime, names};

pub(crate) use told::Told;

impl KubernetesRuntime {
    /// Everything that is known to be in the way of a service's replicas, the most telling first.
    pub(crate) async fn troubles_of(&self, key: &EnvKey, service: &ServiceName) -> Result<Vec<Trouble>> {
        let namespace = self.cluster.namespace(key);
        let workloads = self.workloads(key, names::beginning(service.as_str()), &of_every_role(key, service)).await?;
        let pods = workloads.pods.clone();
        let replicas = self.replicas_among(key, workloads)?;
        let events = self.events_in(&namespace).await;
        let mut troubles = Vec::new();
        for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
            troubles.extend(of_pod(pod));
            if !is_ready(pod) {
                let told = about(&events, |name| Some(name) == pod.metadata.name.as_deref());
                // What kept it from starting is over once it has.
                let holds = |trouble: &Trouble| !has_begun(pod) || trouble.kind == TroubleKind::MachineAway;
                troubles.extend(told.into_iter().filter(holds));
            }
        }
        troubles.extend(of_workloads(&replicas, &pods, &events));
        troubles.extend(self.of_claims(key, &pods, &events).await?);
        if let Some(pod) = pods.iter().find(|pod| status(pod).is_some_and(is_running)) {
            troubles.extend(self.listens(key, &replicas, pod).await);
            troubles.extend(self.closed_by_others(&namespace, pod).await);
        }
        // A claim that is named says more than that there is one.
        let is_named = |trouble: &Trouble| matches!(trouble.kind, TroubleKind::NoVolume { claim: Some(_) });
        if troubles.iter().any(is_named) {
            troubles.retain(|trouble| !matches!(trouble.kind, TroubleKind::NoVolume { claim: None }));
        }
        self.measure_room(&mut troubles).await;
        let mut known = Vec::new();
        troubles.retain(|trouble| {
            let is_new = !known.contains(&trouble.kind);
            known.push(trouble.kind.clone());
            is_new
        });
        Ok(troubles)
    }

    /// What is known to be in the way of what a chart has made.
    pub(crate) async fn troubles_of_chart(&self, key: &EnvKey, name: &ServiceName) -> Result<Vec<Trouble>> {
        let namespace = self.cluster.namespace(key);
        // Every chart that follows Helm's own advice labels its pods so.
        let labels: Pairs = [(INSTANCE.to_owned(), name.to_string())].into();
        let pods = self.cluster.list::<Pod>(Some(&namespace), &labels).await?;
        let events = self.events_in(&namespace).await;
        let mut troubles = Vec::new();
        for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none() && !is_ready(pod)) {
            troubles.extend(of_pod(pod));
            troubles.extend(about(&events, |name| Some(name) == pod.metadata.name.as_deref()));
        }
        if pods.is_empty() {
            troubles.extend(about(&events, |object| object.starts_with(name.as_str())));
        }
        self.measure_room(&mut troubles).await;
        let mut known = BTreeSet::new();
        troubles.retain(|trouble| known.insert(trouble.said.clone()));
        Ok(troubles)
    }

    /// What happened in a namespace. Nothing where it may not be asked for.
    async fn events_in(&self, namespace: &str) -> Arc<[Event]> {
        let asked = async {
            let events = self.cluster.list::<Event>(Some(namespace), &Pairs::new()).await;
            let mut events = events.unwrap_or_else(|error| {
                tracing::debug!(%error, "events are not told");
                Vec::new()
            });
            events.sort_by_key(|event| std::cmp::Reverse(event.last_timestamp.clone()));
            events
        };
        self.told.in_namespace(namespace, asked).await
    }

    /// Claims of pods that nothing was found for.
    async fn of_claims(&self, key: &EnvKey, pods: &[Arc<Pod>], events: &[Event]) -> Result<Vec<Trouble>> {
        let waiting = pods.iter().filter(|pod| !is_ready(pod)).filter_map(|pod| pod.spec.as_ref()?.volumes.as_ref());
        let named: BTreeSet<_> = waiting
            .flatten()
            .filter_map(|volume| Some(volume.persistent_volume_claim.as_ref()?.claim_name.clone()))
            .collect();
        let namespace = self.cluster.namespace(key);
        if named.is_empty() {
            return Ok(Vec::new());
        }
        let claims = self.cluster.list::<PersistentVolumeClaim>(Some(&namespace), &of_environment(key)).await?;
        let pending = claims.iter().filter(|claim| {
            let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
            claim.metadata.name.as_ref().is_some_and(|name| named.contains(name)) && phase == Some("Pending")
        });
        let told = pending.flat_map(|claim| {
            let name = claim.metadata.name.clone().unwrap_or_default();
            let said = about(events, |of| of == name);
            said.into_iter()
                .map(move |trouble| Trouble { kind: TroubleKind::NoVolume { claim: Some(name.clone()) }, ..trouble })
        });
        Ok(told.collect())
    }

    /// Where a replica listens, if its image has a program that can tell.
    async fn listens(&self, key: &EnvKey, replicas: &[SeenReplica], pod: &Pod) -> Option<Trouble> {
        let instance = instance(pod)?;
        let replica = replicas.iter().find(|replica| names::workload(&replica.id, replica.role) == instance)?;
        listening(self, key, &replica.id).await
    }

    /// Fills in how much the machines have in all of what is short.
    async fn measure_room(&self, troubles: &mut [Trouble]) {
        if !troubles.iter().any(|trouble| matches!(trouble.kind, TroubleKind::NoRoom { .. })) {
            return;
        }
        // Where machines may not be looked at, only the scheduler's words are known.
        let Ok(nodes) = self.cluster.nodes().await else { return };
        for trouble in troubles {
            if let TroubleKind::NoRoom { resource, most } = &mut trouble.kind {
                *most = most_of(&nodes, resource);
            }
        }
    }

    /// Policies that are not ours and select a pod.
    async fn closed_by_others(&self, namespace: &str, pod: &Pod) -> Option<Trouble> {
        let all = self.cluster.list::<NetworkPolicy>(Some(namespace), &Pairs::new()).await.ok()?;
        let theirs = all.iter().filter(|policy| !is_managed(&policy.metadata));
        let closing = theirs.filter(|policy| {
            let selector = policy.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref());
            selector.is_none_or(|selector| selects(selector, pod))
        });
        let (mut inward, mut outward) = (Vec::new(), Vec::new());
        for policy in closing {
            let name = policy.metadata.name.clone().unwrap_or_default();
            let (closes_inward, closes_outward) = directions(policy);
            inward.extend(closes_inward.then(|| name.clone()));
            outward.extend(closes_outward.then_some(name));
        }
        let is_open = inward.is_empty() && outward.is_empty();
        (!is_open).then(|| Trouble { kind: TroubleKind::Closed { inward, outward }, said: String::new() })
    }
}

/// Whether a policy says who may reach the pods that it selects, and whom they may reach.
fn directions(policy: &NetworkPolicy) -> (bool, bool) {
    let Some(spec) = &policy.spec else { return (true, false) };
    match &spec.policy_types {
        Some(types) => (types.iter().any(|one| one == "Ingress"), types.iter().any(|one| one == "Egress")),
        None => (true, spec.egress.is_some()),
    }
}

/// The most that any machine has of a resource in all. What machines do not know they have none of.
fn most_of(nodes: &[Node], resource: &str) -> Option<u64> {
    let of = |node: &Node| {
        let Some(has) = node.status.as_ref()?.allocatable.as_ref()?.get(resource) else { return Some(0) };
        if resource == "cpu" { cpu_millis(&has.0) } else { bytes(&has.0) }
    };
    nodes.iter().filter_map(of).max()
}

fn of_pod(pod: &Pod) -> Vec<Trouble> {
    let told = pod.status.as_ref();
    if let Some(message) = told.filter(|_| has_ended(pod)).and_then(|told| told.reason.as_deref()) {
        let said = told.and_then(|told| told.message.clone()).unwrap_or_default();
        return words::event(message, &said).into_iter().collect();
    }
    let waits = status(pod).and_then(|status| Some((status, status.state.as_ref()?.waiting.as_ref()?)));
    if let Some((status, waits)) = waits {
        let reason = waits.reason.as_deref().unwrap_or_default();
        // The status calls an image that was never fetched as the pod does.
        return words::waiting(reason, waits.message.as_deref().unwrap_or_default(), &status.image)
            .into_iter()
            .collect();
    }
    let conditions = told.and_then(|told| told.conditions.as_ref());
    let unscheduled = conditions.and_then(|all| all.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False"));
    unscheduled.and_then(|condition| condition.message.as_deref()).map(words::unscheduled).unwrap_or_default()
}

/// Why workloads make no pod.
fn of_workloads(replicas: &[SeenReplica], pods: &[Arc<Pod>], events: &[Event]) -> Vec<Trouble> {
    let with_pods: BTreeSet<_> = pods.iter().filter_map(|pod| instance(pod)).collect();
    let mut troubles = Vec::new();
    for replica in replicas {
        let workload = names::workload(&replica.id, replica.role);
        if replica.state.is_live() && !with_pods.contains(workload.as_str()) {
            // A Deployment makes its pods by way of a ReplicaSet, which is called after it.
            let is_of_it =
                |name: &str| name.strip_prefix(&workload).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
            troubles.extend(about(events, is_of_it));
        }
    }
    troubles
}

/// The labels that pods of a service have, whatever they are for.
fn of_every_role(key: &EnvKey, service: &ServiceName) -> Pairs {
    let mut labels = of_service(key, service.as_str(), Role::Main);
    labels.remove(ROLE);
    labels
}

/// Whether a process of it was ever there.
fn has_begun(pod: &Pod) -> bool {
    status(pod).is_some_and(|status| is_running(status) || status.restart_count > 0) || last_exit(pod).is_some()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"))
}

/// The troubles that events tell of the objects that `is_it` names, the newest first.
fn about(events: &[Event], is_it: impl Fn(&str) -> bool) -> Vec<Trouble> {
    let of_it = events.iter().filter(|event| event.involved_object.name.as_deref().is_some_and(&is_it));
    let told =
        of_it.filter_map(|event| words::event(event.reason.as_deref()?, event.message.as_deref().unwrap_or_default()));
    told.collect()
}

fn selects(selector: &LabelSelector, pod: &Pod) -> bool {
    let none = Default::default();
    let labels = pod.metadata.labels.as_ref().unwrap_or(&none);
    let by_label = selector.match_labels.iter().flatten().all(|(name, value)| labels.get(name) == Some(value));
    by_label
        && selector.match_expressions.iter().flatten().all(|wanted| {
            let value = labels.get(&wanted.key);
            let is_one = value.is_some_and(|value| wanted.values.iter().flatten().any(|one| one == value));
            match wanted.operator.as_str() {
                "In" => is_one,
                "NotIn" => !is_one,
                "Exists" => value.is_some(),
                _ => value.is_none(),
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(allocatable: &serde_json::Value) -> Node {
        serde_json::from_value(serde_json::json!({"status": {"allocatable": allocatable}})).unwrap()
    }

    #[test]
    fn r07_the_largest_machine_is_found_for_each_resource() {
        let nodes = [
            node(&serde_json::json!({"cpu": "1930m", "memory": "7Gi"})),
            node(&serde_json::json!({"cpu": "8", "memory": "2Gi", "nvidia.com/gpu": "4"})),
        ];
        let most = ["cpu", "memory", "nvidia.com/gpu", "amd.com/gpu"].map(|resource| most_of(&nodes, resource));
        assert_eq!(most, [Some(8000), Some(7 << 30), Some(4), Some(0)]);
        assert_eq!(most_of(&[], "cpu"), None);
    }

    #[test]
    fn r07_policies_say_in_which_direction_they_close() {
        let of =
            |spec: serde_json::Value| directions(&serde_json::from_value(serde_json::json!({ "spec": spec })).unwrap());
        assert_eq!(of(serde_json::json!({"podSelector": {}})), (true, false));
        assert_eq!(of(serde_json::json!({"podSelector": {}, "egress": []})), (true, true));
        assert_eq!(of(serde_json::json!({"podSelector": {}, "policyTypes": ["Egress"]})), (false, true));
    }
}
