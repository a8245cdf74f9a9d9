//! Backups: which are due, which stay, and which are proven.

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::backup::{BackupOutcome, BackupPolicy, DrillOutcome, Facts, Holding, Keep, Made, TreeFacts};
use daybook_model::{BackupId, Event, ServiceName, Timestamp};
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

/// After a failure, until it is tried again: milliseconds, for the first, second, … in a row. The last holds on.
pub(crate) const AGAIN_MS: [u64; 4] = [60_000, 5 * 60_000, 15 * 60_000, 60 * 60_000];

/// What became of the backups of one database or volume, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Every one that was begun and is not gone.
    pub backups: Vec<Backup>,
    /// What was said to be overdue, since the last good end of its kind.
    pub overdue: Vec<String>,
    /// What was stopped for a restore that has not come to its end.
    pub stopped: Option<Stopped>,
}

/// Services that were stopped for a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// When.
    pub at: Timestamp,
    /// The backup that was to be restored.
    pub backup: BackupId,
    /// Which are to run again.
    pub services: BTreeSet<ServiceName>,
}

/// A backup, as the journal tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Its id.
    pub id: BackupId,
    /// When it was begun.
    pub begun: Timestamp,
    /// Why.
    pub why: String,
    /// What came of it, and how long that took, milliseconds. `None`: nothing yet.
    pub ended: Option<(BackupOutcome, u64)>,
    /// Its drills.
    pub drills: Vec<Drill>,
}

/// A drill, as the journal tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drill {
    /// Its id.
    pub id: BackupId,
    /// When it was begun.
    pub begun: Timestamp,
    /// When it ended, what came of it, and how long it took, milliseconds. `None`: nothing yet.
    pub ended: Option<(Timestamp, DrillOutcome, u64)>,
}

impl Backup {
    /// What is in the repository of it.
    pub fn made(&self) -> Option<&Made> {
        match &self.ended {
            Some((BackupOutcome::Made(made), _)) => Some(made),
            _ => None,
        }
    }

    /// How far it is proven, by the last drill that came to an end.
    pub fn standing(&self) -> Standing<'_> {
        let decided = self.drills.iter().rev().find_map(|drill| match &drill.ended {
            Some((at, DrillOutcome::Proven(_), _)) => Some(Standing::Proven { at: *at }),
            Some((at, DrillOutcome::Failed { why }, _)) => Some(Standing::Refuted { at: *at, why }),
            _ => None,
        });
        decided.unwrap_or(Standing::Unproven)
    }
}

/// How far a backup is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    /// A restore of it was as all had been.
    Proven {
        /// When that was seen.
        at: Timestamp,
    },
    /// A restore of it failed, or was not as all had been.
    Refuted {
        /// When that was seen.
        at: Timestamp,
        /// What was seen.
        why: &'a [String],
    },
    /// Nobody has tried.
    Unproven,
}

/// What became of the backups of an environment, from what its journal says of them.
pub fn fold<'e>(entries: impl IntoIterator<Item = (Timestamp, &'e Event)>) -> BTreeMap<Holding, History> {
    let mut all: BTreeMap<Holding, History> = BTreeMap::new();
    for (at, event) in entries {
        match event {
            Event::BackupStarted { backup, of, why } => {
                let begun = Backup { id: *backup, begun: at, why: why.clone(), ended: None, drills: Vec::new() };
                all.entry(of.clone()).or_default().backups.push(begun);
            }
            Event::BackupFinished { backup, of, outcome, took_ms } => {
                let history = all.entry(of.clone()).or_default();
                if let Some(known) = history.find(*backup) {
                    // One that was found has been made long before it was written down.
                    if let BackupOutcome::Made(made) = outcome {
                        known.begun = known.begun.min(made.as_of);
                    }
                    known.ended = Some((outcome.clone(), *took_ms));
                }
                if matches!(outcome, BackupOutcome::Made(_)) {
                    history.overdue.retain(|what| what != NO_BACKUP);
                }
            }
            Event::BackupsRemoved { of, backups } => {
                let history = all.entry(of.clone()).or_default();
                history.backups.retain(|known| !backups.contains(&known.id));
            }
            Event::DrillStarted { drill, of, backup } => {
                if let Some(known) = all.entry(of.clone()).or_default().find(*backup) {
                    known.drills.push(Drill { id: *drill, begun: at, ended: None });
                }
            }
            Event::DrillFinished { drill, of, backup, outcome, took_ms } => {
                let history = all.entry(of.clone()).or_default();
                let known =
                    history.find(*backup).and_then(|known| known.drills.iter_mut().find(|one| one.id == *drill));
                if let Some(known) = known {
                    known.ended = Some((at, outcome.clone(), *took_ms));
                }
                if matches!(outcome, DrillOutcome::Proven(_)) {
                    history.overdue.retain(|what| what != NO_PROOF);
                }
            }
            Event::BackupOverdue { of, what } => {
                all.entry(of.clone()).or_default().overdue.push(what.clone());
            }
            Event::StoppedToRestore { of, backup, services } => {
                let stopped = Stopped { at, backup: *backup, services: services.clone() };
                all.entry(of.clone()).or_default().stopped = Some(stopped);
            }
            Event::Restored { of, .. } => {
                all.entry(of.clone()).or_default().stopped = None;
            }
            _ => {}
        }
    }
    all.values_mut().for_each(|history| history.backups.sort_by_key(|backup| backup.begun));
    all
}

