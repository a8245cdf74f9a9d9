//! Native histograms as they are exchanged.

use daybook_metrics::{Counts, Histogram, Reset, Span};

use super::wire::{self, BucketSpan, Count, ZeroCount};

/// The hints by their numbers; the same in both protocols.
const RESETS: [Reset; 4] = [Reset::Unknown, Reset::Reset, Reset::NotReset, Reset::Gauge];
/// The finest resolution that is kept.
const FINEST: i32 = 8;
/// The finest that is known.
const KNOWN: i32 = 52;
/// Counts that are less are exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// What a message says. A finer resolution than is kept becomes a coarser one.
pub(super) fn read(message: &wire::Histogram) -> Result<Histogram, &'static str> {
    let count = match message.count {
        Some(Count::Int(count)) => count as f64,
        Some(Count::Float(count)) => count,
        None => 0.0,
    };
    let zero_count = match message.zero_count {
        Some(ZeroCount::Int(count)) => count as f64,
        Some(ZeroCount::Float(count)) => count,
        None => 0.0,
    };
    let reset = usize::try_from(message.reset_hint).ok().and_then(|hint| RESETS.get(hint));
    let mut histogram = Histogram {
        schema: message.schema,
        zero_threshold: message.zero_threshold,
        zero_count,
        count,
        sum: message.sum,
        positive: counts(&message.positive_spans, &message.positive_deltas, &message.positive_counts)?,
        negative: counts(&message.negative_spans, &message.negative_deltas, &message.negative_counts)?,
        bounds: message.custom_values.clone(),
        reset: reset.copied().unwrap_or_default(),
    };
    if (FINEST..=KNOWN).contains(&histogram.schema) {
        histogram.reduce(FINEST);
    }
    Ok(histogram)
}

fn counts(spans: &[BucketSpan], deltas: &[i64], counts: &[f64]) -> Result<Counts, &'static str> {
    let absolute: Vec<f64> = if deltas.is_empty() {
        counts.to_vec()
    } else {
        let mut sum = 0_i64;
        let mut add = |delta: &i64| {
            sum = sum.wrapping_add(*delta);
            sum as f64
        };
        deltas.iter().map(&mut add).collect()
    };
    let said: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if said != absolute.len() as u64 {
        return Err("a histogram has other buckets than its spans say");
    }
    let reach: i64 = spans.iter().map(|span| i64::from(span.offset).abs() + i64::from(span.length)).sum();
    if reach > i64::from(i32::MAX) {
        return Err("a histogram has buckets that are too far off");
    }
    let spans: Vec<Span> = spans.iter().map(|span| Span { offset: span.offset, length: span.length }).collect();
    Ok(Histogram::of_spans(&spans, &absolute))
}

/// The message of a histogram: with whole counts if all are.
pub(super) fn write(histogram: &Histogram, at: i64) -> wire::Histogram {
    let (positive_spans, positive) = spans(&histogram.positive);
    let (negative_spans, negative) = spans(&histogram.negative);
    let is_whole = |count: &f64| count.fract() == 0.0 && (0.0..EXACT).contains(count);
    let whole =
        is_whole(&histogram.count) && is_whole(&histogram.zero_count) && positive.iter().chain(&negative).all(is_whole);
    let mut message = wire::Histogram {
        sum: histogram.sum,
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        positive_spans,
        negative_spans,
        reset_hint: RESETS.iter().position(|reset| *reset == histogram.reset).unwrap_or_default() as i32,
        timestamp: at,
        custom_values: histogram.bounds.clone(),
        ..wire::Histogram::default()
    };
    if whole {
        message.count = Some(Count::Int(histogram.count as u64));
        message.zero_count = Some(ZeroCount::Int(histogram.zero_count as u64));
        message.positive_deltas = deltas(&positive);
        message.negative_deltas = deltas(&negative);
    } else {
        message.count = Some(Count::Float(histogram.count));
        message.zero_count = Some(ZeroCount::Float(histogram.zero_count));
        message.positive_counts = positive;
        message.negative_counts = negative;
    }
    message
}

/// Buckets side by side, and the counts of all of them.
fn spans(counts: &Counts) -> (Vec<BucketSpan>, Vec<f64>) {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut next = 0_i64;
    for (index, _) in counts {
        let gap = i64::from(*index) - next;
        match spans.last_mut() {
            Some(last) if gap == 0 => last.length += 1,
            // A gap that is no number of 32 bits is in no histogram that is kept.
            _ => spans.push(BucketSpan { offset: i32::try_from(gap).unwrap_or(i32::MAX), length: 1 }),
        }
        next = i64::from(*index) + 1;
    }
    (spans, counts.iter().map(|(_, count)| *count).collect())
}

fn deltas(counts: &[f64]) -> Vec<i64> {
    let mut before = 0;
    let mut delta = |count: &f64| {
        let delta = *count as i64 - before;
        before = *count as i64;
        delta
    };
    counts.iter().map(&mut delta).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_that_lie_are_refused() {
        let span = |offset, length| BucketSpan { offset, length };
        let message = |spans: Vec<BucketSpan>, deltas: Vec<i64>| wire::Histogram {
            positive_spans: spans,
            positive_deltas: deltas,
            ..wire::Histogram::default()
        };
        assert!(read(&message(vec![span(0, u32::MAX)], vec![1])).is_err());
        assert!(read(&message(vec![span(0, 1)], vec![1, 2])).is_err());
        assert!(read(&message(vec![span(i32::MAX, 1), span(i32::MAX, 1)], vec![1, 2])).is_err());
        let read = read(&message(vec![span(-3, 2), span(4, 1)], vec![1, 2, -1])).unwrap();
        assert_eq!(read.positive, [(-3, 1.0), (-2, 3.0), (3, 2.0)]);
    }

    #[test]
    fn a_finer_resolution_becomes_a_coarser_one() {
        let spans = vec![BucketSpan { offset: 1, length: 4 }];
        let message = wire::Histogram {
            schema: 10,
            positive_spans: spans,
            positive_deltas: vec![1, 0, 0, 0],
            ..Default::default()
        };
        let read = read(&message).unwrap();
        assert_eq!((read.schema, read.positive), (8, vec![(1, 4.0)]));
    }
}
