//! What people use otherwise: a number, and three standard deviations.

use std::collections::VecDeque;

use crate::score::Watcher;
use crate::series::Sample;

/// A threshold that a careful person would set after a while: a fifth above all that was seen, and nothing below.
#[derive(Debug)]
pub(crate) struct Threshold {
    learn_s: i64,
    first: Option<i64>,
    most: f64,
    is_above: bool,
}

impl Threshold {
    /// Looks for `learn_s` seconds first.
    pub(crate) fn new(learn_s: i64) -> Self {
        Self { learn_s, first: None, most: f64::MIN, is_above: false }
    }
}

impl Watcher for Threshold {
    fn push(&mut self, sample: Sample) -> bool {
        let first = *self.first.get_or_insert(sample.at_s);
        if sample.at_s - first < self.learn_s {
            self.most = self.most.max(sample.value);
            return false;
        }
        let was = std::mem::replace(&mut self.is_above, sample.value > 1.2 * self.most);
        self.is_above && !was
    }
}

/// Away from the mean of the last day by more than three standard deviations of it.
#[derive(Debug)]
pub(crate) struct ThreeSigma {
    last: VecDeque<Sample>,
    is_away: bool,
}

impl ThreeSigma {
    /// Nothing was seen yet.
    pub(crate) fn new() -> Self {
        Self { last: VecDeque::new(), is_away: false }
    }
}

impl Watcher for ThreeSigma {
    fn push(&mut self, sample: Sample) -> bool {
        while self.last.front().is_some_and(|first| first.at_s < sample.at_s - 86_400) {
            self.last.pop_front();
        }
        let count = self.last.len() as f64;
        let mean = self.last.iter().map(|one| one.value).sum::<f64>() / count;
        let variance = self.last.iter().map(|one| (one.value - mean).powi(2)).sum::<f64>() / count;
        let is_away = count >= 12.0 && (sample.value - mean).abs() > 3.0 * variance.sqrt();
        self.last.push_back(sample);
        let was = std::mem::replace(&mut self.is_away, is_away);
        is_away && !was
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alerts(watcher: &mut dyn Watcher, values: impl IntoIterator<Item = f64>) -> Vec<usize> {
        let samples = values.into_iter().enumerate();
        samples
            .filter(|(index, value)| watcher.push(Sample { at_s: *index as i64 * 60, value: *value }))
            .map(|(index, _)| index)
            .collect()
    }

    #[test]
    fn a_threshold_is_crossed_once() {
        let values = [1.0, 2.0, 1.0, 1.5, 2.3, 2.5, 3.0, 1.0, 3.0];
        assert_eq!(alerts(&mut Threshold::new(180), values), [5, 8]);
    }

    #[test]
    fn three_deviations_are_crossed_once() {
        let values = (0..40).map(|index| f64::from(index % 3)).chain([9.0, 9.0, 1.0]);
        assert_eq!(alerts(&mut ThreeSigma::new(), values), [40]);
    }
}
