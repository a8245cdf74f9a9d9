//! Reading text, a line at a time. A line that is broken is told and lost, and nothing else.

use std::borrow::Cow;
use std::fmt;

use super::{Format, Kind, format_bound, number};
use crate::{Labels, NAME};

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of a line.
    pub line: usize,
    /// Samples.
    pub samples: usize,
    /// Labels of a sample.
    pub labels: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { line: 64 << 10, samples: 1_000_000, labels: 64 }
    }
}

/// What a line says.
#[derive(Debug, Clone, PartialEq)]
pub enum Item<'r, 'a> {
    /// What a metric is for.
    Help {
        /// The metric.
        metric: Cow<'a, str>,
        /// What it is for.
        text: Cow<'a, str>,
    },
    /// What a metric is.
    Kind {
        /// The metric.
        metric: Cow<'a, str>,
        /// What it is.
        kind: Kind,
    },
    /// What a metric is counted in.
    Unit {
        /// The metric.
        metric: Cow<'a, str>,
        /// The unit.
        unit: &'a str,
    },
    /// A sample.
    Sample(Labelled<'r, 'a>),
}

/// A sample with its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled<'r, 'a> {
    /// The name of the metric.
    pub metric: Cow<'r, str>,
    /// The labels, as they are written; some may be empty. No two have one name.
    pub labels: &'r [(Cow<'a, str>, Cow<'a, str>)],
    /// The value.
    pub value: f64,
    /// When it was measured, in milliseconds since 1970, where that is said.
    pub at: Option<i64>,
}

impl Labelled<'_, '_> {
    /// The name of the series.
    pub fn series(&self) -> Labels {
        let labels = self.labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        Labels::new(labels.chain([(NAME, self.metric.as_ref())]))
    }
}

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct Broken {
    /// The line, from one.
    pub line: usize,
    /// The character in it, from one.
    pub column: usize,
    /// What is wrong.
    pub what: What,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Something else should be there.
    Expected(&'static str),
    /// A label is there twice.
    Twice,
    /// It is too long; it is not read.
    TooLong,
    /// It has too many labels.
    TooManyLabels,
    /// There are too many samples; from here on nothing is read.
    TooManySamples,
    /// OpenMetrics ends with `# EOF`; so there may have been more.
    NoEnd,
    /// Something follows `# EOF`.
    AfterEnd,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expected(what) => return write!(f, "expected {what}"),
            Self::Twice => "the label is there twice",
            Self::TooLong => "the line is too long",
            Self::TooManyLabels => "there are too many labels",
            Self::TooManySamples => "there are too many samples; the rest is not read",
            Self::NoEnd => "`# EOF` is missing",
            Self::AfterEnd => "something follows `# EOF`",
        })
    }
}

/// Reads text.
pub struct Reader<'a> {
    rest: &'a str,
    format: Format,
    bounds: Bounds,
    line: usize,
    samples: usize,
    broken: usize,
    ended: bool,
    told: bool,
    /// The metric of the last `# TYPE`.
    metric: Cow<'a, str>,
    kind: Kind,
    labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    name: Option<Cow<'a, str>>,
}

/// A value and a time.
struct Measured {
    value: f64,
    at: Option<i64>,
}

impl<'a> Reader<'a> {
    /// Of a text.
    pub fn new(text: &'a str, format: Format, bounds: Bounds) -> Self {
        let metric = Cow::Borrowed("");
        let (labels, name, kind) = (Vec::new(), None, Kind::Unknown);
        let (line, samples, broken, ended, told) = (0, 0, 0, false, false);
        Self { rest: text, format, bounds, line, samples, broken, ended, told, metric, kind, labels, name }
    }

    /// How many lines were broken until now.
    pub fn broken(&self) -> usize {
        self.broken
    }

    /// How many samples were read until now.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// The next thing that a line says, or a line that is broken.
    #[allow(clippy::should_implement_trait, reason = "what it returns lasts until the next")]
    pub fn next(&mut self) -> Option<Result<Item<'_, 'a>, Broken>> {
        loop {
            let Some(line) = self.take_line() else { return self.at_end().map(Err) };
            if self.ended {
                return self.after_end(line).map(Err);
            }
            if line.len() > self.bounds.line {
                return Some(Err(self.tell("", 0, What::TooLong)));
            }
            let mut cursor = Cursor { line, at: 0 };
            cursor.blanks();
            match cursor.peek() {
                None => {}
                Some(b'#') => match self.comment(&mut cursor) {
                    Ok(None) => {}
                    Ok(Some(item)) => return Some(Ok(item)),
                    Err(what) => return Some(Err(self.tell(line, cursor.at, what))),
                },
                Some(_) if self.samples >= self.bounds.samples => {
                    self.rest = "";
                    self.ended = true;
                    return Some(Err(self.tell(line, 0, What::TooManySamples)));
                }
                Some(_) => {
                    return match self.sample(&mut cursor) {
                        Err(what) => Some(Err(self.tell(line, cursor.at, what))),
                        Ok(Measured { value, at }) => {
                            self.samples += 1;
                            let metric = Cow::Borrowed(self.name.as_deref().unwrap_or_default());
                            Some(Ok(Item::Sample(Labelled { metric, labels: &self.labels, value, at })))
                        }
                    };
                }
            }
        }
    }

