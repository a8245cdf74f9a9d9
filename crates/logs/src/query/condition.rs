//! What compares a value.

use std::fmt;

use compact_str::CompactString;
use memchr::memmem::Finder;
use regex::Regex;

use super::BadPattern;
use crate::grams::Need;

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`: a pattern, of the whole value.
    Like,
    /// `!~`
    Unlike,
    /// `<`: numbers, or durations with a unit.
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

impl Op {
    fn text(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Like => "=~",
            Self::Unlike => "!~",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }

    /// What takes what this one does not. There is none for comparisons of numbers, since a value may be no number.
    pub(super) fn inverse(self) -> Option<Self> {
        match self {
            Self::Equal => Some(Self::NotEqual),
            Self::NotEqual => Some(Self::Equal),
            Self::Like => Some(Self::Unlike),
            Self::Unlike => Some(Self::Like),
            _ => None,
        }
    }
}

/// Compares the value of a label or a field. One that is not there is empty.
#[derive(Debug, Clone)]
pub struct Condition {
    /// Of which label or field.
    pub name: CompactString,
    /// How it is compared.
    pub op: Op,
    /// With what.
    pub value: CompactString,
    with: With,
}

#[derive(Debug, Clone)]
enum With {
    Text(Box<Finder<'static>>),
    Pattern(Regex),
    Number(Number),
}

/// Why a condition cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCondition {
    /// The pattern cannot be read.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    /// Only numbers are less or more than others.
    #[error("`{0}` is no number; numbers and durations (`250ms`) can be compared")]
    Number(CompactString),
}

impl Condition {
    /// Of a name, a comparison and a value.
    pub fn new(name: impl Into<CompactString>, op: Op, value: impl Into<CompactString>) -> Result<Self, BadCondition> {
        let (name, value) = (name.into(), value.into());
        let with = match op {
            Op::Equal | Op::NotEqual => With::Text(Box::new(Finder::new(value.as_bytes()).into_owned())),
            Op::Like | Op::Unlike => {
                With::Pattern(Regex::new(&format!("^(?s:{value})$")).map_err(|error| BadPattern::new(&value, &error))?)
            }
            _ => With::Number(Number::read(&value).ok_or_else(|| BadCondition::Number(value.clone()))?),
        };
        Ok(Self { name, op, value, with })
    }

    /// Whether it takes this value.
    pub fn takes(&self, value: &str) -> bool {
        let compared = || match &self.with {
            With::Number(number) => Number::read(value).and_then(|value| value.compare(*number)),
            _ => None,
        };
        let fits = || matches!(&self.with, With::Pattern(pattern) if pattern.is_match(value));
        match self.op {
            Op::Equal => self.value == value,
            Op::NotEqual => self.value != value,
            Op::Like => fits(),
            Op::Unlike => !fits(),
            Op::Less => compared().is_some_and(std::cmp::Ordering::is_lt),
            Op::AtMost => compared().is_some_and(std::cmp::Ordering::is_le),
            Op::Greater => compared().is_some_and(std::cmp::Ordering::is_gt),
            Op::AtLeast => compared().is_some_and(std::cmp::Ordering::is_ge),
        }
    }

    /// Whether no line with this text says a value that is taken, as far as that is seen without reading it. What is written
    /// with a backslash may stand for something else.
    pub(super) fn excludes(&self, text: &[u8]) -> bool {
        match (&self.with, self.op) {
            (With::Text(finder), Op::Equal) if !self.value.is_empty() => {
                finder.find(text).is_none() && memchr::memchr(b'\\', text).is_none()
            }
            _ => false,
        }
    }

    /// What a line has in it, or beside it, whose value is taken.
    pub(super) fn need(&self) -> Need {
        match self.op {
            Op::Equal => Need::text(self.value.as_bytes()),
            Op::Like if !self.takes("") => Need::pattern(&self.value),
            _ => Need::NOTHING,
        }
    }
}

/// As a query has it.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, self.op.text())?;
        super::text::quoted(f, &self.value)
    }
}

/// A number, or a duration in seconds. They are not compared with each other.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Number {
    value: f64,
    duration: bool,
}

/// Units of durations, those first that end in another one.
const UNITS: [(&str, f64); 7] =
    [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

impl Number {
    fn read(text: &str) -> Option<Self> {
        // Words that stand for numbers are none here.
        if !text.ends_with(|last: char| last.is_ascii_digit() || "smh".contains(last)) {
            return None;
        }
        let unit = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, *seconds)));
        let (digits, seconds) = unit.unwrap_or((text, 1.0));
        if !digits.ends_with(|last: char| last.is_ascii_digit()) {
            return None;
        }
        Some(Self { value: digits.parse::<f64>().ok()? * seconds, duration: unit.is_some() })
    }

    fn compare(self, other: Self) -> Option<std::cmp::Ordering> {
        if self.duration == other.duration { self.value.partial_cmp(&other.value) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_as_texts_patterns_and_numbers() {
        let takes = |op, value: &str, given: &str| Condition::new("x", op, value).unwrap().takes(given);
        assert!(takes(Op::Equal, "1", "1") && !takes(Op::Equal, "1", "1.0") && takes(Op::NotEqual, "1", ""));
        assert!(takes(Op::Like, "a|b.*", "bc") && !takes(Op::Like, "b", "bc") && takes(Op::Unlike, "b", "bc"));
        assert!(takes(Op::Greater, "499", "500") && !takes(Op::Greater, "499", "") && !takes(Op::Less, "499", "inf"));
        assert!(takes(Op::AtLeast, "250ms", "0.25s") && takes(Op::AtMost, "1m", "59s") && takes(Op::Less, "1e3", "-2"));
        assert!(!takes(Op::Greater, "1", "5ms") && !takes(Op::Greater, "1ms", "5") && !takes(Op::Greater, "1", "x5s"));
        assert!(matches!(Condition::new("x", Op::Less, "ten"), Err(BadCondition::Number(_))));
        assert!(matches!(Condition::new("x", Op::Like, "("), Err(BadCondition::Pattern(_))));
    }
}
