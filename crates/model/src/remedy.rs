//! What may be mended by itself, and how often: nothing, unless a rule of the manifest says so.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::name::ServiceName;

/// What a rule may have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Go back to the release before.
    SwapBack,
    /// Replace replicas by equal ones.
    Restart,
    /// Run more replicas.
    Scale,
}

impl Remedy {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::SwapBack => "swap back",
            Self::Restart => "restart",
            Self::Scale => "scale",
        }
    }
}

impl std::str::FromStr for Remedy {
    type Err = ();

    /// As the manifest writes it.
    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "swap-back" => Ok(Self::SwapBack),
            "restart" => Ok(Self::Restart),
            "scale" => Ok(Self::Scale),
            _ => Err(()),
        }
    }
}

/// A rule that mends something by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub may: BTreeSet<Remedy>,
    /// About which services. Empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub services: BTreeSet<ServiceName>,
    /// The first suspect must have at least this share, percent.
    pub least_share: u8,
    /// At most so many times
    pub most: u32,
    /// in so many milliseconds.
    pub within_ms: u64,
    /// It never runs more replicas of a service than this.
    pub most_replicas: u32,
    /// Line of the manifest, from 1.
    pub line: u32,
}

impl Rule {
    /// The share that is asked for where the manifest names none, percent.
    pub const LEAST_SHARE: u8 = 60;
    /// How often it may do something where the manifest does not say: once
    pub const MOST: u32 = 1;
    /// in an hour.
    pub const WITHIN_MS: u64 = 3_600_000;
    /// Replicas of a service that it runs at most where the manifest does not say.
    pub const MOST_REPLICAS: u32 = 10;
}