    fn take_line(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        self.line += 1;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    fn at_end(&mut self) -> Option<Broken> {
        if self.format == Format::Text || self.ended {
            return None;
        }
        self.ended = true;
        self.line += 1;
        Some(self.tell("", 0, What::NoEnd))
    }

    /// It is told once.
    fn after_end(&mut self, line: &str) -> Option<Broken> {
        self.rest = "";
        if std::mem::replace(&mut self.told, true) {
            return None;
        }
        Some(self.tell(line, 0, What::AfterEnd))
    }

    fn tell(&mut self, line: &str, at: usize, what: What) -> Broken {
        self.broken += 1;
        let column = line.get(..at).map_or(at, |before| before.chars().count()) + 1;
        Broken { line: self.line, column, what }
    }

    /// After a `#`: something about a metric, the end, or a comment.
    fn comment(&mut self, cursor: &mut Cursor<'a>) -> Result<Option<Item<'a, 'a>>, What> {
        cursor.at += 1;
        let open = self.format == Format::OpenMetrics;
        if open && cursor.line == "# EOF" {
            self.ended = true;
            return Ok(None);
        }
        cursor.blanks();
        match cursor.word() {
            "HELP" => {
                let metric = cursor.metric()?;
                Ok(Some(Item::Help { metric, text: unescaped(cursor.all(), open) }))
            }
            "TYPE" => {
                let metric = cursor.metric()?;
                cursor.blanks();
                let word = cursor.all().trim_end();
                let Some(kind) = Kind::of(word) else { return Err(What::Expected("the kind of a metric")) };
                self.metric = metric.clone();
                self.kind = kind;
                Ok(Some(Item::Kind { metric, kind }))
            }
            "UNIT" if open => {
                let metric = cursor.metric()?;
                Ok(Some(Item::Unit { metric, unit: cursor.all().trim() }))
            }
            _ => Ok(None),
        }
    }

    fn sample(&mut self, cursor: &mut Cursor<'a>) -> Result<Measured, What> {
        self.labels.clear();
        self.name = match cursor.peek() {
            Some(b'{') => None,
            _ => Some(Cow::Borrowed(cursor.name(true, "the name of a metric")?)),
        };
        cursor.blanks();
        if cursor.peek() == Some(b'{') {
            cursor.labels(&mut self.name, &mut self.labels, self.bounds.labels)?;
        }
        let Some(name) = &self.name else { return Err(What::Expected("the name of a metric")) };
        normalize(name, &self.metric, self.kind, &mut self.labels);
        cursor.blanks();
        let value = cursor.number("a value")?;
        cursor.blanks();
        let at = match cursor.peek() {
            None | Some(b'#') => None,
            Some(_) => Some(self.time(cursor)?),
        };
        cursor.blanks();
        if self.format == Format::OpenMetrics && cursor.peek() == Some(b'#') {
            self.exemplar(cursor)?;
        }
        if cursor.peek().is_some() { Err(What::Expected("the end of the line")) } else { Ok(Measured { value, at }) }
    }

    fn time(&self, cursor: &mut Cursor<'a>) -> Result<i64, What> {
        const WHAT: &str = "a time";
        let from = cursor.at;
        let time = match self.format {
            Format::OpenMetrics => number::milliseconds(cursor.number(WHAT)?),
            Format::Text => cursor.word().parse().ok(),
        };
        if time.is_none() {
            cursor.at = from;
        }
        time.ok_or(What::Expected(WHAT))
    }

    /// It is read, and left out.
    fn exemplar(&self, cursor: &mut Cursor<'a>) -> Result<(), What> {
        cursor.at += 1;
        cursor.blanks();
        if cursor.peek() != Some(b'{') {
            return Err(What::Expected("the labels of an exemplar"));
        }
        let (mut name, mut labels) = (Some(Cow::Borrowed("")), Vec::new());
        cursor.labels(&mut name, &mut labels, self.bounds.labels)?;
        cursor.blanks();
        cursor.number("the value of an exemplar")?;
        cursor.blanks();
        if cursor.peek().is_some() {
            self.time(cursor)?;
            cursor.blanks();
        }
        Ok(())
    }
}

/// Bounds and quantiles are written in one way, so that those of two libraries are the same.
fn normalize(name: &str, metric: &str, kind: Kind, labels: &mut [(Cow<'_, str>, Cow<'_, str>)]) {
    let label = match kind {
        Kind::Histogram | Kind::GaugeHistogram if name.strip_suffix("_bucket") == Some(metric) => "le",
        Kind::Summary if name == metric => "quantile",
        _ => return,
    };
    for (_, value) in labels.iter_mut().filter(|(name, _)| name == label) {
        if let Some(written) = number::read(value).map(format_bound).filter(|written| written != value) {
            *value = Cow::Owned(written);
        }
    }
}

/// Without the escapes of backslash and line feed, and of quotes if there are such.
fn unescaped(text: &str, quotes: bool) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => out.push('\n'),
            Some('\\') => out.push('\\'),
            Some('"') if quotes => out.push('"'),
            // What is no escape stands for itself.
            other => {
                out.push('\\');
                out.extend(other);
            }
        }
    }
    Cow::Owned(out)
}

