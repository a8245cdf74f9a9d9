//! An alert as it is dispatched.

use std::collections::BTreeMap;

use daybook_metrics::Labels;
use serde::{Deserialize, Serialize};

use crate::alerting::Notice;
use crate::labels;

/// An alert, from rules or from elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Its labels, which say which one it is.
    #[serde(with = "labels::mapping")]
    pub labels: Labels,
    /// What is said about it.
    pub annotations: BTreeMap<String, String>,
    /// Since when it fires, in milliseconds since 1970.
    pub starts_at: i64,
    /// When it ended, or counts as ended if nothing more is heard of it.
    pub ends_at: i64,
    /// Whether `ends_at` is only a guess, because whoever told of it did not say.
    pub guessed: bool,
    /// When it was last heard of.
    pub updated_at: i64,
    /// What it comes of: a query, or an address.
    pub source: String,
}

impl Alert {
    /// One of somebody else's. What does not say when it ends counts as ended when nothing is heard of it for as long as the
    /// configuration's `resolve_timeout`.
    pub fn new(
        labels: Labels,
        annotations: BTreeMap<String, String>,
        (starts_at, ends_at): (Option<i64>, Option<i64>),
        source: String,
        (now, resolve_timeout): (i64, i64),
    ) -> Self {
        Self {
            labels,
            annotations,
            starts_at: starts_at.unwrap_or_else(|| ends_at.map_or(now, |end| end.min(now))),
            ends_at: ends_at.unwrap_or_else(|| now.saturating_add(resolve_timeout)),
            guessed: ends_at.is_none(),
            updated_at: now,
            source,
        }
    }

    /// One of our rules.
    pub fn from_notice(notice: Notice, now: i64) -> Self {
        let Notice { labels, annotations, starts_at, ends_at, query } = notice;
        Self { labels, annotations, starts_at, ends_at, guessed: false, updated_at: now, source: query }
    }

    /// Whether it has ended.
    pub fn is_resolved(&self, now: i64) -> bool {
        self.ends_at <= now
    }

    /// The number by which logs know it: of its labels only (FNV-1a, with the separators of Prometheus).
    pub fn fingerprint(&self) -> u64 {
        fingerprint(&self.labels)
    }

    /// What is known of it now that this was heard. One that ended before the other began is another.
    pub(crate) fn merged(self, known: &Self, now: i64) -> Self {
        let overlap = (self.ends_at > known.starts_at && self.ends_at < known.ends_at)
            || (self.starts_at > known.starts_at && self.starts_at < known.ends_at);
        if !overlap {
            return self;
        }
        let mut merged = self;
        merged.starts_at = merged.starts_at.min(known.starts_at);
        if merged.is_resolved(now) {
            // The latest end wins where both have ended.
            if known.is_resolved(now) && known.ends_at > merged.ends_at {
                merged.ends_at = known.ends_at;
            }
        } else if known.ends_at > merged.ends_at && !known.guessed {
            merged.ends_at = known.ends_at;
        }
        merged
    }
}

impl labels::keyed::Labelled for Alert {
    fn labels(&self) -> &Labels {
        &self.labels
    }
}

/// The number of labels.
pub(crate) fn fingerprint(labels: &Labels) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes.iter().chain(&[0xff]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for label in labels.iter() {
        add(label.name.as_bytes());
        add(label.value.as_bytes());
    }
    hash
}
