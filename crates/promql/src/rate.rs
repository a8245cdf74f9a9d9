//! How fast something changes: `rate` and its relatives.
//!
//! Samples rarely lie at both ends of a window. As Prometheus does, `rate`, `increase` and `delta` extend what was measured
//! to the ends where the samples reach near to them, and by half the distance of two samples where they do not; a counter
//! is never extended to below zero.

use daybook_metrics::{Histogram, HistogramSample, Reset, Sample};

use crate::answer::Value;
use crate::error::Error;
use crate::notes::{Meeting, Notes};
use crate::window::{Function, Window};

pub(crate) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "rate" => |window, notes| Ok(extrapolated(window, Kind::Counter, true, notes)),
        "increase" => |window, notes| Ok(extrapolated(window, Kind::Counter, false, notes)),
        "delta" => |window, notes| Ok(extrapolated(window, Kind::Gauge, false, notes)),
        "irate" => |window, notes| Ok(of_last_two(window, Kind::Counter, notes)),
        "idelta" => |window, notes| Ok(of_last_two(window, Kind::Gauge, notes)),
        "resets" => |window, _| Ok(Some(count_pairs(window, resets))),
        "changes" => |window, _| Ok(Some(count_pairs(window, changes))),
        "deriv" => deriv,
        "predict_linear" => predict_linear,
        _ => return None,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

fn extrapolated(window: &Window<'_>, kind: Kind, per_second: bool, notes: &mut Notes) -> Option<Value> {
    if !window.floats.is_empty() && !window.histograms.is_empty() {
        notes.mixed_range(window.metric);
        return None;
    }
    let seconds = (window.end - window.start) as f64 / 1e3;
    let per = if per_second { seconds } else { 1.0 };
    if let [first, .., last] = window.histograms {
        let mut change = histogram_change(window.histograms, kind, window.metric, notes)?;
        let counter = (kind == Kind::Counter).then_some((first.value.count, change.count));
        let factor = extension(window, first.at, last.at, window.histograms.len(), counter);
        change.multiply(factor / per);
        return Some(change.into());
    }
    let [first, .., last] = window.floats else { return None };
    let mut change = last.value - first.value;
    if kind == Kind::Counter {
        change += window
            .floats
            .windows(2)
            .filter(|pair| pair[1].value < pair[0].value)
            .map(|pair| pair[0].value)
            .sum::<f64>();
    }
    let counter = (kind == Kind::Counter).then_some((first.value, change));
    let factor = extension(window, first.at, last.at, window.floats.len(), counter);
    Some(Value::Float(change * (factor / per)))
}

/// By how much a change between the first and the last sample grows when it is extended to the ends of the window. Of a
/// counter its first value and its change are given.
fn extension(window: &Window<'_>, first: i64, last: i64, samples: usize, counter: Option<(f64, f64)>) -> f64 {
    let seconds = |from: i64, to: i64| (to - from) as f64 / 1e3;
    let sampled = seconds(first, last);
    let between = sampled / (samples - 1) as f64;
    let near = |gap: f64| if gap >= between * 1.1 { between / 2.0 } else { gap };
    let mut before = near(seconds(window.start, first));
    if let Some((value, change)) = counter
        && change > 0.0
        && value >= 0.0
    {
        before = before.min(sampled * (value / change));
    }
    (sampled + before + near(seconds(last, window.end))) / sampled
}

/// The change from the first to the last of some histograms; resets of a counter are made up for.
fn histogram_change(all: &[HistogramSample], kind: Kind, metric: &str, notes: &mut Notes) -> Option<Histogram> {
    let [first, rest @ ..] = all else { return None };
    let (second, last) = (&rest.first()?.value, &rest.last()?.value);
    let is_gauge = |sample: &HistogramSample| sample.value.reset == Reset::Gauge;
    if kind == Kind::Counter && all.iter().any(is_gauge) {
        notes.not_counter(metric);
    }
    if kind == Kind::Gauge && !(is_gauge(first) && last.reset == Reset::Gauge) {
        notes.not_gauge(metric);
    }
    let mut before = first.value.as_ref().clone();
    if kind == Kind::Counter && second.resets(&before) {
        before = Histogram { schema: second.schema, bounds: second.bounds.clone(), ..Histogram::default() };
    }
    let between = if kind == Kind::Counter { rest } else { &rest[rest.len() - 1..] };
    if between.iter().any(|sample| sample.value.is_custom() != before.is_custom()) {
        notes.mixed_schemas(metric);
        return None;
    }
    let mut change = last.as_ref().clone();
    if kind == Kind::Counter {
        rest.iter().for_each(|sample| change.reduce(sample.value.schema));
    }
    if change.subtract(&before).ok()?.reconciled {
        notes.reconciled(Meeting::Subtraction);
    }
    if kind == Kind::Counter {
        for sample in rest {
            if sample.value.resets(&before) && change.add(&before).ok()?.reconciled {
                notes.reconciled(Meeting::Addition);
            }
            before = sample.value.as_ref().clone();
        }
    }
    change.reset = Reset::Gauge;
    Some(change)
}

