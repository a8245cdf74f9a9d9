//! What a request holds.

use std::fmt;

use bytes::Bytes;
use daybook_metrics::exposition::Kind;
use daybook_metrics::store::Batch;
use daybook_metrics::{Labels, NAME};
use prost::Message;

use super::wire::{Histogram, MetricMetadata, Request2, Sample, Series, Series2, WriteRequest};
use super::{Version, histogram};
use crate::unpack::unpack;
use crate::{Encoding, Limits, Metadata, Refused};

/// A series has at most so many bytes, since a message of many small ones takes many times its length.
const LONGEST: usize = 4 << 20;

/// Kinds of metrics by their numbers; the same in both protocols.
const KINDS: [Kind; 8] = [
    Kind::Unknown,
    Kind::Counter,
    Kind::Gauge,
    Kind::Histogram,
    Kind::GaugeHistogram,
    Kind::Summary,
    Kind::Info,
    Kind::StateSet,
];

/// The number of a kind.
pub(super) fn number(kind: Kind) -> i32 {
    KINDS.iter().position(|other| *other == kind).unwrap_or_default() as i32
}

/// What a request holds.
#[derive(Debug, Default)]
pub struct Write {
    /// What is to be kept.
    pub batch: Batch,
    /// How many samples of the batch are no histograms.
    pub samples: u64,
    /// How many of them are histograms.
    pub histograms: u64,
    /// How many exemplars there were. They are not kept.
    pub exemplars: u64,
    /// What is said of metrics, each once.
    pub metadata: Vec<Metadata>,
    /// Since when series count, as far as it is said.
    pub created: Vec<Created>,
    /// What cannot be kept; all else can.
    pub skipped: Skipped,
}

/// Since when a series counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its labels.
    pub labels: Labels,
    /// Since when, in milliseconds since 1970.
    pub at: i64,
}

/// Series and histograms that are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// How many.
    pub count: u64,
    /// What is wrong with the first.
    pub first: String,
}

impl Skipped {
    /// So many more.
    pub fn add(&mut self, count: u64, why: impl fmt::Display) {
        if self.count == 0 {
            self.first = why.to_string();
        }
        self.count += count;
    }
}

/// Reads a body. Series that are none are [skipped](Write::skipped).
pub fn read(version: Version, encoding: Encoding, body: &[u8], limits: Limits) -> Result<Write, Refused> {
    let plain = Bytes::from(unpack(body, encoding, limits.bytes)?.into_owned());
    let mut write = Write::default();
    match version {
        Version::One => write.read_one(plain)?,
        Version::Two => write.read_two(plain)?,
    }
    write.metadata.sort_by(|a, b| a.metric.cmp(&b.metric));
    write.metadata.dedup_by(|a, b| a.metric == b.metric);
    Ok(write)
}

impl Write {
    fn read_one(&mut self, plain: Bytes) -> Result<(), Refused> {
        let request = WriteRequest::decode(plain)?;
        for series in request.series {
            let series = Series::decode(short(series)?)?;
            let labels = series.labels.iter().map(|label| (label.name.as_str(), label.value.as_str()));
            match labelled(labels) {
                Ok(labels) => self.add(&labels, &series.samples, &series.histograms, series.exemplars.len(), 0),
                Err(why) => self.skipped.add(1, why),
            }
        }
        for metadata in request.metadata {
            let metadata = MetricMetadata::decode(short(metadata)?)?;
            let MetricMetadata { metric, help, unit, kind } = metadata;
            self.metadata.push(Metadata { metric, kind: of_number(kind), help, unit });
        }
        Ok(())
    }

    fn read_two(&mut self, plain: Bytes) -> Result<(), Refused> {
        let request = Request2::decode(plain)?;
        let symbols = &request.symbols;
        if symbols.first().is_some_and(|first| !first.is_empty()) {
            return Err(Refused::Malformed("the first symbol is not empty".to_owned()));
        }
        let symbol = |number: u32| symbols.get(number as usize).map(String::as_str);
        for series in request.series {
            let series = Series2::decode(short(series)?)?;
            let pairs = series.labels.chunks(2).map(|pair| match pair {
                [name, value] => symbol(*name).zip(symbol(*value)),
                _ => None,
            });
            let labels = pairs.collect::<Option<Vec<_>>>().ok_or("labels refer to symbols that are not there");
            let labels = match labels.and_then(|labels| labelled(labels.into_iter())) {
                Ok(labels) => labels,
                Err(why) => {
                    self.skipped.add(1, why);
                    continue;
                }
            };
            if let Some(metadata) = series.metadata {
                let text = |number: u32| symbol(number).unwrap_or_default().to_owned();
                let (help, unit, kind) = (text(metadata.help), text(metadata.unit), of_number(metadata.kind));
                if kind != Kind::Unknown || !help.is_empty() || !unit.is_empty() {
                    let metric = family(labels.metric(), kind).to_owned();
                    self.metadata.push(Metadata { metric, kind, help, unit });
                }
            }
            self.add(&labels, &series.samples, &series.histograms, series.exemplars.len(), series.created);
        }
        Ok(())
    }

    fn add(&mut self, labels: &Labels, samples: &[Sample], histograms: &[Histogram], exemplars: usize, created: i64) {
        self.exemplars += exemplars as u64;
        for sample in samples {
            self.batch.add(labels.clone(), sample.timestamp, sample.value);
        }
        self.samples += samples.len() as u64;
        for message in histograms {
            match histogram::read(message) {
                Ok(histogram) => {
                    self.batch.add_histogram(labels.clone(), message.timestamp, histogram);
                    self.histograms += 1;
                }
                Err(why) => self.skipped.add(1, why),
            }
        }
        let started = samples.iter().map(|sample| sample.start_timestamp);
        let started = started.chain(histograms.iter().map(|histogram| histogram.start_timestamp));
        if let Some(at) = started.chain([created]).filter(|at| *at != 0).max() {
            self.created.push(Created { labels: labels.clone(), at });
        }
    }
}

/// Bytes that are not too many for one message.
fn short(bytes: Bytes) -> Result<Bytes, Refused> {
    if bytes.len() > LONGEST { Err(Refused::Malformed("a series is too long".to_owned())) } else { Ok(bytes) }
}

fn of_number(kind: i32) -> Kind {
    usize::try_from(kind).ok().and_then(|kind| KINDS.get(kind)).copied().unwrap_or_default()
}

/// The labels of a series, which has a name and none of them twice.
fn labelled<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Labels, &'static str> {
    let all: Vec<_> = all.filter(|(_, value)| !value.is_empty()).collect();
    if all.iter().any(|(name, _)| name.is_empty()) {
        return Err("a label has no name");
    }
    let count = all.len();
    let labels = Labels::new(all);
    match () {
        () if labels.len() != count => Err("a series has a label twice"),
        () if labels.get(NAME).is_empty() => Err("a series has no name"),
        () => Ok(labels),
    }
}

/// The metric that a series is of: a classic histogram and a summary have several.
fn family(name: &str, kind: Kind) -> &str {
    let ends: &[&str] = match kind {
        Kind::Histogram | Kind::GaugeHistogram => &["_bucket", "_sum", "_count"],
        Kind::Summary => &["_sum", "_count"],
        _ => &[],
    };
    ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name)
}
