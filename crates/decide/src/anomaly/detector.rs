//! One sample after the other.

use daybook_model::Timestamp;

use super::history::History;
use super::{Direction, Options};

/// Watches one series.
#[derive(Debug, Clone)]
pub struct Detector {
    options: Options,
    history: History,
    first: Option<i64>,
    last: Option<i64>,
    /// Between the last two samples, milliseconds.
    step: i64,
    slot: Option<Slot>,
    /// Since when samples are unusual, or usual again while it fires.
    since: Option<i64>,
    firing: Option<i64>,
}

/// The slot that is not over.
#[derive(Debug, Clone)]
struct Slot {
    number: i64,
    sum: f64,
    count: f64,
    ways: [Option<f64>; 3],
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
    /// How the series stands.
    pub state: State,
    /// What was expected. `None`: nothing yet.
    pub expected: Option<f64>,
    /// How far from it is unusual.
    pub tolerance: f64,
}

/// How a series stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Too little was seen.
    Learning,
    /// As expected.
    Usual,
    /// Unusual, not for long enough.
    Watching,
    /// It begins to be unusual with this sample.
    Begins,
    /// It goes on.
    GoesOn,
    /// It ends with this sample.
    Ends,
}

impl State {
    /// Whether an alert should fire.
    pub fn is_firing(self) -> bool {
        matches!(self, Self::Begins | Self::GoesOn)
    }
}

/// While it fires, samples within this share of the tolerance are usual again.
const CALM: f64 = 0.6;
/// An unusual slot is learnt as if it were at most this many tolerances away.
const LEARNT: f64 = 1.0;
/// Slots to have learnt from before anything is said.
const LEAST_SLOTS: usize = 36;

impl Detector {
    /// Nothing is known of the series yet.
    pub fn new(options: Options) -> Self {
        let history = History::new(options.slot_ms);
        Self { options, history, first: None, last: None, step: 0, slot: None, since: None, firing: None }
    }

    /// Takes a sample; one that is not later than the last, or no number, changes nothing.
    pub fn push(&mut self, at: Timestamp, value: f64) -> Verdict {
        let at = at.as_millisecond();
        if !value.is_finite() || self.last.is_some_and(|last| at <= last) {
            return self.verdict(if self.firing.is_some() { State::GoesOn } else { State::Usual });
        }
        self.first.get_or_insert(at);
        self.step = self.last.map_or(0, |last| (at - last).min(self.options.slot_ms));
        self.last = Some(at);
        self.enter(at.div_euclid(self.options.slot_ms));
        let state = self.judge(at, value);
        if let Some(slot) = &mut self.slot {
            slot.sum += value;
            slot.count += 1.0;
        }
        self.verdict(state)
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
    /// when it lasts.
    fn learn(&mut self, slot: &Slot) {
        let mean = slot.sum / slot.count.max(1.0);
        let Some(band) = slot.band else {
            self.history.push(slot.number, mean);
            return;
        };
        let room = LEARNT * band.half;
        let drawn = if self.is_learning() { mean } else { mean.clamp(band.expected - room, band.expected + room) };
        self.history.learn(drawn, &slot.ways, band.expected);
        self.history.push(slot.number, drawn);
    }

    fn is_learning(&self) -> bool {
        let seen = self.first.zip(self.last).map_or(0, |(first, last)| last - first);
        seen < self.options.learn_ms || self.history.learnt() < LEAST_SLOTS
    }

    fn judge(&mut self, at: i64, value: f64) -> State {
        let Some(band) = self.slot.as_ref().and_then(|slot| slot.band).filter(|_| !self.is_learning()) else {
            return State::Learning;
        };
        let Some(begun) = self.firing else { return self.judge_usual(at, value, band) };
        if at - begun >= self.options.accept_ms {
            (self.firing, self.since) = (None, None);
            return State::Ends;
        }
        if self.is_away(value, band, CALM) {
            self.since = None;
            return State::GoesOn;
        }
        let since = *self.since.get_or_insert(at);
        if at - since + self.step < self.options.calm_ms {
            return State::GoesOn;
        }
        (self.firing, self.since) = (None, None);
        State::Ends
    }

    fn judge_usual(&mut self, at: i64, value: f64, band: Band) -> State {
        if !self.is_away(value, band, 1.0) {
            self.since = None;
            return State::Usual;
        }
        let since = *self.since.get_or_insert(at);
        if at - since + self.step < self.options.hold_ms {
            return State::Watching;
        }
        (self.firing, self.since) = (Some(at), None);
        State::Begins
    }

    fn is_away(&self, value: f64, band: Band, share: f64) -> bool {
        if value < self.options.least && band.expected < self.options.least {
            return false;
        }
        let away = value - band.expected;
        let away = match self.options.direction {
            Direction::Up => away,
            Direction::Down => -away,
            Direction::Both => away.abs(),
        };
        away > share * band.half
    }

    fn verdict(&self, state: State) -> Verdict {
        let band = self.slot.as_ref().and_then(|slot| slot.band);
        Verdict { state, expected: band.map(|band| band.expected), tolerance: band.map_or(0.0, |band| band.half) }
    }
}
