//! The archive that leads a PostgreSQL back to any moment: base backups, and segments of what was written since.
//!
//! What is in it is known from the snapshots of the repository alone: their tags, times and names of streams. Segments
//! are named and numbered as PostgreSQL does; their names repeat in each cluster, which is told from others by its system
//! identifier.

mod choice;
mod notes;
mod segment;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use daybook_model::backup::Keep;
use daybook_model::spec::Service;
use daybook_model::{BackupId, Timestamp};

pub use choice::{Choice, Point, choose};
pub use notes::{Noted, noted};
pub use segment::{HEAD, Segment, check, is_history, segment_at};

/// What a tag of a snapshot begins with that names the cluster.
const SYSTEM: &str = "system:";
/// Of a base backup: its id, the first and the last segment that it needs to be whole, and when it was.
const BASE: &str = "base:";
const FIRST: &str = "first:";
const LAST: &str = "last:";
const WHOLE: &str = "whole:";
/// Of a batch of segments: the first and the last of it.
const WAL: &str = "wal:";
/// How large each segment is.
const BYTES: &str = "segment-bytes:";

/// The tags of a base backup that are known before it is made.
pub fn base_tags(id: BackupId, system: u64, segment_bytes: u64) -> Vec<String> {
    vec![format!("{BASE}{id}"), format!("{SYSTEM}{system}"), format!("{BYTES}{segment_bytes}")]
}

/// The tags that tell what a base backup needs: known once it is made.
pub fn whole_tags(first: &str, last: &str, whole: Timestamp) -> Vec<String> {
    vec![format!("{FIRST}{first}"), format!("{LAST}{last}"), format!("{WHOLE}{whole}")]
}

/// The tags of a batch of files of an archive, which are in the order of their names.
pub fn batch_tags(system: u64, segment_bytes: u64, files: &[String]) -> Vec<String> {
    let (first, last) = (files.first().map_or("", String::as_str), files.last().map_or("", String::as_str));
    vec![format!("{WAL}{first}-{last}"), format!("{SYSTEM}{system}"), format!("{BYTES}{segment_bytes}")]
}

/// A snapshot as the repository lists it.
#[derive(Debug, Clone, Copy)]
pub struct Listed<'a> {
    /// Its id.
    pub id: &'a str,
    /// When it was made. Of a batch: when the last of it was written.
    pub time: Timestamp,
    /// Its tags.
    pub tags: &'a [String],
    /// The names of its streams.
    pub files: &'a [String],
}

/// All that the repository has of one database beside its dumps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archive {
    /// By the system identifier of each cluster that the database was in.
    pub clusters: BTreeMap<u64, Cluster>,
}

/// What there is of one cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// How large each segment is.
    pub segment_bytes: u64,
    /// Base backups, the oldest first.
    pub bases: Vec<Base>,
    /// Batches of segments, the oldest first.
    pub batches: Vec<Batch>,
}

/// A base backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its id.
    pub id: BackupId,
    /// What it is called in the repository.
    pub snapshot: String,
    /// The first segment that it needs.
    pub first: u64,
    /// The last without which it is not whole.
    pub last: u64,
    /// When it was whole: no moment before can be had from it.
    pub whole: Timestamp,
}

/// Segments that were saved together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// What it is called in the repository.
    pub snapshot: String,
    /// The names of its files.
    pub files: Vec<String>,
    /// The numbers of those that are segments.
    pub segments: Vec<u64>,
    /// When the last of it was written: everything from before is in it, or in one before it.
    pub until: Timestamp,
}

/// Segments in a row that are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// Up to when everything is there.
    pub after: Timestamp,
    /// From the next base backup on everything is there again. `None`: there is none yet.
    pub before: Option<Timestamp>,
}

/// How far a base backup leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// Up to when everything is there. `None`: what the base backup itself needs is not.
    pub until: Option<Timestamp>,
    /// The last segment before one is missing.
    pub last: u64,
    /// The first that is missing although later ones are there.
    pub missing: Option<u64>,
}

