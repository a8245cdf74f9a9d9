//! A server writes, a Daybook takes it and is killed, pieces are lost, time passes: what is promised is there.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::tests::{SIZE, Snapshots, at};
use super::*;

/// What happens next.
#[derive(Debug, Clone)]
enum Happens {
    /// The server writes this many segments, one a minute.
    Writes(u64),
    /// What is laid down is saved in batches of this size; killed before the last one is taken away, where that is so.
    Taken { batch: usize, killed: bool },
    /// A segment that is laid down goes before it was saved.
    Lost,
    /// A base backup is made.
    Base,
    /// What nothing needs is removed.
    Thinned,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (1_u64..5).prop_map(Happens::Writes),
        4 => (1_usize..4, any::<bool>()).prop_map(|(batch, killed)| Happens::Taken { batch, killed }),
        1 => Just(Happens::Lost),
        1 => Just(Happens::Base),
        1 => Just(Happens::Thinned),
    ]
}

/// The world as it is, beside what the snapshots tell.
#[derive(Default)]
struct Model {
    snapshots: Snapshots,
    /// The segment that is being written. Segment n is full at minute n.
    writing: u64,
    spool: BTreeSet<u64>,
    saved: BTreeSet<u64>,
    /// The first segment and the time of each base backup.
    bases: Vec<(u64, i64)>,
}

const MINUTE: i64 = 60;

impl Model {
    fn now(&self) -> i64 {
        i64::try_from(self.writing).unwrap() * MINUTE
    }

    fn step(&mut self, happens: &Happens) {
        match happens {
            Happens::Writes(count) => {
                self.spool.extend(self.writing..self.writing + count);
                self.writing += count;
            }
            Happens::Taken { batch, killed } => {
                let waits: Vec<_> = self.spool.iter().copied().collect();
                let names: Vec<_> =
                    waits.iter().map(|number| Segment { timeline: 1, number: *number }.name(SIZE)).collect();
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                for part in batches(&names, SIZE, *batch) {
                    let part = &waits[part];
                    let until = i64::try_from(part[part.len() - 1] + 1).unwrap() * MINUTE;
                    self.snapshots.batch(1, part.iter().copied(), until);
                    self.saved.extend(part);
                    if *killed {
                        return;
                    }
                    for number in part {
                        self.spool.remove(number);
                    }
                }
            }
            Happens::Lost => drop(self.spool.pop_last()),
            Happens::Base => {
                let first = self.writing;
                self.step(&Happens::Writes(1));
                self.snapshots.base(1, u64::try_from(self.bases.len()).unwrap(), first, first, self.now());
                self.bases.push((first, self.now()));
            }
            Happens::Thinned => {
                let gone = to_remove(&self.snapshots.archive(), WINDOW_MS, 1, at(self.now()));
                self.snapshots.forget(&gone);
            }
        }
    }

    /// Whether a moment can be had, by what was really saved and never removed.
    fn can_be_had(&self, second: i64) -> bool {
        let Some((first, _)) = self.bases.iter().rev().find(|(_, whole)| *whole <= second) else { return false };
        // Segment n has what was written in minute n.
        let last = u64::try_from(second / MINUTE - i64::from(second % MINUTE == 0)).unwrap_or(0).max(*first);
        (*first..=last).all(|number| self.saved.contains(&number))
    }
}

/// Two hours.
const WINDOW_MS: u64 = 2 * 3_600_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn r20_what_is_promised_is_there_and_what_is_there_is_promised(all in prop::collection::vec(happens(), 1..80)) {
        let mut model = Model::default();
        for one in &all {
            model.step(one);
        }
        model.step(&Happens::Taken { batch: 1, killed: false });
        let archive = model.snapshots.archive();
        let window = i64::try_from(WINDOW_MS / 1_000).unwrap();
        for second in (0..=model.now()).step_by(30) {
            match choose(&archive, None, Some(at(second))) {
                Choice::From(point) => {
                    prop_assert!(model.can_be_had(second), "{second} is promised: {point:?}");
                    let numbers: Vec<_> =
                        point.files.iter().map(|(_, name)| Segment::parse(name, SIZE).unwrap().number).collect();
                    let row: Vec<_> = (point.base.first..=point.last).collect();
                    prop_assert_eq!(&numbers, &row, "a row without a gap");
                    prop_assert!(point.base.whole <= at(second));
                    let written = u64::try_from(second).unwrap().div_ceil(60).saturating_sub(1);
                    prop_assert!(point.last >= written, "{} of {written}", point.last);
                }
                _ if second < model.now() - window => {}
                other => prop_assert!(!model.can_be_had(second), "{second} is there: {other:?}"),
            }
        }
        if let Some(cluster) = archive.clusters.get(&1) {
            for gap in cluster.gaps() {
                prop_assert!((gap.first..=gap.last).all(|number| !model.saved.contains(&number)));
            }
        }
    }
}
