//! Settings that few have.

use std::ops::{Deref, DerefMut};
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::spec::ContainerOptions;

/// Container settings that most services leave alone: those that do are as small as a pointer, and thousands of
/// them fit into memory.
#[derive(Debug, Clone, Default)]
pub struct RareOptions(Option<Box<ContainerOptions>>);

static NONE: LazyLock<ContainerOptions> = LazyLock::new(ContainerOptions::default);

impl RareOptions {
    /// Whether nothing is set.
    pub fn is_none(&self) -> bool {
        self.0.as_ref().is_none_or(|options| **options == *NONE)
    }
}

impl From<ContainerOptions> for RareOptions {
    fn from(options: ContainerOptions) -> Self {
        Self((options != *NONE).then(|| Box::new(options)))
    }
}

impl Deref for RareOptions {
    type Target = ContainerOptions;
    fn deref(&self) -> &ContainerOptions {
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for RareOptions {
    fn deref_mut(&mut self) -> &mut ContainerOptions {
        self.0.get_or_insert_default()
    }
}

impl PartialEq for RareOptions {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for RareOptions {}

impl Serialize for RareOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (**self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RareOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ContainerOptions::deserialize(deserializer).map(Self::from)
    }
}
