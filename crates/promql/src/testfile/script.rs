//! The commands of a file.

use daybook_metrics::Labels;
use regex::Regex;

use super::sequence::{self, Item};

/// A file that is not in the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadFile {
    /// The line, counted from one.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// One command.
pub(super) enum Command {
    /// Adds samples, one `every` so many milliseconds from time zero on.
    Load {
        every: i64,
        /// Also adds a native histogram for each classic one.
        histograms: bool,
        series: Vec<(Labels, Vec<Item>)>,
        /// It also says when counters began (`@st`), which samples here cannot.
        beginnings: bool,
    },
    Clear,
    Eval(Box<Eval>),
}

/// A query and what is expected of it.
pub(super) struct Eval {
    pub(super) line: usize,
    pub(super) query: String,
    pub(super) when: When,
    pub(super) expected: Expected,
}

/// For which times a query is evaluated, in milliseconds.
#[derive(Clone, Copy)]
pub(super) enum When {
    At(i64),
    Range { from: i64, to: i64, step: i64 },
}

#[derive(Default)]
pub(super) struct Expected {
    pub(super) fail: Option<Text>,
    pub(super) warn: Vec<Text>,
    pub(super) info: Vec<Text>,
    pub(super) no_warn: bool,
    pub(super) no_info: bool,
    pub(super) ordered: bool,
    pub(super) text: Option<String>,
    pub(super) scalar: Option<f64>,
    /// Of an instant query whose answer is a range: from, to and step.
    pub(super) range: Option<(i64, i64, i64)>,
    pub(super) series: Vec<(Labels, Vec<Item>)>,
}

/// What a message has to be.
pub(super) enum Text {
    Any,
    Exactly(String),
    Like(Regex),
}

impl Text {
    pub(super) fn takes(&self, message: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(text) => text == message,
            Self::Like(regex) => regex.is_match(message),
        }
    }
}

pub(super) fn parse(text: &str) -> Result<Vec<Command>, BadFile> {
    // A comment is an empty line, and ends a command.
    let lines = text.lines().map(str::trim).map(|line| if line.starts_with('#') { "" } else { line }).collect();
    let mut lines = Lines { lines, next: 0 };
    let mut commands = Vec::new();
    while let Some(line) = lines.take() {
        let at = lines.next;
        let bad = |why: String| BadFile { line: at, why };
        if line.is_empty() {
            continue;
        }
        if line == "clear" {
            commands.push(Command::Clear);
        } else if line.starts_with("load") {
            commands.push(load(line, &mut lines)?);
        } else if line.starts_with("eval") {
            commands.push(Command::Eval(Box::new(eval(line, &mut lines)?)));
        } else {
            return Err(bad(format!("`{line}` is no command")));
        }
    }
    Ok(commands)
}

struct Lines<'a> {
    lines: Vec<&'a str>,
    next: usize,
}

impl<'a> Lines<'a> {
    fn take(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.next)?;
        self.next += 1;
        Some(line)
    }

    /// The next line of a command; an empty one ends it.
    fn within(&mut self) -> Option<&'a str> {
        self.take().filter(|line| !line.is_empty())
    }
}

fn load(line: &str, lines: &mut Lines<'_>) -> Result<Command, BadFile> {
    let at = lines.next;
    let (command, every) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let histograms = match command {
        "load" => false,
        "load_with_nhcb" => true,
        _ => return Err(BadFile { line: at, why: format!("`{command}` is no command") }),
    };
    let every = time(every).map_err(|why| BadFile { line: at, why })?;
    let mut series = Vec::new();
    let mut beginnings = false;
    while let Some(line) = lines.within() {
        if line.split_whitespace().any(|word| word.ends_with("@st")) {
            beginnings = true;
            continue;
        }
        series.push(sequence::parse(line).map_err(|why| BadFile { line: lines.next, why })?);
    }
    Ok(Command::Load { every, histograms, series, beginnings })
}

fn eval(line: &str, lines: &mut Lines<'_>) -> Result<Eval, BadFile> {
    let at = lines.next;
    let bad = |why: &str| BadFile { line: at, why: why.to_owned() };
    let (command, rest) = line.split_once(char::is_whitespace).ok_or_else(|| bad("a query is missing"))?;
    let mut expected = Expected::default();
    match command {
        "eval" => {}
        "eval_fail" => expected.fail = Some(Text::Any),
        "eval_warn" => expected.warn.push(Text::Any),
        "eval_info" => expected.info.push(Text::Any),
        "eval_ordered" => expected.ordered = true,
        _ => return Err(bad("no such command")),
    }
    let (when, query) = when(rest.trim_start()).map_err(|why| bad(&why))?;
    while let Some(line) = lines.within() {
        let done = expect(line, &mut expected).map_err(|why| BadFile { line: lines.next, why })?;
        if done {
            break;
        }
    }
    Ok(Eval { line: at, query: query.to_owned(), when, expected })
}

