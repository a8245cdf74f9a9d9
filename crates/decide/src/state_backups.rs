//! When Daybook's own state is backed up and tried, and which of its backups stay.

use daybook_model::Timestamp;
use daybook_model::backup::Keep;

use crate::backups::{AGAIN_MS, kept, lies_back};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Between the beginnings of two backups, milliseconds.
    pub every_ms: u64,
    /// Between two drills, milliseconds.
    pub drill_ms: u64,
}

/// What is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// When the newest backup was made.
    pub made: Option<Timestamp>,
    /// When a restore was last seen to work.
    pub proven: Option<Timestamp>,
    /// When something was tried last that failed, and how often in a row.
    pub failed: Option<(Timestamp, usize)>,
    /// Whether somebody was told that it is overdue.
    pub is_told: bool,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Make a backup.
    Backup,
    /// Restore the newest one to look at it.
    Drill,
    /// Tell that there is none as new as there should be.
    NoBackup,
    /// Tell that none was proven for too long.
    NoProof,
}

/// What is to be done now. `since` is when the server began: what it could not do before is not its fault.
pub fn due(schedule: Schedule, known: &Known, since: Timestamp, now: Timestamp) -> Vec<Due> {
    let mut due = Vec::new();
    let may_try = known.failed.is_none_or(|(at, times)| {
        lies_back(at, now) >= AGAIN_MS[times.clamp(1, AGAIN_MS.len()) - 1].min(schedule.every_ms)
    });
    let is_over = |last: Option<Timestamp>, span: u64| last.is_none_or(|last| lies_back(last, now) >= span);
    if may_try && is_over(known.made, schedule.every_ms) {
        due.push(Due::Backup);
    }
    // After it, and not instead of it: backups that follow each other closely are proven too.
    if may_try && known.made.is_some() && is_over(known.proven, schedule.drill_ms) {
        due.push(Due::Drill);
    }
    let late = |last: Option<Timestamp>, span: u64| lies_back(last.unwrap_or(since), now) > span.saturating_mul(2);
    // What is about to be done is not told to be missing.
    if !known.is_told && !due.contains(&Due::Backup) && late(known.made, schedule.every_ms) {
        due.push(Due::NoBackup);
    } else if !known.is_told && !due.contains(&Due::Drill) && late(known.proven, schedule.drill_ms) {
        due.push(Due::NoProof);
    }
    due
}

/// Which of the backups of these times, newest first, stay: the newest whatever the rules say.
pub fn stays(keep: &Keep, times: &[Timestamp], now: Timestamp) -> Vec<bool> {
    let mut stays = kept(keep, times, now);
    if let Some(newest) = stays.first_mut() {
        *newest = true;
    }
    stays
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule { every_ms: 3_600_000, drill_ms: 7 * 86_400_000 };

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + minutes * 60).unwrap()
    }

    fn at_minute(known: &Known, minutes: i64) -> Vec<Due> {
        due(SCHEDULE, known, at(0), at(minutes))
    }

    #[test]
    fn the_first_backup_is_made_and_proven_at_once() {
        assert_eq!(at_minute(&Known::default(), 0), [Due::Backup]);
        let made = Known { made: Some(at(0)), ..Known::default() };
        assert_eq!(at_minute(&made, 0), [Due::Drill]);
        let proven = Known { proven: Some(at(0)), ..made };
        assert_eq!(at_minute(&proven, 59), []);
        assert_eq!(at_minute(&proven, 60), [Due::Backup]);
        let behind = Known { made: Some(at(0)), ..Known::default() };
        assert_eq!(at_minute(&behind, 60), [Due::Backup, Due::Drill]);
        let later = Known { made: Some(at(7 * 1440)), ..proven };
        assert_eq!(at_minute(&later, 7 * 1440), [Due::Drill]);
    }

    #[test]
    fn what_failed_is_tried_again_soon_and_what_is_late_is_told_once() {
        let failed = Known { failed: Some((at(0), 1)), ..Known::default() };
        assert_eq!(at_minute(&failed, 0), []);
        assert_eq!(at_minute(&failed, 1), [Due::Backup]);
        let often = Known { failed: Some((at(100), 9)), ..Known::default() };
        assert_eq!(at_minute(&often, 119), []);
        assert_eq!(at_minute(&often, 121), [Due::NoBackup]);
        assert_eq!(at_minute(&Known { is_told: true, ..often }, 130), []);
        let unproven = Known { made: Some(at(15 * 1440)), failed: Some((at(15 * 1440), 1)), ..Known::default() };
        assert_eq!(at_minute(&unproven, 15 * 1440), [Due::NoProof]);
    }

    #[test]
    fn the_newest_stays_whatever_the_rules_say() {
        let times = [at(180), at(120), at(60)];
        assert_eq!(stays(&Keep::NOTHING, &times, at(180)), [true, false, false]);
        assert_eq!(stays(&Keep { last: 2, ..Keep::NOTHING }, &times, at(180)), [true, true, false]);
    }
}
