//! Series of a source, and more that it does not have yet.

use daybook_metrics::{HistogramSample, Matcher, Sample, Series, Source};
use daybook_promql::Value;
use daybook_promql::testfile::Storage;

/// A source with more samples on top: what a rule records is there for the rules after it, before anybody stores it.
pub struct Overlay<'a, S> {
    base: &'a S,
    more: Storage,
}

impl<'a, S: Source> Overlay<'a, S> {
    /// Nothing more than the source has.
    pub fn new(base: &'a S) -> Self {
        Self { base, more: Storage::default() }
    }

    /// Adds a sample.
    pub fn add(&mut self, labels: daybook_metrics::Labels, at: i64, value: Value) {
        self.more.append(labels, [(at, value)]);
    }
}

impl<S: Source> Source for Overlay<'_, S> {
    type Error = S::Error;

    fn select(&self, matchers: &[Matcher], from: i64, to: i64) -> Result<Vec<Series>, S::Error> {
        let mut all = self.base.select(matchers, from, to)?;
        let more = match self.more.select(matchers, from, to) {
            Ok(more) => more,
            Err(never) => match never {},
        };
        for series in more {
            match all.iter_mut().find(|known| known.labels == series.labels) {
                Some(known) => merge(known, series),
                None => all.push(series),
            }
        }
        Ok(all)
    }
}

/// Adds samples of the same series; one at the same time takes the place of the other.
fn merge(known: &mut Series, more: Series) {
    let samples = more.samples.iter().map(|sample| sample.at);
    let times: Vec<i64> = samples.chain(more.histograms.iter().map(|sample| sample.at)).collect();
    known.samples.retain(|sample: &Sample| !times.contains(&sample.at));
    known.histograms.retain(|sample: &HistogramSample| !times.contains(&sample.at));
    known.samples.extend(more.samples);
    known.samples.sort_by_key(|sample| sample.at);
    known.histograms.extend(more.histograms);
    known.histograms.sort_by_key(|sample| sample.at);
}
