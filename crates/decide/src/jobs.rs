//! Which scheduled jobs are due.

use std::collections::BTreeMap;
use std::str::FromStr;

use croner::Cron;
use daybook_model::spec::{Kind, Schedule};
use daybook_model::{ServiceName, Spec, Timestamp};
use jiff::tz::TimeZone;

/// A time that passed longer ago than this is skipped, not made up for: milliseconds.
pub const LATE_MS: i64 = 5 * 60 * 1_000;

/// A job whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueJob {
    /// Which job.
    pub service: ServiceName,
    /// The time it was due.
    pub due: Timestamp,
    /// Whether it should run, or is passed over, and why.
    pub verdict: DueVerdict,
}

/// What to do about a time that has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DueVerdict {
    /// Run it.
    Run,
    /// Do not; the reason in words.
    Skip(String),
}

/// Jobs of `spec` whose latest time lies between the one last handled and `now`.
///
/// `handled` is the latest time of each job that was run or skipped; a job without one counts from
/// `since`, when its release was accepted. However many times have passed, a job is due at most once,
/// for the latest: a clock that jumps a day causes one run. `running` jobs are skipped: a job never
/// runs twice at once.
pub fn due(
    spec: &Spec,
    handled: &BTreeMap<ServiceName, Timestamp>,
    running: &dyn Fn(&ServiceName) -> bool,
    since: Timestamp,
    now: Timestamp,
) -> Vec<DueJob> {
    let mut out = Vec::new();
    for service in spec.services.values().filter(|service| !service.stopped) {
        let Kind::Job(schedule) = &service.kind else { continue };
        let after = handled.get(&service.name).copied().unwrap_or(since);
        let Some(time) = latest(schedule, after, now) else { continue };
        let late = now.as_millisecond() - time.as_millisecond();
        let verdict = if running(&service.name) {
            DueVerdict::Skip("the run before it has not ended".to_owned())
        } else if late > LATE_MS {
            DueVerdict::Skip(format!(
                "it was due {} ago, when Daybook did not run",
                crate::text::seconds(late.unsigned_abs())
            ))
        } else {
            DueVerdict::Run
        };
        out.push(DueJob { service: service.name.clone(), due: time, verdict });
    }
    out
}

/// The latest time of a schedule after `after` and not after `now`.
fn latest(schedule: &Schedule, after: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let mut found = None;
    let mut at = after;
    // A year of minutes bounds the search for a job that was not handled for long.
    for _ in 0..600_000 {
        match next(schedule, at) {
            Some(time) if time <= now => {
                found = Some(time);
                at = time;
            }
            _ => break,
        }
    }
    found
}

/// The first time of a schedule after `after`; `None` if it has none or cannot be read.
pub fn next(schedule: &Schedule, after: Timestamp) -> Option<Timestamp> {
    let cron = Cron::from_str(&schedule.cron).ok()?;
    let zone = TimeZone::get(&schedule.zone).ok()?;
    cron.find_next_occurrence(&after.to_zoned(zone), false).ok().map(|time| time.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(cron: &str, zone: &str) -> Schedule {
        Schedule { cron: cron.to_owned(), zone: zone.to_owned() }
    }

    #[test]
    fn a_time_is_read_in_its_zone() {
        let schedule = schedule("0 3 * * *", "Europe/Paris");
        assert_eq!(next(&schedule, at("2026-11-23T00:00:00Z")), Some(at("2026-11-23T02:00:00Z")));
    }

    #[test]
    fn r13_a_clock_that_jumps_a_day_makes_one_run_due() {
        let schedule = schedule("* * * * *", "UTC");
        let latest = latest(&schedule, at("2026-11-22T00:00:00Z"), at("2026-11-23T00:00:30Z"));
        assert_eq!(latest, Some(at("2026-11-23T00:00:00Z")));
    }
}
