//! How well something finds what is unusual in series whose unusual times people have labelled. Pure.
//!
//! An alert counts when it begins. It is right if that is within a labelled window, and a window is found if an alert
//! begins in it. Windows and alerts before a detector can have learnt count for nobody.

use crate::series::{Sample, Series};

/// Begins to say that something is unusual, or does not.
pub(crate) trait Watcher {
    /// Takes a sample; whether an alert begins with it.
    fn push(&mut self, sample: Sample) -> bool;
}

/// What came of a series, or of several together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Score {
    /// Alerts that began within a window.
    pub(crate) right: u32,
    /// Alerts that began elsewhere.
    pub(crate) wrong: u32,
    /// Windows in which one began.
    pub(crate) found: u32,
    /// Windows.
    pub(crate) windows: u32,
    /// Weeks that were watched.
    pub(crate) weeks: f64,
}

impl Score {
    /// The share of alerts that were right; 1 where there were none.
    pub(crate) fn precision(&self) -> f64 {
        share(self.right, self.right + self.wrong)
    }

    /// The share of windows that were found; 1 where there are none.
    pub(crate) fn recall(&self) -> f64 {
        share(self.found, self.windows)
    }

    /// Wrong alerts in a week.
    pub(crate) fn wrong_a_week(&self) -> f64 {
        if self.weeks > 0.0 { f64::from(self.wrong) / self.weeks } else { 0.0 }
    }

    /// The harmonic mean of precision and recall.
    pub(crate) fn f1(&self) -> f64 {
        let (precision, recall) = (self.precision(), self.recall());
        if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 }
    }

    /// Both together.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            right: self.right + other.right,
            wrong: self.wrong + other.wrong,
            found: self.found + other.found,
            windows: self.windows + other.windows,
            weeks: self.weeks + other.weeks,
        }
    }
}

fn share(part: u32, whole: u32) -> f64 {
    if whole == 0 { 1.0 } else { f64::from(part) / f64::from(whole) }
}

const WEEK_S: f64 = 7.0 * 86_400.0;

/// Runs a watcher over a series. The first `learn_s` seconds are shown to it and do not count.
pub(crate) fn score(series: &Series, watcher: &mut dyn Watcher, learn_s: i64) -> Score {
    let Some((first, last)) = series.samples.first().zip(series.samples.last()) else { return Score::default() };
    let begins = first.at_s + learn_s;
    let windows: Vec<_> = series.windows.iter().filter(|(from, _)| *from >= begins).collect();
    let mut found = vec![false; windows.len()];
    let mut score =
        Score { windows: windows.len() as u32, weeks: (last.at_s - begins).max(0) as f64 / WEEK_S, ..Score::default() };
    for sample in &series.samples {
        if !watcher.push(*sample) || sample.at_s < begins {
            continue;
        }
        let at = sample.at_s;
        match windows.iter().position(|(from, until)| (*from..=*until).contains(&at)) {
            Some(window) => {
                found[window] = true;
                score.right += 1;
            }
            // One that began before it counts has no place to be right in.
            None if series.windows.iter().any(|(from, until)| *from < begins && (*from..=*until).contains(&at)) => {}
            None => score.wrong += 1,
        }
    }
    score.found = found.into_iter().filter(|found| *found).count() as u32;
    score
}

/// Whether a series was kept aside when numbers were tuned: about half of them, told by a hash of their names
/// (FNV-1a), so that nobody has chosen.
pub(crate) fn is_kept_aside(name: &str) -> bool {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    !hash.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Begins an alert at these times.
    struct At(Vec<i64>);

    impl Watcher for At {
        fn push(&mut self, sample: Sample) -> bool {
            self.0.contains(&sample.at_s)
        }
    }

    fn series(windows: &[(i64, i64)]) -> Series {
        let samples = (0..100).map(|at_s| Sample { at_s, value: 0.0 }).collect();
        Series { name: "s".to_owned(), set: "t".to_owned(), samples, windows: windows.to_vec() }
    }

    #[test]
    fn alerts_are_right_within_windows_and_windows_are_found_by_alerts() {
        let score = score(&series(&[(10, 20), (40, 50), (70, 80)]), &mut At(vec![12, 15, 30, 50, 90]), 0);
        assert_eq!((score.right, score.wrong, score.found, score.windows), (3, 2, 2, 3));
        assert!((score.precision() - 0.6).abs() < 1e-9 && (score.recall() - 2.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn what_comes_before_anything_was_learnt_does_not_count() {
        let score = score(&series(&[(10, 40), (60, 70)]), &mut At(vec![5, 35, 65]), 30);
        assert_eq!((score.right, score.wrong, score.found, score.windows), (1, 0, 1, 1));
    }

    #[test]
    fn nothing_said_of_nothing_is_right() {
        let score = score(&series(&[]), &mut At(vec![]), 0);
        assert_eq!((score.precision(), score.recall(), score.wrong_a_week()), (1.0, 1.0, 0.0));
        let twice = score.and(score);
        assert!(twice.weeks > score.weeks);
    }
}
