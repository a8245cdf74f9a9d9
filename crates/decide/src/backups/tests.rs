use daybook_model::backup::{Proof, TableFacts};
use uuid::Uuid;

use super::*;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn later(time: Timestamp, ms: u64) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond() + i64::try_from(ms).unwrap()).unwrap()
}

fn id(number: u128) -> BackupId {
    BackupId(Uuid::from_u128(number))
}

fn db() -> Holding {
    "db".parse().unwrap()
}

fn policy() -> BackupPolicy {
    BackupPolicy {
        line: None,
        every_ms: Some(6 * HOUR),
        keep: Keep::USUAL,
        drill_ms: Some(7 * DAY),
        start: Vec::new(),
        expect: Vec::new(),
        before: Vec::new(),
        after: Vec::new(),
        point_in_time: false,
    }
}

/// A journal that is written as it goes on.
struct Journal(Vec<(Timestamp, Event)>);

impl Journal {
    fn begin(&mut self, number: u128, at: Timestamp) {
        let event = Event::BackupStarted { backup: id(number), of: db(), why: "asked for".to_owned() };
        self.0.push((at, event));
    }

    fn end(&mut self, number: u128, at: Timestamp, good: bool) {
        let made = Made {
            snapshot: number.to_string(),
            as_of: at,
            size_bytes: 1,
            added_bytes: 1,
            tables: 1,
            rows: 1,
            tree: None,
            remarks: Vec::new(),
        };
        let outcome =
            if good { BackupOutcome::Made(made) } else { BackupOutcome::Failed { why: "no space".to_owned() } };
        self.0.push((at, Event::BackupFinished { backup: id(number), of: db(), outcome, took_ms: 5 }));
    }

    fn backup(&mut self, number: u128, at: Timestamp) {
        self.begin(number, at);
        self.end(number, at, true);
    }

    fn drill(&mut self, number: u128, of: u128, at: Timestamp, outcome: DrillOutcome) {
        let (drill, backup) = (id(number), id(of));
        self.0.push((at, Event::DrillStarted { drill, of: db(), backup }));
        self.0.push((at, Event::DrillFinished { drill, of: db(), backup, outcome, took_ms: 5 }));
    }

    fn history(&self) -> History {
        fold(self.0.iter().map(|(at, event)| (*at, event))).remove(&db()).unwrap_or_default()
    }
}

fn proven() -> DrillOutcome {
    DrillOutcome::Proven(Proof { rpo_ms: 1, rto_ms: 1, checks: Vec::new() })
}

fn refuted() -> DrillOutcome {
    DrillOutcome::Failed { why: vec!["table orders has 3 rows, not 4".to_owned()] }
}

#[test]
fn the_first_backup_is_due_at_once_and_is_proven_at_once() {
    let (since, mut journal) = (at("2026-01-01T00:00:00Z"), Journal(Vec::new()));
    assert_eq!(due(&policy(), &journal.history(), since, since), [Due::Backup("every 6 h".to_owned())]);
    journal.begin(1, since);
    assert_eq!(due(&policy(), &journal.history(), since, later(since, 1)), []);
    journal.end(1, later(since, 5), true);
    assert_eq!(due(&policy(), &journal.history(), since, later(since, 6)), [Due::Drill(id(1))]);
    journal.drill(2, 1, later(since, 7), proven());
    assert_eq!(due(&policy(), &journal.history(), since, later(since, 6 * HOUR - 1)), []);
    assert_eq!(
        due(&policy(), &journal.history(), since, later(since, 6 * HOUR)),
        [Due::Backup("every 6 h".to_owned())]
    );
}

#[test]
fn what_failed_is_tried_again_sooner_and_ever_more_rarely() {
    let (since, mut journal) = (at("2026-01-01T00:00:00Z"), Journal(Vec::new()));
    let mut now = since;
    let mut waits = Vec::new();
    for number in 1..=6 {
        journal.begin(number, now);
        journal.end(number, now, false);
        let began = now;
        while !due(&policy(), &journal.history(), since, now).iter().any(|due| matches!(due, Due::Backup(_))) {
            now = later(now, 60_000);
        }
        waits.push((now.as_millisecond() - began.as_millisecond()) / 60_000);
    }
    assert_eq!(waits, [1, 5, 15, 60, 60, 60]);
}

