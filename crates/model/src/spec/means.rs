//! What an environment may have, and what it may cost.

use serde::{Deserialize, Serialize};

use crate::money::{Currency, Money};

/// What all replicas of an environment may have together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Quota {
    /// The sum of their limits, thousandths of a core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_millis: Option<u64>,
    /// The sum of their limits, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// What an environment may cost, and what the manifest says of how that is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// A month of it. `None`: it is shown what it costs, and that is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly: Option<Money>,
    /// What `monthly` is in.
    pub currency: Currency,
    /// A plan that costs more than `monthly`, and more than what runs, is refused.
    #[serde(default)]
    pub blocks: bool,
    /// Whose prices count: `aws/eu-central-1`.
    pub place: String,
    /// What leaves for the Internet in a month, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress_bytes: Option<u64>,
    /// What machines keep free, percent.
    pub headroom: u8,
    /// Line of the manifest, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl Budget {
    /// What machines keep free where nothing says it, percent: room for a rollout, and for a replica that needs more.
    pub const HEADROOM: u8 = 20;
}
