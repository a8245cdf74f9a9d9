//! How personal data is hidden when a database is copied: rules by column, as data.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The rules of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masking {
    /// By `table.column` or `schema.table.column`, with names as the database has them and without quotes.
    pub rules: BTreeMap<String, Rule>,
}

/// What becomes of the values of a column. Its text form is that of the manifest: `hash`, `fake email`, `shift 30d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Rule {
    /// They stay: somebody has looked at the column, and it holds nothing personal.
    Keep,
    /// There are none.
    Null,
    /// They become others that say nothing, the same for the same value.
    Hash,
    /// They become invented ones of a kind, the same for the same value.
    Fake(Kind),
    /// Dates move, all by the same number of days.
    Shift {
        /// How many days at most, either way; at least 1.
        days: u32,
    },
}

/// A kind of invented values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A person's whole name.
    Name,
    /// A first name.
    FirstName,
    /// A last name.
    LastName,
    /// An e-mail address that nobody can have.
    Email,
    /// A telephone number that nobody can have.
    Phone,
    /// A street with a number.
    Address,
    /// A city.
    City,
    /// A company.
    Company,
    /// An internet address that is reserved for documents.
    Ip,
    /// A bank account's number that is well-formed and of no bank.
    Iban,
    /// A URL.
    Url,
    /// What somebody logs in as.
    Username,
    /// Words that say nothing, about as many.
    Text,
    /// Another number of as many digits; in a text, other digits and letters in the same places.
    Number,
    /// A day.
    Date,
    /// A random UUID.
    Uuid,
}

/// The longest shift that can be asked for: a thousand years.
const MOST_DAYS: u32 = 365_250;

impl Kind {
    /// Every one with its word.
    pub const ALL: [(&'static str, Self); 16] = [
        ("name", Self::Name),
        ("first_name", Self::FirstName),
        ("last_name", Self::LastName),
        ("email", Self::Email),
        ("phone", Self::Phone),
        ("address", Self::Address),
        ("city", Self::City),
        ("company", Self::Company),
        ("ip", Self::Ip),
        ("iban", Self::Iban),
        ("url", Self::Url),
        ("username", Self::Username),
        ("text", Self::Text),
        ("number", Self::Number),
        ("date", Self::Date),
        ("uuid", Self::Uuid),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }

    /// The words of every one.
    pub fn words() -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().map(|(word, _)| *word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Why a text is no rule. The message says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    /// It begins with none of the words.
    #[error("`{0}` is not a rule of masking: use `keep`, `null`, `hash`, `fake KIND` or `shift DAYSd`")]
    Unknown(String),
    /// Nothing is invented of such a kind.
    #[error("`{0}` is not a kind of fake: use one of {kinds}", kinds = Kind::words().collect::<Vec<_>>().join(", "))]
    Kind(String),
    /// The days are no number, or none that makes sense.
    #[error("`{0}` is not a shift: use a number of days from 1 to {MOST_DAYS}, as in `shift 30d`")]
    Shift(String),
}

impl FromStr for Kind {
    type Err = InvalidRule;

    fn from_str(word: &str) -> Result<Self, InvalidRule> {
        let found = Self::ALL.into_iter().find(|(other, _)| *other == word);
        found.map(|(_, kind)| kind).ok_or_else(|| InvalidRule::Kind(word.to_owned()))
    }
}

impl FromStr for Rule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let words: Vec<_> = text.split_whitespace().collect();
        match words[..] {
            ["keep"] => Ok(Self::Keep),
            ["null"] => Ok(Self::Null),
            ["hash"] => Ok(Self::Hash),
            ["fake", kind] => kind.parse().map(Self::Fake),
            ["shift", days] => shift(days).ok_or_else(|| InvalidRule::Shift(days.to_owned())),
            _ => Err(InvalidRule::Unknown(text.to_owned())),
        }
    }
}

fn shift(text: &str) -> Option<Rule> {
    let days = text.strip_suffix('d')?.parse().ok()?;
    (1..=MOST_DAYS).contains(&days).then_some(Rule::Shift { days })
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keep => f.write_str("keep"),
            Self::Null => f.write_str("null"),
            Self::Hash => f.write_str("hash"),
            Self::Fake(kind) => write!(f, "fake {kind}"),
            Self::Shift { days } => write!(f, "shift {days}d"),
        }
    }
}

impl TryFrom<String> for Rule {
    type Error = InvalidRule;

    fn try_from(text: String) -> Result<Self, InvalidRule> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        let mut rules = vec![Rule::Keep, Rule::Null, Rule::Hash, Rule::Shift { days: 30 }];
        rules.extend(Kind::ALL.map(|(_, kind)| Rule::Fake(kind)));
        for rule in rules {
            assert_eq!(rule.to_string().parse(), Ok(rule));
            let json = serde_json::to_string(&rule).unwrap();
            assert_eq!(json, format!("\"{rule}\""));
            assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule);
        }
        assert_eq!("fake  first_name".parse(), Ok(Rule::Fake(Kind::FirstName)));
    }

    #[test]
    fn what_is_no_rule_says_what_would_be() {
        for text in ["", "hide", "fake", "hash 3", "null null"] {
            assert_eq!(text.parse::<Rule>(), Err(InvalidRule::Unknown(text.to_owned())));
        }
        for days in ["0d", "30", "-1d", "d", "9999999d", "99999999999d"] {
            assert_eq!(format!("shift {days}").parse::<Rule>(), Err(InvalidRule::Shift(days.to_owned())));
        }
        let said = "fake mail".parse::<Rule>().unwrap_err().to_string();
        assert!(said.contains("`mail`") && said.contains("email, phone"), "{said}");
    }
}
