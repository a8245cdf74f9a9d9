//! Lines.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use compact_str::CompactString;

use crate::parse::{self, Parsed};
use crate::{Level, Stream};

/// What a replica printed. The store keeps it as it is; whoever hands it over has taken the secrets out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When, in microseconds since 1970.
    pub at: i64,
    /// Where it comes from.
    pub stream: Stream,
    /// How grave it is, where that is known.
    pub level: Option<Level>,
    /// The line without the end of line, byte by byte.
    pub text: Vec<u8>,
    /// What was told beside the text. What the text itself says (JSON, logfmt) is found when it is asked for.
    pub fields: Vec<Field>,
}

/// A name and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name; what was nested has dots.
    pub name: CompactString,
    /// Its value, as text.
    pub value: CompactString,
}

impl Line {
    /// A line with nothing beside it. Its level is what the text says.
    pub fn read(at: i64, stream: Stream, text: impl Into<Vec<u8>>) -> Self {
        let text = text.into();
        Self { at, stream, level: parse::level(&text), text, fields: Vec::new() }
    }

    /// The text; what is not UTF-8 is shown as such.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }

    /// What the text says.
    pub fn parsed(&self) -> Parsed<'_> {
        parse::parse(&self.text)
    }

    /// The request that it is about, if it says so.
    pub fn request(&self) -> Option<String> {
        let beside = self.fields.iter().map(|field| (field.name.as_str(), field.value.as_str()));
        let beside = parse::request_of(beside).map(ToOwned::to_owned);
        beside.or_else(|| self.parsed().request().map(ToOwned::to_owned))
    }
}

/// Where a line is in the order of all: by time, and what came first of one time. A search goes on from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Its time, in microseconds since 1970.
    pub at: i64,
    /// Its number: each line of a store has another, later ones higher ones.
    pub number: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at, self.number)
    }
}

/// A text that is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position is two numbers with a dot between them, as a page of lines says it")]
pub struct BadPosition;

impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let (at, number) = text.split_once('.').ok_or(BadPosition)?;
        let at = at.parse().map_err(|_| BadPosition)?;
        Ok(Self { at, number: number.parse().map_err(|_| BadPosition)? })
    }
}

/// A line that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The line.
    pub line: Line,
    /// Where it is.
    pub position: Position,
    /// How many bytes its text had beyond those that are kept.
    pub missing: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_has_a_text_form() {
        let position = Position { at: -5, number: 77 };
        assert_eq!(position.to_string().parse(), Ok(position));
        assert_eq!("5".parse::<Position>(), Err(BadPosition));
    }

    #[test]
    fn the_request_is_beside_a_line_or_in_it() {
        let mut line = Line::read(1, Stream::default(), r#"{"level":"warn","requestId":"r-1"}"#);
        assert_eq!((line.level, line.request().as_deref()), (Some(Level::Warn), Some("r-1")));
        line.fields.push(Field { name: "trace_id".into(), value: "t-2".into() });
        assert_eq!(line.request().as_deref(), Some("t-2"));
    }
}
