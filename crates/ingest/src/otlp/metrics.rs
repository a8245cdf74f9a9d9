//! Metrics as series.

use std::collections::BTreeMap;

use daybook_metrics::exposition::{Kind, format_bound};
use daybook_metrics::store::Batch;
use daybook_metrics::{Histogram, Labels, NAME, STALE};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
    SummaryDataPoint,
};

use super::delta::{MOST_BUCKETS, Total};
use super::names::Ending;
use super::resource::Sender;
use super::{Deltas, Format, Pending, Skipped, body, exponential, names, values};
use crate::{Encoding, Limits, Metadata, Refused};

/// What a request holds.
#[derive(Debug, Default)]
pub struct Metrics {
    /// What is to be kept.
    pub batch: Batch,
    /// What is said of metrics, each once.
    pub metadata: Vec<Metadata>,
    /// How many exemplars there were. They are not kept.
    pub exemplars: u64,
    /// Points that cannot be kept; all others can.
    pub skipped: Skipped,
    /// What series came to that tell what they grew by: to be [committed](Deltas::commit) when the batch is kept.
    pub pending: Pending,
}

/// Reads a body. `now` stands for the times of points that have none, in milliseconds since 1970.
pub fn metrics(
    format: Format,
    encoding: Encoding,
    body: &[u8],
    limits: Limits,
    deltas: &Deltas,
    now: i64,
) -> Result<Metrics, Refused> {
    let request: ExportMetricsServiceRequest = body::read(format, encoding, body, limits)?;
    let mut all = Translation { metrics: Metrics::default(), deltas, now, newest: None, about: BTreeMap::new() };
    for of in request.resource_metrics {
        let sender = Sender::of(of.resource);
        all.newest = None;
        for metric in of.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
            all.metric(&sender, metric);
        }
        if let Some((labels, at)) = sender.info().zip(all.newest) {
            all.metrics.batch.add(labels, at, 1.0);
            all.say("target_info", Kind::Info, "What sends, by its resource attributes.", "");
        }
    }
    all.metrics.metadata = all.about.into_values().collect();
    Ok(all.metrics)
}

/// What points say beside their values.
const NO_VALUE: u32 = 1;

struct Translation<'a> {
    metrics: Metrics,
    deltas: &'a Deltas,
    now: i64,
    /// The newest time of the present sender.
    newest: Option<i64>,
    about: BTreeMap<String, Metadata>,
}

/// What the points of a metric have in common.
struct Of<'a> {
    sender: &'a Sender,
    name: String,
    delta: bool,
}

impl Of<'_> {
    /// The labels of a series: of a part of the metric, with one more label.
    fn labels(&self, attributes: &[KeyValue], part: &str, more: Option<(&str, String)>) -> Labels {
        let texts = values::attributes(attributes.to_vec());
        let mut labels = names::labels(texts.iter().map(|(name, value)| (name.as_str(), values::text(value))));
        labels.extend(self.sender.labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        labels.insert(NAME.to_owned(), format!("{}{part}", self.name));
        labels.extend(more.map(|(name, value)| (name.to_owned(), value)));
        Labels::new(labels)
    }
}

