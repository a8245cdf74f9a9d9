//! A series and its values in short notation: `up{job="web"} 1 2+3x2 _ stale {{schema:1 count:3 buckets:[3]}}`.

use std::sync::Arc;

use daybook_metrics::{CUSTOM, Histogram, Labels, NAME, Reset, STALE};

use crate::answer::Value;

/// A value, or none where one is left out.
pub type Item = Option<Value>;

/// Reads a series and its values.
pub(super) fn parse(line: &str) -> Result<(Labels, Vec<Item>), String> {
    let (labels, rest) = labels(line)?;
    let mut items = Vec::new();
    for text in split(rest) {
        expand(text, &mut items)?;
    }
    Ok((labels, items))
}

/// Reads the name and the labels of a series; the rest of the line.
fn labels(line: &str) -> Result<(Labels, &str), String> {
    let name_end = line.find(|c: char| c == '{' || c.is_whitespace()).unwrap_or(line.len());
    let (name, mut rest) = line.split_at(name_end);
    let mut all = vec![(NAME.to_owned(), name.to_owned())];
    if rest.starts_with("{{") || !rest.starts_with('{') {
        return Ok((Labels::new(all), rest));
    }
    rest = rest[1..].trim_start();
    while !rest.starts_with('}') {
        let name;
        (name, rest) = match rest.chars().next() {
            Some('"' | '\'') => quoted(rest)?,
            _ => {
                let end =
                    rest.find(|c: char| c == '=' || c == ',' || c == '}' || c.is_whitespace()).unwrap_or(rest.len());
                (rest[..end].to_owned(), rest[end..].trim_start())
            }
        };
        rest = rest.trim_start();
        match rest.strip_prefix('=') {
            Some(after) => {
                let value;
                (value, rest) = quoted(after.trim_start())?;
                all.push((name, value));
            }
            None => all.push((NAME.to_owned(), name)),
        }
        rest = rest.trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        if rest.is_empty() {
            return Err(format!("the labels of `{line}` do not end"));
        }
    }
    Ok((Labels::new(all), &rest[1..]))
}

/// A text in quotes; the rest of the line.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let quote =
        text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`')).ok_or(format!("`{text}` is not quoted"))?;
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' && quote != '`' {
            escaped = true;
        } else if c == quote {
            let end = at + c.len_utf8();
            return Ok((crate::quoted::unquote(&text[..end])?, &text[end..]));
        }
    }
    Err(format!("`{text}` does not end"))
}

/// The items of a sequence; a histogram may have spaces within.
fn split(text: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let (mut start, mut depth) = (None, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match (start, c.is_whitespace() && depth == 0) {
            (None, false) => start = Some(at),
            (Some(from), true) => {
                items.push(&text[from..at]);
                start = None;
            }
            _ => {}
        }
    }
    items.extend(start.map(|from| &text[from..]));
    items
}

/// One item: a value, one repeated (`5x3`: four of them), or one that grows (`1+2x3`).
fn expand(text: &str, items: &mut Vec<Item>) -> Result<(), String> {
    let bad = || format!("`{text}` is no value");
    if let Some(rest) = text.strip_prefix('_') {
        let times = rest.strip_prefix('x').map_or(Ok(1), str::parse).map_err(|_| bad())?;
        items.extend(std::iter::repeat_n(None, times));
        return Ok(());
    }
    if text.starts_with("{{") {
        return expand_histogram(text, items).ok_or_else(bad);
    }
    if let Some(value) = number(text) {
        items.push(Some(Value::Float(value)));
        return Ok(());
    }
    let (text, times) = text.rsplit_once('x').ok_or_else(bad)?;
    let times: usize = times.parse().map_err(|_| bad())?;
    let sign =
        text.char_indices().skip(1).filter(|(at, c)| matches!(c, '+' | '-') && !text[..*at].ends_with(['e', 'E']));
    let (first, growth) = match sign.last() {
        Some((at, _)) => (number(&text[..at]), number(&text[at..])),
        None => (number(text), Some(0.0)),
    };
    let (first, growth) = (first.ok_or_else(bad)?, growth.ok_or_else(bad)?);
    let mut value = first;
    for _ in 0..=times {
        items.push(Some(Value::Float(value)));
        value += growth;
    }
    Ok(())
}

/// A number; `stale` is the marker of an end.
pub(super) fn number(text: &str) -> Option<f64> {
    match text {
        "stale" => Some(STALE),
        _ if text.starts_with(|c: char| c.is_alphabetic()) && !text.to_lowercase().starts_with(['i', 'n']) => None,
        _ => text.parse().ok(),
    }
}

fn expand_histogram(text: &str, items: &mut Vec<Item>) -> Option<()> {
    let end = text.find("}}")? + 2;
    let (first, rest) = (histogram(&text[..end])?, &text[end..]);
    if rest.is_empty() {
        items.push(Some(first.into()));
        return Some(());
    }
    if let Some(times) = rest.strip_prefix('x') {
        let value = Value::Histogram(Arc::new(first));
        items.extend(std::iter::repeat_n(Some(value), times.parse::<usize>().ok()? + 1));
        return Some(());
    }
    let (growth, times) = rest[1..].split_once("}}x")?;
    let growth = histogram(&format!("{growth}}}}}"))?;
    let mut value = first;
    for _ in 0..=times.parse::<usize>().ok()? {
        items.push(Some(value.clone().into()));
        let hint = value.reset;
        if rest.starts_with('-') {
            value.subtract(&growth).ok()?
        } else {
            value.add(&growth).ok()?
        };
        value.reset = hint;
    }
    Some(())
}

/// `{{schema:0 sum:5 count:4 buckets:[1 2 1]}}`, each part optional.
fn histogram(text: &str) -> Option<Histogram> {
    let text = text.strip_prefix("{{")?.strip_suffix("}}")?;
    let mut histogram = Histogram::default();
    let (mut offsets, mut counts) = ([0_i32; 2], [Vec::new(), Vec::new()]);
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once(':')?;
        let after = after.trim_start();
        let end = match after.starts_with('[') {
            true => after.find(']')? + 1,
            false => after.find(char::is_whitespace).unwrap_or(after.len()),
        };
        let (value, after) = after.split_at(end);
        rest = after.trim_start();
        match name.trim() {
            "schema" => histogram.schema = value.parse().ok()?,
            "sum" => histogram.sum = number(value)?,
            "count" => histogram.count = number(value)?,
            "z_bucket" => histogram.zero_count = number(value)?,
            "z_bucket_w" => histogram.zero_threshold = number(value)?,
            "custom_values" => histogram.bounds = list(value)?,
            "buckets" => counts[0] = list(value)?,
            "n_buckets" => counts[1] = list(value)?,
            "offset" => offsets[0] = value.parse().ok()?,
            "n_offset" => offsets[1] = value.parse().ok()?,
            "counter_reset_hint" => {
                histogram.reset = match value {
                    "unknown" => Reset::Unknown,
                    "reset" => Reset::Reset,
                    "not_reset" => Reset::NotReset,
                    "gauge" => Reset::Gauge,
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
    let indexed = |offset: i32, counts: &[f64]| {
        (offset..).zip(counts.iter().copied()).filter(|(_, count)| *count != 0.0).collect::<Vec<_>>()
    };
    histogram.positive = indexed(offsets[0], &counts[0]);
    histogram.negative = indexed(offsets[1], &counts[1]);
    (histogram.schema == CUSTOM || histogram.bounds.is_empty()).then_some(histogram)
}

fn list(text: &str) -> Option<Vec<f64>> {
    text.strip_prefix('[')?.strip_suffix(']')?.split_whitespace().map(number).collect()
}