/// A place in a line.
struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.line.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn while_in(&mut self, fits: impl Fn(u8) -> bool) -> &'a str {
        let from = self.at;
        while self.peek().is_some_and(&fits) {
            self.at += 1;
        }
        &self.line[from..self.at]
    }

    /// All until a blank, or the end.
    fn word(&mut self) -> &'a str {
        self.while_in(|byte| !matches!(byte, b' ' | b'\t'))
    }

    /// The rest of the line, after one blank.
    fn all(&mut self) -> &'a str {
        let rest = &self.line[self.at..];
        self.at = self.line.len();
        rest.strip_prefix([' ', '\t']).unwrap_or(rest)
    }

    fn name(&mut self, colons: bool, what: &'static str) -> Result<&'a str, What> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (colons && byte == b':');
        if self.peek().is_none_or(|first| first.is_ascii_digit() || !fits(first)) {
            return Err(What::Expected(what));
        }
        Ok(self.while_in(fits))
    }

    /// The name of a metric, which may be in quotes.
    fn metric(&mut self) -> Result<Cow<'a, str>, What> {
        self.blanks();
        if self.peek() == Some(b'"') {
            self.quoted()
        } else {
            self.name(true, "the name of a metric").map(Cow::Borrowed)
        }
    }

    fn number(&mut self, what: &'static str) -> Result<f64, What> {
        let from = self.at;
        let read = number::read(self.word());
        if read.is_none() {
            self.at = from;
        }
        read.ok_or(What::Expected(what))
    }

    fn quoted(&mut self) -> Result<Cow<'a, str>, What> {
        self.at += 1;
        let from = self.at;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => {
                    self.at = self.line.len();
                    return Err(What::Expected("a quote"));
                }
            }
        }
        let text = &self.line[from..self.at];
        self.at += 1;
        Ok(unescaped(text, true))
    }

    /// From `{` to `}`. A text in quotes alone is the name of the metric.
    fn labels(
        &mut self,
        metric: &mut Option<Cow<'a, str>>,
        labels: &mut Vec<(Cow<'a, str>, Cow<'a, str>)>,
        most: usize,
    ) -> Result<(), What> {
        self.at += 1;
        loop {
            self.blanks();
            let from = self.at;
            let name = match self.peek() {
                Some(b'}') => break,
                Some(b'"') => self.quoted()?,
                _ => Cow::Borrowed(self.name(false, "a label or `}`")?),
            };
            self.blanks();
            if self.peek() == Some(b'=') {
                self.at += 1;
                self.blanks();
                if self.peek() != Some(b'"') {
                    return Err(What::Expected("a value in quotes"));
                }
                let value = self.quoted()?;
                if labels.len() >= most {
                    return Err(What::TooManyLabels);
                }
                if name == NAME || labels.iter().any(|(other, _)| *other == name) {
                    self.at = from;
                    return Err(What::Twice);
                }
                labels.push((name, value));
            } else if metric.is_none() && self.line.as_bytes()[from] == b'"' {
                *metric = Some(name);
            } else {
                return Err(What::Expected("`=`"));
            }
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(What::Expected("`,` or `}`")),
            }
        }
        self.at += 1;
        Ok(())
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
