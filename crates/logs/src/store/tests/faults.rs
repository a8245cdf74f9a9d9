//! What is broken is set aside, a full disk refuses, and what should not be kept is not.

use super::super::{Amount, DAY, MINUTE, NotKept, Rate, Why};
use super::*;
use crate::Field;

#[test]
fn r12_a_full_disk_refuses_lines_and_is_searched_on() {
    let files = Memory::default();
    let limited = Options { lines: Some(Rate { per_second: 1, burst: 3 }), ..small() };
    let (store, _) = open(&files, limited);
    fill(&store, 0..30);
    let before = all(&store);
    for more in [0, 1, 10, 50] {
        files.room(Some(files.used() + more));
        let refused = store.append(&[line(30)], START + 30 * SECOND).unwrap_err();
        assert!(matches!(refused, NotKept::Full(_)), "{refused}");
        assert_eq!(all(&store), before);
        assert!(files.names().len() < 12, "{:?}", files.names());
    }
    files.room(Some(files.used()));
    assert!(store.tend(START + 30 * SECOND).is_err());
    assert_eq!(all(&store), before);
    // What was refused took nothing from what its stream may have.
    files.room(None);
    fill(&store, 30..35);
    settle(&store, START + 35 * SECOND);
    assert_eq!(all(&store), texts(0..35));
    drop(store);
    let (store, report) = open(&files, small());
    assert_eq!((all(&store), report.aside), (texts(0..35), vec![]));
}

#[test]
fn a_flipped_byte_of_a_block_is_set_aside_and_loses_no_more_than_its_chunk() {
    let files = Memory::default();
    let (store, _) = open(&files, Options { block: 2000, ..small() });
    fill(&store, 0..60);
    settle(&store, START + MINUTE);
    drop(store);
    let name = files.block();
    let bytes = files.bytes(&name);
    for at in 0..bytes.len() {
        let files = files.after(false);
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        files.put(&name, flipped);
        let (store, report) = open(&files, small());
        let there = all(&store);
        // Filters are read where something is searched for.
        found(&store, &Query::parse("refused").unwrap());
        let whole = texts(0..60);
        assert!(there.iter().all(|text| whole.contains(text)), "{at}");
        settle(&store, START + MINUTE);
        assert_eq!(all(&store), there, "{at}");
        let aside = store.statistics().aside;
        // The first mark of a file is for people.
        let told = aside.iter().any(|aside| aside.name == format!("{name}.broken"));
        assert!(told || at < 8, "{at} {aside:?} {report:?}");
    }
}

#[test]
fn chunks_that_are_whole_outlive_a_broken_one() {
    let files = Memory::default();
    let (store, _) = open(&files, Options { block: 300 << 10, ..small() });
    for service in ["web", "api"] {
        let text = "x".repeat(1000);
        let lines: Vec<Line> =
            (0..160).map(|at| Line::read(START + at, stream(service, 1), format!("{at} {text}"))).collect();
        store.append(&lines, START).unwrap();
    }
    settle(&store, START);
    let name = files.block();
    let mut bytes = files.bytes(&name);
    bytes[20] ^= 1;
    files.put(&name, bytes);
    let page = store.search(&Query { limit: 1000, ..Query::default() }, &never).unwrap();
    assert_eq!((page.lines.len(), page.scanned.broken), (160, 1));
    assert!(matches!(settle(&store, START)[..], [Step::SetAside { lost: 160, .. }]));
    let page = store.search(&Query { limit: 1000, ..Query::default() }, &never).unwrap();
    assert_eq!((page.lines.len(), page.scanned.broken), (160, 0));
    drop(store);
    let (store, report) = open(&files, small());
    assert_eq!((report.blocks, all(&store).len(), report.aside), (1, 160, vec![]));
}

