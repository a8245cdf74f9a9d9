//! From which base backup a moment can be had.

use std::collections::BTreeMap;

use daybook_model::Timestamp;

use super::{Archive, Base, Batch, Cluster, Segment, is_history};

/// How a moment can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// From a base backup.
    From(Box<Point>),
    /// No base backup is as old.
    TooOld,
    /// What was written up to then is not all there.
    Gap {
        /// Up to when everything is. `None`: the base backup is not whole without what is missing.
        until: Option<Timestamp>,
        /// The name of the first segment that is missing.
        missing: String,
    },
    /// The server that wrote then is gone, and what it wrote last is not there.
    TooLate {
        /// Up to when everything is.
        until: Option<Timestamp>,
    },
}

/// What leads to a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// The cluster.
    pub system: u64,
    /// The base backup.
    pub base: Base,
    /// What was written since and is needed: the snapshot and the name of each file.
    pub files: Vec<(String, String)>,
    /// The number of the last segment of it.
    pub last: u64,
    /// How large each segment is.
    pub segment_bytes: u64,
}

/// From what the moment `at` can be had; the last moment of all without. `live` is the cluster that is in use, of which all
/// that was written up to now is in the archive.
pub fn choose(archive: &Archive, live: Option<u64>, at: Option<Timestamp>) -> Choice {
    let all = archive.clusters.iter().filter(|(system, _)| at.is_some() || live.is_none_or(|live| live == **system));
    let bases = all.flat_map(|(system, cluster)| cluster.bases.iter().map(move |base| (*system, cluster, base)));
    let newest = bases.filter(|(.., base)| at.is_none_or(|at| base.whole <= at)).max_by_key(|(.., base)| base.whole);
    let Some((system, cluster, base)) = newest else { return Choice::TooOld };
    let reach = cluster.reach(base);
    let leads = match (at, reach.until) {
        (_, None) => false,
        (Some(at), Some(until)) => until >= at || (reach.missing.is_none() && live == Some(system)),
        (None, Some(_)) => reach.missing.is_none(),
    };
    if leads {
        let (files, last) = needed(cluster, base, at, reach.last);
        let point = Point { system, base: base.clone(), files, last, segment_bytes: cluster.segment_bytes };
        return Choice::From(Box::new(point));
    }
    match reach.missing {
        Some(missing) => Choice::Gap { until: reach.until, missing: cluster.name(missing) },
        None if reach.until.is_none() => Choice::Gap { until: None, missing: cluster.name(reach.last + 1) },
        None => Choice::TooLate { until: reach.until },
    }
}

/// The files that lead from a base backup to a moment, and the number of the last segment among them. Each once, as it was
/// saved last.
fn needed(cluster: &Cluster, base: &Base, at: Option<Timestamp>, last: u64) -> (Vec<(String, String)>, u64) {
    // What was written at that moment is in the first batch that ends later. The one after it is there to show that
    // nothing more of that moment comes.
    let later = cluster.batches.iter().filter(|batch| at.is_some_and(|at| batch.until > at));
    let end = later.filter_map(highest).nth(1).unwrap_or(u64::MAX).clamp(base.last, last);
    let mut files = BTreeMap::new();
    for batch in &cluster.batches {
        for name in &batch.files {
            let wanted = match Segment::parse(name, cluster.segment_bytes) {
                Some(segment) => (base.first..=end).contains(&segment.number),
                None => is_history(name) && name.ends_with(".history"),
            };
            if wanted {
                files.insert(name.clone(), batch.snapshot.clone());
            }
        }
    }
    (files.into_iter().map(|(name, snapshot)| (snapshot, name)).collect(), end)
}

fn highest(batch: &Batch) -> Option<u64> {
    batch.segments.iter().max().copied()
}
