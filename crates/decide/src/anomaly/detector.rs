//! One sample after the other.

use daybook_model::Timestamp;

use super::Options;
use super::history::{self, History};

/// Watches one series.
#[derive(Debug, Clone)]
pub struct Detector {
    options: Options,
    history: History,
    first: Option<i64>,
    last: Option<i64>,
    slot: Option<Slot>,
}

/// The slot that is not over.
#[derive(Debug, Clone)]
struct Slot {
    number: i64,
    sum: f64,
    count: f64,
    ways: [Option<f64>; history::WAYS],
    band: Option<Band>,
}

/// What is expected, and how far from it is unusual.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Band {
    expected: f64,
    half: f64,
}

/// What there is to say of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// What was expected.
    pub expected: f64,
    /// How far from it is unusual.
    pub tolerance: f64,
    /// How far from what was expected it is, in tolerances: more than 1 is unusually much, less than -1 unusually little.
    pub away: f64,
}

impl Verdict {
    /// The least that is usual.
    pub fn lower(&self) -> f64 {
        self.expected - self.tolerance
    }

    /// The most that is usual.
    pub fn upper(&self) -> f64 {
        self.expected + self.tolerance
    }
}

/// An unusual slot is learnt as if it were at most this many tolerances away.
const LEARNT: f64 = 1.0;
/// Slots to have learnt from before anything is said.
const LEAST_SLOTS: usize = 36;

impl Detector {
    /// What one takes of memory at most, where its slots have five minutes or more: four weeks of means, and a week of what
    /// was expected in vain.
    pub const MOST_BYTES: usize = 41 * 1024;

    /// Nothing is known of the series yet.
    pub fn new(options: Options) -> Self {
        let history = History::new(options.slot_ms);
        Self { options, history, first: None, last: None, slot: None }
    }

    /// Takes a sample. None while too little was seen, and of one that is not later than the last, or no number: that changes
    /// nothing.
    pub fn push(&mut self, at: Timestamp, value: f64) -> Option<Verdict> {
        let at = at.as_millisecond();
        if !value.is_finite() || self.last.is_some_and(|last| at <= last) {
            return None;
        }
        self.first.get_or_insert(at);
        self.last = Some(at);
        self.enter(at.div_euclid(self.options.slot_ms));
        let slot = self.slot.as_mut()?;
        slot.sum += value;
        slot.count += 1.0;
        let band = slot.band?;
        (!self.is_learning()).then(|| self.judge(value, band))
    }

    /// Ends the slot before, and says what is expected of the next.
    fn enter(&mut self, number: i64) {
        if self.slot.as_ref().is_some_and(|slot| slot.number == number) {
            return;
        }
        if let Some(slot) = self.slot.take() {
            self.learn(&slot);
        }
        let ways = self.history.expect(number);
        let expected = self.history.choose(&ways);
        let band = expected.map(|expected| Band { expected, half: self.tolerance(expected) });
        self.slot = Some(Slot { number, sum: 0.0, count: 0.0, ways, band });
    }

    fn tolerance(&self, expected: f64) -> f64 {
        let (deviation, rare) = self.history.spread();
        let Options { deviations, margin, share, .. } = self.options;
        (deviations * deviation).max(margin * rare).max(share * expected.abs()).max(f64::MIN_POSITIVE)
    }

    /// Takes a slot into what is known. What is unusual is drawn toward what was expected, so that it is learnt only
    /// when it lasts; and it says nothing of how far is usual, or an outage would hide the next.
    fn learn(&mut self, slot: &Slot) {
        let mean = slot.sum / slot.count.max(1.0);
        let Some(band) = slot.band else {
            self.history.push(slot.number, mean);
            return;
        };
        let room = LEARNT * band.half;
        let drawn = if self.is_learning() { mean } else { mean.clamp(band.expected - room, band.expected + room) };
        self.history.learn(drawn, &slot.ways);
        if self.is_learning() || (mean - band.expected).abs() <= band.half {
            self.history.stray((drawn - band.expected).abs());
        }
        self.history.push(slot.number, drawn);
    }

    fn is_learning(&self) -> bool {
        let seen = self.first.zip(self.last).map_or(0, |(first, last)| last - first);
        seen < self.options.learn_ms || self.history.learnt() < LEAST_SLOTS
    }

    fn judge(&self, value: f64, band: Band) -> Verdict {
        let is_little = value < self.options.least && band.expected < self.options.least;
        let away = if is_little { 0.0 } else { (value - band.expected) / band.half };
        Verdict { expected: band.expected, tolerance: band.half, away }
    }
}
