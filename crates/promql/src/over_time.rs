//! Aggregations over time: one value of all samples in a window.

use daybook_metrics::Histogram;

use crate::aggregate::{Fold, fold_histograms};
use crate::answer::Value;
use crate::error::Error;
use crate::notes::Notes;
use crate::numbers;
use crate::window::{Function, Window};

pub(crate) fn find(name: &str) -> Option<Function> {
    Some(match name {
        "avg_over_time" => |window, notes| Ok(fold(window, Fold::Mean, notes)),
        "sum_over_time" => |window, notes| Ok(fold(window, Fold::Sum, notes)),
        "count_over_time" => |window, _| number((window.floats.len() + window.histograms.len()) as f64),
        "present_over_time" | "absent_over_time" => |_, _| number(1.0),
        "min_over_time" => |window, notes| floats(window, notes, |w| numbers::extreme(w.values(), true)),
        "max_over_time" => |window, notes| floats(window, notes, |w| numbers::extreme(w.values(), false)),
        "stddev_over_time" => |window, notes| floats(window, notes, |w| numbers::variance(w.values()).sqrt()),
        "stdvar_over_time" => |window, notes| floats(window, notes, |w| numbers::variance(w.values())),
        "mad_over_time" => |window, notes| floats(window, notes, median_deviation),
        "quantile_over_time" => quantile,
        "first_over_time" => |window, _| Ok(end(window, false).map(|(_, value)| value)),
        "last_over_time" => |window, _| Ok(end(window, true).map(|(_, value)| value)),
        "ts_of_first_over_time" => |window, _| Ok(end(window, false).map(|(at, _)| seconds(at))),
        "ts_of_last_over_time" => |window, _| Ok(end(window, true).map(|(at, _)| seconds(at))),
        "ts_of_min_over_time" => |window, notes| floats(window, notes, |w| time_of(w, |a, b| a <= b)),
        "ts_of_max_over_time" => |window, notes| floats(window, notes, |w| time_of(w, |a, b| a >= b)),
        "double_exponential_smoothing" => smoothed,
        "integral" => integral,
        _ => return None,
    })
}

fn number(value: f64) -> Result<Option<Value>, Error> {
    Ok(Some(Value::Float(value)))
}

fn seconds(at: i64) -> Value {
    Value::Float(at as f64 / 1e3)
}

/// Of the numbers in a window alone.
fn floats(window: &Window<'_>, notes: &mut Notes, of: fn(&Window<'_>) -> f64) -> Result<Option<Value>, Error> {
    Ok(window.only_floats(notes).then(|| Value::Float(of(window))))
}

fn fold(window: &Window<'_>, how: Fold, notes: &mut Notes) -> Option<Value> {
    if window.histograms.is_empty() {
        return Some(Value::Float(match how {
            Fold::Sum => numbers::sum(window.values()),
            Fold::Mean => numbers::mean(window.values()),
        }));
    }
    if !window.floats.is_empty() {
        notes.mixed_range(window.metric);
        return None;
    }
    let all: Vec<&Histogram> = window.histograms.iter().map(|sample| sample.value.as_ref()).collect();
    fold_histograms(&all, how, window.metric, notes).map(Value::from)
}

/// The median of how far each number is from the median of all.
fn median_deviation(window: &Window<'_>) -> f64 {
    let mut values: Vec<f64> = window.values().collect();
    if values.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let median = numbers::quantile(0.5, &mut values);
    values.iter_mut().for_each(|value| *value = (*value - median).abs());
    numbers::quantile(0.5, &mut values)
}

fn quantile(window: &Window<'_>, notes: &mut Notes) -> Result<Option<Value>, Error> {
    if !window.only_floats(notes) {
        return Ok(None);
    }
    let q = window.numbers[0];
    notes.quantile(q);
    number(numbers::quantile(q, &mut window.values().collect::<Vec<_>>()))
}

/// The first or the last sample of either kind.
fn end(window: &Window<'_>, last: bool) -> Option<(i64, Value)> {
    let (float, histogram) = match last {
        true => (window.floats.last(), window.histograms.last()),
        false => (window.floats.first(), window.histograms.first()),
    };
    let float = float.map(|sample| (sample.at, Value::Float(sample.value)));
    let histogram = histogram.map(|sample| (sample.at, Value::Histogram(sample.value.clone())));
    match (float, histogram) {
        (Some(float), Some(histogram)) => Some(if (float.0 > histogram.0) == last { float } else { histogram }),
        (float, histogram) => float.or(histogram),
    }
}

/// When the last number was that `is` before all others.
fn time_of(window: &Window<'_>, is: fn(f64, f64) -> bool) -> f64 {
    let mut best = window.floats[0];
    for sample in window.floats {
        if is(sample.value, best.value) || best.value.is_nan() {
            best = *sample;
        }
    }
    best.at as f64 / 1e3
}

/// The area under the samples: each stretch between two as wide as it lasts in seconds, and as high as the sample before it
/// (0), after it (1), or their mean (2, unless another is chosen). What is no number has no height.
fn integral(window: &Window<'_>, notes: &mut Notes) -> Result<Option<Value>, Error> {
    if !window.only_floats(notes) {
        return Ok(None);
    }
    let strategy = window.numbers.first().copied().unwrap_or(2.0);
    if ![0.0, 1.0, 2.0].contains(&strategy) {
        notes.integral_strategy(strategy);
    }
    let shares: &[(usize, f64)] = match strategy {
        0.0 => &[(0, 1.0)],
        1.0 => &[(1, 1.0)],
        _ => &[(0, 0.5), (1, 0.5)],
    };
    let areas = window.floats.windows(2).flat_map(|pair| {
        let seconds = (pair[1].at - pair[0].at) as f64 / 1e3;
        let height = |at: usize| if pair[at].value.is_nan() { 0.0 } else { pair[at].value };
        shares.iter().map(move |(at, share)| height(*at) * share * seconds)
    });
    number(numbers::sum(areas))
}

/// Holt's linear method: a level and a trend, each smoothed.
fn smoothed(window: &Window<'_>, notes: &mut Notes) -> Result<Option<Value>, Error> {
    let (level_factor, trend_factor) = (window.numbers[0], window.numbers[1]);
    for (name, factor, short) in [("smoothing", level_factor, "sf"), ("trend", trend_factor, "tf")] {
        if factor <= 0.0 || factor >= 1.0 {
            let expected = format!("Expected: 0 < {short} < 1, got: {factor:.6}");
            return Err(Error::evaluate(format!("invalid {name} factor. {expected}")));
        }
    }
    window.only_floats(notes);
    let [first, second, ..] = window.floats else { return Ok(None) };
    let (mut level, mut trend) = (first.value, second.value - first.value);
    let mut before = None;
    for sample in &window.floats[1..] {
        if let Some(before) = before {
            trend = trend_factor * (level - before) + (1.0 - trend_factor) * trend;
        }
        let next = level_factor * sample.value + (1.0 - level_factor) * (level + trend);
        before = Some(level);
        level = next;
    }
    number(level)
}
