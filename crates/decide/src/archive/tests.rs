use daybook_model::backup::ArchiveNote;
use daybook_model::{DatabaseName, Event};
use uuid::Uuid;

use super::*;

pub(super) const SIZE: u64 = 16 << 20;

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

pub(super) fn id(number: u64) -> BackupId {
    BackupId(Uuid::from_u128(u128::from(number)))
}

fn name(number: u64) -> String {
    Segment { timeline: 1, number }.name(SIZE)
}

/// An archive, as the snapshots of a repository tell it.
#[derive(Default)]
pub(super) struct Snapshots(Vec<(String, Timestamp, Vec<String>, Vec<String>)>);

impl Snapshots {
    pub(super) fn base(&mut self, system: u64, number: u64, first: u64, last: u64, whole: i64) {
        let mut tags = base_tags(id(number), system, SIZE);
        tags.extend(whole_tags(&name(first), &name(last), at(whole)));
        self.0.push((format!("base-{number}"), at(whole - 1), tags, vec!["base.tar".to_owned()]));
    }

    pub(super) fn batch(&mut self, system: u64, segments: impl IntoIterator<Item = u64>, until: i64) {
        let files: Vec<_> = segments.into_iter().map(name).collect();
        let tags = batch_tags(system, SIZE, &files);
        self.0.push((format!("wal-{system}-{}-{until}", files[0]), at(until), tags, files));
    }

    pub(super) fn forget(&mut self, ids: &[String]) {
        self.0.retain(|(id, ..)| !ids.contains(id));
    }

    pub(super) fn archive(&self) -> Archive {
        Archive::of(self.0.iter().map(|(id, time, tags, files)| Listed { id, time: *time, tags, files }))
    }
}

