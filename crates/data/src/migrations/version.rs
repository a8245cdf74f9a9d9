//! The version of a migration: `1`, `1.2`, `20261129_1`.

use std::cmp::Ordering;
use std::fmt;

/// Numbers with dots or underscores between them. Each may be of any length; zeros at the end, and before a number, say
/// nothing: `1`, `1.0` and `001` are one version.
#[derive(Debug, Clone)]
pub struct Version {
    /// With dots, as the history keeps it.
    text: String,
    /// Digits without zeros before them; none at the end is empty.
    parts: Vec<String>,
}

impl Version {
    /// Reads a version. `None`: it is none.
    pub fn parse(written: &str) -> Option<Self> {
        let text = written.replace('_', ".");
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let mut parts = Vec::new();
        for part in text.split('.') {
            if !is_number(part) {
                return None;
            }
            parts.push(part.trim_start_matches('0').to_owned());
        }
        while parts.last().is_some_and(String::is_empty) {
            parts.pop();
        }
        Some(Self { text, parts })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_size = |part: &String| (part.len(), part.clone());
        self.parts.iter().map(by_size).cmp(other.parts.iter().map(by_size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::parse(text).unwrap()
    }

    #[test]
    fn versions_compare_by_number() {
        let in_order =
            ["0", "0.1", "1", "1.0.1", "1.2", "1.9", "1.10", "2", "10", "20261129120000", "99999999999999999999"];
        for pair in in_order.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn zeros_say_nothing() {
        for (one, other) in [("1", "1.0"), ("1", "001"), ("1_1", "1.1"), ("1.1", "1.01"), ("0", "0.0"), ("1.0.0", "01")]
        {
            assert_eq!(version(one), version(other), "{one} {other}");
        }
        assert_eq!(version("1_01").to_string(), "1.01");
    }

    #[test]
    fn what_is_no_version() {
        for text in ["", ".", "1.", ".1", "1..2", "a", "1a", "-1", "1 ", "１"] {
            assert!(Version::parse(text).is_none(), "{text}");
        }
    }
}
