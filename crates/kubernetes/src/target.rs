//! Where an environment runs: `kubernetes://CONTEXT[/NAMESPACE]`.

use std::fmt;
use std::str::FromStr;

/// A cluster, by its context in the kubeconfig, and perhaps one namespace of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Target {
    /// What follows `kubernetes://`. A context's name may hold slashes, so where it ends is known only once the
    /// kubeconfig is read. Empty: the current context, or in a pod the pod's own cluster.
    pub(crate) place: String,
}

/// What every target begins with.
const SCHEME: &str = "kubernetes://";

impl FromStr for Target {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "kubernetes" {
            return Ok(Self::default());
        }
        let place = text.strip_prefix(SCHEME).ok_or_else(|| {
            format!("`{text}` is no cluster: write kubernetes://CONTEXT or kubernetes://CONTEXT/NAMESPACE")
        })?;
        Ok(Self { place: place.trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.place)
    }
}

impl Target {
    /// The context and the namespace, when the kubeconfig knows these contexts.
    pub(crate) fn split<'a>(&'a self, is_context: impl Fn(&str) -> bool) -> (&'a str, Option<&'a str>) {
        match self.place.rsplit_once('/') {
            Some((context, namespace)) if !is_context(&self.place) => (context, Some(namespace)),
            _ => (&self.place, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_what_follows_a_context() {
        let known = |name: &str| matches!(name, "prod" | "arn:aws:eks:eu:1:cluster/shop");
        let split = |text: &str| {
            let target: Target = text.parse().unwrap();
            let (context, namespace) = target.split(known);
            (context.to_owned(), namespace.map(ToOwned::to_owned))
        };
        assert_eq!(split("kubernetes://prod"), ("prod".into(), None));
        assert_eq!(split("kubernetes://prod/"), ("prod".into(), None));
        assert_eq!(split("kubernetes://prod/shop"), ("prod".into(), Some("shop".into())));
        assert_eq!(split("kubernetes://arn:aws:eks:eu:1:cluster/shop").1, None);
        assert_eq!(split("kubernetes://arn:aws:eks:eu:1:cluster/shop/team").1, Some("team".into()));
        assert_eq!(split("kubernetes"), (String::new(), None));
    }

    #[test]
    fn another_scheme_is_refused() {
        assert!("docker://x".parse::<Target>().unwrap_err().contains("kubernetes://CONTEXT"));
    }
}