/// `instant at 5m QUERY` or `range from 0 to 5m step 1m QUERY`.
fn when(rest: &str) -> Result<(When, &str), String> {
    if let Some(rest) = rest.strip_prefix("instant") {
        return match rest.trim_start().strip_prefix("at ") {
            Some(rest) => {
                let (at, query) = word(rest);
                Ok((When::At(time(at)?), query))
            }
            None => Ok((When::At(0), rest.trim_start())),
        };
    }
    let mut rest = rest.strip_prefix("range").ok_or("neither `instant` nor `range`")?;
    let mut times = [0; 3];
    for (time_of, keyword) in times.iter_mut().zip(["from", "to", "step"]) {
        let (found, after) = word(rest);
        if found != keyword {
            return Err(format!("`{keyword}` is missing"));
        }
        let (value, after) = word(after);
        *time_of = time(value)?;
        rest = after;
    }
    Ok((When::Range { from: times[0], to: times[1], step: times[2] }, rest.trim_start()))
}

fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

/// A duration in milliseconds: `1h30m`, `-5s`, `0`.
fn time(text: &str) -> Result<i64, String> {
    const UNITS: [(&str, i64); 7] = [
        ("ms", 1),
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ];
    let bad = || format!("`{text}` is no duration");
    let (sign, mut rest) = text.trim().strip_prefix('-').map_or((1, text.trim()), |rest| (-1, rest));
    if rest == "0" {
        return Ok(0);
    }
    let mut total = 0_i64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let count: i64 = rest[..end].parse().map_err(|_| bad())?;
        let (unit, size) = UNITS.into_iter().find(|(unit, _)| rest[end..].starts_with(unit)).ok_or_else(bad)?;
        total = count.checked_mul(size).and_then(|time| total.checked_add(time)).ok_or_else(bad)?;
        rest = &rest[end + unit.len()..];
    }
    Ok(sign * total)
}

/// One line of what is expected; whether it is the last.
fn expect(line: &str, expected: &mut Expected) -> Result<bool, String> {
    if let Some(message) = line.strip_prefix("expected_fail_message") {
        expected.fail = Some(Text::Exactly(message.trim().to_owned()));
        return Ok(true);
    }
    if let Some(pattern) = line.strip_prefix("expected_fail_regexp") {
        expected.fail = Some(like(pattern)?);
        return Ok(true);
    }
    if let Some(range) = line.strip_prefix("expect range vector") {
        let (When::Range { from, to, step }, _) = when(&format!("range {}", range.trim_start()))? else {
            return Err("a range is missing".to_owned());
        };
        expected.range = Some((from, to, step));
        return Ok(false);
    }
    if let Some(text) = line.strip_prefix("expect string") {
        expected.text = Some(unquoted(text.trim())?);
        return Ok(false);
    }
    if let Some(what) = line.strip_prefix("expect ") {
        return expect_note(what.trim(), expected).map(|()| false);
    }
    if let Some(number) = sequence::number(line) {
        expected.scalar = Some(number);
        return Ok(true);
    }
    expected.series.push(sequence::parse(line)?);
    Ok(false)
}

fn expect_note(what: &str, expected: &mut Expected) -> Result<(), String> {
    let (kind, rest) = word(what);
    let text = match rest.split_once(':') {
        None if rest.is_empty() => Text::Any,
        Some(("msg", message)) => Text::Exactly(without_place(message.trim(), "(", ")").to_owned()),
        Some(("regex", pattern)) => like(without_place(pattern.trim(), "\\(", "\\)"))?,
        _ => return Err(format!("`{rest}` is neither `msg:` nor `regex:`")),
    };
    match kind {
        "fail" => expected.fail = Some(text),
        "warn" => expected.warn.push(text),
        "info" => expected.info.push(text),
        "no_warn" => expected.no_warn = true,
        "no_info" => expected.no_info = true,
        "ordered" => expected.ordered = true,
        _ => return Err(format!("`{kind}` cannot be expected")),
    }
    Ok(())
}

/// A message without the place in the query that Prometheus adds to it, ` (1:7)`: the parser does not tell places.
fn without_place<'a>(text: &'a str, open: &str, close: &str) -> &'a str {
    let place = || {
        let (before, place) = text.strip_suffix(close)?.rsplit_once(&format!(" {open}"))?;
        place.chars().all(|c| "0123456789:[]-+".contains(c)).then_some(before)
    };
    place().unwrap_or(text)
}

fn like(pattern: &str) -> Result<Text, String> {
    Regex::new(pattern.trim()).map(Text::Like).map_err(|error| error.to_string())
}

fn unquoted(text: &str) -> Result<String, String> {
    crate::quoted::unquote(text)
}
