//! What chooses series.

use std::fmt;

use compact_str::CompactString;
use regex::Regex;

use crate::Labels;

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, the whole value.
    Like,
    /// `!~`
    Unlike,
}

/// Chooses series by the value of one label; one that a series does not have is empty.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The label.
    pub name: CompactString,
    /// How it is compared.
    pub op: Op,
    /// With what.
    pub value: CompactString,
    pattern: Option<Regex>,
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

impl Matcher {
    /// Of a label, a comparison and a value. Patterns are of the crate `regex`, which knows nearly all that RE2 does.
    pub fn new(name: impl Into<CompactString>, op: Op, value: impl Into<CompactString>) -> Result<Self, BadPattern> {
        let (name, value) = (name.into(), value.into());
        let pattern = match op {
            Op::Equal | Op::NotEqual => None,
            Op::Like | Op::Unlike => Some(
                Regex::new(&format!("^(?s:{value})$"))
                    .map_err(|error| BadPattern { pattern: value.to_string(), why: error.to_string() })?,
            ),
        };
        Ok(Self { name, op, value, pattern })
    }

    /// Whether it chooses this value.
    pub fn takes(&self, value: &str) -> bool {
        let fits = || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(value));
        match self.op {
            Op::Equal => self.value == value,
            Op::NotEqual => self.value != value,
            Op::Like => fits(),
            Op::Unlike => !fits(),
        }
    }

    /// Whether it chooses this series.
    pub fn chooses(&self, labels: &Labels) -> bool {
        self.takes(labels.get(&self.name))
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self.op {
            Op::Equal => "=",
            Op::NotEqual => "!=",
            Op::Like => "=~",
            Op::Unlike => "!~",
        };
        write!(f, "{}{op}{:?}", self.name, self.value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_about_the_whole_value() {
        let series = Labels::new([("job", "web-1")]);
        let chooses = |name, op, value| Matcher::new(name, op, value).unwrap().chooses(&series);
        assert!(chooses("job", Op::Like, "web.*") && !chooses("job", Op::Like, "web"));
        assert!(chooses("job", Op::Like, "a|web-1|b") && !chooses("job", Op::Like, "a|web|1"));
        assert!(chooses("job", Op::Unlike, "web") && chooses("zone", Op::Equal, ""));
        assert!(chooses("zone", Op::Unlike, ".+") && !chooses("zone", Op::NotEqual, ""));
        assert!(Matcher::new("job", Op::Like, "(").unwrap_err().to_string().contains("`(` cannot be read"));
    }
}
