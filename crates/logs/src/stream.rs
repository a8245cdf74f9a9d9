//! Where lines come from.

use std::fmt;
use std::sync::Arc;

use compact_str::CompactString;

/// The labels that Daybook gives each stream.
pub const LABELS: [&str; 5] = ["app", "environment", "service", "release", "replica"];

/// Labels that differ between streams of the same kind: their lines look alike.
const OF_ONE: [&str; 2] = ["release", "replica"];

/// Where a line comes from: a few labels, by name, each with a value. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stream(Arc<[(CompactString, CompactString)]>);

impl Stream {
    /// Of names and values; of two with one name the later one counts. A label without a value is none.
    pub fn new<N: Into<CompactString>, V: Into<CompactString>>(all: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut labels: Vec<(CompactString, CompactString)> = Vec::new();
        for (name, value) in all {
            let label = (name.into(), value.into());
            match labels.binary_search_by(|known| known.0.cmp(&label.0)) {
                Ok(at) => labels[at] = label,
                Err(at) => labels.insert(at, label),
            }
        }
        labels.retain(|(_, value)| !value.is_empty());
        Self(labels.into())
    }

    /// The value of a label; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.binary_search_by(|label| label.0.as_str().cmp(name)).map_or("", |at| &self.0[at].1)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What it has in common with the other replicas and releases of its service.
    pub(crate) fn kind(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter().filter(|(name, _)| !OF_ONE.contains(name))
    }
}

/// `{app="shop", service="web"}`
impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name}={value:?}", if at > 0 { ", " } else { "" })?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_by_name_and_have_values() {
        let stream = Stream::new([("service", "web"), ("app", "shop"), ("release", ""), ("service", "api")]);
        assert_eq!(stream.to_string(), r#"{app="shop", service="api"}"#);
        assert_eq!((stream.get("service"), stream.get("replica")), ("api", ""));
        let replica = Stream::new([("service", "api"), ("app", "shop"), ("replica", "1"), ("release", "7")]);
        assert!(replica.kind().eq(stream.kind()));
    }
}