#[test]
fn each_length_of_a_block_opens() {
    let files = Memory::default();
    let (store, _) = open(&files, small());
    fill(&store, 0..20);
    settle(&store, START + MINUTE);
    let name = files.block();
    let bytes = files.bytes(&name);
    for length in 0..bytes.len() {
        let files = Memory::default();
        files.put(&name, bytes[..length].to_vec());
        let (store, report) = open(&files, small());
        assert_eq!((report.aside.len(), all(&store).len()), (1, 0), "{length}");
    }
}

#[test]
fn a_log_that_is_none_is_set_aside() {
    let files = Memory::default();
    files.put("0000000004.log", b"nothing that we wrote".to_vec());
    let (store, report) = open(&files, Options::default());
    assert_eq!(report.aside[0].name, "0000000004.log.broken");
    fill(&store, 0..1);
    assert!(files.names().contains(&"0000000005.log".to_owned()));
}

#[test]
fn what_should_not_be_kept_is_dropped_and_told() {
    let options = Options {
        lines: Some(Rate { per_second: 10, burst: 20 }),
        rate: None,
        line: 10,
        streams: 2,
        ..Options::default()
    };
    let (store, _) = open(&Memory::default(), options);
    let lines = |service: &str, at: i64, count: usize| vec![Line::read(at, stream(service, 1), "0123456789ab"); count];
    let append = |lines: Vec<Line>| store.append(&lines, START).unwrap();
    let receipt = append(lines("web", START, 50));
    assert_eq!((receipt.accepted, receipt.cut), (20, Amount { lines: 20, bytes: 40 }));
    let dropped =
        |service: &str, why, lines| BTreeMap::from([((stream(service, 1), why), Amount { lines, bytes: lines * 12 })]);
    assert_eq!(receipt.dropped, dropped("web", Why::TooMany, 30));
    assert_eq!(append(lines("api", START - DAY - 1, 2)).dropped, dropped("api", Why::TooOld, 2));
    assert_eq!(append(lines("api", START + 10 * MINUTE + 1, 3)).dropped, dropped("api", Why::TooFarAhead, 3));
    assert_eq!(append(lines("api", START + 10 * MINUTE, 1)).accepted, 1);
    assert_eq!(append(lines("db", START, 4)).dropped, dropped("db", Why::TooManyStreams, 4));
    let words = store.statistics().dropped;
    assert_eq!(words.keys().copied().collect::<Vec<_>>(), ["too_far_ahead", "too_many", "too_many_streams", "too_old"]);
    let kept = &found(&store, &Query::default())[0];
    assert_eq!((kept.line.text.as_slice(), kept.missing), (&b"0123456789"[..], 2));
    // Fields are kept as a whole, or not at all.
    let mut line = Line::read(START, stream("api", 1), "short");
    line.fields.push(Field { name: "a".into(), value: "b".repeat(20).into() });
    assert_eq!(append(vec![line]).cut.lines, 1);
    let kept = &found(&store, &Query::parse("short").unwrap())[0];
    assert_eq!((kept.line.fields.len(), kept.missing), (0, 23));
}

#[test]
fn old_blocks_go_by_age_and_by_size() {
    let files = Memory::default();
    let options = Options { keep: 60 * SECOND, ..small() };
    let (store, _) = open(&files, options.clone());
    fill(&store, 0..200);
    let steps = settle(&store, START + 200 * SECOND);
    assert!(steps.iter().any(|step| matches!(step, Step::Removed { .. })));
    let oldest = all(&store);
    assert!(oldest.len() < 90 && oldest.ends_with(&texts(139..200)), "{}", oldest.len());
    // A clock that is a year ahead removes nothing.
    let before = all(&store);
    assert!(settle(&store, START + 365 * DAY).iter().all(|step| matches!(step, Step::Cut { .. })));
    assert_eq!(all(&store), before);
    drop(store);
    let bytes = open(&files, small()).0.statistics().bytes;
    let (store, _) = open(&files, Options { bytes: bytes / 2, ..options });
    settle(&store, START + 200 * SECOND);
    let there = all(&store);
    assert!(store.statistics().bytes <= bytes / 2 && there.len() < before.len() && before.ends_with(&there));
}
