//! The store against a map, with seeds.

use std::collections::btree_map::Entry;

use super::super::{DAY, HOUR};
use super::*;
use crate::{Reset, STALE};

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }

    fn value(&mut self) -> f64 {
        match self.below(8) {
            0 => STALE,
            1 => f64::from_bits(self.below(u64::MAX)),
            2 => self.below(1000) as f64 / 7.0,
            3 => 0.0,
            _ => self.below(100_000) as f64 / 100.0,
        }
    }
}

impl Random {
    /// One of few shapes, so that some share columns.
    fn histogram(&mut self) -> Histogram {
        if self.below(9) == 0 {
            return Histogram::stale();
        }
        let index = self.below(6) as i32 - 3;
        Histogram {
            schema: self.below(2) as i32,
            count: self.below(1000) as f64,
            sum: self.value(),
            positive: vec![(index, self.below(9) as f64 + 1.0), (index + 2, self.below(99) as f64 / 7.0 + 1.0)],
            reset: [Reset::Unknown, Reset::Gauge][self.below(2) as usize],
            ..Histogram::default()
        }
        .settled()
    }
}

#[test]
fn a_store_is_a_map_with_bounds() {
    for seed in 0..40 {
        one(seed);
    }
}

fn one(seed: u64) {
    let mut random = Random(seed);
    let files = Memory::default();
    let options = Options { segment: 3000, keep: 400 * DAY, ..Options::default() };
    let mut store = open(&files, options.clone()).0;
    let mut model: All = BTreeMap::new();
    let mut now = START + random.below(DAY as u64) as i64;
    let mut newest: Option<i64> = None;
    for step in 0..300 {
        match random.below(20) {
            0 => {
                drop(store);
                store = open(&files, options.clone()).0;
            }
            1..=4 => _ = store.tend(now).unwrap(),
            5 => now += random.below(3 * HOUR as u64) as i64,
            _ => {
                now += random.below(20 * MINUTE as u64) as i64;
                let mut batch = Batch::default();
                let (mut accepted, mut repeated, mut refused) = (0, 0, 0);
                let oldest = newest.unwrap_or(now).min(now) - options.late;
                let rows = random.below(30);
                for row in 0..rows {
                    let labels = labels("metric", random.below(5) as usize);
                    let at = (now - random.below(14 * MINUTE as u64) as i64) / 5000 * 5000;
                    // Histograms are kept after the others.
                    let bits = if row * 3 < rows * 2 {
                        let value = random.value();
                        batch.add(labels.clone(), at, value);
                        value.to_bits()
                    } else {
                        let value = random.histogram();
                        batch.add_histogram(labels.clone(), at, value.clone());
                        of_histogram(&value)
                    };
                    if at < oldest {
                        refused += 1;
                        continue;
                    }
                    match model.entry(labels).or_default().entry(at) {
                        Entry::Vacant(new) => {
                            new.insert(bits);
                            newest = newest.max(Some(at));
                            accepted += 1;
                        }
                        Entry::Occupied(old) if *old.get() == bits => repeated += 1,
                        Entry::Occupied(_) => refused += 1,
                    }
                }
                let receipt = store.append(&batch, now).unwrap();
                let said = (receipt.accepted, receipt.repeated, receipt.refused.values().sum::<u64>());
                assert_eq!(said, (accepted, repeated, refused), "seed {seed}, step {step}");
            }
        }
        if step % 25 == 0 {
            assert_eq!(all(&store), model, "seed {seed}, step {step}");
            let (from, to) = (now - random.below(DAY as u64) as i64, now - random.below(HOUR as u64) as i64);
            for series in store.select(&metric("metric"), from, to).unwrap() {
                let histograms = series.histograms.iter().map(|sample| (sample.at, of_histogram(&sample.value)));
                let samples = series.samples.iter().map(|sample| (sample.at, sample.value.to_bits()));
                let there: BTreeMap<_, _> = samples.chain(histograms).collect();
                let expected: BTreeMap<_, _> =
                    model[&series.labels].range(from..=to).map(|(at, bits)| (*at, *bits)).collect();
                assert_eq!(there, expected, "seed {seed}, step {step}");
            }
        }
    }
    settle(&store, now);
    model.retain(|_, samples| !samples.is_empty());
    assert_eq!(all(&store), model, "seed {seed}");
}
