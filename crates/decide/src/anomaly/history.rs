//! What was seen, and what is therefore expected.

use std::collections::VecDeque;

/// Days that are looked back.
const DAYS: i64 = 7;
/// Weeks that are looked back.
const WEEKS: i64 = 4;
const DAY_MS: i64 = 86_400_000;
/// What "just now" comes from: slots.
const RECENT: usize = 12;
/// Which expectation was right lately comes from this many slots, as the half-life of its error.
const LATELY: f64 = 96.0;
/// Slots whose distance from what was expected says how far is usual.
const REMEMBERED: usize = 2_016;

/// The means of slots, by number, and how far each was from what was expected.
#[derive(Debug, Clone)]
pub(super) struct History {
    slot_ms: i64,
    /// The number of the first slot that is kept.
    first: i64,
    /// A slot without samples is not a number.
    slots: VecDeque<f32>,
    /// Mean error of each way to expect, decaying.
    errors: [f64; WAYS],
    away: VecDeque<f32>,
}

/// Ways to expect: by the same time of days, of weeks, and by what was there just now.
pub(super) const WAYS: usize = 3;

impl History {
    pub(super) fn new(slot_ms: i64) -> Self {
        Self { slot_ms, first: 0, slots: VecDeque::new(), errors: [0.0; WAYS], away: VecDeque::new() }
    }

    fn slots_of(&self, ms: i64) -> i64 {
        (ms / self.slot_ms).max(1)
    }

    fn get(&self, slot: i64) -> Option<f64> {
        let index = usize::try_from(slot - self.first).ok()?;
        self.slots.get(index).map(|value| f64::from(*value)).filter(|value| value.is_finite())
    }

    /// Takes the mean of a slot: later than all before. Slots in between had no samples.
    pub(super) fn push(&mut self, slot: i64, value: f64) {
        let keep = self.slots_of(WEEKS * 7 * DAY_MS) + 2;
        if self.slots.is_empty() || slot - self.first - self.slots.len() as i64 > keep {
            self.slots.clear();
            self.first = slot;
        }
        while self.first + (self.slots.len() as i64) < slot {
            self.append(f32::NAN, keep);
        }
        self.append(value as f32, keep);
    }

    fn append(&mut self, value: f32, keep: i64) {
        if self.slots.len() as i64 >= keep {
            self.slots.pop_front();
            self.first += 1;
        }
        self.slots.push_back(value);
    }

    /// Remembers how far a slot was from what each way had expected.
    pub(super) fn learn(&mut self, value: f64, ways: &[Option<f64>; WAYS]) {
        let keep = 0.5_f64.powf(1.0 / LATELY);
        for (error, expected) in self.errors.iter_mut().zip(ways) {
            // A way that has nothing to say is as wrong as one that says nothing at all is there.
            let wrong = expected.map_or(value.abs(), |expected| (value - expected).abs());
            *error = keep * *error + (1.0 - keep) * wrong;
        }
    }

    /// Remembers how far a slot was from what was expected of it.
    pub(super) fn stray(&mut self, away: f64) {
        if self.away.len() >= REMEMBERED {
            self.away.pop_front();
        }
        self.away.push_back(away as f32);
    }

    /// What each way expects of a slot.
    pub(super) fn expect(&self, slot: i64) -> [Option<f64>; WAYS] {
        let recent: Vec<f64> = (slot - RECENT as i64..slot).filter_map(|slot| self.get(slot)).collect();
        [self.seasonal(slot, DAY_MS, DAYS), self.seasonal(slot, 7 * DAY_MS, WEEKS), median(recent)]
    }

    /// The way that was right most often lately.
    pub(super) fn choose(&self, ways: &[Option<f64>; WAYS]) -> Option<f64> {
        let said = ways.iter().zip(&self.errors).filter_map(|(way, error)| Some(((*way)?, *error)));
        said.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(expected, _)| expected)
    }

    /// The same time of earlier seasons, and the slots beside it; with the level of now.
    fn seasonal(&self, slot: i64, season_ms: i64, seasons: i64) -> Option<f64> {
        let season = self.slots_of(season_ms);
        let at = |slot: i64| {
            let all = (1..=seasons).flat_map(|back| (-1..=1).map(move |side| slot - back * season + side));
            median(all.filter_map(|slot| self.get(slot)).collect())
        };
        let expected = at(slot)?;
        let drift = (slot - RECENT as i64..slot).step_by(3);
        let drift = median(drift.filter_map(|slot| Some(self.get(slot)? - at(slot)?)).collect()).unwrap_or(0.0);
        Some(expected + 0.5 * drift)
    }

    /// The robust standard deviation of what was expected in vain, and what one of two hundred exceeded.
    pub(super) fn spread(&self) -> (f64, f64) {
        let mut away: Vec<f64> = self.away.iter().map(|one| f64::from(*one)).collect();
        if away.is_empty() {
            return (0.0, 0.0);
        }
        let mut at = |share: f64| {
            let place = ((away.len() - 1) as f64 * share) as usize;
            *away.select_nth_unstable_by(place, f64::total_cmp).1
        };
        (1.4826 * at(0.5), at(0.995))
    }

    /// How many slots have been learnt from.
    pub(super) fn learnt(&self) -> usize {
        self.away.len()
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(0.5 * (values[middle - 1] + values[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Detector, Options};
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut history = History::new(Options::default().slot_ms);
        // Two months without a gap, and then nearly four weeks of nothing, again and again.
        let all = (0..17_280).chain((1..4).map(|gap| 17_280 + gap * 8_000));
        for slot in all {
            history.learn(1.0, &[Some(1.0); WAYS]);
            history.stray(0.0);
            history.push(slot, 1.0);
        }
        let bytes = size_of::<Detector>() + size_of::<f32>() * (history.slots.capacity() + history.away.capacity());
        assert!(bytes <= Detector::MOST_BYTES, "{bytes} bytes");
        assert_eq!(history.get(17_280 + 24_000), Some(1.0));
        assert_eq!(history.get(17_280 + 23_999), None, "a slot without samples is not nothing");
    }
}