impl Translation<'_> {
    fn metric(&mut self, sender: &Sender, metric: Metric) {
        let temporality = |number: i32| AggregationTemporality::try_from(number).unwrap_or_default();
        let (kind, ending, temporality) = match &metric.data {
            None => return,
            Some(Data::Gauge(_)) => (Kind::Gauge, Ending::Ratio, None),
            Some(Data::Sum(sum)) if sum.is_monotonic => {
                (Kind::Counter, Ending::Total, Some(temporality(sum.aggregation_temporality)))
            }
            Some(Data::Sum(sum)) => (Kind::Gauge, Ending::None, Some(temporality(sum.aggregation_temporality))),
            Some(Data::Histogram(of)) => (Kind::Histogram, Ending::None, Some(temporality(of.aggregation_temporality))),
            Some(Data::ExponentialHistogram(of)) => {
                (Kind::Histogram, Ending::None, Some(temporality(of.aggregation_temporality)))
            }
            Some(Data::Summary(_)) => (Kind::Summary, Ending::None, None),
        };
        let name = names::metric(&metric.name, &metric.unit, ending);
        self.say(&name, kind, &metric.description, &names::unit(&metric.unit));
        let of = Of { sender, name, delta: temporality == Some(AggregationTemporality::Delta) };
        if temporality == Some(AggregationTemporality::Unspecified) {
            let why = format!("{} does not say whether it is cumulative", metric.name);
            return self.metrics.skipped.add(points(&metric.data), why);
        }
        match metric.data {
            None => {}
            Some(Data::Gauge(gauge)) => self.each(gauge.data_points, |all, point| all.number(&of, &point)),
            Some(Data::Sum(sum)) => self.each(sum.data_points, |all, point| all.number(&of, &point)),
            Some(Data::Histogram(all)) => self.each(all.data_points, |all, point| all.classic(&of, point)),
            Some(Data::ExponentialHistogram(all)) => self.each(all.data_points, |all, point| all.native(&of, &point)),
            Some(Data::Summary(all)) => self.each(all.data_points, |all, point| all.summary(&of, &point)),
        }
    }

    fn say(&mut self, metric: &str, kind: Kind, help: &str, unit: &str) {
        let about = || Metadata { metric: metric.to_owned(), kind, help: help.to_owned(), unit: unit.to_owned() };
        self.about.entry(metric.to_owned()).or_insert_with(about);
    }

    fn each<T>(&mut self, points: Vec<T>, mut take: impl FnMut(&mut Self, T) -> Result<(), String>) {
        for point in points {
            if let Err(why) = take(self, point) {
                self.metrics.skipped.add(1, why);
            }
        }
    }

    /// The time of a point in milliseconds.
    fn at(&mut self, nanoseconds: u64) -> i64 {
        let at = if nanoseconds == 0 { self.now } else { (nanoseconds / 1_000_000) as i64 };
        self.newest = self.newest.max(Some(at));
        at
    }

    /// What it came to, of what it grew by.
    fn total(&mut self, of: &Of<'_>, labels: &Labels, at: i64, told: Total) -> Result<Total, String> {
        if !of.delta {
            return Ok(told);
        }
        self.deltas.add(&mut self.metrics.pending, labels, at, told)
    }

    fn number(&mut self, of: &Of<'_>, point: &NumberDataPoint) -> Result<(), String> {
        let at = self.at(point.time_unix_nano);
        self.metrics.exemplars += point.exemplars.len() as u64;
        let labels = of.labels(&point.attributes, "", None);
        let value = match point.value {
            _ if point.flags & NO_VALUE != 0 => STALE,
            Some(Value::AsDouble(value)) => value,
            Some(Value::AsInt(value)) => value as f64,
            None => return Err(format!("a point of {} has no value", of.name)),
        };
        if daybook_metrics::is_stale(value) {
            self.metrics.batch.add(labels, at, value);
            return Ok(());
        }
        if let Total::Number(value) = self.total(of, &labels, at, Total::Number(value))? {
            self.metrics.batch.add(labels, at, value);
        }
        Ok(())
    }

    fn classic(&mut self, of: &Of<'_>, point: HistogramDataPoint) -> Result<(), String> {
        let at = self.at(point.time_unix_nano);
        self.metrics.exemplars += point.exemplars.len() as u64;
        let attributes = point.attributes;
        let (bounds, counts) = (point.explicit_bounds, point.bucket_counts);
        if !counts.is_empty() && counts.len() != bounds.len() + 1 {
            return Err(format!("a histogram of {} has {} buckets and {} bounds", of.name, counts.len(), bounds.len()));
        }
        if counts.len() > MOST_BUCKETS {
            return Err(format!("a histogram of {} has more than {MOST_BUCKETS} buckets", of.name));
        }
        let stale = point.flags & NO_VALUE != 0;
        let told = Total::Buckets { bounds, counts, count: point.count, sum: point.sum };
        let told = if stale { told } else { self.total(of, &of.labels(&attributes, "", None), at, told)? };
        let Total::Buckets { bounds, counts, count, sum } = told else { return Ok(()) };
        let mut add = |part: &str, more: Option<(&str, String)>, value: f64| {
            let value = if stale { STALE } else { value };
            self.metrics.batch.add(of.labels(&attributes, part, more), at, value);
        };
        let mut below = 0_u64;
        for (bound, count) in bounds.iter().zip(&counts) {
            below = below.saturating_add(*count);
            add("_bucket", Some(("le", format_bound(*bound))), below as f64);
        }
        add("_bucket", Some(("le", "+Inf".to_owned())), count as f64);
        add("_count", None, count as f64);
        if let Some(sum) = sum.or(stale.then_some(0.0)) {
            add("_sum", None, sum);
        }
        Ok(())
    }

    fn native(&mut self, of: &Of<'_>, point: &ExponentialHistogramDataPoint) -> Result<(), String> {
        let at = self.at(point.time_unix_nano);
        self.metrics.exemplars += point.exemplars.len() as u64;
        let labels = of.labels(&point.attributes, "", None);
        if point.flags & NO_VALUE != 0 {
            self.metrics.batch.add_histogram(labels, at, Histogram::stale());
            return Ok(());
        }
        let told = Total::Native(Box::new(exponential::histogram(point)?));
        if let Total::Native(histogram) = self.total(of, &labels, at, told)? {
            self.metrics.batch.add_histogram(labels, at, *histogram);
        }
        Ok(())
    }

    fn summary(&mut self, of: &Of<'_>, point: &SummaryDataPoint) -> Result<(), String> {
        let at = self.at(point.time_unix_nano);
        let stale = point.flags & NO_VALUE != 0;
        let mut add = |part: &str, more: Option<(&str, String)>, value: f64| {
            let value = if stale { STALE } else { value };
            self.metrics.batch.add(of.labels(&point.attributes, part, more), at, value);
        };
        for quantile in &point.quantile_values {
            add("", Some(("quantile", format_bound(quantile.quantile))), quantile.value);
        }
        add("_count", None, point.count as f64);
        add("_sum", None, point.sum);
        Ok(())
    }
}

/// How many points there are.
fn points(data: &Option<Data>) -> u64 {
    let count = match data {
        None => 0,
        Some(Data::Gauge(of)) => of.data_points.len(),
        Some(Data::Sum(of)) => of.data_points.len(),
        Some(Data::Histogram(of)) => of.data_points.len(),
        Some(Data::ExponentialHistogram(of)) => of.data_points.len(),
        Some(Data::Summary(of)) => of.data_points.len(),
    };
    count as u64
}
