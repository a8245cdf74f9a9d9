//! What is broken is set aside, a full disk refuses, and what should not be kept is not.

use super::super::{Culprit, DAY, HOUR, Limit, NotKept, NotRead, Step, Tier, Why};
use super::*;
use crate::STALE;

#[test]
fn r12_a_full_disk_refuses_samples_and_is_read_on() {
    let files = Memory::default();
    let (store, _) = open(&files, Options::default());
    fill(&store, 3, 0..100);
    let before = all(&store);
    for more in [0, 1, 10, 50] {
        files.room(Some(files.used() + more));
        let at = START + 100 * MINUTE;
        let refused = store.append(&scrape(3, at), at).unwrap_err();
        assert!(matches!(refused, NotKept::Full(_)), "{refused}");
        assert_eq!(all(&store), before);
        assert!(files.names().len() < 8, "{:?}", files.names());
    }
    files.room(None);
    fill(&store, 3, 100..135);
    let after = all(&store);
    files.room(Some(files.used()));
    assert!(store.tend(START + 135 * MINUTE).is_err());
    assert_eq!(all(&store), after);
    files.room(None);
    assert!(matches!(settle(&store, START + 135 * MINUTE)[..], [Step::Cut { blocks: 1, .. }]));
    assert_eq!(all(&store), after);
    drop(store);
    let (store, report) = open(&files, Options::default());
    assert_eq!((all(&store), report.aside), (after, vec![]));
}

#[test]
fn a_flipped_byte_of_a_block_loses_no_more_than_its_column() {
    let files = Memory::default();
    let (store, _) = open(&files, Options::default());
    for at in (0..150).map(|minute| START + minute * MINUTE) {
        store.append(&mixed(1, at), at).unwrap();
    }
    settle(&store, START + 150 * MINUTE);
    let whole = all(&store);
    drop(store);
    let name = files.names().into_iter().find(|name| name.ends_with(".block")).unwrap();
    let bytes = files.bytes(&name);
    for at in 0..bytes.len() {
        let files = files.after(false);
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        files.put(&name, flipped);
        let (store, report) = open(&files, Options::default());
        let there = all(&store);
        for (labels, samples) in &there {
            assert!(samples.iter().all(|(at, value)| whole[labels].get(at) == Some(value)), "{at}");
        }
        settle(&store, START + 150 * MINUTE);
        assert_eq!(all(&store), there, "{at}");
        let aside = store.statistics().aside;
        assert!(aside.iter().any(|aside| aside.name == format!("{name}.broken")), "{at} {aside:?} {report:?}");
        assert_eq!(files.bytes(&format!("{name}.broken")).len(), bytes.len());
    }
}

#[test]
fn each_length_of_a_block_opens() {
    let files = Memory::default();
    let (store, _) = open(&files, Options::default());
    fill(&store, 1, 0..150);
    settle(&store, START + 150 * MINUTE);
    let name = files.names().into_iter().find(|name| name.ends_with(".block")).unwrap();
    let bytes = files.bytes(&name);
    for length in 0..bytes.len() {
        let files = Memory::default();
        files.put(&name, bytes[..length].to_vec());
        let (store, report) = open(&files, Options::default());
        assert_eq!((report.aside.len(), all(&store).len()), (1, 0), "{length}");
    }
}

#[test]
fn a_log_that_is_none_is_set_aside() {
    let files = Memory::default();
    files.put("0000000004.log", b"nothing that we wrote".to_vec());
    let (store, report) = open(&files, Options::default());
    assert_eq!(report.aside[0].name, "0000000004.log.broken");
    fill(&store, 1, 0..1);
    assert!(files.names().contains(&"0000000005.log".to_owned()));
}

