//! What is searched for, as data and as people write it.
//!
//! # The text form
//!
//! Terms with blanks between them; a line is found if it fits all of them.
//!
//! | term | finds lines |
//! | --- | --- |
//! | `timeout` | with this text, also within words, in upper or lower case (letters of ASCII) |
//! | `"lost connection"` | with this text, which may have blanks; `\"` is a quote, `\\` a backslash, `\n` and `\t` what they usually are |
//! | `/5\d\d$/` | in which the pattern finds something; `\/` is a slash; case counts, unless it begins with `(?i)` |
//! | `level>=warn` | of this level or a graver one; also `=`, `!=`, `<`, `<=`, `>`, and `:` as another way to write `=` |
//! | `level:error,none` | of one of these levels; `none` is a line without one |
//! | `service:web` | of a label of the stream: `app`, `environment`, `service`, `release`, `replica` |
//! | `service=~"web\|api"` | of a label that fits as a whole; also `!=` and `!~` |
//! | `user=7` | with a field of this value, in the line (JSON, logfmt) or beside it; also `!=`, `=~`, `!~` |
//! | `took>250ms` | with a field that is a number or a duration; also `>=`, `<`, `<=` |
//! | `user=""` | without such a field |
//! | `-health` | without this text; `-` stands before any term but a comparison of numbers |
//!
//! Values may be in quotes like texts. A field that is called by any name for the id of a request (`request_id`, `requestId`,
//! `x-request-id`, `trace_id` …) is found by any other. Patterns are of the crate `regex`.
//!
//! ```text
//! query = { term }
//! term  = [ "-" ] ( quoted | "/" pattern "/" | name op value | word )
//! op    = "=" | "!=" | "=~" | "!~" | "<" | "<=" | ">" | ">=" | ":"      (":" after labels and `level` only)
//! value = quoted | word
//! name  = a letter, "_" or "@", then letters, digits, "_", ".", "-", "@"
//! word  = what has no blank in it
//! ```

mod condition;
mod matching;
mod text;

use compact_str::CompactString;
use regex::bytes::{Regex, RegexBuilder};

pub use condition::{BadCondition, Condition, Op};
pub use text::BadQuery;

use crate::grams::Need;
use crate::{Level, Levels, Position};

/// A pattern takes no more memory than this.
const PATTERN_BYTES: usize = 4 << 20;

/// What is searched for.
#[derive(Debug, Clone)]
pub struct Query {
    /// The first time, in microseconds since 1970.
    pub from: i64,
    /// The last time, which is in it.
    pub to: i64,
    /// Of which levels.
    pub levels: Levels,
    /// Of which streams.
    pub labels: Vec<Condition>,
    /// With which fields.
    pub fields: Vec<Condition>,
    /// With and without which texts.
    pub texts: Vec<Text>,
    /// Which lines come first.
    pub direction: Direction,
    /// How many lines are found at a time.
    pub limit: usize,
    /// Only lines that came to the store with these numbers: from the first on, and before the second.
    pub numbers: Option<(u64, u64)>,
    /// Only lines after this one, in that direction: where the page before ended.
    pub after: Option<Position>,
}

/// Which lines come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The newest.
    Newest,
    /// The oldest.
    Oldest,
}

/// A text that lines have, or do not have.
#[derive(Debug, Clone)]
pub struct Text {
    /// The text.
    pub pattern: Pattern,
    /// Whether they have it.
    pub wanted: bool,
}

/// What is found in a text.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: Source,
    regex: Regex,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Phrase(String),
    Regex(String),
}

/// A pattern that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the pattern `{pattern}` cannot be read: {why}")]
pub struct BadPattern {
    /// What was written.
    pub pattern: String,
    /// Why.
    pub why: String,
}

impl BadPattern {
    fn new(pattern: &str, error: &regex::Error) -> Self {
        let why = error.to_string();
        // The message points at the place with lines of its own; the last one says what is wrong.
        let last = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Self { pattern: pattern.to_owned(), why: last }
    }
}

impl Pattern {
    /// This text, in upper or lower case of ASCII.
    pub fn phrase(text: &str) -> Result<Self, BadPattern> {
        let mut pattern = String::with_capacity(text.len() + 16);
        for run in text.as_bytes().chunk_by(|a, b| a.is_ascii() == b.is_ascii()) {
            let escaped = regex::escape(&String::from_utf8_lossy(run));
            if run[0].is_ascii() {
                pattern.extend(["(?i-u:", &escaped, ")"]);
            } else {
                pattern.push_str(&escaped);
            }
        }
        Ok(Self { regex: build(&pattern, text)?, source: Source::Phrase(text.to_owned()) })
    }

    /// What a regular expression finds.
    pub fn regex(text: &str) -> Result<Self, BadPattern> {
        Ok(Self { regex: build(text, text)?, source: Source::Regex(text.to_owned()) })
    }

    fn need(&self) -> Need {
        match &self.source {
            Source::Phrase(text) => Need::text(text.as_bytes()),
            Source::Regex(text) => Need::pattern(text),
        }
    }
}

fn build(pattern: &str, written: &str) -> Result<Regex, BadPattern> {
    RegexBuilder::new(pattern).size_limit(PATTERN_BYTES).build().map_err(|error| BadPattern::new(written, &error))
}

impl Default for Query {
    /// The newest thousand lines.
    fn default() -> Self {
        Self {
            from: i64::MIN,
            to: i64::MAX,
            levels: Levels::ALL,
            labels: Vec::new(),
            fields: Vec::new(),
            texts: Vec::new(),
            direction: Direction::Newest,
            limit: 1000,
            numbers: None,
            after: None,
        }
    }
}

impl Query {
    /// What a person wrote, of all times.
    pub fn parse(text: &str) -> Result<Self, BadQuery> {
        text::parse(text)
    }

    /// Of this level and what is graver, besides what is asked for already.
    pub fn at_least(mut self, level: Level) -> Self {
        self.levels = self.levels.both(Levels::at_least(level));
        self
    }

    /// Of streams with this label, besides what is asked for already.
    pub fn with_label(mut self, name: impl Into<CompactString>, value: impl Into<CompactString>) -> Self {
        // Texts that are equal need no pattern, so that nothing can be wrong with it.
        self.labels.extend(Condition::new(name, Op::Equal, value));
        self
    }
}
