//! What is asked for is found, wherever it is by now.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::{DAY, HOUR, Step, Tier};
use super::*;

#[test]
fn names_are_found_wherever_the_samples_are() {
    let (store, _) = open(&Memory::default(), Options::default());
    fill(&store, 3, 0..200);
    for _ in 0..2 {
        let (from, to) = (START, START + 10 * MINUTE);
        assert_eq!(store.labels(&[], from, to).unwrap(), [NAME, "job", "number"]);
        assert_eq!(store.values("number", &metric("bytes"), from, to).unwrap(), ["0", "1", "2"]);
        assert_eq!(store.values(NAME, &[], from, to).unwrap(), ["bytes", "requests_total"]);
        assert_eq!(store.series(&metric("bytes"), from, to).unwrap().len(), 3);
        assert_eq!(store.series(&[], from - DAY, from - 1).unwrap(), []);
        settle(&store, START + 200 * MINUTE);
    }
}

#[test]
fn days_become_one_block_each_and_what_they_came_to() {
    let files = Memory::default();
    let (store, _) = open(&files, Options { keep: 3 * DAY, ..Options::default() });
    let mut steps = Vec::new();
    for day in 0..2 {
        fill(&store, 2, day * 1440..(day + 1) * 1440 + 15);
        if day == 0 {
            // Again, and repeated.
            let at = START + DAY + 14 * MINUTE;
            assert_eq!(store.append(&scrape(2, at), at).unwrap().repeated, 4);
        }
        steps.extend(settle(&store, START + (day + 1) * DAY + 14 * MINUTE));
        if day == 0 {
            break;
        }
    }
    assert_eq!(
        steps.iter().filter(|step| !matches!(step, Step::Cut { .. })).collect::<Vec<_>>(),
        [
            &Step::Merged { start: START, blocks: 12 },
            &Step::RolledUp { start: START, tier: Tier::FiveMinutes },
            &Step::RolledUp { start: START, tier: Tier::Hour },
        ]
    );
    assert_eq!(store.statistics().tiers.values().map(|of| of.blocks).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(store.select(&metric("bytes"), START, START + DAY).unwrap()[0].samples.len(), 1441);
    let hours = store.rollups(&metric("bytes"), Tier::Hour, START, START + DAY).unwrap();
    assert_eq!((hours.len(), hours[0].rollups.len()), (2, 24));
    let raw = &store.select(&metric("bytes"), START, START + HOUR - 1).unwrap()[0].samples;
    let first = hours[0].rollups[0];
    assert_eq!(first.count, 60);
    assert_eq!(first.sum, raw.iter().map(|sample| sample.value).sum::<f64>());
    assert_eq!(first.max, raw.iter().map(|sample| sample.value).fold(0.0, f64::max));
    assert_eq!(first.last, raw[59]);
}

#[test]
fn a_coarser_tier_stands_for_samples_that_are_gone() {
    let files = Memory::default();
    let options = Options { keep: DAY, keep_5m: 2 * DAY, ..Options::default() };
    let (store, _) = open(&files, options);
    for day in 0..5 {
        fill(&store, 1, day * 1440..(day + 1) * 1440);
        settle(&store, START + (day + 1) * DAY - MINUTE);
    }
    let end = START + 5 * DAY;
    let samples = &store.select(&metric("requests_total"), START, end).unwrap()[0].samples;
    let of_day = |day: i64| {
        let range = START + day * DAY..START + (day + 1) * DAY;
        samples.iter().filter(|sample| range.contains(&sample.at)).count()
    };
    assert_eq!((0..5).map(of_day).collect::<Vec<_>>(), [24, 24, 288, 1440, 1440]);
    assert!(samples.is_sorted_by(|a, b| a.at < b.at && a.value < b.value));
    assert_eq!(store.tier(START, end), Tier::Hour);
    assert_eq!(store.tier(START + 2 * DAY, end), Tier::FiveMinutes);
    assert_eq!(store.tier(START + 3 * DAY, end), Tier::Raw);
    // As far back as it takes to see a sample.
    assert_eq!(store.lookback(START + 4 * DAY, end), 5 * MINUTE);
    assert_eq!(store.lookback(START + 3 * DAY, end), 10 * MINUTE);
    assert_eq!(store.lookback(START + 2 * DAY + 2 * HOUR, end), 10 * MINUTE);
    assert_eq!(store.lookback(START + 2 * DAY, end), 65 * MINUTE);
    for at in (START + 2 * HOUR..end).step_by(7 * MINUTE as usize) {
        let back = store.lookback(at, at);
        let seen = store.select(&metric("requests_total"), at - back + 1, at).unwrap();
        assert!(seen.first().is_some_and(|series| !series.samples.is_empty()), "{at}");
    }
}

#[test]
fn series_that_are_silent_go_from_memory() {
    let (store, _) = open(&Memory::default(), Options::default());
    fill(&store, 50, 0..10);
    let id = store.id(&labels("bytes", 7)).unwrap();
    fill(&store, 2, 10..200);
    settle(&store, START + 200 * MINUTE);
    assert_eq!(store.statistics().series, 4);
    assert_eq!(store.id(&labels("bytes", 7)), None);
    let mut batch = Batch::default();
    let at = START + 200 * MINUTE;
    batch.add_known(id, at, 1.0);
    assert_eq!(store.append(&batch, at).unwrap().refused, [(super::super::Why::Gone, 1)].into());
    assert_eq!(store.series(&[], START, at).unwrap().len(), 100);
}

#[test]
fn who_reads_sees_every_sample_while_others_append_and_tend() {
    let (store, _) = open(&Memory::default(), Options::default());
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for minute in 0..1000 {
                let at = START + minute * MINUTE;
                store.append(&scrape(2, at), at).unwrap();
                store.tend(at).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut least = 0;
        while !done.load(Ordering::Relaxed) {
            let series = store.select(&metric("requests_total"), START, i64::MAX).unwrap();
            let Some(one) = series.first() else { continue };
            assert!(one.samples.windows(2).all(|two| two[1].at - two[0].at == MINUTE));
            assert!(one.samples[0].at == START && one.samples.len() >= least);
            least = one.samples.len();
        }
    });
}

#[test]
fn a_directory_belongs_to_one_store() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(directory.path(), Options::default()).unwrap();
    fill(&store, 3, 0..150);
    settle(&store, START + 150 * MINUTE);
    let before = all(&store);
    let refused = Store::open(directory.path(), Options::default()).err().unwrap();
    assert!(format!("{:?}", std::error::Error::source(&refused)).contains("another process"), "{refused:?}");
    drop(store);
    let (store, report) = Store::open(directory.path(), Options::default()).unwrap();
    assert_eq!((all(&store), report.blocks, report.torn), (before, 1, 0));
}
