//! Networks as NetworkPolicies: nothing comes in but from replicas on the same network, and from the edge.

use daybook_model::Launch;
use daybook_model::name::{EnvKey, NetworkName};
use daybook_model::spec::Network;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Pairs, Surroundings, Tended, environment_annotations, meta, resource_annotations};
use crate::names;

/// Begins the label that says that a pod is on a network.
const NETWORK: &str = "network.daybook.dev/";
/// The policy that closes an environment.
pub(crate) const CLOSED: &str = "daybook-closed";
/// The label of pods that may reach every service that the edge stands in front of.
pub(crate) const EDGE: (&str, &str) = ("daybook.dev/edge", "true");

fn membership(name: &str) -> String {
    format!("{NETWORK}{}", names::label_value(name))
}

/// The labels that put a replica on its networks.
pub(super) fn memberships(launch: &Launch) -> Pairs {
    let all = launch.container.networks.iter().map(|(name, _)| {
        let called = launch.outside.networks.get(name).map_or(name.as_str(), String::as_str);
        (membership(called), "true".to_owned())
    });
    all.collect()
}

fn on(name: &str) -> LabelSelector {
    LabelSelector { match_labels: Some([(membership(name), "true".to_owned())].into()), ..LabelSelector::default() }
}

/// Lets replicas of a network reach each other; of an internal one, nothing else either.
pub(crate) fn network(key: &EnvKey, name: &NetworkName, network: &Network, around: &Surroundings) -> NetworkPolicy {
    let called = network.outside_name.as_deref().unwrap_or(name.as_str());
    let among = NetworkPolicyPeer { pod_selector: Some(on(called)), ..NetworkPolicyPeer::default() };
    let edge = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        pod_selector: Some(LabelSelector {
            match_labels: Some(super::pairs([(EDGE.0, EDGE.1.to_owned())])),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    };
    let inside = NetworkPolicyEgressRule { to: Some(vec![among.clone()]), ports: None };
    // Where no edge of ours is, nobody may come in by its label.
    let from = if around.tended == Tended::ByUs { vec![among, edge] } else { vec![among] };
    let types = if network.internal { vec!["Ingress", "Egress"] } else { vec!["Ingress"] };
    let annotations = resource_annotations(key, name.as_str(), around, &network.labels);
    NetworkPolicy {
        metadata: meta(around, &names::resource(&format!("network-{called}")), around.of_environment(key), annotations),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(on(called)),
            ingress: Some(vec![NetworkPolicyIngressRule { from: Some(from), ports: None }]),
            egress: network.internal.then(|| vec![inside, names_are_asked()]),
            policy_types: Some(types.into_iter().map(ToOwned::to_owned).collect()),
        }),
    }
}

/// Names must be asked for, wherever the cluster answers.
fn names_are_asked() -> NetworkPolicyEgressRule {
    let port = |protocol: &str| NetworkPolicyPort {
        port: Some(IntOrString::Int(53)),
        protocol: Some(protocol.to_owned()),
        end_port: None,
    };
    NetworkPolicyEgressRule { to: None, ports: Some(vec![port("UDP"), port("TCP")]) }
}

/// Closes an environment: what no network lets in stays out.
pub(crate) fn closed(key: &EnvKey, around: &Surroundings) -> NetworkPolicy {
    let labels = around.of_environment(key);
    NetworkPolicy {
        metadata: meta(around, CLOSED, labels.clone(), environment_annotations(key, around)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ..NetworkPolicySpec::default()
        }),
    }
}