fn from(archive: &Archive, live: Option<u64>, second: i64) -> (u64, Vec<String>) {
    match choose(archive, live, Some(at(second))) {
        Choice::From(point) => (point.base.first, point.files.into_iter().map(|(_, name)| name).collect()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_of_segments_are_numbers() {
    for (text, bytes, number) in [
        ("000000010000000000000001", SIZE, 1),
        ("0000000100000001000000FF", SIZE, 0x1ff),
        ("000000020000000A00000003", 1 << 30, 43),
    ] {
        let segment = Segment::parse(text, bytes).unwrap();
        assert_eq!((segment.number, segment.name(bytes)), (number, text.to_owned()));
    }
    let wrong = ["00000001000000000000001", "000000010000000000000100", "00000001000000000000000g", "00000002.history"];
    assert!(wrong.iter().all(|text| Segment::parse(text, SIZE).is_none()));
    assert!(is_history("00000002.history") && is_history("000000010000000000000002.00000028.backup"));
    assert!(!is_history("000000010000000000000002") && !is_history("x.history"));
    assert_eq!(segment_at("0/2000028", 1, SIZE, false).map(|one| one.number), Some(2));
    assert_eq!(segment_at("0/3000000", 1, SIZE, true).map(|one| one.number), Some(2));
    assert_eq!(segment_at("1/0", 1, SIZE, false).map(|one| one.number), Some(256));
    assert_eq!(segment_at("nowhere", 1, SIZE, false), None);
}

#[test]
fn r20_a_file_that_is_not_the_segment_that_its_name_says_is_found() {
    let mut head = vec![0; HEAD];
    head[..4].copy_from_slice(&[0x10, 0xd1, 2, 0]);
    head[8..16].copy_from_slice(&(5 * SIZE).to_le_bytes());
    head[24..32].copy_from_slice(&7391_u64.to_le_bytes());
    head[32..36].copy_from_slice(&u32::try_from(SIZE).unwrap().to_le_bytes());
    let verdict = |head: &[u8], size| check(&name(5), head, size, 7391, SIZE);
    assert_eq!(verdict(&head, SIZE), Ok(()));
    assert!(verdict(&head, SIZE - 1).unwrap_err().contains("bytes, not"));
    assert!(verdict(&[], SIZE).unwrap_err().contains("does not begin"));
    assert!(verdict(&[0; HEAD], SIZE).unwrap_err().contains("does not begin"));
    assert!(check(&name(6), &head, SIZE, 7391, SIZE).unwrap_err().contains("another segment"));
    assert!(check(&name(5), &head, SIZE, 7392, SIZE).unwrap_err().contains("another server"));
    assert_eq!(check("00000002.history", &[], 42, 7391, SIZE), Ok(()), "it has no such head");
}

#[test]
fn r21_a_moment_is_had_from_the_newest_base_backup_before_it() {
    let mut all = Snapshots::default();
    all.base(1, 1, 2, 2, 100);
    all.batch(1, 1..=3, 110);
    all.batch(1, [4], 200);
    all.base(1, 2, 5, 5, 300);
    all.batch(1, [5, 6], 310);
    all.batch(1, [7], 400);
    let archive = all.archive();
    assert_eq!(from(&archive, None, 150), (2, [2, 3, 4, 5, 6].map(name).to_vec()));
    assert_eq!(from(&archive, None, 299).0, 2);
    assert_eq!(from(&archive, None, 300), (5, [5, 6, 7].map(name).to_vec()));
    // After what is there comes nothing, or what the server has not laid down yet.
    assert_eq!(choose(&archive, None, Some(at(401))), Choice::TooLate { until: Some(at(400)) });
    assert_eq!(from(&archive, Some(1), 500), (5, [5, 6, 7].map(name).to_vec()));
    assert_eq!(choose(&archive, Some(1), Some(at(99))), Choice::TooOld);
    assert!(matches!(choose(&archive, Some(1), None), Choice::From(point) if point.base.first == 5 && point.last == 7));
    assert!(archive.clusters[&1].gaps().is_empty() && archive.clusters[&1].is_unbroken());
}

#[test]
fn r20_a_gap_is_seen_and_nothing_beyond_it_is_promised() {
    let mut all = Snapshots::default();
    all.base(1, 1, 2, 2, 100);
    all.batch(1, [2, 3], 110);
    all.batch(1, [5], 200);
    let archive = all.archive();
    let gap = |before| Gap { first: 4, last: 4, after: at(110), before };
    assert_eq!(archive.clusters[&1].gaps(), [gap(None)]);
    assert_eq!(from(&archive, Some(1), 105).1, [2, 3].map(name).to_vec());
    let beyond = Choice::Gap { until: Some(at(110)), missing: name(4) };
    assert_eq!(choose(&archive, Some(1), Some(at(150))), beyond);
    assert_eq!(choose(&archive, Some(1), None), beyond);
    assert_eq!(base_due(&archive, 1, None, at(210)), Some("what was written since the last one has a gap"));
    // A later base backup mends it.
    all.base(1, 2, 6, 6, 300);
    all.batch(1, [6], 310);
    let archive = all.archive();
    assert_eq!(archive.clusters[&1].gaps(), [gap(Some(at(300)))]);
    assert_eq!(from(&archive, Some(1), 305).0, 6);
    assert_eq!(choose(&archive, Some(1), Some(at(150))), beyond);
    assert_eq!(base_due(&archive, 1, None, at(310)), None);
}

#[test]
fn a_base_backup_without_what_it_needs_leads_nowhere() {
    let mut all = Snapshots::default();
    all.base(1, 1, 2, 3, 100);
    all.batch(1, [2], 90);
    assert_eq!(choose(&all.archive(), Some(1), Some(at(100))), Choice::Gap { until: None, missing: name(3) });
    all.batch(1, [3], 99);
    assert_eq!(from(&all.archive(), Some(1), 100).1, [2, 3].map(name).to_vec());
}

#[test]
fn what_another_cluster_wrote_is_not_mixed_in() {
    let mut all = Snapshots::default();
    all.base(1, 1, 2, 2, 100);
    all.batch(1, 2..=4, 200);
    all.base(2, 2, 2, 2, 500);
    all.batch(2, 2..=3, 600);
    let archive = all.archive();
    assert_eq!(from(&archive, Some(2), 150).1.len(), 3);
    assert!(matches!(choose(&archive, Some(2), Some(at(550))), Choice::From(point) if point.system == 2));
    assert_eq!(choose(&archive, Some(2), Some(at(300))), Choice::TooLate { until: Some(at(200)) });
}

#[test]
fn a_segment_that_was_saved_twice_counts_once() {
    let mut all = Snapshots::default();
    all.base(1, 1, 2, 2, 100);
    all.batch(1, [2, 3], 110);
    all.batch(1, [3, 4], 120);
    let Choice::From(point) = choose(&all.archive(), Some(1), Some(at(130))) else { panic!("it is there") };
    let from_where: Vec<_> = point.files.iter().map(|(snapshot, name)| (snapshot.as_str(), name.clone())).collect();
    let second = format!("wal-1-{}-120", name(3));
    assert_eq!(from_where[1..], [(second.as_str(), name(3)), (second.as_str(), name(4))]);
}

#[test]
fn r21_what_the_window_needs_stays() {
    let day = 86_400;
    let mut all = Snapshots::default();
    for number in 0..10_u64 {
        let second = i64::try_from(number).unwrap() * day;
        all.base(1, number, number * 10 + 1, number * 10 + 1, second + 10);
        all.batch(1, number * 10 + 1..=number * 10 + 10, second + day);
    }
    let gone = to_remove(&all.archive(), 3 * DAY_MS, 1, at(10 * day));
    // The window begins at day 7: the base backup of day 6 leads there.
    assert_eq!(gone.iter().filter(|id| id.starts_with("base-")).count(), 6, "{gone:?}");
    all.forget(&gone);
    assert_eq!(from(&all.archive(), Some(1), 7 * day).0, 61);
    // What another cluster wrote goes once the window has passed it.
    let gone = to_remove(&all.archive(), 3 * DAY_MS, 2, at(12 * day));
    assert!(!gone.contains(&"base-9".to_owned()) && !gone.contains(&"base-8".to_owned()), "{gone:?}");
    assert_eq!(to_remove(&all.archive(), 3 * DAY_MS, 2, at(14 * day)).len(), 8);
    assert_eq!(window_ms(&Keep::USUAL), 7 * DAY_MS);
    assert_eq!(window_ms(&Keep { within_ms: Some(30 * DAY_MS), ..Keep::NOTHING }), 30 * DAY_MS);
    assert_eq!(window_ms(&Keep::NOTHING), DAY_MS);
}

#[test]
fn a_batch_ends_where_a_segment_is_missing() {
    let names = [1, 2, 3, 5].map(name);
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    names.insert(2, "000000010000000000000002.00000028.backup");
    assert_eq!(batches(&names, SIZE, 16), [0..4, 4..5]);
    assert_eq!(batches(&names, SIZE, 2), [0..2, 2..4, 4..5]);
    assert!(batches(&[], SIZE, 2).is_empty());
}

#[test]
fn batches_of_an_hour_that_is_over_become_one() {
    let mut all = Snapshots::default();
    all.base(1, 1, 1, 1, 0);
    // 1,700,000,000 is 800 s after the hour.
    all.batch(1, [1], 2_900);
    all.batch(1, [2, 3], 3_000);
    all.batch(1, [4], 3_100);
    all.batch(1, [6], 3_200);
    all.batch(1, [7], 6_700);
    let archive = all.archive();
    let cluster = &archive.clusters[&1];
    let merged = |now| to_merge(cluster, at(now)).iter().map(|batch| batch.segments.clone()).collect::<Vec<_>>();
    assert!(merged(5_000).is_empty(), "that hour is not over");
    assert_eq!(merged(9_000), [vec![1], vec![2, 3], vec![4]]);
}

#[test]
fn a_base_backup_is_made_at_once_and_then_every_day() {
    let mut all = Snapshots::default();
    assert_eq!(base_due(&all.archive(), 1, None, at(0)), Some("there is none of this server yet"));
    assert_eq!(base_due(&all.archive(), 1, Some(at(0)), at(60)), None, "what failed is not tried at once");
    assert!(base_due(&all.archive(), 1, Some(at(0)), at(600)).is_some());
    all.base(1, 1, 1, 1, 0);
    all.batch(1, [1], 10);
    assert_eq!(base_due(&all.archive(), 1, None, at(86_399)), None);
    assert!(base_due(&all.archive(), 1, None, at(86_400)).is_some());
    assert!(base_due(&all.archive(), 2, None, at(1)).is_some(), "a new cluster has none");
}

#[test]
fn what_was_said_is_known_again_from_the_journal() {
    let database: DatabaseName = "db".parse().unwrap();
    let notes = [
        ArchiveNote::BaseStarted { base: id(1), why: String::new() },
        ArchiveNote::Stuck { why: "no space".to_owned() },
        ArchiveNote::Gap { first: "a".to_owned(), last: "b".to_owned() },
        ArchiveNote::RecoveryStarted { recovery: id(2) },
    ];
    let events = notes.map(|note| Event::Archive { database: database.clone(), note });
    let mut known = noted(events.iter().map(|event| (at(5), event))).remove(&database).unwrap();
    assert_eq!((known.making, known.failed), (Some(id(1)), Some(at(5))));
    assert_eq!(known.stuck.as_deref(), Some("no space"));
    assert!(known.gaps.contains("a") && known.recoveries.contains(&id(2)));
    for note in [
        ArchiveNote::BaseMade { base: id(1), size_bytes: 1 },
        ArchiveNote::Works,
        ArchiveNote::RecoveryEnded { recovery: id(2) },
    ] {
        known.learn(at(6), &note);
    }
    assert_eq!(known, Noted { gaps: known.gaps.clone(), ..Noted::default() });
}
