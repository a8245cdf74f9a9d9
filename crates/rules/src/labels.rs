//! Labels as they are kept and sent: a mapping of texts.

use std::collections::BTreeMap;

use daybook_metrics::Labels;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Labels as a mapping.
pub fn as_map(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|label| (label.name.to_string(), label.value.to_string())).collect()
}

/// Labels that are serialized as a mapping.
pub(crate) mod mapping {
    use super::{BTreeMap, Deserialize, Deserializer, Labels, Serializer, as_map};

    pub(crate) fn serialize<S: Serializer>(labels: &Labels, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(as_map(labels))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
        BTreeMap::<String, String>::deserialize(deserializer).map(Labels::new)
    }
}

/// A set of labels that is serialized as a list of mappings.
pub(crate) mod set {
    use std::collections::BTreeSet;

    use super::{BTreeMap, Deserialize, Deserializer, Labels, Serializer, as_map};

    pub(crate) fn serialize<S: Serializer>(all: &BTreeSet<Labels>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(all.iter().map(as_map))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Labels>, D::Error> {
        let all = Vec::<BTreeMap<String, String>>::deserialize(deserializer)?;
        Ok(all.into_iter().map(Labels::new).collect())
    }
}

/// A mapping by labels whose values know their labels; serialized as a list of the values.
pub(crate) mod keyed {
    use super::{BTreeMap, Deserialize, Deserializer, Labels, Serialize, Serializer};

    /// What knows its labels.
    pub(crate) trait Labelled {
        fn labels(&self) -> &Labels;
    }

    pub(crate) fn serialize<S: Serializer, T: Serialize>(
        all: &BTreeMap<Labels, T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(all.values())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de> + Labelled>(
        deserializer: D,
    ) -> Result<BTreeMap<Labels, T>, D::Error> {
        let all = Vec::<T>::deserialize(deserializer)?;
        Ok(all.into_iter().map(|value| (value.labels().clone(), value)).collect())
    }
}
