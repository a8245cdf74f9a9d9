//! Histograms are kept as floats are.

use super::super::{DAY, HOUR, NotRead, Why};
use super::*;
use crate::{HistogramSample, Malformed, Reset, STALE};

fn append(store: &Store, name: &str, at: i64, value: Histogram) -> super::super::Receipt {
    let mut batch = Batch::default();
    batch.add_histogram(labels(name, 1), at, value);
    store.append(&batch, at).unwrap()
}

fn histograms(store: &Store, name: &str, from: i64, to: i64) -> Vec<HistogramSample> {
    store.select(&metric(name), from, to).unwrap().remove(0).histograms
}

#[test]
fn they_come_back_from_memory_the_log_and_blocks() {
    let files = Memory::default();
    let (mut store, _) = open(&files, Options::default());
    let minutes = 0..26 * 60;
    for minute in minutes.clone() {
        let value = latencies(1, minute);
        assert_eq!(append(&store, "seconds", START + minute * MINUTE, value).accepted, 1);
    }
    let expected: Vec<_> = minutes.map(|minute| (START + minute * MINUTE, latencies(1, minute))).collect();
    for round in 0..3 {
        let there = histograms(&store, "seconds", START, START + 2 * DAY);
        let there: Vec<_> = there.iter().map(|one| (one.at, one.value.as_ref().clone())).collect();
        assert_eq!(there, expected);
        if round == 0 {
            settle(&store, START + 26 * HOUR);
            let tiers = store.statistics().tiers;
            assert_eq!((tiers.len(), tiers[&super::super::Tier::Raw].blocks), (3, 1));
        }
        drop(store);
        store = open(&files, Options::default()).0;
    }
    let some = histograms(&store, "seconds", START + HOUR, START + HOUR + 2 * MINUTE);
    assert_eq!(some.iter().map(|one| (one.at - START) / MINUTE).collect::<Vec<_>>(), [60, 61, 62]);
}

#[test]
fn each_is_told_whether_it_continues_the_one_before() {
    let (store, _) = open(&Memory::default(), Options::default());
    let of = |count: f64, reset: Reset| Histogram { count, reset, ..Histogram::default() };
    let all = [
        of(1.0, Reset::NotReset),
        of(2.0, Reset::Unknown),
        of(1.0, Reset::NotReset),
        of(5.0, Reset::Reset),
        of(6.0, Reset::Gauge),
        of(7.0, Reset::Unknown),
        Histogram::stale(),
        of(8.0, Reset::Unknown),
    ];
    for (value, minute) in all.into_iter().zip(0..) {
        append(&store, "seconds", START + minute * MINUTE, value);
    }
    let told = |from: i64| -> Vec<Reset> {
        let all = histograms(&store, "seconds", from, START + HOUR);
        all.iter().map(|one| one.value.reset).collect()
    };
    use Reset::{Gauge, NotReset, Unknown};
    assert_eq!(told(START), [Unknown, NotReset, Unknown, Reset::Reset, Gauge, Unknown, Unknown, Unknown]);
    // What is not read tells nothing.
    assert_eq!(told(START + MINUTE)[..2], [Unknown, Unknown]);
}

#[test]
fn one_time_has_one_sample_of_either_kind() {
    let (store, _) = open(&Memory::default(), Options::default());
    let value = latencies(1, 1);
    assert_eq!(append(&store, "mixed", START, value.clone()).accepted, 1);
    assert_eq!(append(&store, "mixed", START, value.clone()).repeated, 1);
    assert_eq!(append(&store, "mixed", START, Histogram::default()).refused, [(Why::OtherValue, 1)].into());
    let mut batch = Batch::default();
    batch.add_histogram(labels("mixed", 1), START + 1, value);
    batch.add(labels("mixed", 1), START, 1.0);
    batch.add(labels("mixed", 1), START + 1, 1.0);
    let receipt = store.append(&batch, START).unwrap();
    // Of one batch the float is first, in the log as well.
    assert_eq!((receipt.accepted, receipt.refused), (1, [(Why::OtherValue, 2)].into()));
    assert_eq!(all(&store)[&labels("mixed", 1)].len(), 2);
}

#[test]
fn what_is_none_and_what_is_too_much_is_refused() {
    let (store, _) = open(&Memory::default(), Options { buckets: 10, samples: 500, ..Options::default() });
    let refused =
        |malformed| super::super::Receipt { refused: [(Why::Malformed(malformed), 1)].into(), ..Default::default() };
    let wide = Histogram { positive: (0..11).map(|index| (index, 1.0)).collect(), ..Histogram::default() };
    assert_eq!(append(&store, "seconds", START, wide), refused(Malformed::TooWide));
    assert_eq!(
        append(&store, "seconds", START, Histogram { schema: 77, ..Histogram::default() }),
        refused(Malformed::Schema)
    );
    assert_eq!(store.statistics().refused, [("malformed", 2)].into());
    for minute in 0..150 {
        append(&store, "seconds", START + minute * MINUTE, latencies(1, minute));
    }
    for _ in 0..2 {
        // Each is worth its eight buckets and three more.
        assert!(store.select(&metric("seconds"), START, START + 20 * MINUTE).is_ok());
        let many = store.select(&metric("seconds"), START, START + DAY).unwrap_err();
        assert!(matches!(many, NotRead::TooMany { asked: 1650, most: 500 }), "{many:?}");
        store.append(&scrape(1, START + 150 * MINUTE), START + 150 * MINUTE).unwrap();
        drop(many);
    }
}

#[test]
fn a_coarser_tier_stands_for_those_that_are_gone() {
    let files = Memory::default();
    let (store, _) = open(&files, Options { keep: DAY, keep_5m: 2 * DAY, ..Options::default() });
    let mut grown = 0.0;
    for day in 0..5 {
        for minute in day * 1440..(day + 1) * 1440 {
            append(&store, "seconds", START + minute * MINUTE, latencies(1, minute));
        }
        settle(&store, START + (day + 1) * DAY - MINUTE);
        grown = growth(&histograms(&store, "seconds", START, START + (day + 1) * DAY));
    }
    let all = histograms(&store, "seconds", START, START + 5 * DAY);
    let of_day = |day: i64| all.iter().filter(|one| (one.at - START) / DAY == day).count();
    assert!(of_day(0) < 40 && of_day(2) < 320 && of_day(4) == 1440, "{:?}", (0..5).map(of_day).collect::<Vec<_>>());
    let raw: Vec<_> = (0..5 * 1440).map(|minute| latencies(1, minute).count).collect();
    let expected: f64 = raw.windows(2).map(|two| if two[1] < two[0] { two[1] } else { two[1] - two[0] }).sum();
    assert_eq!(grown, expected);
}

fn growth(all: &[HistogramSample]) -> f64 {
    let counts = all.iter().map(|one| one.value.count).collect::<Vec<_>>();
    counts.windows(2).map(|two| if two[1] < two[0] { two[1] } else { two[1] - two[0] }).sum()
}

#[test]
fn an_end_is_kept_of_either_kind() {
    let (store, _) = open(&Memory::default(), Options::default());
    append(&store, "seconds", START, latencies(1, 1));
    append(&store, "seconds", START + 1, Histogram { count: 5.0, ..Histogram::stale() });
    let mut batch = Batch::default();
    batch.add(labels("seconds", 1), START + 2, STALE);
    store.append(&batch, START).unwrap();
    let series = store.select(&metric("seconds"), START, START + 2).unwrap().remove(0);
    assert_eq!((series.samples.len(), series.histograms.len()), (1, 2));
    assert_eq!(*series.histograms[1].value, Histogram::stale());
}
