//! The functions of templates: Go's own, and those of Prometheus.

use std::cmp::Ordering::{self, Equal, Greater, Less};
use std::collections::BTreeMap;
use std::net::IpAddr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use regex::Regex;

use super::humanize;
use super::numbers::shortest;
use super::printf;
use super::value::Value;
use super::{LONGEST, QueryFunction};
use crate::duration;

/// What functions need beside their arguments.
pub(super) struct Surroundings<'a> {
    pub(super) query: &'a QueryFunction<'a>,
    pub(super) external_url: &'a str,
    pub(super) at: i64,
}

type Function = fn(&[Value], &Surroundings<'_>) -> Result<Value, String>;

/// Each function: its name, how many arguments it takes at least and at most, and what it does.
const FUNCTIONS: &[(&str, usize, usize, Function)] = &[
    ("args", 0, MANY, |values, _| Ok(Value::Map(numbered(values)))),
    ("eq", 2, MANY, |values, _| equal(values).map(Value::Bool)),
    ("externalURL", 0, 0, |_, around| Ok(Value::Text(around.external_url.to_owned()))),
    ("first", 1, 1, |values, _| first(&values[0])),
    ("ge", 2, 2, |values, _| compare(values, &[Equal, Greater], true)),
    ("graphLink", 1, 1, |values, _| link(&values[0], "0")),
    ("gt", 2, 2, |values, _| compare(values, &[Greater], true)),
    ("html", 1, MANY, |values, _| Ok(Value::Text(escaped_html(&print(values))))),
    ("humanize", 1, 1, |values, _| Ok(Value::Text(humanize::decimal(values[0].number()?)))),
    ("humanize1024", 1, 1, |values, _| Ok(Value::Text(humanize::binary(values[0].number()?)))),
    ("humanizeDuration", 1, 1, |values, _| Ok(Value::Text(humanize::duration(values[0].number()?)))),
    ("humanizePercentage", 1, 1, |values, _| Ok(Value::Text(humanize::percentage(values[0].number()?)))),
    ("humanizeTimestamp", 1, 1, |values, _| humanize::timestamp(values[0].number()?).map(Value::Text)),
    ("index", 1, MANY, |values, _| values[1..].iter().try_fold(values[0].clone(), |of, key| of.item(key))),
    ("label", 2, 2, |values, _| values[1].field("Labels")?.field(values[0].text()?)),
    ("le", 2, 2, |values, _| compare(values, &[Less, Equal], false)),
    ("len", 1, 1, |values, _| length(&values[0])),
    ("lt", 2, 2, |values, _| compare(values, &[Less], false)),
    ("match", 2, 2, |values, _| Ok(Value::Bool(regex(&values[0])?.is_match(values[1].text()?)))),
    ("ne", 2, 2, |values, _| equal(values).map(|equal| Value::Bool(!equal))),
    ("not", 1, 1, |values, _| Ok(Value::Bool(!values[0].is_true()))),
    ("now", 0, 0, |_, around| Ok(Value::Float(around.at as f64 / 1e3))),
    ("parseDuration", 1, 1, |values, _| parse_duration(values[0].text()?)),
    ("pathPrefix", 0, 0, |_, around| Ok(Value::Text(path(around.external_url).to_owned()))),
    ("print", 0, MANY, |values, _| Ok(Value::Text(print(values)))),
    ("printf", 1, MANY, |values, _| Ok(Value::Text(printf::printf(values[0].text()?, &values[1..])))),
    ("println", 0, MANY, |values, _| Ok(Value::Text(print_line(values)))),
    ("query", 1, 1, |values, around| query(values[0].text()?, around)),
    ("reReplaceAll", 3, 3, |values, _| replace(values)),
    ("safeHtml", 1, 1, |values, _| Ok(Value::Text(values[0].text()?.to_owned()))),
    ("slice", 1, 3, slice),
    ("sortByLabel", 2, 2, |values, _| sorted(&values[0], &values[1])),
    ("stripDomain", 1, 1, |values, _| Ok(Value::Text(strip_domain(values[0].text()?)))),
    ("stripPort", 1, 1, |values, _| Ok(Value::Text(strip_port(values[0].text()?)))),
    ("strvalue", 1, 1, |values, _| values[0].field("Labels")?.field("__value__")),
    ("tableLink", 1, 1, |values, _| link(&values[0], "1")),
    ("title", 1, 1, |values, _| Ok(Value::Text(title(values[0].text()?)))),
    ("toDuration", 1, 1, |values, _| Ok(Value::Duration((values[0].number()? * 1e9) as i64))),
    ("toLower", 1, 1, |values, _| Ok(Value::Text(values[0].text()?.to_lowercase()))),
    ("toTime", 1, 1, |values, _| Ok(Value::Time((values[0].number()? * 1e3).floor() as i64))),
    ("toUpper", 1, 1, |values, _| Ok(Value::Text(values[0].text()?.to_uppercase()))),
    ("urlQueryEscape", 1, 1, |values, _| Ok(Value::Text(escaped_url(values[0].text()?)))),
    ("urlquery", 1, MANY, |values, _| Ok(Value::Text(escaped_url(&print(values))))),
    ("value", 1, 1, |values, _| values[0].field("Value")),
];

/// As many arguments as there are.
const MANY: usize = usize::MAX;

/// Whether there is such a function.
pub(super) fn is_known(name: &str) -> bool {
    matches!(name, "and" | "or") || FUNCTIONS.iter().any(|(known, ..)| *known == name)
}

/// Calls a function.
pub(super) fn call(name: &str, values: &[Value], around: &Surroundings<'_>) -> Result<Value, String> {
    let found = FUNCTIONS.iter().find(|(known, ..)| *known == name);
    let (_, least, most, function) = found.ok_or_else(|| format!("function \"{name}\" not defined"))?;
    if values.len() < *least || values.len() > *most {
        let want = if *most == MANY { format!("at least {least}") } else { least.to_string() };
        return Err(format!("wrong number of args for {name}: want {want} got {}", values.len()));
    }
    let value = function(values, around).map_err(|error| format!("error calling {name}: {error}"))?;
    if value.weight() > LONGEST {
        return Err(format!("error calling {name}: its result is too large"));
    }
    Ok(value)
}

fn numbered(values: &[Value]) -> BTreeMap<String, Value> {
    values.iter().enumerate().map(|(at, value)| (format!("arg{at}"), value.clone())).collect()
}

/// Whether the first is equal to any of the others.
fn equal(values: &[Value]) -> Result<bool, String> {
    for other in &values[1..] {
        if values[0].compare(other)? == Some(Equal) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the order of two values is one of these. In Go nothing is less than what is no number, and so it is greater.
fn compare(values: &[Value], orders: &[Ordering], otherwise: bool) -> Result<Value, String> {
    let order = values[0].compare(&values[1])?;
    Ok(Value::Bool(order.map_or(otherwise, |order| orders.contains(&order))))
}

fn first(list: &Value) -> Result<Value, String> {
    match list {
        Value::List(items) => {
            items.first().cloned().ok_or_else(|| "first() called on vector with no elements".to_owned())
        }
        other => Err(format!("wrong type for value; expected a list; got {}", other.kind())),
    }
}

fn length(value: &Value) -> Result<Value, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Texts(map) => map.len(),
        Value::Map(map) => map.len(),
        other => return Err(format!("len of type {}", other.kind())),
    };
    Ok(Value::Int(length as i64))
}

fn slice(values: &[Value], _: &Surroundings<'_>) -> Result<Value, String> {
    let Value::Int(length) = length(&values[0])? else { return Ok(Value::Nil) };
    let index = |at: usize, default: i64| match values.get(at) {
        None => Ok(default),
        Some(Value::Int(index)) if (0..=length).contains(index) => Ok(*index),
        Some(other) => Err(format!("index out of range: {}", other.print())),
    };
    let (from, to) = (index(1, 0)? as usize, index(2, length)? as usize);
    match &values[0] {
        Value::Text(text) => {
            let part = text.get(from..to).ok_or("invalid slice index")?;
            Ok(Value::Text(part.to_owned()))
        }
        Value::List(items) => Ok(Value::List(items.get(from..to).ok_or("invalid slice index")?.to_vec())),
        other => Err(format!("can't slice item of type {}", other.kind())),
    }
}

fn query(text: &str, around: &Surroundings<'_>) -> Result<Value, String> {
    let elements = (around.query)(text)?;
    Ok(Value::List(elements.iter().map(Value::of_element).collect()))
}

fn sorted(label: &Value, list: &Value) -> Result<Value, String> {
    let (label, Value::List(items)) = (label.text()?, list) else {
        return Err(format!("wrong type for value; expected a list; got {}", list.kind()));
    };
    let key = |item: &Value| item.field("Labels").and_then(|labels| labels.field(label)).map(|value| value.print());
    let mut items = items.clone();
    items.sort_by_cached_key(|item| key(item).unwrap_or_default());
    Ok(Value::List(items))
}

fn regex(pattern: &Value) -> Result<Regex, String> {
    Regex::new(pattern.text()?).map_err(|error| error.to_string())
}

fn replace(values: &[Value]) -> Result<Value, String> {
    let (pattern, with, text) = (regex(&values[0])?, values[1].text()?, values[2].text()?);
    Ok(Value::Text(pattern.replace_all(text, with).into_owned()))
}

fn parse_duration(text: &str) -> Result<Value, String> {
    let (sign, positive) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    let milliseconds = duration::parse(positive).ok_or_else(|| format!("not a valid duration string: {text:?}"))?;
    Ok(Value::Float(sign * milliseconds as f64 / 1e3))
}

/// Operands with spaces between where neither is a text.
fn print(values: &[Value]) -> String {
    let mut out = String::new();
    let mut after_text = true;
    for value in values {
        let is_text = matches!(value, Value::Text(_));
        if !after_text && !is_text {
            out.push(' ');
        }
        out.push_str(&printed(value));
        after_text = is_text;
    }
    out
}

fn print_line(values: &[Value]) -> String {
    values.iter().map(printed).collect::<Vec<_>>().join(" ") + "\n"
}

fn printed(value: &Value) -> String {
    match value {
        Value::Nil => "<nil>".to_owned(),
        Value::Float(number) => shortest(*number),
        other => other.print(),
    }
}

/// The first letter of each word as a capital.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut within = false;
    for c in text.chars() {
        match within {
            true => out.push(c),
            false => out.extend(c.to_uppercase()),
        }
        within = c.is_alphanumeric() || matches!(c, '_' | '\'');
    }
    out
}

/// `host:port` or `[address]:port`.
fn host_and_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(inner) => Some((inner.strip_suffix(']')?, port)),
        None if host.contains(':') => None,
        None => Some((host, port)),
    }
}

fn strip_port(text: &str) -> String {
    host_and_port(text).map_or(text, |(host, _)| host).to_owned()
}

/// The host without its domain, with its port; addresses stay as they are.
fn strip_domain(text: &str) -> String {
    let (host, port) = host_and_port(text).map_or((text, None), |(host, port)| (host, Some(port)));
    if host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let host = host.split('.').next().unwrap_or_default();
    port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn path(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    after_scheme.find('/').map_or("", |at| &after_scheme[at..])
}

/// A page of Prometheus' web interface.
fn link(query: &Value, tab: &str) -> Result<Value, String> {
    Ok(Value::Text(format!("/graph?g0.expr={}&g0.tab={tab}", escaped_url(query.text()?))))
}

fn escaped_url(text: &str) -> String {
    const ESCAPED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');
    utf8_percent_encode(text, &ESCAPED).to_string().replace(' ', "+")
}

fn escaped_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}
