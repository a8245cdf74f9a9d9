//! Names of series.

use std::fmt;
use std::sync::Arc;

use compact_str::CompactString;

/// The label that holds the name of a metric.
pub const NAME: &str = "__name__";

/// One label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label {
    /// Its name.
    pub name: CompactString,
    /// Its value, which is never empty.
    pub value: CompactString,
}

/// The labels of a series, by name. A label without a value is the same as none. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Labels(Arc<[Label]>);

impl Labels {
    /// Of names and values; of two with one name the later one counts.
    pub fn new<N: Into<CompactString>, V: Into<CompactString>>(all: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut labels: Vec<Label> = Vec::new();
        for (name, value) in all {
            let label = Label { name: name.into(), value: value.into() };
            match labels.binary_search_by(|known| known.name.cmp(&label.name)) {
                Ok(at) => labels[at] = label,
                Err(at) => labels.insert(at, label),
            }
        }
        labels.retain(|label| !label.value.is_empty());
        Self(labels.into())
    }

    /// Of labels that are by name, each once, with a value.
    pub(crate) fn from_sorted(all: Vec<Label>) -> Self {
        debug_assert!(all.is_sorted_by(|a, b| a.name < b.name) && all.iter().all(|label| !label.value.is_empty()));
        Self(all.into())
    }

    /// The value of a label; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.binary_search_by(|label| label.name.as_str().cmp(name)).map_or("", |at| &self.0[at].value)
    }

    /// The name of the metric; empty where there is none.
    pub fn metric(&self) -> &str {
        self.get(NAME)
    }

    /// Each label, by name.
    pub fn iter(&self) -> std::slice::Iter<'_, Label> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that `keep` says.
    pub fn filtered(&self, mut keep: impl FnMut(&Label) -> bool) -> Self {
        if self.0.iter().all(&mut keep) {
            return self.clone();
        }
        Self(self.0.iter().filter(|label| keep(label)).cloned().collect())
    }

    /// The same with another value for one of them; an empty value removes it.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let label = Label { name: name.into(), value: value.into() };
        let others = self.0.iter().filter(|other| other.name != name).cloned();
        let mut labels: Vec<_> = others.chain((!value.is_empty()).then_some(label)).collect();
        labels.sort_by(|a, b| a.name.cmp(&b.name));
        Self(labels.into())
    }
}

/// As Prometheus writes it: `up{job="web"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.metric())?;
        let mut rest = self.0.iter().filter(|label| label.name != NAME).peekable();
        if rest.peek().is_none() && !self.metric().is_empty() {
            return Ok(());
        }
        f.write_str("{")?;
        while let Some(label) = rest.next() {
            write!(f, "{}={:?}", label.name, label.value.as_str())?;
            if rest.peek().is_some() {
                f.write_str(", ")?;
            }
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_without_a_value_is_none() {
        let labels = Labels::new([("b", "2"), (NAME, "up"), ("a", ""), ("b", "3")]);
        assert_eq!(labels.to_string(), r#"up{b="3"}"#);
        assert_eq!((labels.get("a"), labels.get("b"), labels.len()), ("", "3", 2));
        assert_eq!(labels, Labels::new([(NAME, "up"), ("b", "3")]));
        assert_eq!(labels.with("b", "").to_string(), "up");
        assert_eq!(labels.filtered(|label| label.name != NAME).with("a", "1").to_string(), r#"{a="1", b="3"}"#);
        assert_eq!(Labels::default().to_string(), "{}");
    }
}
