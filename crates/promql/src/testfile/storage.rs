//! The series that a file loads.

use std::collections::BTreeMap;
use std::convert::Infallible;

use daybook_metrics::{
    CUSTOM, Histogram, HistogramSample, Labels, Matcher, NAME, STALE, Sample, Series, Source, is_stale,
};

use super::sequence::Item;
use crate::answer::Value;

/// Series in memory.
#[derive(Debug, Default, Clone)]
pub struct Storage {
    series: BTreeMap<Labels, BTreeMap<i64, Value>>,
}

impl Storage {
    pub(super) fn load(&mut self, every: i64, histograms: bool, series: Vec<(Labels, Vec<Item>)>) {
        let mut classic: BTreeMap<Labels, BTreeMap<i64, Classic>> = BTreeMap::new();
        for (labels, items) in series {
            let values: Vec<(i64, Value)> =
                (0..).zip(items).filter_map(|(n, item): (i64, Item)| Some((n * every, item?))).collect();
            if histograms && let Some((base, part)) = Part::of(&labels) {
                let of_base = classic.entry(base).or_default();
                for (at, value) in values.iter().filter_map(|(at, value)| Some((at, value.float()?))) {
                    of_base.entry(*at).or_default().set(part, value);
                }
            }
            self.append(labels, values);
        }
        for (labels, by_time) in classic {
            let values = by_time.into_iter().filter_map(|(at, classic)| Some((at, Value::from(classic.histogram()?))));
            self.append(labels, values);
        }
    }

    /// Adds samples, with their times in milliseconds since 1970. As a store would, it notes of each histogram whether it
    /// continues the one before. A sample at a time that has one takes its place.
    pub fn append(&mut self, labels: Labels, values: impl IntoIterator<Item = (i64, Value)>) {
        let series = self.series.entry(labels).or_default();
        for (at, value) in values {
            let before = series.range(..at).next_back().and_then(|(_, value)| value.histogram());
            let value = match value {
                Value::Histogram(histogram) => Value::Histogram(histogram.after(before.map(AsRef::as_ref))),
                // An end after a histogram is one of a histogram.
                Value::Float(end) if is_stale(end) && before.is_some() => Histogram::stale().into(),
                float => float,
            };
            series.insert(at, value);
        }
    }
}

impl Source for Storage {
    type Error = Infallible;

    fn select(&self, matchers: &[Matcher], from: i64, to: i64) -> Result<Vec<Series>, Infallible> {
        let chosen = self.series.iter().filter(|(labels, _)| matchers.iter().all(|matcher| matcher.chooses(labels)));
        let series = chosen.map(|(labels, values)| {
            let mut series = Series { labels: labels.clone(), ..Series::default() };
            let within = if from <= to { Some(values.range(from..=to)) } else { None };
            for (at, value) in within.into_iter().flatten() {
                match value {
                    Value::Float(value) => series.samples.push(Sample { at: *at, value: *value }),
                    Value::Histogram(value) => {
                        series.histograms.push(HistogramSample { at: *at, value: value.clone() });
                    }
                }
            }
            series
        });
        Ok(series.filter(|series| !series.samples.is_empty() || !series.histograms.is_empty()).collect())
    }
}

/// What a series is to a classic histogram.
#[derive(Clone, Copy)]
enum Part {
    Bucket(f64),
    Sum,
    Count,
}

impl Part {
    /// The labels of the histogram, and what the series is to it.
    fn of(labels: &Labels) -> Option<(Labels, Self)> {
        let name = labels.metric();
        let (base, part) = match name.rsplit_once('_')? {
            (base, "bucket") => (base, Self::Bucket(labels.get("le").replace("+Inf", "inf").parse().ok()?)),
            (base, "sum") => (base, Self::Sum),
            (base, "count") => (base, Self::Count),
            _ => return None,
        };
        Some((labels.with(NAME, base).with("le", ""), part))
    }
}

/// A classic histogram at one time.
#[derive(Default)]
struct Classic {
    buckets: Vec<(f64, f64)>,
    sum: f64,
    count: Option<f64>,
    stale: bool,
}

impl Classic {
    fn set(&mut self, part: Part, value: f64) {
        self.stale |= is_stale(value);
        match part {
            Part::Bucket(bound) => self.buckets.push((bound, value)),
            Part::Sum => self.sum = value,
            Part::Count => self.count = Some(value),
        }
    }

    /// The same as a native histogram with custom buckets.
    fn histogram(mut self) -> Option<Histogram> {
        if self.stale {
            return Some(Histogram { sum: STALE, ..Histogram::default() });
        }
        self.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let count = self.count.or_else(|| self.buckets.last().map(|last| last.1))?;
        if self.buckets.last().is_none_or(|last| last.0 != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let mut below = 0.0;
        let mut positive = Vec::new();
        for (index, (_, cumulative)) in (0..).zip(&self.buckets) {
            if *cumulative < below {
                return None;
            }
            if *cumulative != below {
                positive.push((index, cumulative - below));
            }
            below = *cumulative;
        }
        let bounds = self.buckets.iter().map(|bucket| bucket.0).filter(|bound| bound.is_finite()).collect();
        Some(Histogram { schema: CUSTOM, count, sum: self.sum, positive, bounds, ..Histogram::default() })
    }
}