/// Why a backup was made that only a restore has asked for: it has what was to be got rid of.
pub const BEFORE_RESTORE: &str = "before a restore";
/// Why a backup is known that nobody here has made.
pub const FOUND: &str = "found in the repository";

/// What is said where there have been a backup by now.
pub const NO_BACKUP: &str = "it has no backup that is as new as it should be";
/// What is said where a backup should have been proven by now.
pub const NO_PROOF: &str = "no restore of a backup was proven for too long";

impl History {
    fn find(&mut self, id: BackupId) -> Option<&mut Backup> {
        self.backups.iter_mut().rev().find(|known| known.id == id)
    }

    /// The newest backup that is in the repository.
    pub fn newest(&self) -> Option<&Backup> {
        self.backups.iter().rev().find(|backup| backup.made().is_some())
    }

    /// The newest backup in the repository that is not of a later time.
    pub fn newest_of(&self, at: Timestamp) -> Option<&Backup> {
        self.backups.iter().rev().find(|backup| backup.made().is_some_and(|made| made.as_of <= at))
    }

    /// How the dump has grown between the oldest and the newest backup that is known: bytes, and milliseconds in between.
    /// `None`: they are less than an hour apart, which says nothing.
    pub fn growth(&self) -> Option<(i64, u64)> {
        let mut all = self.backups.iter().filter_map(Backup::made);
        let (first, last) = (all.next()?, all.next_back()?);
        let within = u64::try_from(last.as_of.as_millisecond() - first.as_of.as_millisecond()).ok()?;
        let bytes = |made: &Made| i64::try_from(made.size_bytes).ok();
        (within >= 3_600_000).then_some((bytes(last)? - bytes(first)?, within))
    }

    /// The newest backup that a restore has proven.
    pub fn newest_proven(&self) -> Option<&Backup> {
        self.backups.iter().rev().find(|backup| matches!(backup.standing(), Standing::Proven { .. }))
    }

    /// When the last restore was proven, whichever backup it was of.
    pub fn last_proof(&self) -> Option<Timestamp> {
        let ended = self.backups.iter().flat_map(|backup| &backup.drills).filter_map(|drill| drill.ended.as_ref());
        ended.filter(|(_, outcome, _)| matches!(outcome, DrillOutcome::Proven(_))).map(|(at, ..)| *at).max()
    }

    /// Whether a backup is under way.
    pub fn is_backing_up(&self) -> bool {
        self.backups.iter().any(|backup| backup.ended.is_none())
    }

    /// Whether a drill is under way.
    pub fn is_drilling(&self) -> bool {
        self.backups.iter().flat_map(|backup| &backup.drills).any(|drill| drill.ended.is_none())
    }
}

/// What is to be done for a database or a volume now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// A backup is to be made; why, in words.
    Backup(String),
    /// This backup is to be restored and looked at.
    Drill(BackupId),
    /// This is to be said, once.
    Overdue(&'static str),
}

/// What a policy asks for now. `since` is when it came into force.
///
/// Something that failed is tried again sooner, but not at once.
pub fn due(policy: &BackupPolicy, history: &History, since: Timestamp, now: Timestamp) -> Vec<Due> {
    let mut due = Vec::new();
    if let Some(every) = policy.every_ms {
        let failed =
            history.backups.iter().rev().take_while(|one| one.made().is_none()).filter(|one| one.ended.is_some());
        let next = match history.backups.last() {
            None => since,
            Some(last) => after(last.begun, every, failed.count()),
        };
        if now >= next && !history.is_backing_up() {
            due.push(Due::Backup(format!("every {}", span(every))));
        }
        let newest = history.newest().map_or(since, |one| one.begun);
        if lies_back(newest, now) > every.saturating_mul(2) && !history.overdue.iter().any(|what| what == NO_BACKUP) {
            due.push(Due::Overdue(NO_BACKUP));
        }
    }
    if let (Some(every), Some(newest)) = (policy.drill_ms, history.newest()) {
        let drills: Vec<_> = history.backups.iter().flat_map(|backup| &backup.drills).collect();
        let failed = newest.drills.iter().filter(|drill| !is_proof(drill)).count();
        let last = drills.iter().map(|drill| drill.begun).max();
        // The first backup is proven at once: a backup that nobody has tried is a hope.
        let next = last.map_or(since, |last| after(last, every, failed));
        if now >= next && !history.is_drilling() && !history.is_backing_up() {
            due.push(Due::Drill(newest.id));
        }
        let proof = history.last_proof().unwrap_or(since);
        if lies_back(proof, now) > every.saturating_mul(2) && !history.overdue.iter().any(|what| what == NO_PROOF) {
            due.push(Due::Overdue(NO_PROOF));
        }
    }
    due
}

