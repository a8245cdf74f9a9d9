//! Is everything in a cluster that Daybook needs?

use daybook_model::quantity::{bytes, cpu_millis};
use daybook_model::target::ClusterEntry;
use daybook_runtime::{Finding, Machines, Rank, Result};
use futures::StreamExt as _;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, ListParams, PostParams};

use crate::KubernetesRuntime;
use crate::cluster::answer;
use crate::keeper::is_marked;

/// The minor versions of Kubernetes 1 that are supported: the newest three of the time. Tests run on the last.
const MINORS: std::ops::RangeInclusive<u32> = 32..=34;
/// Questions that are put at once.
const AT_ONCE: usize = 8;
/// Marks the storage class that claims get which name none.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// What is done with objects, as permissions name it: group, resource, verbs.
const NEEDS: [(&str, &str, &[&str]); 16] = [
    ("apps", "deployments", &["get", "list", "watch", "create", "patch", "delete"]),
    ("apps", "statefulsets", &["get", "list", "watch", "create", "patch", "delete"]),
    ("batch", "jobs", &["get", "list", "watch", "create", "patch", "delete"]),
    ("", "pods", &["get", "list", "watch", "create", "patch", "delete"]),
    ("", "pods/log", &["get"]),
    ("", "events", &["list"]),
    ("", "pods/exec", &["get", "create"]),
    ("", "pods/portforward", &["get", "create"]),
    ("", "services", &["get", "list", "create", "patch", "delete"]),
    ("", "secrets", &["get", "list", "watch", "create", "patch", "update", "delete"]),
    ("", "configmaps", &["get", "create", "patch", "delete"]),
    ("", "persistentvolumeclaims", &["get", "list", "watch", "create", "patch", "delete"]),
    ("networking.k8s.io", "networkpolicies", &["get", "list", "watch", "create", "patch", "delete"]),
    ("", "resourcequotas", &["get", "list", "watch", "create", "patch", "delete"]),
    ("policy", "poddisruptionbudgets", &["get", "create", "patch", "delete"]),
    ("", "namespaces", &["get", "create", "patch", "delete"]),
];

/// What is needed more where an Ingress controller is before the edge.
const NEEDS_OF_INGRESSES: [(&str, &str, &[&str]); 2] = [
    ("networking.k8s.io", "ingresses", &["get", "create", "patch", "delete"]),
    ("networking.k8s.io", "ingressclasses", &["list"]),
];

/// What is needed more where a Gateway is before the edge.
const NEEDS_OF_GATEWAYS: [(&str, &str, &[&str]); 2] = [
    ("gateway.networking.k8s.io", "gateways", &["get", "list"]),
    ("gateway.networking.k8s.io", "httproutes", &["get", "create", "patch", "delete"]),
];

fn finding(check: &str, rank: Rank, found: impl Into<String>, fix: Option<&str>) -> Finding {
    Finding { check: check.to_owned(), rank, found: found.into(), fix: fix.map(ToOwned::to_owned) }
}

impl KubernetesRuntime {
    /// Looks at everything that an environment in this cluster depends on. An error: the API server does not answer.
    pub(crate) async fn look_at_everything(&self) -> Result<Vec<Finding>> {
        let mut all = vec![version(&self.cluster.version().await?)];
        all.push(self.permissions().await?);
        all.push(self.machines_found().await);
        all.push(self.storage().await);
        all.push(self.registry().await);
        all.push(self.entrance_found().await);
        Ok(all)
    }

