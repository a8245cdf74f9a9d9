//! Compares answers with what is expected of them; numbers may differ by a millionth.

use daybook_metrics::{Histogram, Labels, is_stale};

use super::script::Expected;
use super::sequence::Item;
use crate::answer::{Answer, Element, Point, Row, Value};

const TOLERANCE: f64 = 1e-6;

/// Compares an answer; one with values over time has them from and to some times at some step.
pub(super) fn answer(answer: &Answer, expected: &Expected, range: Option<(i64, i64, i64)>) -> Result<(), String> {
    match answer {
        Answer::Text(text) => match &expected.text {
            Some(wanted) if wanted == text => Ok(()),
            wanted => Err(format!("the answer is the text {text:?} instead of {wanted:?}")),
        },
        Answer::Scalar(value) => match expected.scalar {
            Some(wanted) if floats(wanted, *value) => Ok(()),
            wanted => Err(format!("the answer is {value} instead of {wanted:?}")),
        },
        Answer::Vector(elements) => vector(elements, expected),
        Answer::Matrix(rows) => matrix(rows, expected, range.unwrap_or((0, 0, 1))),
    }
}

fn vector(elements: &[Element], expected: &Expected) -> Result<(), String> {
    if let Some(scalar) = expected.scalar {
        return Err(format!("the answer is a vector instead of {scalar}"));
    }
    for (at, element) in elements.iter().enumerate() {
        let position = expected.series.iter().position(|(labels, _)| *labels == element.labels);
        let Some(position) = position else {
            return Err(format!("{} {} is not expected", element.labels, element.value));
        };
        if expected.ordered && position != at {
            return Err(format!("{} is at place {at} instead of {position}", element.labels));
        }
        match &expected.series[position].1.first() {
            Some(Some(wanted)) if values(wanted, &element.value) => {}
            wanted => return Err(format!("{} is {} instead of {}", element.labels, element.value, shown(*wanted))),
        }
    }
    missing(expected, |labels| elements.iter().any(|element| element.labels == *labels))
}

fn matrix(rows: &[Row], expected: &Expected, (from, to, step): (i64, i64, i64)) -> Result<(), String> {
    if expected.ordered || expected.scalar.is_some() {
        return Err("the answer has values over time".to_owned());
    }
    for row in rows {
        let wanted = expected.series.iter().find(|(labels, _)| *labels == row.labels);
        let Some((_, items)) = wanted else {
            return Err(format!("{} {} is not expected", row.labels, points(&row.points)));
        };
        let times = (from..).step_by(usize::try_from(step).unwrap_or(1).max(1));
        let wanted: Vec<(i64, &Value)> = times.zip(items).filter_map(|(at, item)| Some((at, item.as_ref()?))).collect();
        if wanted.last().is_some_and(|(at, _)| *at > to) {
            return Err(format!("{} has more values than steps", row.labels));
        }
        let same = |(point, (at, value)): (&Point, &(i64, &Value))| point.at == *at && values(value, &point.value);
        if wanted.len() != row.points.len() || !row.points.iter().zip(&wanted).all(same) {
            let list: Vec<String> = wanted.iter().map(|(at, value)| format!("{value} @{at}")).collect();
            return Err(format!("{} is {} instead of {}", row.labels, points(&row.points), list.join(", ")));
        }
    }
    missing(expected, |labels| rows.iter().any(|row| row.labels == *labels))
}

fn missing(expected: &Expected, has: impl Fn(&Labels) -> bool) -> Result<(), String> {
    match expected.series.iter().find(|(labels, _)| !has(labels)) {
        Some((labels, _)) => Err(format!("{labels} is missing")),
        None => Ok(()),
    }
}

fn points(points: &[Point]) -> String {
    points.iter().map(|point| format!("{} @{}", point.value, point.at)).collect::<Vec<_>>().join(", ")
}

fn shown(item: Option<&Item>) -> String {
    item.and_then(Option::as_ref).map_or_else(|| "nothing".to_owned(), ToString::to_string)
}

fn values(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => floats(*a, *b),
        (Value::Histogram(a), Value::Histogram(b)) => histograms(a, b),
        _ => false,
    }
}

fn floats(a: f64, b: f64) -> bool {
    if a.is_nan() || b.is_nan() {
        return a.is_nan() && b.is_nan() && is_stale(a) == is_stale(b);
    }
    let sum = a.abs() + b.abs();
    let off = (a - b).abs();
    a == b
        || if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
            off < TOLERANCE * f64::MIN_POSITIVE
        } else {
            off / sum.min(f64::MAX) < TOLERANCE
        }
}

fn histograms(a: &Histogram, b: &Histogram) -> bool {
    let counts = |a: &[(i32, f64)], b: &[(i32, f64)]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && floats(a.1, b.1))
    };
    a.schema == b.schema
        && a.zero_threshold == b.zero_threshold
        && a.bounds == b.bounds
        && floats(a.zero_count, b.zero_count)
        && floats(a.count, b.count)
        && floats(a.sum, b.sum)
        && counts(&a.positive, &b.positive)
        && counts(&a.negative, &b.negative)
}