#[test]
fn r21_a_backup_counts_once_a_restore_of_it_was_proven_and_that_is_told() {
    let (since, mut journal) = (at("2026-01-01T00:00:00Z"), Journal(Vec::new()));
    journal.backup(1, since);
    assert_eq!(journal.history().backups[0].standing(), Standing::Unproven);
    let undecided = DrillOutcome::Undecided { why: "the server ended".to_owned() };
    journal.drill(2, 1, later(since, 1), undecided);
    assert_eq!(journal.history().backups[0].standing(), Standing::Unproven);
    journal.drill(3, 1, later(since, 2), proven());
    assert_eq!(journal.history().backups[0].standing(), Standing::Proven { at: later(since, 2) });
    journal.backup(4, later(since, 3));
    let history = journal.history();
    assert_eq!(history.newest().unwrap().id, id(4));
    assert_eq!(history.newest_proven().unwrap().id, id(1));
    // What a later drill says counts.
    journal.drill(5, 1, later(since, 4), refuted());
    assert!(matches!(journal.history().backups[0].standing(), Standing::Refuted { .. }));
    assert!(journal.history().newest_proven().is_none());
}

#[test]
fn r21_what_is_overdue_is_said_once_until_it_is_good_again() {
    let (since, mut journal) = (at("2026-01-01T00:00:00Z"), Journal(Vec::new()));
    journal.backup(1, since);
    journal.drill(2, 1, since, proven());
    let said = |journal: &Journal, now| {
        let due = due(&policy(), &journal.history(), since, now);
        due.into_iter().filter(|due| matches!(due, Due::Overdue(_))).collect::<Vec<_>>()
    };
    let now = later(since, 12 * HOUR + 1);
    assert_eq!(said(&journal, now), [Due::Overdue(NO_BACKUP)]);
    journal.0.push((now, Event::BackupOverdue { of: db(), what: NO_BACKUP.to_owned() }));
    assert_eq!(said(&journal, later(now, HOUR)), []);
    journal.backup(3, later(now, 2 * HOUR));
    assert_eq!(said(&journal, later(now, 15 * HOUR)), [Due::Overdue(NO_BACKUP)]);
    assert_eq!(said(&journal, later(since, 14 * DAY + 1)), [Due::Overdue(NO_BACKUP), Due::Overdue(NO_PROOF)]);
}

#[test]
fn a_drill_that_failed_is_tried_again_with_what_is_newest() {
    let (since, mut journal) = (at("2026-01-01T00:00:00Z"), Journal(Vec::new()));
    journal.backup(1, since);
    journal.drill(2, 1, since, refuted());
    assert_eq!(due(&policy(), &journal.history(), since, later(since, 59_000)), []);
    assert_eq!(due(&policy(), &journal.history(), since, later(since, 60_000)), [Due::Drill(id(1))]);
}

/// A backup an hour for so many hours, the newest at `now`.
fn hours(count: u64, now: Timestamp) -> Vec<Timestamp> {
    (0..count)
        .map(|back| later(now, 0).checked_sub(jiff::SignedDuration::from_hours(back.cast_signed())).unwrap())
        .collect()
}

#[test]
fn grandfather_father_and_son_stay() {
    let now = at("2026-03-04T10:30:00Z");
    let times = hours(24 * 60, now);
    let keep = Keep { last: 2, hourly: 4, daily: 3, weekly: 3, monthly: 3, ..Keep::NOTHING };
    let kept = kept(&keep, &times, now);
    let shown: Vec<_> = times.iter().zip(kept).filter(|(_, kept)| *kept).map(|(time, _)| time.to_string()).collect();
    assert_eq!(
        shown,
        [
            "2026-03-04T10:30:00Z",
            "2026-03-04T09:30:00Z",
            "2026-03-04T08:30:00Z",
            "2026-03-04T07:30:00Z",
            // The newest of each day, week and month.
            "2026-03-03T23:30:00Z",
            "2026-03-02T23:30:00Z",
            "2026-03-01T23:30:00Z",
            "2026-02-28T23:30:00Z",
            "2026-02-22T23:30:00Z",
            "2026-01-31T23:30:00Z"
        ]
    );
}

