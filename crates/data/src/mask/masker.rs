//! From a value to the masked one.

use daybook_model::masking::{Kind, Rule};

use super::fakes::{self, Wanted};
use super::json::{self, Leaves};
use super::keyed::{Draws, Key};
use super::{Shape, Text, Type, array, dates, numbers, scan};

/// Letters and digits that a hash needs so that no two are the same: 52 bits.
const LEAST_HASH: usize = 10;
/// Bytes of a hash that has room.
const HASH: usize = 16;

/// Makes masks by a seed. With the same seed the same value becomes the same, in every table and every run; who does not
/// have the seed learns nothing of a value by its masked one, and cannot tell that those of two seeds are of one value.
#[derive(Clone)]
pub struct Masker {
    key: Key,
}

/// Why a rule cannot be that of a column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The column has to have values.
    #[error("it may not be NULL: use another rule than `null`")]
    NotNull,
    /// The rule makes no values of the type.
    #[error("its type is {of}, and `{rule}` makes none: use {instead}")]
    Type {
        /// The type.
        of: String,
        /// The rule.
        rule: Rule,
        /// What could be used.
        instead: &'static str,
    },
    /// Some values would become the same.
    #[error("it is unique, and two values could become the same by `{rule}`: {instead}")]
    NotUnique {
        /// The rule.
        rule: Rule,
        /// What could be done.
        instead: String,
    },
}

/// The mask of a column.
#[derive(Clone)]
pub struct ColumnMask {
    rule: Rule,
    shape: Shape,
    key: Key,
    /// By how many days dates move.
    by: i64,
}

impl Masker {
    /// One of a seed, which is a secret: 16 random bytes or more.
    pub fn new(seed: &[u8]) -> Self {
        Self { key: Key::new(seed) }
    }

    /// The mask of a column. An error if the rule makes no values that the column can have.
    pub fn column(&self, rule: Rule, shape: &Shape) -> Result<ColumnMask, Unfit> {
        fit(rule, shape)?;
        let (label, by) = match rule {
            Rule::Shift { days } => ("shift".to_owned(), dates::shift(&self.key.of("shift"), days)),
            other => (other.to_string(), 0),
        };
        Ok(ColumnMask { rule, shape: shape.clone(), key: self.key.of(&label), by })
    }
}

/// Whether a rule makes values that a column can have.
pub(super) fn fit(rule: Rule, shape: &Shape) -> Result<(), Unfit> {
    match rule {
        Rule::Keep => return Ok(()),
        Rule::Null => {
            return if null_of(shape).is_none_or(|empty| !empty.is_empty()) { Ok(()) } else { Err(Unfit::NotNull) };
        }
        _ => {}
    }
    let takes = |fits: bool, instead| {
        if fits { Ok(()) } else { Err(Unfit::Type { of: word(&shape.of), rule, instead }) }
    };
    takes_of(&shape.of, rule, &takes)?;
    if !shape.is_unique {
        return Ok(());
    }
    let room = |least: Option<usize>, most: Option<usize>| match least {
        Some(least) if most.is_none_or(|most| most >= least) => Ok(()),
        Some(least) => Err(format!("it has room for {} characters, and {least} are needed", most.unwrap_or(0))),
        None => Err("there are not enough of them".to_owned()),
    };
    let enough = match (&shape.of, rule) {
        (Type::Text(text), Rule::Fake(kind)) => room(fakes::least_when_unique(kind), text.most),
        (Type::Text(text), _) => room(Some(LEAST_HASH), text.most),
        (Type::Bytes { most }, _) => room(Some(8), *most),
        (Type::Date | Type::Timestamp, Rule::Fake(_)) => room(None, None),
        (Type::Float | Type::Json | Type::Array(_), _) => room(None, None),
        _ => Ok(()),
    };
    enough.map_err(|instead| Unfit::NotUnique { rule, instead })
}

fn takes_of(of: &Type, rule: Rule, takes: &impl Fn(bool, &'static str) -> Result<(), Unfit>) -> Result<(), Unfit> {
    let is_hash = rule == Rule::Hash;
    match of {
        Type::Integer { .. } | Type::Decimal { .. } | Type::Float => {
            takes(is_hash || rule == Rule::Fake(Kind::Number), "`hash`, `fake number` or `null`")
        }
        Type::Text(_) | Type::Json => takes(!matches!(rule, Rule::Shift { .. }), "`hash`, `fake KIND` or `null`"),
        Type::Uuid => takes(is_hash || rule == Rule::Fake(Kind::Uuid), "`hash` or `null`"),
        Type::Date | Type::Timestamp => {
            let fits = matches!(rule, Rule::Shift { .. } | Rule::Fake(Kind::Date));
            takes(fits, "`shift DAYSd`, `fake date` or `null`")
        }
        Type::Bytes { .. } => takes(is_hash, "`hash` or `null`"),
        Type::Inet => takes(is_hash || rule == Rule::Fake(Kind::Ip), "`fake ip`, `hash` or `null`"),
        Type::Array(of) => takes_of(of, rule, takes),
        Type::Other(_) => takes(false, "`null`, or `keep` if it says nothing of anybody"),
    }
}

fn word(of: &Type) -> String {
    match of {
        Type::Integer { .. } => "a whole number",
        Type::Decimal { .. } | Type::Float => "a number",
        Type::Text(_) => "a text",
        Type::Uuid => "a UUID",
        Type::Date => "a date",
        Type::Timestamp => "a time",
        Type::Json => "JSON",
        Type::Bytes { .. } => "bytes",
        Type::Inet => "an internet address",
        Type::Array(of) => return format!("an array, each {}", word(of)),
        Type::Other(name) => return name.clone(),
    }
    .to_owned()
}

/// What stands for no value; an empty text where nothing can.
fn null_of(shape: &Shape) -> Option<&'static str> {
    match &shape.of {
        _ if shape.is_nullable => None,
        Type::Json | Type::Array(_) => Some("{}"),
        _ => Some(""),
    }
}