fn is_proof(drill: &Drill) -> bool {
    matches!(&drill.ended, Some((_, DrillOutcome::Proven(_), _)))
}

fn after(last: Timestamp, every_ms: u64, failures: usize) -> Timestamp {
    let wait = match failures {
        0 => every_ms,
        some => AGAIN_MS[some.min(AGAIN_MS.len()) - 1].min(every_ms),
    };
    let wait = i64::try_from(wait).unwrap_or(i64::MAX);
    let at = last.as_millisecond().saturating_add(wait);
    Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX)
}

pub(crate) fn lies_back(at: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(now.as_millisecond().saturating_sub(at.as_millisecond())).unwrap_or(0)
}

/// Backups that no rule keeps any more. What was not made is no backup, and goes once something newer was made.
///
/// The newest stays, and so does the newest that is proven, whatever the rules say. Days are those of UTC.
pub fn to_remove(keep: &Keep, history: &History, now: Timestamp) -> Vec<BackupId> {
    let made = history.backups.iter().rev().filter_map(|one| Some((one, one.made()?.as_of)));
    // What is known to bring nothing back keeps no place from what might.
    let (refuted, made): (Vec<_>, Vec<_>) =
        made.partition(|(one, _)| matches!(one.standing(), Standing::Refuted { .. }));
    let times: Vec<_> = made.iter().map(|(_, at)| *at).collect();
    let kept = kept(keep, &times, now);
    let always = [history.newest(), history.newest_proven()].map(|one| one.map(|one| one.id));
    let busy = |one: &Backup| one.drills.iter().any(|drill| drill.ended.is_none());
    let gone = made.iter().zip(kept).filter(|((one, _), kept)| !kept && !always.contains(&Some(one.id)) && !busy(one));
    let mut gone: Vec<_> = gone.map(|((one, _), _)| one.id).collect();
    // Somebody may still want to look at it, until there is one that is good.
    let proven = history.newest_proven().map(|one| one.begun);
    let refuted = refuted.into_iter().map(|(one, _)| one).filter(|one| !always.contains(&Some(one.id)) && !busy(one));
    gone.extend(refuted.filter(|one| proven.is_some_and(|proven| one.begun < proven)).map(|one| one.id));
    let newest = history.newest().map(|one| one.begun);
    let failed = history.backups.iter().filter(|one| matches!(one.ended, Some((BackupOutcome::Failed { .. }, _))));
    gone.extend(failed.filter(|one| newest.is_some_and(|newest| one.begun < newest)).map(|one| one.id));
    gone.sort();
    gone
}

