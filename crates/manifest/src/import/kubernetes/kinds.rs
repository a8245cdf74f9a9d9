//! Kinds that do not become a service or a part of one, each with the reason in one line.

use super::Import;
use super::objects::{Cluster, Object};

/// Kinds that others read, each with its groups: another group's `Service` is another thing.
const READ: [(&str, &[&str]); 16] = [
    ("Deployment", &["apps", "extensions"]),
    ("StatefulSet", &["apps"]),
    ("DaemonSet", &["apps", "extensions"]),
    ("ReplicaSet", &["apps", "extensions"]),
    ("Pod", &[""]),
    ("Job", &["batch"]),
    ("CronJob", &["batch"]),
    ("Service", &[""]),
    ("Ingress", &["networking.k8s.io", "extensions"]),
    ("HTTPRoute", &["gateway.networking.k8s.io"]),
    ("ConfigMap", &[""]),
    ("Secret", &[""]),
    ("SealedSecret", &["bitnami.com"]),
    ("ExternalSecret", &["external-secrets.io"]),
    ("PersistentVolumeClaim", &[""]),
    ("HorizontalPodAutoscaler", &["autoscaling"]),
];

const NO_API: &str = "there is no API server whose use could be allowed";
const NODES: &str = "everything runs on one machine";
const STORAGE: &str = "a volume is a directory of this machine";
const GATEWAY: &str = "the edge is the gateway";
const POLICY: &str = "admission rules belong to a cluster";
const MONITORING: &str = "metrics are not collected by the manifest";
const CERTIFICATES: &str = "certificates come from Daybook's own authority or from files";

/// Kinds that are known and not carried over: why, and what to use instead.
const NOT_CARRIED: [(&str, &str, &str); 44] = [
    ("Namespace", "an app is a namespace of its own, and each environment of it another", ""),
    ("ServiceAccount", NO_API, "give credentials of others as secrets"),
    ("Role", NO_API, ""),
    ("RoleBinding", NO_API, ""),
    ("ClusterRole", NO_API, ""),
    ("ClusterRoleBinding", NO_API, ""),
    ("NetworkPolicy", "services of an app reach each other", "put services that must not meet on different `networks`"),
    ("PodDisruptionBudget", "a rollout never takes away a replica before its successor serves", ""),
    (
        "ResourceQuota",
        "what it counts is not what ours does",
        "write `quota: {cpu: …, memory: …}`: the sum of all limits",
    ),
    ("LimitRange", "there are no limits that hold without being written", "bound each service with `resources`"),
    ("PriorityClass", "no replica gives way to another", ""),
    ("StorageClass", STORAGE, ""),
    ("PersistentVolume", STORAGE, "a volume may name a driver of the container engine"),
    ("VolumeSnapshot", "volumes are not snapshotted", ""),
    ("VolumeSnapshotClass", "volumes are not snapshotted", ""),
    ("CSIDriver", STORAGE, ""),
    ("VolumeAttachment", STORAGE, ""),
    ("Node", NODES, ""),
    ("RuntimeClass", "classes of runtimes belong to a cluster", "`runtime` names one of the container engine"),
    ("Endpoints", "addresses outside of the app have no name in it", "give the address in `extra_hosts`"),
    ("EndpointSlice", "addresses outside of the app have no name in it", "give the address in `extra_hosts`"),
    ("IngressClass", GATEWAY, ""),
    ("Gateway", GATEWAY, ""),
    ("GatewayClass", GATEWAY, ""),
    ("ReferenceGrant", GATEWAY, ""),
    ("GRPCRoute", "only HTTPRoute is read of the routes", "write `domain` on the service"),
    ("TCPRoute", "only HTTPRoute is read of the routes", "write `ports` on the service"),
    ("TLSRoute", "only HTTPRoute is read of the routes", "write `ports` on the service"),
    ("UDPRoute", "only HTTPRoute is read of the routes", "write `ports` on the service"),
    ("IngressRoute", "it belongs to another proxy", "write `domain` on the service"),
    ("VirtualService", "it belongs to a service mesh", "write `domain` on the service"),
    ("DestinationRule", "it belongs to a service mesh", ""),
    ("PeerAuthentication", "it belongs to a service mesh", ""),
    ("AuthorizationPolicy", "it belongs to a service mesh", ""),
    ("MutatingWebhookConfiguration", POLICY, ""),
    ("ValidatingWebhookConfiguration", POLICY, ""),
    ("ValidatingAdmissionPolicy", POLICY, ""),
    ("CustomResourceDefinition", "it describes a kind, and nothing that runs", ""),
    ("ServiceMonitor", MONITORING, "scrape the service from outside"),
    ("PodMonitor", MONITORING, "scrape the service from outside"),
    ("PrometheusRule", MONITORING, ""),
    ("Certificate", CERTIFICATES, "see `domain`: `tls: {cert: FILE, key: FILE}`"),
    ("Issuer", CERTIFICATES, "see `domain`: `tls: {cert: FILE, key: FILE}`"),
    ("ClusterIssuer", CERTIFICATES, "see `domain`: `tls: {cert: FILE, key: FILE}`"),
];

/// Whether somebody reads objects of this kind.
pub(super) fn is_read(object: &Object<'_>) -> bool {
    READ.iter().any(|(kind, groups)| *kind == object.kind && groups.contains(&object.group))
}

/// Reports every object that nobody reads, each in one line.
pub(super) fn report(import: &Import<'_, '_>, cluster: &Cluster<'_>) {
    for object in &cluster.others {
        let known = NOT_CARRIED.iter().find(|(kind, ..)| *kind == object.kind);
        let (why, advice) = known.map_or_else(|| unknown(object), |(_, why, advice)| ((*why).to_owned(), *advice));
        import.notes.not_carried(object.at, format!("{}: {why}", object.shown()), advice);
    }
}

fn unknown(object: &Object<'_>) -> (String, &'static str) {
    if object.kind == "Kustomization" {
        return (
            "it describes how to render others".to_owned(),
            "import what it renders: `kubectl kustomize …`, and `-` as the path",
        );
    }
    let of = if object.group.is_empty() { String::new() } else { format!(" of {}", object.group) };
    (format!("the kind{of} is not known to the import"), "describe what its operator would run as services")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_either_read_or_not_carried() {
        for (index, (kind, ..)) in NOT_CARRIED.iter().enumerate() {
            assert!(!READ.iter().any(|(read, _)| read == kind), "{kind}");
            assert!(!NOT_CARRIED[..index].iter().any(|(other, ..)| other == kind), "{kind}");
        }
    }
}
