//! What is told as what it grew by, as what it came to.

use std::collections::HashMap;

use daybook_metrics::{Histogram, Labels};

/// A histogram has at most so many buckets, so that what is remembered of it is bounded.
pub(super) const MOST_BUCKETS: usize = 1_000;

/// What series came to that tell only what they grew by. It is memory: what is sent again after a restart begins anew, which
/// is a reset of a counter.
#[derive(Debug, Default)]
pub struct Deltas {
    held: HashMap<Labels, Held>,
    most: usize,
}

/// What a request adds. It counts when it is [committed](Deltas::commit), so that a request that is not kept can be sent again.
#[derive(Debug, Default)]
pub struct Pending {
    held: HashMap<Labels, Held>,
    /// How many of them were not known before.
    new: usize,
}

/// What a series came to, and when.
#[derive(Debug, Clone)]
struct Held {
    at: i64,
    total: Total,
}

/// What a series came to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Total {
    /// A number.
    Number(f64),
    /// The counts of buckets with their bounds, how many there are, and their sum.
    Buckets { bounds: Vec<f64>, counts: Vec<u64>, count: u64, sum: Option<f64> },
    /// A native histogram.
    Native(Box<Histogram>),
}

impl Deltas {
    /// With room for so many series.
    pub fn new(most: usize) -> Self {
        Self { held: HashMap::new(), most }
    }

    /// What a request adds counts from now on.
    pub fn commit(&mut self, pending: Pending) {
        self.held.extend(pending.held);
    }

    /// Forgets series that were silent since a time, in milliseconds since 1970. Returns how many.
    pub fn forget(&mut self, before: i64) -> usize {
        let count = self.held.len();
        self.held.retain(|_, held| held.at >= before);
        count - self.held.len()
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// What a series came to by a time, if it grew by so much until then.
    pub(super) fn add(&self, pending: &mut Pending, labels: &Labels, at: i64, grown: Total) -> Result<Total, String> {
        let known = pending.held.get(labels).or_else(|| self.held.get(labels));
        let total = match known {
            Some(held) if held.at >= at => return Err("a delta is not newer than the one before".to_owned()),
            Some(held) => together(&held.total, grown),
            None if self.held.len() + pending.new >= self.most => {
                return Err(format!("there are {} series of deltas, as many as there may be", self.most));
            }
            None => {
                pending.new += 1;
                grown
            }
        };
        pending.held.insert(labels.clone(), Held { at, total: total.clone() });
        Ok(total)
    }
}

/// What is of another kind, or has other buckets, or too many, begins anew.
fn together(before: &Total, grown: Total) -> Total {
    match (before, grown) {
        (Total::Number(before), Total::Number(grown)) => Total::Number(before + grown),
        (
            Total::Buckets { bounds: known, counts: had, count: before, sum: was },
            Total::Buckets { bounds, counts, count, sum },
        ) if *known == bounds && had.len() == counts.len() => {
            let counts = had.iter().zip(&counts).map(|(a, b)| a.saturating_add(*b)).collect();
            let sum = was.zip(sum).map(|(a, b)| a + b);
            Total::Buckets { bounds, counts, count: before.saturating_add(count), sum }
        }
        (Total::Native(before), Total::Native(grown)) => {
            let mut both = before.clone();
            let added = both.add(&grown).is_ok() && both.check(MOST_BUCKETS).is_ok();
            Total::Native(if added { both } else { grown })
        }
        (_, grown) => grown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_kept_does_not_count() {
        let mut deltas = Deltas::new(2);
        let labels = |name: &str| Labels::new([("__name__", name)]);
        let add = |deltas: &Deltas, pending: &mut Pending, name: &str, at: i64| {
            deltas.add(pending, &labels(name), at, Total::Number(2.0))
        };
        let mut lost = Pending::default();
        assert_eq!(add(&deltas, &mut lost, "a", 1), Ok(Total::Number(2.0)));
        assert_eq!(add(&deltas, &mut lost, "a", 2), Ok(Total::Number(4.0)));
        assert!(add(&deltas, &mut lost, "a", 2).is_err());
        let mut kept = Pending::default();
        assert_eq!(add(&deltas, &mut kept, "a", 1), Ok(Total::Number(2.0)));
        deltas.commit(kept);
        let mut kept = Pending::default();
        assert!(add(&deltas, &mut kept, "a", 1).is_err());
        assert_eq!(add(&deltas, &mut kept, "a", 5), Ok(Total::Number(4.0)));
        assert!(add(&deltas, &mut kept, "b", 5).is_ok());
        deltas.commit(kept);
        assert!(add(&deltas, &mut Pending::default(), "c", 5).unwrap_err().contains("as many as there may be"));
        assert_eq!((deltas.forget(6), deltas.len()), (2, 0));
    }
}