#[test]
fn r13_times_that_are_far_off_are_refused_by_kind() {
    let (store, _) = open(&Memory::default(), Options::default());
    let now = START + HOUR;
    let append = |at: i64, value: f64, now: i64| {
        let mut batch = Batch::default();
        batch.add(labels("up", 1), at, value);
        store.append(&batch, now).unwrap()
    };
    let refused = |why: Why| super::super::Receipt { refused: [(why, 1)].into(), ..Default::default() };
    assert_eq!(append(now, 1.0, now).accepted, 1);
    assert_eq!(append(now, 1.0, now).repeated, 1);
    assert_eq!(append(now, 2.0, now), refused(Why::OtherValue));
    assert_eq!(append(now - 10 * MINUTE, 3.0, now).accepted, 1);
    assert_eq!(append(now - 10 * MINUTE - 1, 3.0, now), refused(Why::TooOld));
    assert_eq!(append(now + 10 * MINUTE + 1, 3.0, now), refused(Why::TooFarAhead));
    assert_eq!(append(now + 5, STALE, now).accepted, 1);
    assert_eq!(append(now + 5, STALE, now).repeated, 1);
    assert_eq!(append(now + 5, f64::NAN, now), refused(Why::OtherValue));
    // The clock was a day ahead for a while: nothing is cut or removed too early, and what comes later is kept.
    assert_eq!(append(now + DAY, 4.0, now + DAY).accepted, 1);
    assert_eq!(append(now + 1000, 5.0, now + 1000).accepted, 1);
    settle(&store, now + DAY);
    assert_eq!(append(now + 2000, 6.0, now + 2000).accepted, 1);
    settle(&store, now + 2000);
    let samples = &store.select(&metric("up"), i64::MIN, i64::MAX).unwrap()[0].samples;
    assert_eq!(
        samples.iter().map(|sample| sample.value).filter(|value| !value.is_nan()).collect::<Vec<_>>(),
        [3.0, 1.0, 5.0, 6.0, 4.0]
    );
    let words = store.statistics().refused;
    assert_eq!(words, [("other_value", 2), ("too_far_ahead", 1), ("too_old", 1)].into());
}

#[test]
fn too_many_series_name_what_makes_them_many() {
    let options = Options { series_of_metric: 100, series_of_source: 150, series: 170, ..Options::default() };
    let (store, _) = open(&Memory::default(), options);
    let append = |name: &str, job: &str, numbers: std::ops::Range<usize>| {
        let mut batch = Batch::default();
        for number in numbers {
            let path = format!("/{number}");
            let labels = [(NAME, name), ("job", job), ("path", path.as_str()), ("method", "GET")];
            batch.add(Labels::new(labels), START, 1.0);
        }
        store.append(&batch, START).unwrap()
    };
    let receipt = append("http_requests_total", "web", 0..1_000);
    let culprit = Culprit { metric: "http_requests_total".into(), label: "path".into(), values: 100 };
    let why = |limit| Why::TooMany { limit, culprit: Some(culprit.clone()) };
    assert_eq!(receipt.accepted, 100);
    assert_eq!(receipt.refused, [(why(Limit::Metric("http_requests_total".into())), 900)].into());
    let receipt = append("other", "web", 0..60);
    assert_eq!(receipt.refused, [(why(Limit::Source("web".into())), 10)].into());
    let receipt = append("third", "db", 0..60);
    assert_eq!(receipt.refused, [(why(Limit::All), 40)].into());
    // What is known goes on.
    let mut batch = Batch::default();
    batch.add_known(store.id(&store.series(&metric("third"), START, START).unwrap()[0]).unwrap(), START + 1, 2.0);
    assert_eq!(store.append(&batch, START).unwrap().accepted, 1);
    assert_eq!(store.statistics().largest[0], (100, culprit));
}

#[test]
fn a_question_that_asks_for_too_much_is_refused() {
    let (store, _) = open(&Memory::default(), Options { samples: 500, ..Options::default() });
    fill(&store, 2, 0..150);
    assert!(store.select(&metric("bytes"), START, START + HOUR).is_ok());
    for _ in 0..2 {
        let refused = store.select(&[], START, START + DAY).unwrap_err();
        assert!(matches!(refused, NotRead::TooMany { most: 500, .. }));
        settle(&store, START + 150 * MINUTE);
    }
}

#[test]
fn old_blocks_go_by_age_and_by_size() {
    let options = Options { keep: 2 * DAY, keep_5m: 3 * DAY, keep_1h: 4 * DAY, ..Options::default() };
    let files = Memory::default();
    let (store, _) = open(&files, options.clone());
    for day in 0..6 {
        fill(&store, 1, day * 1440..(day + 1) * 1440);
        settle(&store, START + (day + 1) * DAY - MINUTE);
    }
    let tiers = store.statistics().tiers;
    assert_eq!(
        tiers.iter().map(|(tier, of)| (*tier, (of.from - START) / DAY)).collect::<Vec<_>>(),
        [(Tier::Raw, 3), (Tier::FiveMinutes, 2), (Tier::Hour, 1)]
    );
    // A clock that is a year ahead removes nothing.
    assert_eq!(settle(&store, START + 365 * DAY), []);
    drop(store);
    let bytes = tiers.values().map(|of| of.bytes).sum::<u64>() - 1;
    let (store, _) = open(&files, Options { bytes, ..options });
    assert!(matches!(settle(&store, START + 6 * DAY)[..], [Step::Removed { tier: Tier::Raw, .. }]));
}