/// From the last two samples alone.
fn of_last_two(window: &Window<'_>, kind: Kind, notes: &mut Notes) -> Option<Value> {
    let mut last: Vec<(i64, Option<f64>, Option<&Histogram>)> = Vec::with_capacity(4);
    last.extend(window.floats.iter().rev().take(2).map(|s| (s.at, Some(s.value), None)));
    last.extend(window.histograms.iter().rev().take(2).map(|s| (s.at, None, Some(s.value.as_ref()))));
    last.sort_by_key(|sample| std::cmp::Reverse(sample.0));
    let [now, before, ..] = last.as_slice() else { return None };
    let seconds = (now.0 - before.0) as f64 / 1e3;
    if seconds == 0.0 {
        return None;
    }
    match (now, before) {
        ((_, Some(now), _), (_, Some(before), _)) => {
            let change = if kind == Kind::Counter && now < before { *now } else { now - before };
            Some(Value::Float(if kind == Kind::Counter { change / seconds } else { change }))
        }
        ((_, _, Some(now)), (_, _, Some(before))) => {
            let gauges = [now, before].iter().filter(|h| h.reset == Reset::Gauge).count();
            match kind {
                Kind::Counter if gauges > 0 => notes.not_counter(window.metric),
                Kind::Gauge if gauges < 2 => notes.not_gauge(window.metric),
                _ => {}
            }
            let mut change = (*now).clone();
            if kind == Kind::Gauge || !now.resets(before) {
                match change.subtract(before) {
                    Ok(merge) if merge.reconciled => notes.reconciled(Meeting::Subtraction),
                    Ok(_) => {}
                    Err(_) => {
                        notes.mixed_schemas(window.metric);
                        return None;
                    }
                }
            }
            change.reset = Reset::Gauge;
            if kind == Kind::Counter {
                change.divide(seconds);
            }
            Some(change.into())
        }
        _ => {
            notes.mixed_range(window.metric);
            None
        }
    }
}

/// A sample of either kind.
enum Either<'a> {
    Float(f64),
    Histogram(&'a Histogram),
}

/// How many samples are to the one before them as `is` says.
fn count_pairs(window: &Window<'_>, is: fn(&Either<'_>, &Either<'_>) -> bool) -> Value {
    let mut all: Vec<(i64, Either<'_>)> = Vec::new();
    all.extend(window.floats.iter().map(|s| (s.at, Either::Float(s.value))));
    if !window.histograms.is_empty() {
        all.extend(window.histograms.iter().map(|s| (s.at, Either::Histogram(s.value.as_ref()))));
        all.sort_by_key(|(at, _)| *at);
    }
    Value::Float(all.windows(2).filter(|pair| is(&pair[0].1, &pair[1].1)).count() as f64)
}

fn resets(before: &Either<'_>, now: &Either<'_>) -> bool {
    match (before, now) {
        (Either::Float(before), Either::Float(now)) => now < before,
        (Either::Histogram(before), Either::Histogram(now)) => now.resets(before),
        _ => true,
    }
}

fn changes(before: &Either<'_>, now: &Either<'_>) -> bool {
    match (before, now) {
        (Either::Float(before), Either::Float(now)) => now != before && !(now.is_nan() && before.is_nan()),
        (Either::Histogram(before), Either::Histogram(now)) => now != before,
        _ => true,
    }
}

fn deriv(window: &Window<'_>, notes: &mut Notes) -> Result<Option<Value>, Error> {
    window.only_floats(notes);
    let [first, _, ..] = window.floats else { return Ok(None) };
    Ok(Some(Value::Float(line(window.floats, first.at).0)))
}

fn predict_linear(window: &Window<'_>, notes: &mut Notes) -> Result<Option<Value>, Error> {
    window.only_floats(notes);
    if window.floats.len() < 2 {
        return Ok(None);
    }
    let (slope, intercept) = line(window.floats, window.at);
    Ok(Some(Value::Float(slope * window.numbers[0] + intercept)))
}

/// The line through samples with the least squares: how much it rises in a second, and where it is at a time.
fn line(samples: &[Sample], at: i64) -> (f64, f64) {
    use crate::numbers::sum;
    let first = samples[0].value;
    if samples.iter().all(|sample| sample.value == first) {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let n = samples.len() as f64;
    let x = |sample: &Sample| (sample.at - at) as f64 / 1e3;
    let xs = sum(samples.iter().map(x));
    let ys = sum(samples.iter().map(|s| s.value));
    let products = sum(samples.iter().map(|s| x(s) * s.value));
    let squares = sum(samples.iter().map(|s| x(s) * x(s)));
    let slope = (products - xs * ys / n) / (squares - xs * xs / n);
    (slope, ys / n - slope * xs / n)
}