impl Archive {
    /// What a repository has, by its snapshots. Those of other kinds are passed over.
    pub fn of<'a>(snapshots: impl IntoIterator<Item = Listed<'a>>) -> Self {
        let mut archive = Self::default();
        for snapshot in snapshots {
            archive.add(snapshot);
        }
        archive
    }

    /// Adds what a snapshot has, if it is one of an archive.
    pub fn add(&mut self, listed: Listed<'_>) {
        let tag = |name: &str| listed.tags.iter().find_map(|tag| tag.strip_prefix(name));
        let number = |name: &str| tag(name)?.parse::<u64>().ok();
        let (Some(system), Some(bytes)) = (number(SYSTEM), number(BYTES)) else { return };
        if !segment::is_size(bytes) {
            return;
        }
        let segment = |name: &str| Some(Segment::parse(tag(name)?, bytes)?.number);
        let snapshot = listed.id.to_owned();
        if let Some(id) = tag(BASE).and_then(|id| id.parse().ok()) {
            let whole = tag(WHOLE).and_then(|time| time.parse().ok());
            let (Some(first), Some(last), Some(whole)) = (segment(FIRST), segment(LAST), whole) else { return };
            let cluster = self.cluster(system, bytes);
            cluster.bases.push(Base { id, snapshot, first, last, whole });
            cluster.bases.sort_by_key(|base| base.whole);
        } else if tag(WAL).is_some() {
            let files = listed.files.to_vec();
            let segments = files.iter().filter_map(|name| Segment::parse(name, bytes)).map(|one| one.number).collect();
            let cluster = self.cluster(system, bytes);
            cluster.batches.push(Batch { snapshot, files, segments, until: listed.time });
            cluster.batches.sort_by_key(|batch| batch.until);
        }
    }

    fn cluster(&mut self, system: u64, segment_bytes: u64) -> &mut Cluster {
        let cluster = self.clusters.entry(system).or_default();
        cluster.segment_bytes = segment_bytes;
        cluster
    }

    /// Takes out what is not in the repository any more.
    pub fn remove(&mut self, snapshots: &[String]) {
        for cluster in self.clusters.values_mut() {
            cluster.bases.retain(|base| !snapshots.contains(&base.snapshot));
            cluster.batches.retain(|batch| !snapshots.contains(&batch.snapshot));
        }
    }

    /// The base backup of an id.
    pub fn base(&self, id: BackupId) -> Option<(u64, &Base)> {
        let all = self.clusters.iter().flat_map(|(system, cluster)| cluster.bases.iter().map(|base| (*system, base)));
        all.into_iter().find(|(_, base)| base.id == id)
    }
}

impl Batch {
    /// Whether it has segments, and all of them are before this one.
    fn ends_before(&self, number: u64) -> bool {
        self.segments.iter().max().is_some_and(|last| *last < number)
    }
}

impl Cluster {
    fn segments(&self) -> BTreeSet<u64> {
        self.batches.iter().flat_map(|batch| batch.segments.iter().copied()).collect()
    }

    /// How far a base backup leads.
    pub fn reach(&self, base: &Base) -> Reach {
        let there = self.segments();
        let mut next = base.first;
        while there.contains(&next) {
            next += 1;
        }
        // Nothing before the first is a row that ends before it begins.
        let last = next.saturating_sub(1);
        let missing = there.range(next..).next().map(|_| next);
        // A batch counts as a whole: within it nobody knows the times.
        let whole = |batch: &&Batch| batch.ends_before(next);
        let until = self.batches.iter().filter(whole).map(|batch| batch.until).max();
        let is_whole = next > base.last;
        Reach { until: is_whole.then(|| until.map_or(base.whole, |until| until.max(base.whole))), last, missing }
    }

    /// What is missing since the first base backup, and not mended by a later one.
    pub fn gaps(&self) -> Vec<Gap> {
        let there = self.segments();
        let (Some(first), Some(highest)) = (self.bases.iter().map(|base| base.first).min(), there.last()) else {
            return Vec::new();
        };
        let mut gaps = Vec::new();
        let mut next = first;
        while next <= *highest {
            if there.contains(&next) {
                next += 1;
                continue;
            }
            let end = there.range(next..).next().copied().unwrap_or(next + 1);
            let (first, last) = (next, end - 1);
            let before = |batch: &&Batch| batch.ends_before(first);
            let after = self.batches.iter().filter(before).map(|batch| batch.until).max();
            let after = after.or_else(|| self.bases.first().map(|base| base.whole)).unwrap_or_default();
            let mended = self.bases.iter().find(|base| base.first > last).map(|base| base.whole);
            gaps.push(Gap { first, last, after, before: mended });
            next = end;
        }
        gaps
    }

    /// Whether the newest base backup leads up to what is written now: nothing is missing since.
    pub fn is_unbroken(&self) -> bool {
        self.bases.last().is_some_and(|base| self.reach(base).missing.is_none())
    }

    /// The name of a segment, for people. They are of the first timeline, unless somebody has promoted the server.
    pub fn name(&self, number: u64) -> String {
        let timelines = self.batches.iter().flat_map(|batch| &batch.files);
        let timeline = timelines.filter_map(|name| Segment::parse(name, self.segment_bytes)).map(|one| one.timeline);
        Segment { timeline: timeline.max().unwrap_or(1), number }.name(self.segment_bytes)
    }
}

/// A base backup is made so often: what it takes to come back is at most what was written in that time.
const BASE_EVERY_MS: i64 = 24 * 3_600_000;
/// After a failure it is tried again after so long.
const AGAIN_MS: i64 = 10 * 60_000;

