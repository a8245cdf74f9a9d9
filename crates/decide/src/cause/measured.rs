//! What measurements did before something was felt: when they left their usual height, came over a bound, or grew.
//!
//! A cause is looked for among what changed, and not all of that is in a journal: visitors come by themselves, a leak
//! fills memory by itself. What is decided here is only when it began and how much it was.

use daybook_model::Timestamp;
use jiff::SignedDuration;

/// Values over time, oldest first.
pub type Points = [(Timestamp, f64)];

/// Fewer values than this before the onset say nothing of what is usual.
const LEAST_BEFORE: usize = 8;
/// What counts as usual ended so long before the onset: what is felt begins a while after its cause.
const APART: SignedDuration = SignedDuration::from_mins(2);
/// The last values, of which the middle one is how it is now.
const LAST: usize = 5;
/// Growth that is less than this, of what there was, is none.
const GROWTH: f64 = 1.4;
/// Of the steps of what grows, so many go up: percent.
const STEADY_PERCENT: usize = 70;

/// It left its usual height for another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// When.
    pub at: Timestamp,
    /// Before.
    pub usual: f64,
    /// Since then.
    pub now: f64,
}

/// Whether something is now at least `factor` times as high as usual, or as low, and since when.
pub fn step(points: &Points, onset: Timestamp, factor: f64) -> Option<Step> {
    let usual_until = onset.checked_sub(APART).ok()?;
    let before: Vec<_> = points.iter().take_while(|(at, _)| *at < usual_until).map(|(_, value)| *value).collect();
    if before.len() < LEAST_BEFORE || points.len() < before.len() + LAST {
        return None;
    }
    let (usual, now) = (middle(&before)?, middle(&values(&points[points.len() - LAST..]))?);
    let (less, more) = (usual.min(now), usual.max(now));
    if more <= 0.0 || more < factor * less {
        return None;
    }
    let between = f64::midpoint(usual, now);
    let is_there = |value: f64| (value > between) == (now > usual);
    Some(Step { at: since(points, is_there)?, usual, now })
}

/// How high something is, and was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Until a while before the onset.
    pub usual: f64,
    /// Now.
    pub now: f64,
}

impl Level {
    fn rise(self) -> f64 {
        self.now - self.usual
    }
}

/// How high something is now, and was before. What was not there counts as nothing.
pub fn level(points: &Points, onset: Timestamp) -> Level {
    let until = onset.checked_sub(APART).unwrap_or(onset);
    let before: Vec<_> = points.iter().take_while(|(at, _)| *at < until).map(|(_, value)| *value).collect();
    let since: Vec<_> = points.iter().skip_while(|(at, _)| *at < onset).map(|(_, value)| *value).collect();
    let last = &since[since.len().saturating_sub(LAST)..];
    Level { usual: middle(&before).unwrap_or(0.0), now: middle(last).unwrap_or(0.0) }
}

/// Who of those that share something takes what the others lack: whoever makes up at least half of what is taken more
/// than before, else whoever takes at least half of all. Its place in `shares`.
pub fn most(shares: &[Level], all: Level) -> Option<usize> {
    let greatest = |of: fn(Level) -> f64, whole: f64| {
        let first = (0..shares.len()).max_by(|a, b| of(shares[*a]).total_cmp(&of(shares[*b])))?;
        (whole > 0.0 && of(shares[first]) >= whole / 2.0).then_some(first)
    };
    greatest(Level::rise, all.rise()).or_else(|| greatest(|level| level.now, all.now))
}

/// Since when something is over a bound, and how high it is now. Nothing where it is not.
pub fn over(points: &Points, bound: f64) -> Option<(Timestamp, f64)> {
    let (_, now) = *points.last()?;
    if now < bound {
        return None;
    }
    Some((since(points, |value| value >= bound)?, now))
}

/// Since when something grows steadily, from what and to what. What rose once and stays there has a [`step`], and
/// does not grow.
pub fn growth(points: &Points) -> Option<(Timestamp, f64, f64)> {
    let third = points.len() / 3;
    if third < LEAST_BEFORE / 2 {
        return None;
    }
    let mean = |points: &Points| points.iter().map(|(_, value)| value).sum::<f64>() / points.len() as f64;
    let thirds = [&points[..third], &points[third..2 * third], &points[2 * third..]].map(mean);
    let (from, to) = (points.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min), points.last()?.1);
    let begun = points.iter().rposition(|(_, value)| *value <= from * 1.05)?;
    let rising = &points[begun..];
    let ups = rising.windows(2).filter(|pair| pair[1].1 >= pair[0].1).count();
    let is_steady = 100 * ups >= STEADY_PERCENT * rising.len().saturating_sub(1).max(1);
    // One jump is no growth: no single step makes up most of it.
    let largest = rising.windows(2).map(|pair| pair[1].1 - pair[0].1).fold(0.0, f64::max);
    let is_gradual = largest < 0.6 * (to - from);
    let grows = thirds[2] > thirds[1] && to >= GROWTH * from.max(f64::MIN_POSITIVE);
    (grows && is_steady && is_gradual).then_some((points[begun].0, from, to))
}