#[test]
fn r21_the_newest_and_the_newest_that_is_proven_stay_whatever_the_rules_say() {
    let (since, mut journal) = (at("2026-01-01T00:00:00Z"), Journal(Vec::new()));
    for number in 0..10 {
        journal.backup(number, later(since, u64::try_from(number).unwrap() * HOUR));
    }
    journal.drill(100, 4, later(since, 10 * HOUR), proven());
    journal.begin(50, later(since, 5 * HOUR));
    journal.end(50, later(since, 5 * HOUR), false);
    let gone = to_remove(&Keep::NOTHING, &journal.history(), later(since, 11 * HOUR));
    let expected: Vec<_> = [0, 1, 2, 3, 5, 6, 7, 8, 50].map(id).to_vec();
    assert_eq!(gone, expected);
    journal.0.push((later(since, 12 * HOUR), Event::BackupsRemoved { of: db(), backups: gone }));
    let left: Vec<_> = journal.history().backups.iter().map(|one| one.id).collect();
    assert_eq!(left, [id(4), id(9)]);
}

#[test]
fn a_policy_is_told_in_words() {
    assert_eq!(words(&policy()), "every 6 h, 3 newest, 7 daily, 5 weekly, 12 monthly kept, proven every week");
    let within = Keep { within_ms: Some(30 * DAY), ..Keep::NOTHING };
    let rare = BackupPolicy { every_ms: None, keep: within, drill_ms: None, ..policy() };
    assert_eq!(words(&rare), "when asked for, all of the last 30 days kept, proven when asked for");
}

#[test]
fn r20_whatever_differs_is_found() {
    let table = |rows, sum: &str| TableFacts { rows, sum: sum.to_owned() };
    let had = Facts {
        server: "PostgreSQL 15.14".to_owned(),
        tables: [("public.a".to_owned(), table(3, "7")), ("public.b".to_owned(), table(2, "1"))].into(),
        indexes: 4,
        constraints: 2,
        sequences: [("public.a_id_seq".to_owned(), 17)].into(),
    };
    assert_eq!(differences(&had, &had), Vec::<String>::new());
    let on = Facts { sequences: [("public.a_id_seq".to_owned(), 20)].into(), ..had.clone() };
    assert_eq!(differences(&had, &on), Vec::<String>::new());
    let mut kinds = Vec::new();
    let mut differs = |change: &dyn Fn(&mut Facts)| {
        let mut has = had.clone();
        change(&mut has);
        kinds.push(differences(&had, &has).join("; "));
    };
    differs(&|has| drop(has.tables.remove("public.a")));
    differs(&|has| drop(has.tables.insert("public.a".to_owned(), table(2, "7"))));
    differs(&|has| drop(has.tables.insert("public.a".to_owned(), table(3, "8"))));
    differs(&|has| drop(has.tables.insert("public.c".to_owned(), table(0, "0"))));
    differs(&|has| has.indexes = 3);
    differs(&|has| has.constraints = 1);
    differs(&|has| has.sequences.extend([("public.a_id_seq".to_owned(), 16)]));
    differs(&|has| has.sequences.clear());
    insta::assert_snapshot!(kinds.join("\n"), @r"
    table public.a is missing, which had 3 rows
    table public.a has 2 rows, not 3
    table public.a has other values in its rows
    table public.c is there, and was not
    it has 3 indexes, not 4
    it has 1 constraints, not 2
    sequence public.a_id_seq is at 16, and had given out 17
    sequence public.a_id_seq is missing, which had given out 17
    ");
}

#[test]
fn what_was_stopped_for_a_restore_is_known_until_that_has_come_to_its_end() {
    let of: Holding = "volume:uploads".parse().unwrap();
    let time = at("2026-11-30T12:00:00Z");
    let services: BTreeSet<ServiceName> = ["web".parse().unwrap()].into();
    let stopped = Event::StoppedToRestore { of: of.clone(), backup: id(1), services: services.clone() };
    let ended = Event::Restored { of: of.clone(), backup: id(1), what: "restored".to_owned() };
    let open = fold([(time, &stopped)]).remove(&of).unwrap().stopped.unwrap();
    assert_eq!((open.backup, open.services), (id(1), services));
    assert_eq!(fold([(time, &stopped), (time, &ended)]).remove(&of).unwrap().stopped, None);
}

#[test]
fn r20_whatever_differs_of_a_volume_is_found() {
    let had = TreeFacts { files: 2, directories: 1, others: 1, bytes: 10, sum: "a".to_owned() };
    assert_eq!(tree_differences(&had, &had), Vec::<String>::new());
    let less = TreeFacts { files: 1, bytes: 4, ..had.clone() };
    assert_eq!(tree_differences(&had, &less), ["it has 1 files, not 2", "it has 4 bytes, not 10"]);
    let other = TreeFacts { sum: "b".to_owned(), ..had.clone() };
    assert_eq!(tree_differences(&had, &other).len(), 1);
}
