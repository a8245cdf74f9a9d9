//! Samples of both kinds.

use super::run::Measured;
use crate::{HistogramSample, Labels, Sample, Series};

/// Samples of one series, of both kinds.
#[derive(Debug, Clone, Default)]
pub(super) struct Both {
    pub(super) samples: Vec<Sample>,
    pub(super) histograms: Vec<HistogramSample>,
}

impl Both {
    pub(super) fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.histograms.is_empty()
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.samples.extend(other.samples);
        self.histograms.extend(other.histograms);
    }

    /// Without what is not between two times, both included.
    pub(super) fn within(mut self, from: i64, to: i64) -> Self {
        self.samples.retain(|sample| (from..=to).contains(&sample.at));
        self.histograms.retain(|sample| (from..=to).contains(&sample.at));
        self
    }

    /// By time, of one time the first, and no histogram of a time that has a sample.
    pub(super) fn in_order(self) -> Self {
        let (samples, mut histograms) = (in_order(self.samples), in_order(self.histograms));
        if !samples.is_empty() {
            histograms.retain(|one| samples.binary_search_by_key(&one.at, |sample| sample.at).is_err());
        }
        Self { samples, histograms }
    }

    /// As they are handed out: each histogram is told whether it continues the one before.
    pub(super) fn into_series(self, labels: Labels) -> Series {
        let Self { samples, mut histograms } = self.in_order();
        for at in 0..histograms.len() {
            let (before, rest) = histograms.split_at_mut(at);
            let before = before.last().map(|sample| sample.value.as_ref());
            rest[0].value = rest[0].value.clone().after(before);
        }
        Series { labels, samples, histograms }
    }
}

/// By time, of one time the first.
fn in_order<T: Measured>(mut all: Vec<T>) -> Vec<T> {
    if !all.is_sorted_by(|a, b| a.at() < b.at()) {
        all.sort_by_key(T::at);
        all.dedup_by_key(|one| one.at());
    }
    all
}