/// Whether each of `times`, newest first, is kept.
pub(crate) fn kept(keep: &Keep, times: &[Timestamp], now: Timestamp) -> Vec<bool> {
    let mut kept: Vec<_> = times
        .iter()
        .enumerate()
        .map(|(at, time)| {
            let recent = keep.within_ms.is_some_and(|within| lies_back(*time, now) <= within);
            recent || at < usize::try_from(keep.last).unwrap_or(usize::MAX)
        })
        .collect();
    let date = |time: &Timestamp| time.to_zoned(TimeZone::UTC).date();
    let week = |time: &Timestamp| {
        let date = date(time);
        let back = i64::from(date.weekday().since(Weekday::Monday));
        date.saturating_sub(jiff::Span::new().days(back)).to_string()
    };
    type SpanOf<'a> = &'a dyn Fn(&Timestamp) -> String;
    let spans: [(u32, SpanOf<'_>); 5] = [
        (keep.hourly, &|time| format!("{}T{}", date(time), time.to_zoned(TimeZone::UTC).hour())),
        (keep.daily, &|time| date(time).to_string()),
        (keep.weekly, &week),
        (keep.monthly, &|time| format!("{}-{}", date(time).year(), date(time).month())),
        (keep.yearly, &|time| date(time).year().to_string()),
    ];
    for (count, span_of) in spans {
        let (mut left, mut last) = (count, None);
        for (at, time) in times.iter().enumerate() {
            let span = Some(span_of(time));
            if left == 0 {
                break;
            }
            if span != last {
                kept[at] = true;
                left -= 1;
                last = span;
            }
        }
    }
    kept
}

/// Differences that are told one by one; what is beyond is counted.
const MOST_TOLD: usize = 10;

/// How a restored database differs from what its backup had, in words. Empty: not at all.
///
/// A sequence may be further on: it goes on counting while a backup is made, and what it has given out is never given
/// out again.
pub fn differences(had: &Facts, has: &Facts) -> Vec<String> {
    let mut all = Vec::new();
    for (name, had) in &had.tables {
        let differs = match has.tables.get(name) {
            None => format!("table {name} is missing, which had {} rows", had.rows),
            Some(has) if has.rows != had.rows => format!("table {name} has {} rows, not {}", has.rows, had.rows),
            Some(has) if has.sum != had.sum => format!("table {name} has other values in its rows"),
            Some(_) => continue,
        };
        all.push(differs);
    }
    all.extend(
        has.tables
            .keys()
            .filter(|name| !had.tables.contains_key(*name))
            .map(|name| format!("table {name} is there, and was not")),
    );
    for (what, had, has) in [("indexes", had.indexes, has.indexes), ("constraints", had.constraints, has.constraints)] {
        if had != has {
            all.push(format!("it has {has} {what}, not {had}"));
        }
    }
    for (name, had) in &had.sequences {
        match has.sequences.get(name) {
            Some(has) if has >= had => {}
            Some(has) => all.push(format!("sequence {name} is at {has}, and had given out {had}")),
            None => all.push(format!("sequence {name} is missing, which had given out {had}")),
        }
    }
    if all.len() > MOST_TOLD {
        let more = all.len() - MOST_TOLD;
        all.truncate(MOST_TOLD);
        all.push(format!("… and {more} more"));
    }
    all
}

/// How what a volume holds differs from what was recorded as it was backed up, in words. Empty: not at all.
pub fn tree_differences(had: &TreeFacts, has: &TreeFacts) -> Vec<String> {
    let counted = [
        ("files", had.files, has.files),
        ("directories", had.directories, has.directories),
        ("links and others", had.others, has.others),
        ("bytes", had.bytes, has.bytes),
    ];
    let mut all: Vec<_> = counted
        .iter()
        .filter(|(_, had, has)| had != has)
        .map(|(what, had, has)| format!("it has {has} {what}, not {had}"))
        .collect();
    if all.is_empty() && had.sum != has.sum {
        all.push("paths, modes, owners or contents are not those that were recorded".to_owned());
    }
    all
}

/// A policy in words: "every 6 h, kept for 30 d, proven every week".
pub fn words(policy: &BackupPolicy) -> String {
    let mut parts = vec![policy.every_ms.map_or("when asked for".to_owned(), |every| format!("every {}", span(every)))];
    parts.push(keep_words(&policy.keep));
    parts.push(
        policy.drill_ms.map_or("proven when asked for".to_owned(), |every| format!("proven every {}", span(every))),
    );
    if !policy.start.is_empty() {
        let names: Vec<_> = policy.start.iter().map(ToString::to_string).collect();
        parts.push(format!("with {} started on it", names.join(", ")));
    }
    let hooks = [("before", &policy.before), ("after", &policy.after)];
    let hooks = hooks.iter().filter(|(_, command)| !command.is_empty());
    parts.extend(hooks.map(|(when, command)| format!("{} {when} it", command.join(" "))));
    if policy.point_in_time {
        parts.push("any moment in between".to_owned());
    }
    parts.join(", ")
}

fn keep_words(keep: &Keep) -> String {
    let counted = [
        (keep.last, "newest"),
        (keep.hourly, "hourly"),
        (keep.daily, "daily"),
        (keep.weekly, "weekly"),
        (keep.monthly, "monthly"),
        (keep.yearly, "yearly"),
    ];
    let mut parts: Vec<_> =
        counted.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    parts.extend(keep.within_ms.map(|within| format!("all of the last {}", span(within))));
    if parts.is_empty() { "the newest kept".to_owned() } else { format!("{} kept", parts.join(", ")) }
}

/// A span as people write it: `6 h`, `7 d`.
pub fn span(ms: u64) -> String {
    const UNITS: [(u64, &str); 5] =
        [(7 * 86_400_000, "week"), (86_400_000, "day"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    for (unit, word) in UNITS {
        if ms >= unit && ms.is_multiple_of(unit) {
            let count = ms / unit;
            return match (count, word) {
                (1, "week" | "day") => word.to_owned(),
                (_, "week" | "day") => format!("{count} {word}s"),
                _ => format!("{count} {word}"),
            };
        }
    }
    format!("{ms} ms")
}

#[cfg(test)]
mod tests;
