//! Series as requests to others.

use std::collections::HashMap;

use bytes::Bytes;
use daybook_metrics::{Labels, Series};
use prost::Message;

use super::read::number;
use super::wire::{self, Histogram, Label, MetricMetadata, Request2, Sample, Series2, WriteRequest};
use super::{Version, histogram};
use crate::Metadata;

/// A request that is ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which protocol it is of; see [`Version::headers`].
    pub version: Version,
    /// Its body, packed with snappy.
    pub body: Vec<u8>,
    /// How many samples are in it, histograms among them.
    pub samples: usize,
}

/// Requests with at most so many samples each, which hold all of the series. The samples of a series are in order, within a request and
/// from one to the next. What is said of metrics goes with the first one, or, in 2.0, with each series that it is of.
pub fn requests(version: Version, series: &[Series], metadata: &[Metadata], most: usize) -> Vec<Request> {
    let mut requests = Vec::new();
    let mut open = Open::new(version, metadata);
    if version == Version::One {
        open.say(metadata);
    }
    for one in series {
        let mut left = events(one);
        while !left.is_empty() {
            let room = most.max(1) - open.samples;
            let rest = left.split_off(room.min(left.len()));
            open.add(&one.labels, left);
            left = rest;
            if open.samples >= most.max(1) {
                requests.push(std::mem::replace(&mut open, Open::new(version, metadata)).close());
            }
        }
    }
    if open.samples > 0 || !open.metadata.is_empty() {
        requests.push(open.close());
    }
    requests
}

/// A sample of either kind.
enum Event {
    Sample(Sample),
    Histogram(Box<Histogram>),
}

impl Event {
    fn at(&self) -> i64 {
        match self {
            Self::Sample(sample) => sample.timestamp,
            Self::Histogram(histogram) => histogram.timestamp,
        }
    }
}

/// What a series has, by time.
fn events(series: &Series) -> Vec<Event> {
    let sample = |of: &daybook_metrics::Sample| Sample { value: of.value, timestamp: of.at, start_timestamp: 0 };
    let samples = series.samples.iter().map(|of| Event::Sample(sample(of)));
    let histograms = series.histograms.iter().map(|of| Event::Histogram(Box::new(histogram::write(&of.value, of.at))));
    let mut all: Vec<Event> = samples.chain(histograms).collect();
    all.sort_by_key(Event::at);
    all
}

/// A request that is being filled.
struct Open<'a> {
    version: Version,
    about: HashMap<&'a str, &'a Metadata>,
    symbols: Vec<String>,
    numbers: HashMap<String, u32>,
    series: Vec<Bytes>,
    metadata: Vec<Bytes>,
    samples: usize,
}

impl<'a> Open<'a> {
    fn new(version: Version, metadata: &'a [Metadata]) -> Self {
        let mut open = Self {
            version,
            about: metadata.iter().map(|one| (one.metric.as_str(), one)).collect(),
            symbols: Vec::new(),
            numbers: HashMap::new(),
            series: Vec::new(),
            metadata: Vec::new(),
            samples: 0,
        };
        // What is not said refers to the empty text, which is the first.
        open.symbol("");
        open
    }

    fn symbol(&mut self, text: &str) -> u32 {
        if let Some(known) = self.numbers.get(text) {
            return *known;
        }
        let number = self.symbols.len() as u32;
        self.symbols.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }

    fn say(&mut self, metadata: &[Metadata]) {
        let message = |one: &Metadata| MetricMetadata {
            kind: number(one.kind),
            metric: one.metric.clone(),
            help: one.help.clone(),
            unit: one.unit.clone(),
        };
        self.metadata.extend(metadata.iter().map(|one| Bytes::from(message(one).encode_to_vec())));
    }

    fn add(&mut self, labels: &Labels, events: Vec<Event>) {
        self.samples += events.len();
        let (mut samples, mut histograms) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Sample(sample) => samples.push(sample),
                Event::Histogram(histogram) => histograms.push(*histogram),
            }
        }
        if self.version == Version::One {
            let label = |label: &daybook_metrics::Label| Label {
                name: label.name.as_str().to_owned(),
                value: label.value.as_str().to_owned(),
            };
            let labels = labels.iter().map(label).collect();
            let series = wire::Series { labels, samples, exemplars: Vec::new(), histograms };
            return self.series.push(series.encode_to_vec().into());
        }
        let metadata = self.metadata_of(labels.metric());
        let mut numbers = Vec::with_capacity(labels.len() * 2);
        for label in labels.iter() {
            numbers.extend([self.symbol(&label.name), self.symbol(&label.value)]);
        }
        // A series has samples of one kind only: what has both is there twice.
        let kinds = [(samples, Vec::new()), (Vec::new(), histograms)];
        for (samples, histograms) in kinds.into_iter().filter(|(a, b)| !a.is_empty() || !b.is_empty()) {
            let labels = numbers.clone();
            let series = Series2 { labels, samples, histograms, exemplars: Vec::new(), metadata, created: 0 };
            self.series.push(series.encode_to_vec().into());
        }
    }

    /// What is said of a metric, or of the histogram or summary that it is a part of.
    fn metadata_of(&mut self, metric: &str) -> Option<wire::Metadata2> {
        let parts = ["_bucket", "_sum", "_count"].into_iter().filter_map(|end| metric.strip_suffix(end));
        let about = *[metric].into_iter().chain(parts).find_map(|name| self.about.get(name))?;
        let (help, unit) = (self.symbol(&about.help), self.symbol(&about.unit));
        Some(wire::Metadata2 { kind: number(about.kind), help, unit })
    }

    fn close(self) -> Request {
        let Self { version, symbols, series, metadata, samples, .. } = self;
        let plain = match version {
            Version::One => WriteRequest { series, metadata }.encode_to_vec(),
            Version::Two => Request2 { symbols, series }.encode_to_vec(),
        };
        // It fails for more than four gigabytes alone, which so few samples are not.
        let body = snap::raw::Encoder::new().compress_vec(&plain).unwrap_or_default();
        Request { version, body, samples }
    }
}
