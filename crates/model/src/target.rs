//! Where an environment runs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where an environment runs: `process`, `docker`, or a cluster as `kubernetes://CONTEXT[/NAMESPACE][?SETTINGS]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// Plain processes of the server's machine.
    Process,
    /// The server's Docker or Podman.
    Docker,
    /// A Kubernetes cluster.
    Kubernetes(ClusterTarget),
}

/// A cluster, by its context in the kubeconfig, and perhaps one namespace of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ClusterTarget {
    /// What follows `kubernetes://`. A context's name may hold slashes, so where it ends is known only once the
    /// kubeconfig is read. Empty: the current context, or in a pod the pod's own cluster.
    pub place: String,
    /// `registry=`: where images that are built by the server are put for the cluster.
    pub registry: Option<String>,
    /// `pods=direct`: the server's machine reaches the addresses of pods, so its own edge serves the environment.
    /// Otherwise an edge runs in the cluster, and checks go through the API server.
    pub reaches_pods: bool,
    /// `entry=`: what is before the edge in the cluster.
    pub entry: ClusterEntry,
}

/// What brings requests from outside of a cluster to the edge within.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum ClusterEntry {
    /// A load balancer of its own, which needs nothing else to be there.
    #[default]
    Balancer,
    /// `entry=ingress[/CLASS]`: the controller of Ingresses of a class, or of the class that is the default.
    Ingress(Option<String>),
    /// `entry=gateway/NAMESPACE/NAME`: a Gateway that is there, by the Gateway API.
    Gateway {
        /// Where it is.
        namespace: String,
        /// What it is called.
        name: String,
    },
}

/// What a cluster's target begins with.
const SCHEME: &str = "kubernetes://";

impl Target {
    /// What runs replicas there, as manifests and `daybook doctor` name it.
    pub fn runtime(&self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Docker => "docker",
            Self::Kubernetes(_) => "kubernetes",
        }
    }

    /// Its name for people, without settings: `docker`, `kubernetes://prod`.
    pub fn name(&self) -> String {
        match self {
            Self::Process | Self::Docker => self.runtime().to_owned(),
            Self::Kubernetes(cluster) => format!("{SCHEME}{}", cluster.place),
        }
    }
}

impl FromStr for Target {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "process" => Ok(Self::Process),
            "docker" | "podman" => Ok(Self::Docker),
            "kubernetes" => Ok(Self::Kubernetes(ClusterTarget::default())),
            other => match other.strip_prefix(SCHEME) {
                Some(place) => place.parse().map(Self::Kubernetes),
                None => Err(format!("`{text}` is no target: use process, docker or kubernetes://CONTEXT")),
            },
        }
    }
}

impl FromStr for ClusterTarget {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (place, settings) = text.split_once('?').unwrap_or((text, ""));
        let mut target = Self { place: place.trim_end_matches('/').to_owned(), ..Self::default() };
        for setting in settings.split('&').filter(|setting| !setting.is_empty()) {
            match setting.split_once('=') {
                Some(("registry", registry)) if !registry.is_empty() => {
                    target.registry = Some(registry.trim_end_matches('/').to_owned());
                }
                Some(("pods", "direct")) => target.reaches_pods = true,
                Some(("entry", entry)) => target.entry = entry.parse()?,
                _ => {
                    return Err(format!(
                        "`{setting}` is no setting of a cluster: use registry=HOST/PATH, pods=direct or entry=…"
                    ));
                }
            }
        }
        if target.reaches_pods && target.entry != ClusterEntry::Balancer {
            return Err(format!(
                "`pods=direct` and `entry={}` exclude each other: with the first, the server's own edge is the way in",
                target.entry
            ));
        }
        Ok(target)
    }
}

impl FromStr for ClusterEntry {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            ["ingress"] => Ok(Self::Ingress(None)),
            ["ingress", class] if !class.is_empty() => Ok(Self::Ingress(Some((*class).to_owned()))),
            ["gateway", namespace, name] if !namespace.is_empty() && !name.is_empty() => {
                Ok(Self::Gateway { namespace: (*namespace).to_owned(), name: (*name).to_owned() })
            }
            _ => Err(format!("`entry={text}` is no way in: use gateway/NAMESPACE/NAME, ingress/CLASS or ingress")),
        }
    }
}

impl fmt::Display for ClusterEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balancer => f.write_str("balancer"),
            Self::Ingress(None) => f.write_str("ingress"),
            Self::Ingress(Some(class)) => write!(f, "ingress/{class}"),
            Self::Gateway { namespace, name } => write!(f, "gateway/{namespace}/{name}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process | Self::Docker => f.write_str(self.runtime()),
            Self::Kubernetes(cluster) => cluster.fmt(f),
        }
    }
}

impl fmt::Display for ClusterTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.place)?;
        let registry = self.registry.iter().map(|registry| format!("registry={registry}"));
        let direct = self.reaches_pods.then(|| "pods=direct".to_owned());
        let entry = (self.entry != ClusterEntry::Balancer).then(|| format!("entry={}", self.entry));
        let all: Vec<_> = registry.chain(direct).chain(entry).collect();
        if all.is_empty() { Ok(()) } else { write!(f, "?{}", all.join("&")) }
    }
}

impl TryFrom<String> for Target {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl ClusterTarget {
    /// The context and the namespace, when the kubeconfig knows these contexts.
    pub fn split(&self, is_context: impl Fn(&str) -> bool) -> (&str, Option<&str>) {
        match self.place.rsplit_once('/') {
            Some((context, namespace)) if !is_context(&self.place) => (context, Some(namespace)),
            _ => (&self.place, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(text: &str) -> ClusterTarget {
        match text.parse().unwrap() {
            Target::Kubernetes(cluster) => cluster,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_namespace_is_what_follows_a_context() {
        let known = |name: &str| matches!(name, "prod" | "arn:aws:eks:eu:1:cluster/shop");
        for (text, context, namespace) in [
            ("kubernetes://prod", "prod", None),
            ("kubernetes://prod/", "prod", None),
            ("kubernetes://prod/shop?pods=direct", "prod", Some("shop")),
            ("kubernetes://arn:aws:eks:eu:1:cluster/shop", "arn:aws:eks:eu:1:cluster/shop", None),
            ("kubernetes://arn:aws:eks:eu:1:cluster/shop/team", "arn:aws:eks:eu:1:cluster/shop", Some("team")),
            ("kubernetes", "", None),
        ] {
            assert_eq!(cluster(text).split(known), (context, namespace), "{text}");
        }
    }

    #[test]
    fn targets_are_written_as_they_are_read() {
        for text in [
            "process",
            "docker",
            "kubernetes://prod",
            "kubernetes://prod/shop?registry=r.example.com/shop&pods=direct",
            "kubernetes://prod?entry=ingress",
            "kubernetes://prod?entry=ingress/nginx",
            "kubernetes://prod?registry=r.example.com&entry=gateway/edge/public",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_target_is_refused() {
        assert!("ssh://x".parse::<Target>().unwrap_err().contains("kubernetes://CONTEXT"));
        for (settings, why) in [
            ("registry", "`registry`"),
            ("entry=gateway/public", "gateway/NAMESPACE/NAME"),
            ("entry=ingress/", "ingress/CLASS"),
            ("pods=direct&entry=ingress", "exclude each other"),
        ] {
            let error = format!("kubernetes://x?{settings}").parse::<Target>().unwrap_err();
            assert!(error.contains(why), "{settings}: {error}");
        }
    }
}
