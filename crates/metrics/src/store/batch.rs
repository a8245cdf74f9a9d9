//! What is handed to the store, and what became of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use compact_str::CompactString;

use super::run::Inserted;
use crate::{Histogram, Labels, Malformed};

/// A series that the store knows. It goes when the series has been silent for some hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeriesId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

/// Samples of many series, which are kept together or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) rows: Vec<Row<f64>>,
    /// They are kept after the others.
    pub(super) histograms: Vec<Row<Arc<Histogram>>>,
}

#[derive(Debug)]
pub(super) struct Row<T> {
    pub(super) of: Of,
    pub(super) at: i64,
    pub(super) value: T,
}

impl<T> Row<T> {
    fn labels(&self) -> Option<&Labels> {
        match &self.of {
            Of::Labels(labels) => Some(labels),
            Of::Known(_) => None,
        }
    }
}

#[derive(Debug)]
pub(super) enum Of {
    Labels(Labels),
    Known(SeriesId),
}

impl Batch {
    /// One more sample, of the series with these labels.
    pub fn add(&mut self, labels: Labels, at: i64, value: f64) {
        self.rows.push(Row { of: Of::Labels(labels), at, value });
    }

    /// One more sample, of a series that is known.
    pub fn add_known(&mut self, series: SeriesId, at: i64, value: f64) {
        self.rows.push(Row { of: Of::Known(series), at, value });
    }

    /// One more sample that is a histogram, of the series with these labels. [`Histogram::stale`] marks the end of a series,
    /// as the float does.
    pub fn add_histogram(&mut self, labels: Labels, at: i64, value: Histogram) {
        self.histograms.push(Row { of: Of::Labels(labels), at, value: Arc::new(value.settled()) });
    }

    /// One more sample that is a histogram, of a series that is known.
    pub fn add_known_histogram(&mut self, series: SeriesId, at: i64, value: Histogram) {
        self.histograms.push(Row { of: Of::Known(series), at, value: Arc::new(value.settled()) });
    }

    /// Its samples that name their series by labels, but for histograms.
    pub fn samples(&self) -> impl Iterator<Item = (&Labels, i64, f64)> {
        self.rows.iter().filter_map(|row| Some((row.labels()?, row.at, row.value)))
    }

    /// Its histograms that name their series by labels.
    pub fn histograms(&self) -> impl Iterator<Item = (&Labels, i64, &Histogram)> {
        self.histograms.iter().filter_map(|row| Some((row.labels()?, row.at, row.value.as_ref())))
    }

    /// How many samples it has.
    pub fn len(&self) -> usize {
        self.rows.len() + self.histograms.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Leaves it empty, to be filled again.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.histograms.clear();
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Samples that are kept from now on.
    pub accepted: u64,
    /// Samples that were there already, with the same value.
    pub repeated: u64,
    /// How many of the accepted and the repeated ones are histograms.
    pub histograms: u64,
    /// Samples that are not kept, by why.
    pub refused: BTreeMap<Why, u64>,
}

impl Receipt {
    pub(super) fn note(&mut self, inserted: &Inserted) {
        match inserted {
            Inserted::New => self.accepted += 1,
            Inserted::Repeated => self.repeated += 1,
            Inserted::OtherValue => self.refuse(Why::OtherValue),
        }
    }

    pub(super) fn refuse(&mut self, why: Why) {
        *self.refused.entry(why).or_default() += 1;
    }
}

/// Why a sample is not kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// It is older than what may come late.
    TooOld,
    /// It is further ahead of the clock than what may be.
    TooFarAhead,
    /// The series has another value at this time.
    OtherValue,
    /// It is a histogram that is none.
    Malformed(Malformed),
    /// The series went; name it by its labels again.
    Gone,
    /// It would be one series too many.
    TooMany {
        /// Of what there are too many.
        limit: Limit,
        /// The label that makes them many.
        culprit: Option<Culprit>,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOld => f.write_str("they are too old"),
            Self::TooFarAhead => f.write_str("they are ahead of the clock"),
            Self::OtherValue => f.write_str("the series has another value at that time"),
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Gone => f.write_str("the series was silent for too long"),
            Self::TooMany { limit, culprit } => {
                write!(f, "{limit}")?;
                culprit.as_ref().map_or(Ok(()), |culprit| write!(f, ": {culprit}"))
            }
        }
    }
}

/// A number of series that was reached.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limit {
    /// Of all.
    All,
    /// Of a metric.
    Metric(CompactString),
    /// Of a source.
    Source(CompactString),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("there are as many series as there may be"),
            Self::Metric(name) => write!(f, "{name} has as many series as a metric may have"),
            Self::Source(name) => write!(f, "{name} has as many series as a source may have"),
        }
    }
}

/// The label of a metric that makes many series of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Culprit {
    /// The metric.
    pub metric: CompactString,
    /// The label.
    pub label: CompactString,
    /// How many values it has.
    pub values: usize,
}

impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of {} has {} values", self.label, self.metric, Thousands(self.values))
    }
}

struct Thousands(usize);

impl fmt::Display for Thousands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1000 {
            return write!(f, "{}", self.0);
        }
        write!(f, "{},{:03}", Thousands(self.0 / 1000), self.0 % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_culprit_is_named() {
        let culprit = Culprit { metric: "http_requests_total".into(), label: "path".into(), values: 40_213 };
        assert_eq!(culprit.to_string(), "`path` of http_requests_total has 40,213 values");
        let why = Why::TooMany { limit: Limit::Metric("a".into()), culprit: Some(Culprit { values: 7, ..culprit }) };
        let said = "a has as many series as a metric may have: `path` of http_requests_total has 7 values";
        assert_eq!(why.to_string(), said);
        assert_eq!(Thousands(1_002_003).to_string(), "1,002,003");
    }
}