    /// Every permission that is missing, by name.
    async fn permissions(&self) -> Result<Finding> {
        let of_namespaces = self.cluster.only.is_some();
        let entry = match self.target.entry {
            ClusterEntry::Balancer => &[][..],
            ClusterEntry::Ingress(_) => &NEEDS_OF_INGRESSES[..],
            ClusterEntry::Gateway { .. } => &NEEDS_OF_GATEWAYS[..],
        };
        let needs = NEEDS.iter().chain(entry).filter(|(_, resource, _)| !(of_namespaces && *resource == "namespaces"));
        let asked = needs.flat_map(|(group, resource, verbs)| verbs.iter().map(move |verb| (*group, *resource, *verb)));
        let asked: Vec<_> = asked.map(|(group, resource, verb)| self.may(group, resource, verb)).collect();
        let mut missing = Vec::new();
        let mut answers = futures::stream::iter(asked).buffered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            missing.extend(answer?);
        }
        Ok(if missing.is_empty() {
            finding("permissions", Rank::Fine, "everything that is needed", None)
        } else {
            let found = format!("missing: {}", missing.join(", "));
            finding(
                "permissions",
                Rank::Missing,
                found,
                Some("grant them by a Role or ClusterRole: docs/kubernetes.md has one"),
            )
        })
    }

    /// `None`: we may.
    async fn may(&self, group: &str, resource: &str, verb: &str) -> Result<Option<String>> {
        let (resource, part) = resource.split_once('/').map_or((resource, None), |(all, part)| (all, Some(part)));
        let attributes = ResourceAttributes {
            group: Some(group.to_owned()),
            namespace: self.cluster.only.clone(),
            resource: Some(resource.to_owned()),
            subresource: part.map(ToOwned::to_owned),
            verb: Some(verb.to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.cluster.client.clone());
        let answered = answer("ask what is permitted", api.create(&PostParams::default(), &review)).await?;
        let is_allowed = answered.status.is_some_and(|status| status.allowed);
        let part = part.map(|part| format!("/{part}")).unwrap_or_default();
        Ok((!is_allowed).then(|| format!("{verb} {resource}{part}")))
    }

    /// The machines of the cluster, and what replicas can have of them.
    pub(crate) async fn machines(&self) -> Result<Machines> {
        let mut machines = Machines::default();
        for node in self.cluster.nodes().await? {
            machines.all += 1;
            let status = node.status.unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            let is_ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
            let is_open = node.spec.is_none_or(|spec| spec.unschedulable != Some(true));
            if !(is_ready && is_open) {
                continue;
            }
            machines.ready += 1;
            let of = |name: &str| Some(status.allocatable.as_ref()?.get(name)?.0.clone());
            machines.cpu_millis += of("cpu").and_then(|text| cpu_millis(&text)).unwrap_or(0);
            machines.memory_bytes += of("memory").and_then(|text| bytes(&text)).unwrap_or(0);
        }
        Ok(machines)
    }

    async fn machines_found(&self) -> Finding {
        match self.machines().await {
            Ok(Machines { ready: 0, all, .. }) => finding(
                "machines",
                Rank::Missing,
                format!("none of {all} is ready"),
                Some("`kubectl describe nodes` shows why"),
            ),
            Ok(machines) => {
                let cores = machines.cpu_millis as f64 / 1000.0;
                let memory = machines.memory_bytes as f64 / f64::from(1 << 30);
                let found = format!("{} of {} ready, {cores:.1} cores, {memory:.1} GiB", machines.ready, machines.all);
                let rank = if machines.ready < machines.all { Rank::Lacking } else { Rank::Fine };
                finding("machines", rank, found, None)
            }
            Err(error) => finding(
                "machines",
                Rank::Lacking,
                error.message,
                Some("permit `list nodes`: capacity and usage are not shown without it"),
            ),
        }
    }

    async fn storage(&self) -> Finding {
        let api: Api<StorageClass> = Api::all(self.cluster.client.clone());
        let classes = match answer("list storage classes", api.list(&ListParams::default())).await {
            Ok(classes) => classes.items,
            Err(error) => return finding("storage", Rank::Lacking, error.message, None),
        };
        let usual = classes.iter().find(|class| is_marked(&class.metadata, DEFAULT_CLASS));
        match usual.and_then(|class| class.metadata.name.as_deref()) {
            Some(name) => finding("storage", Rank::Fine, format!("volumes are of class {name}"), None),
            None => finding(
                "storage",
                Rank::Lacking,
                "no storage class is the default",
                Some("mark one, or name one as `driver` of each volume: a volume waits for ever without"),
            ),
        }
    }

    async fn registry(&self) -> Finding {
        match (&self.target.registry, self.images.answers().await) {
            (None, _) => finding(
                "registry",
                Rank::Lacking,
                "none is configured: only images that others have published can run",
                Some("name one in the target: ?registry=registry.example.com/team"),
            ),
            (Some(registry), Ok(())) => finding("registry", Rank::Fine, format!("{registry} answers"), None),
            (Some(_), Err(error)) => finding("registry", Rank::Missing, error.to_string(), error.hint.as_deref()),
        }
    }

    async fn entrance_found(&self) -> Finding {
        if self.reaches_pods {
            return finding("edge", Rank::Fine, "the server's own reaches the pods directly", None);
        }
        if self.target.entry != ClusterEntry::Balancer {
            return match self.edge().before().await {
                Ok(before) => finding("edge", Rank::Fine, format!("behind {before}"), None),
                Err(error) => finding("edge", Rank::Missing, error.to_string(), error.hint.as_deref()),
            };
        }
        match (self.edge().is_there().await, self.edge().pods().await, self.edge().outside().await) {
            (Err(error), ..) | (_, Err(error), _) | (_, _, Err(error)) => {
                finding("edge", Rank::Missing, error.to_string(), error.hint.as_deref())
            }
            (Ok(false), ..) => finding("edge", Rank::Fine, "made with the first route", None),
            (Ok(true), Ok(pods), Ok(outside)) if !pods.is_empty() => {
                let at = match outside.addresses.is_empty() {
                    true => "no load balancer gave it an address; ports of every machine lead to it".to_owned(),
                    false => format!("at {}", outside.addresses.join(", ")),
                };
                finding("edge", Rank::Fine, format!("{} pods run; {at}", pods.len()), None)
            }
            (Ok(true), Ok(_), _) => finding(
                "edge",
                Rank::Missing,
                "no pod of it runs",
                Some("`kubectl -n daybook-system describe pods` shows why"),
            ),
        }
    }
}

/// Whether a version, as the API server tells it, is one that is tested against.
fn version(told: &str) -> Finding {
    let minor = told.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    let supported = format!("supported are 1.{} to 1.{}", MINORS.start(), MINORS.end());
    match minor {
        Some(minor) if MINORS.contains(&minor) => finding("version", Rank::Fine, format!("{told}; {supported}"), None),
        Some(minor) if minor < *MINORS.start() => finding(
            "version",
            Rank::Lacking,
            format!("{told} is older than what is supported"),
            Some("upgrade the cluster"),
        ),
        _ => finding("version", Rank::Lacking, format!("{told} is newer than what is known"), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_are_not_tested_are_told() {
        assert_eq!(version("Kubernetes v1.34.4").rank, Rank::Fine);
        assert!(version("Kubernetes v1.28.0-eks").found.contains("older"));
        assert!(version("Kubernetes v1.99.0").found.contains("newer"));
    }
}
