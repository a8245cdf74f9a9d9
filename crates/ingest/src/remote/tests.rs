use std::sync::Arc;

use daybook_metrics::exposition::Kind;
use daybook_metrics::store::{Options, Store};
use daybook_metrics::{Histogram, HistogramSample, Labels, Matcher, NAME, Op, Reset, STALE, Sample, Series, Source};
use proptest::prelude::*;
use prost::Message;

use super::wire::{Request2, Series2};
use super::*;
use crate::{Encoding, Limits, Metadata, Refused};

const NOW: i64 = 1_700_000_000_000;

fn packed(plain: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(plain).unwrap()
}

/// What a store has after these were written to it.
fn kept(writes: Vec<Write>) -> Vec<Series> {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(directory.path(), Options::default()).unwrap();
    for write in writes {
        let receipt = store.append(&write.batch, NOW).unwrap();
        assert_eq!((receipt.accepted, receipt.histograms), (write.samples + write.histograms, write.histograms));
    }
    let every = [Matcher::new(NAME, Op::Like, ".+").unwrap()];
    store.select(&every, i64::MIN, i64::MAX).unwrap()
}

fn histogram(count: f64) -> Histogram {
    Histogram {
        schema: 3,
        zero_threshold: 1e-128,
        zero_count: 1.0,
        count,
        sum: 12.5,
        positive: vec![(-2, 3.0), (-1, 1.0), (4, count / 2.0)],
        negative: vec![(7, 2.0)],
        reset: Reset::Gauge,
        ..Histogram::default()
    }
}

fn series() -> Vec<Series> {
    let labels = |name: &str| Labels::new([(NAME, name), ("job", "web"), ("path", "/größe")]);
    let samples = |values: &[f64]| values.iter().zip(NOW..).map(|(value, at)| Sample { at, value: *value }).collect();
    let histograms = [(histogram(6.0), 10), (histogram(7.5), 11), (Histogram::stale(), 12)];
    let histograms = histograms.map(|(value, at)| HistogramSample { at: NOW + at, value: Arc::new(value) });
    vec![
        Series { labels: labels("latency_seconds"), samples: samples(&[4.0]), histograms: histograms.to_vec() },
        Series {
            labels: labels("requests_total"),
            samples: samples(&[1.0, 2.5, f64::MAX, STALE]),
            ..Series::default()
        },
    ]
}

fn metadata() -> Vec<Metadata> {
    let metadata = |metric: &str, kind, help: &str, unit: &str| Metadata {
        metric: metric.to_owned(),
        kind,
        help: help.to_owned(),
        unit: unit.to_owned(),
    };
    vec![
        metadata("latency_seconds", Kind::Histogram, "How long.", "seconds"),
        metadata("requests_total", Kind::Counter, "How many.", ""),
    ]
}

type Bits = (Labels, Vec<(i64, u64)>, Vec<HistogramSample>);

fn bits(series: &[Series]) -> Vec<Bits> {
    let bits = |one: &Series| one.samples.iter().map(|sample| (sample.at, sample.value.to_bits())).collect();
    series.iter().map(|one| (one.labels.clone(), bits(one), one.histograms.clone())).collect()
}

#[test]
fn what_is_sent_is_what_is_kept() {
    for version in [Version::One, Version::Two] {
        for most in [1, 3, 100] {
            let requests = requests(version, &series(), &metadata(), most);
            assert_eq!(requests.iter().map(|request| request.samples).sum::<usize>(), 8);
            assert!(requests.iter().all(|request| request.samples <= most && request.version == version));
            let read = |request: &Request| read(version, Encoding::Snappy, &request.body, Limits::default()).unwrap();
            let writes: Vec<Write> = requests.iter().map(read).collect();
            let mut said: Vec<Metadata> = writes.iter().flat_map(|write| write.metadata.clone()).collect();
            said.sort_by(|a, b| a.metric.cmp(&b.metric));
            said.dedup();
            assert_eq!(said, metadata());
            assert!(writes.iter().all(|write| write.skipped.count == 0));
            assert_eq!(bits(&kept(writes)), bits(&series()), "{version:?} {most}");
        }
    }
}

#[test]
fn a_body_of_prometheus_is_read() {
    let body = include_bytes!("../../tests/fixtures/prometheus-2.42-samples.snappy");
    let write = read(Version::One, Encoding::Snappy, body, Limits::default()).unwrap();
    assert!(write.samples > 5 && write.skipped.count == 0);
    let text = format!("{:?}", write.batch);
    for part in ["demo_requests_total", "path=\"/b é\"", "cluster=\"demo\"", "value: 4.5", "scrape_duration_seconds"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let body = include_bytes!("../../tests/fixtures/prometheus-2.42-metadata.snappy");
    let write = read(Version::One, Encoding::Snappy, body, Limits::default()).unwrap();
    let said: Vec<_> = write.metadata.iter().map(|one| (one.metric.as_str(), one.kind, one.help.as_str())).collect();
    let expected = [("demo_requests_total", Kind::Counter, "Requests by path."), ("demo_up", Kind::Gauge, "")];
    assert_eq!((said, write.samples), (expected.to_vec(), 0));
}

#[test]
fn series_that_are_none_are_skipped_and_others_kept() {
    let symbols = ["", NAME, "up", "job", "web"].map(str::to_owned).to_vec();
    let of = |labels: Vec<u32>| {
        let sample = wire::Sample { value: 1.0, timestamp: NOW, start_timestamp: NOW - 5 };
        Series2 { labels, samples: vec![sample], exemplars: vec![vec![].into()], ..Series2::default() }
            .encode_to_vec()
            .into()
    };
    let series = [vec![1, 2, 3, 4], vec![1, 2, 9, 4], vec![1, 2, 3], vec![3, 4], vec![1, 2, 3, 4, 3, 4], vec![]];
    let request = Request2 { symbols, series: series.map(of).to_vec() };
    let write = read(Version::Two, Encoding::Snappy, &packed(&request.encode_to_vec()), Limits::default()).unwrap();
    assert_eq!((write.samples, write.exemplars, write.skipped.count), (1, 1, 5));
    assert_eq!(write.skipped.first, "labels refer to symbols that are not there");
    assert_eq!(write.created, [Created { labels: Labels::new([(NAME, "up"), ("job", "web")]), at: NOW - 5 }]);
    // One protocol is not read as the other.
    let other = read(Version::One, Encoding::Snappy, &packed(&request.encode_to_vec()), Limits::default()).unwrap();
    assert_eq!((other.samples, other.metadata.len()), (0, 0));
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let body = &requests(Version::One, &series(), &[], 100)[0].body;
    let refused = read(Version::One, Encoding::Snappy, body, Limits { bytes: 100 }).unwrap_err();
    assert_eq!((refused.status(), refused), (413, Refused::TooLarge { most: 100 }));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for version in [Version::One, Version::Two] {
            _ = read(version, Encoding::Snappy, &bytes, Limits::default());
            _ = read(version, Encoding::Identity, &bytes, Limits::default());
        }
    }

    #[test]
    fn broken_requests_are_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for version in [Version::One, Version::Two] {
            let body = &requests(version, &series(), &metadata(), 100)[0].body;
            let mut plain = snap::raw::Decoder::new().decompress_vec(body).unwrap();
            let at = at.index(plain.len());
            plain[at] = byte;
            _ = read(version, Encoding::Identity, &plain, Limits::default());
        }
    }
}