impl ColumnMask {
    /// The masked value of a value that is not NULL; `None` is NULL. Values are in the database's own text form.
    ///
    /// The empty text stays, and so does what is nobody's: `NaN`, `infinity`, `0000-00-00`. Nothing else stays.
    pub fn mask(&self, value: &str) -> Option<String> {
        match self.rule {
            Rule::Keep => Some(value.to_owned()),
            Rule::Null => null_of(&self.shape).map(str::to_owned),
            _ => self.masked(&self.shape.of, value),
        }
    }

    fn masked(&self, of: &Type, value: &str) -> Option<String> {
        if value.is_empty() {
            return Some(String::new());
        }
        let is_alike = self.rule == Rule::Fake(Kind::Number) && !self.shape.is_unique;
        let key = &self.key;
        match of {
            Type::Integer { bits, is_unsigned } if is_alike => numbers::integer_alike(key, *bits, *is_unsigned, value),
            Type::Integer { bits, is_unsigned } => numbers::integer(key, *bits, *is_unsigned, value),
            Type::Decimal { .. } if is_alike => numbers::decimal_alike(key, value),
            Type::Decimal { precision } => numbers::decimal(key, *precision, value),
            Type::Float => numbers::digits(key, value),
            Type::Text(text) => Some(self.text(*text, value, self.shape.is_unique)),
            Type::Uuid => Some(self.another(value, Draws::uuid)),
            Type::Date | Type::Timestamp => Some(self.date(*of == Type::Timestamp, value)),
            Type::Json => Some(json::changed(value, self)),
            Type::Bytes { .. } if value == "\\x" => Some(value.to_owned()),
            Type::Bytes { most } => {
                let length = most.unwrap_or(2 * HASH).min(2 * HASH);
                Some(self.another(value, |draws| format!("\\x{}", draws.hex(length))))
            }
            Type::Inet => {
                let is_six = value.contains(':') || self.shape.is_unique;
                Some(self.another(value, |draws| fakes::ip(draws, is_six)))
            }
            Type::Array(of) => Some(array::each(value, |element| self.masked(of, element))),
            // No rule fits such a column but those that have been answered above.
            Type::Other(_) => None,
        }
    }

    /// Draws until something else comes out.
    fn another(&self, value: &str, draw: impl Fn(&mut Draws) -> String) -> String {
        let drawn = (0..).map(|attempt| draw(&mut self.key.draws(value.as_bytes(), attempt)));
        drawn.into_iter().find(|other| other != value).unwrap_or_default()
    }

    fn date(&self, has_time: bool, value: &str) -> String {
        match self.rule {
            Rule::Shift { .. } => dates::moved(value, self.by).unwrap_or_else(|| value.to_owned()),
            _ if has_time => self.another(value, |draws| format!("{} {}", dates::invented(draws), dates::time(draws))),
            _ => self.another(value, dates::invented),
        }
    }

    fn text(&self, text: Text, value: &str, is_unique: bool) -> String {
        /// After so many there is no other fake: a kind with a single value where there is room for one letter.
        const ATTEMPTS: u32 = 64;
        let original = text.same(value);
        if original.is_empty() {
            return value.to_owned();
        }
        if self.rule == Rule::Fake(Kind::Number)
            && let Some(other) = self.all_digits(&original)
        {
            return other;
        }
        let draws = |attempt| self.key.draws(original.as_bytes(), attempt);
        let fake = |attempt| match self.rule {
            Rule::Fake(kind) if attempt < ATTEMPTS => {
                let wanted = Wanted { kind, original: &original, most: text.most, is_unique };
                fakes::invent(&mut draws(attempt), wanted)
            }
            _ => hash(&mut draws(attempt), text.most),
        };
        let is_other = |other: &String| !other.is_empty() && text.same(other) != original;
        (0..).map(fake).find(is_other).unwrap_or_default()
    }

    /// Another number of as many digits, and not that of any other.
    fn all_digits(&self, value: &str) -> Option<String> {
        let is_number = value.len() <= 37 && value.bytes().all(|byte| byte.is_ascii_digit());
        let number: u128 = value.parse().ok().filter(|_| is_number)?;
        let width = value.len();
        Some(format!("{:0width$}", self.key.other(10_u128.pow(width as u32), number)))
    }
}

fn hash(draws: &mut Draws, most: Option<usize>) -> String {
    match most {
        // Letters and digits say more than hexadecimal digits where there is little room.
        Some(most) if most < 2 * HASH => draws.letters(most),
        _ => draws.hex(HASH),
    }
}

impl Leaves for ColumnMask {
    fn text(&self, text: &str) -> String {
        ColumnMask::text(self, Text::ANY, text, false)
    }

    fn number(&self, number: &str) -> String {
        let whole = numbers::integer_alike(&self.key, 64, false, number).filter(|_| number.parse::<i64>().is_ok());
        whole.or_else(|| numbers::digits(&self.key, number)).unwrap_or_else(|| "0".to_owned())
    }

    fn name(&self, name: &str) -> String {
        if scan::content(name).is_none() {
            return name.to_owned();
        }
        self.another(name, |draws| draws.hex(HASH))
    }
}

#[cfg(test)]
mod tests;