/// The first of the last values that all are `there`, but for single ones between.
fn since(points: &Points, is_there: impl Fn(f64) -> bool) -> Option<Timestamp> {
    let mut first = None;
    let mut others = 0;
    for (at, value) in points.iter().rev() {
        if is_there(*value) {
            (first, others) = (Some(*at), 0);
        } else {
            others += 1;
            if others == 2 {
                break;
            }
        }
    }
    first
}

fn values(points: &Points) -> Vec<f64> {
    points.iter().map(|(_, value)| *value).collect()
}

/// The median.
fn middle(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One value each 15 s.
    fn points(values: impl IntoIterator<Item = f64>) -> Vec<(Timestamp, f64)> {
        let at = |index: usize| Timestamp::from_second(1_790_000_000 + 15 * index as i64).unwrap();
        values.into_iter().enumerate().map(|(index, value)| (at(index), value)).collect()
    }

    fn level(value: f64, count: usize) -> impl Iterator<Item = f64> {
        std::iter::repeat_n(value, count)
    }

    #[test]
    fn a_step_is_found_where_it_was() {
        let all = points(level(10.0, 40).chain(level(55.0, 20)));
        let onset = all[44].0;
        let found = step(&all, onset, 2.0).unwrap();
        assert_eq!(found, Step { at: all[40].0, usual: 10.0, now: 55.0 });
        let fell = points(level(55.0, 40).chain(level(0.0, 20)));
        assert_eq!(step(&fell, onset, 2.0).unwrap().at, all[40].0);
        assert_eq!(step(&all, onset, 6.0), None, "it is not six times as high");
        assert_eq!(step(&all[36..], onset, 2.0), None, "nobody knows what was usual");
        let over_again = points(level(10.0, 40).chain(level(55.0, 10)).chain(level(10.0, 10)));
        assert_eq!(step(&over_again, onset, 2.0), None, "it is as before");
    }

    #[test]
    fn who_takes_more_than_before_is_the_first_to_be_named() {
        let all = points(level(0.1, 40));
        let onset = all[30].0;
        let late = &all[32..];
        assert_eq!(super::level(late, onset), Level { usual: 0.0, now: 0.1 }, "it was not there before");
        assert_eq!(super::level(&all[..20], onset), Level { usual: 0.1, now: 0.0 }, "it is gone");
        let of = |usual, now| Level { usual, now };
        let whole = of(0.5, 1.0);
        assert_eq!(most(&[of(0.4, 0.45), of(0.05, 0.4)], whole), Some(1), "the other always took as much");
        assert_eq!(most(&[of(0.6, 0.6), of(0.1, 0.15)], of(0.95, 0.96)), Some(1), "what rose a little was it");
        assert_eq!(most(&[of(0.6, 0.6), of(0.1, 0.1)], of(0.95, 0.95)), Some(0));
        assert_eq!(most(&[of(0.1, 0.12)], whole), None, "somebody else does, of whom nobody knows");
        assert_eq!(most(&[], whole), None);
    }

    #[test]
    fn one_value_between_breaks_nothing_off() {
        let all = points(level(0.1, 20).chain(level(0.99, 5)).chain(level(0.2, 1)).chain(level(0.98, 5)));
        assert_eq!(over(&all, 0.9), Some((all[20].0, 0.98)));
        assert_eq!(over(&points(level(0.1, 20)), 0.9), None);
    }

    #[test]
    fn what_grows_is_told_from_what_jumped() {
        let all = points(level(50.0, 20).chain((0..30).map(|step| 50.0 + 2.0 * f64::from(step))));
        let (at, from, to) = growth(&all).unwrap();
        assert!((from, to) == (50.0, 108.0) && (all[19].0..=all[23].0).contains(&at), "{at}");
        assert_eq!(growth(&points(level(50.0, 20).chain(level(110.0, 30)))), None, "it jumped");
        assert_eq!(growth(&points(level(50.0, 50))), None);
        let warm = (0..30).map(|step| 50.0 + f64::from(step % 3));
        assert_eq!(growth(&points(warm)), None);
    }
}
