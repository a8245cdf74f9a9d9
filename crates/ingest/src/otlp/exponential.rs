//! Exponential histograms as native ones.

use daybook_metrics::{Counts, Histogram};
use opentelemetry_proto::tonic::metrics::v1::ExponentialHistogramDataPoint as Point;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;

use super::delta::MOST_BUCKETS;

/// The resolutions that are kept.
const COARSEST: i32 = -4;
const FINEST: i32 = 8;
/// Finer ones are not known.
const KNOWN: i32 = 20;
/// What is nearer to zero is zero, where nobody says else.
const NEARLY_ZERO: f64 = 1e-128;

/// The native histogram of a point. A finer resolution than is kept becomes a coarser one.
pub(super) fn histogram(point: &Point) -> Result<Histogram, String> {
    if !(COARSEST..=KNOWN).contains(&point.scale) {
        return Err(format!("an exponential histogram has the scale {}, which is not from -4 to 20", point.scale));
    }
    let mut histogram = Histogram {
        schema: point.scale,
        zero_threshold: if point.zero_threshold == 0.0 { NEARLY_ZERO } else { point.zero_threshold },
        zero_count: point.zero_count as f64,
        count: point.count as f64,
        sum: point.sum.unwrap_or_default(),
        positive: counts(point.positive.as_ref())?,
        negative: counts(point.negative.as_ref())?,
        ..Histogram::default()
    };
    if histogram.schema > FINEST {
        histogram.reduce(FINEST);
    }
    histogram.check(MOST_BUCKETS).map_err(|malformed| malformed.to_string())?;
    Ok(histogram)
}

/// Their bucket *i* begins where ours ends.
fn counts(buckets: Option<&Buckets>) -> Result<Counts, String> {
    let Some(buckets) = buckets else { return Ok(Counts::new()) };
    let full = buckets.bucket_counts.iter().enumerate().filter(|(_, count)| **count != 0);
    full.map(|(at, count)| {
        let index = i64::from(buckets.offset) + at as i64 + 1;
        let index = i32::try_from(index).ok().filter(|index| *index > i32::MIN + 1);
        Ok((index.ok_or("an exponential histogram has buckets that are too far off")?, *count as f64))
    })
    .collect()
}