/// Why a base backup of a cluster is to be made now. `failed` is when the last one in a row was begun that came to nothing.
pub fn base_due(archive: &Archive, system: u64, failed: Option<Timestamp>, now: Timestamp) -> Option<&'static str> {
    let since = |time: Timestamp| now.as_millisecond().saturating_sub(time.as_millisecond());
    if failed.is_some_and(|failed| since(failed) < AGAIN_MS) {
        return None;
    }
    let Some(cluster) = archive.clusters.get(&system).filter(|cluster| !cluster.bases.is_empty()) else {
        return Some("there is none of this server yet");
    };
    let newest = cluster.bases.last()?;
    if !cluster.is_unbroken() {
        return Some("what was written since the last one has a gap");
    }
    (since(newest.whole) >= BASE_EVERY_MS).then_some("the last one is a day old")
}

/// How files that are laid down are put into batches of `most`: where a segment is missing one ends, since a batch counts as a
/// whole.
pub fn batches(names: &[&str], segment_bytes: u64, most: usize) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = Vec::new();
    let mut last = None;
    for (at, name) in names.iter().enumerate() {
        let number = Segment::parse(name, segment_bytes).map(|segment| segment.number);
        let follows = number.is_none() || last.is_none_or(|last: u64| number == Some(last + 1));
        match all.last_mut() {
            Some(batch) if follows && batch.len() < most => batch.end = at + 1,
            _ => all.push(at..at + 1),
        }
        last = number.or(last);
    }
    all
}

/// Batches become one when they are of one hour, and this hour is over.
const MERGED_MS: i64 = 3_600_000;

/// Batches of a cluster of which one can be made: a row of segments without a gap. There would be thousands of snapshots else.
pub fn to_merge(cluster: &Cluster, now: Timestamp) -> Vec<&Batch> {
    let hour = |batch: &Batch| batch.until.as_millisecond().div_euclid(MERGED_MS);
    let over = cluster.batches.iter().filter(|batch| hour(batch) < now.as_millisecond().div_euclid(MERGED_MS));
    let mut row: Vec<&Batch> = Vec::new();
    for batch in over {
        let follows = row.last().is_some_and(|last| {
            let next = last.segments.iter().max().map(|last| last + 1);
            hour(last) == hour(batch) && next.is_some() && batch.segments.iter().min().copied() == next
        });
        if !follows && row.len() > 1 {
            return row;
        }
        if !follows {
            row.clear();
        }
        row.push(batch);
    }
    if row.len() > 1 { row } else { Vec::new() }
}

/// Has a server lay nothing down: where nobody takes it away, it would only take room.
pub fn lay_nothing_down(service: &mut Service) {
    if let Some(command) = &mut service.container.command
        && command.iter().any(|word| word == "archive_mode=on")
    {
        command.extend(["-c", "archive_mode=off"].map(str::to_owned));
    }
}

const DAY_MS: u64 = 24 * 3_600_000;

/// For how long every moment stays within reach, by what is to be kept of backups: a day at least.
pub fn window_ms(keep: &Keep) -> u64 {
    let spans = [
        keep.within_ms.unwrap_or(0),
        u64::from(keep.hourly).saturating_mul(3_600_000),
        u64::from(keep.daily).saturating_mul(DAY_MS),
        DAY_MS,
    ];
    spans.into_iter().max().unwrap_or(DAY_MS)
}

/// Snapshots that no moment of the last `window_ms` needs any more. Of the cluster that is in use the newest base backup
/// stays with all that was written since.
pub fn to_remove(archive: &Archive, window_ms: u64, system: u64, now: Timestamp) -> Vec<String> {
    let window = i64::try_from(window_ms).unwrap_or(i64::MAX);
    let since = Timestamp::from_millisecond(now.as_millisecond().saturating_sub(window)).unwrap_or(Timestamp::MIN);
    let mut gone = Vec::new();
    for (of, cluster) in &archive.clusters {
        let ended = cluster.batches.iter().map(|batch| batch.until).chain(cluster.bases.iter().map(|one| one.whole));
        if *of != system && ended.max().is_some_and(|ended| ended < since) {
            gone.extend(cluster.bases.iter().map(|base| base.snapshot.clone()));
            gone.extend(cluster.batches.iter().map(|batch| batch.snapshot.clone()));
            continue;
        }
        // The newest that is older than the window leads to its beginning, if what it needs is there.
        let leads = |base: &&Base| base.whole <= since && cluster.reach(base).until.is_some_and(|until| until >= since);
        let Some(oldest) = cluster.bases.iter().rev().find(leads).or(cluster.bases.first()) else { continue };
        let needed = cluster.bases.iter().filter(|base| base.whole >= oldest.whole).map(|base| base.first).min();
        gone.extend(cluster.bases.iter().filter(|base| base.whole < oldest.whole).map(|base| base.snapshot.clone()));
        let Some(needed) = needed else { continue };
        // Histories of timelines stay: they are a few lines.
        let is_older = |batch: &&Batch| {
            let tells = batch.files.iter().any(|name| name.ends_with(".history"));
            !tells && (batch.ends_before(needed) || batch.segments.is_empty() && batch.until < oldest.whole)
        };
        gone.extend(cluster.batches.iter().filter(is_older).map(|batch| batch.snapshot.clone()));
    }
    gone
}
