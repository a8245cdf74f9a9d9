//! Finds columns that look as if they held personal data, by what they are called and what is in them.

use std::net::IpAddr;

use daybook_model::masking::{Kind, Rule};

use super::fakes::remainder;
use super::{ColumnName, Type};
use names::{ABOUT, NAMES, PEOPLE};

mod names;

/// Of the values that are looked at, so many of a hundred have to look alike: notes may mention one address.
const MOST_OF: usize = 60;

/// A column to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampled {
    /// Its name.
    pub name: ColumnName,
    /// Its type.
    pub of: Type,
    /// Whether there is a rule for it, be it `keep`: somebody has looked at it.
    pub has_rule: bool,
    /// Some of its values.
    pub samples: Vec<String>,
}

/// A column that looks personal and has no rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// The column.
    pub column: ColumnName,
    /// Why, in words: "it is called `email`".
    pub why: String,
    /// The rule that would hide it.
    pub suggested: Rule,
}

/// The columns that look personal and have no rule, in their order.
pub fn scan(columns: &[Sampled]) -> Vec<Suspect> {
    columns.iter().filter(|column| !column.has_rule).filter_map(suspect).collect()
}

fn suspect(column: &Sampled) -> Option<Suspect> {
    let found = |why, rule| Suspect { column: column.name.clone(), why, suggested: fitting(&column.of, rule) };
    if let Some(rule) = called(&column.name.column, &column.name.table.table).filter(|_| can_tell(&column.of)) {
        return Some(found(format!("it is called `{}`", column.name.column), rule));
    }
    if column.of == Type::Inet {
        return Some(found("it holds internet addresses".to_owned(), Rule::Fake(Kind::Ip)));
    }
    let (what, kind) = mostly(&column.of, &column.samples)?;
    let rule = if kind == Kind::Date { Rule::Shift { days: 30 } } else { Rule::Fake(kind) };
    Some(found(format!("its values look like {what}"), rule))
}

/// Whether values of the type can say anything of anybody.
fn can_tell(of: &Type) -> bool {
    !matches!(of, Type::Other(name) if name == "boolean")
}

/// The rule, or one that makes values of the type.
fn fitting(of: &Type, rule: Rule) -> Rule {
    match of {
        Type::Array(of) => fitting(of, rule),
        Type::Text(_) | Type::Json => rule,
        Type::Integer { .. } | Type::Decimal { .. } | Type::Float if rule == Rule::Fake(Kind::Number) => rule,
        Type::Integer { .. } | Type::Decimal { .. } | Type::Float | Type::Bytes { .. } | Type::Uuid => Rule::Hash,
        Type::Date | Type::Timestamp => Rule::Shift { days: 30 },
        Type::Inet => Rule::Fake(Kind::Ip),
        Type::Other(_) => Rule::Null,
    }
}

fn called(column: &str, table: &str) -> Option<Rule> {
    let words = words(column);
    let is_about = words.last().is_some_and(|last| words.len() > 1 && ABOUT.contains(&last.as_str()));
    let has = |row: &[&str]| words.windows(row.len()).any(|some| some.iter().eq(row));
    let found = NAMES.iter().find(|(row, _)| has(row) && (!is_about || row.last() == Some(&"id")));
    let found = found.map(|(_, rule)| *rule);
    let is_of_people = self::words(table).iter().any(|word| PEOPLE.contains(&word.as_str()));
    found.or_else(|| (words == ["name"] && is_of_people).then_some(Rule::Fake(Kind::Name)))
}

/// The words of a name in snake or camel case, in small letters.
fn words(name: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let begins = !c.is_alphanumeric() || (c.is_uppercase() && !before.is_uppercase());
        if begins {
            all.push(String::new());
        }
        if let (true, Some(last)) = (c.is_alphanumeric(), all.last_mut()) {
            last.extend(c.to_lowercase());
        }
        before = c;
    }
    all.retain(|word| !word.is_empty());
    all
}

/// What most of the values look like.
fn mostly(of: &Type, samples: &[String]) -> Option<(&'static str, Kind)> {
    if *of == Type::Date && are_births(samples) {
        return Some(("dates of birth", Kind::Date));
    }
    if !matches!(of, Type::Text(_) | Type::Json | Type::Array(_)) {
        return None;
    }
    let values: Vec<_> = samples.iter().filter(|value| !value.trim().is_empty()).collect();
    let looks: Vec<_> = values.iter().filter_map(|value| content(value)).collect();
    let (what, kind) = *looks.first()?;
    let alike = looks.iter().filter(|(_, other)| *other == kind).count();
    // Within JSON and arrays one is enough: each holds many things.
    let is_within = !matches!(of, Type::Text(_));
    (is_within || alike * 100 >= values.len() * MOST_OF).then_some((what, kind))
}

/// Whether days are spread over years as those of births are, and nearly none is of the present.
fn are_births(samples: &[String]) -> bool {
    let years = samples.iter().filter_map(|day| day.split('-').next()?.parse::<i32>().ok());
    let (of_births, others): (Vec<_>, Vec<_>) = years.partition(|year| (1920..=2010).contains(year));
    let spread = of_births.iter().max().zip(of_births.iter().min()).map_or(0, |(last, first)| last - first);
    of_births.len() >= 5 && spread >= 10 && others.len() * 10 <= of_births.len()
}

/// What a value looks like, if it looks like something personal.
pub(super) fn content(value: &str) -> Option<(&'static str, Kind)> {
    let value = value.trim();
    if has_email(value) {
        return Some(("e-mail addresses", Kind::Email));
    }
    if value.len() > 64 {
        return None;
    }
    if is_iban(value) {
        return Some(("bank accounts", Kind::Iban));
    }
    if value.parse::<IpAddr>().is_ok() && !value.starts_with("::") {
        return Some(("internet addresses", Kind::Ip));
    }
    if is_card(value) {
        return Some(("numbers of cards", Kind::Number));
    }
    if is_phone(value) {
        return Some(("telephone numbers", Kind::Phone));
    }
    None
}

fn has_email(value: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@');
    value.split(|c| !is_part(c)).any(|word| {
        let Some((user, domain)) = word.split_once('@') else { return false };
        let Some((host, top)) = domain.rsplit_once('.') else { return false };
        !user.is_empty()
            && !host.is_empty()
            && !host.contains('@')
            && top.len() >= 2
            && top.chars().all(char::is_alphabetic)
    })
}

fn is_iban(value: &str) -> bool {
    let bare: String = value.chars().filter(|c| *c != ' ').collect();
    let bytes = bare.as_bytes();
    (15..=34).contains(&bytes.len())
        && bytes.iter().all(u8::is_ascii_alphanumeric)
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2..4].iter().all(u8::is_ascii_digit)
        && remainder(&format!("{}{}", &bare[4..], &bare[..4])) == 1
}

/// Thirteen to nineteen digits that begin as cards do and add up (Luhn).
fn is_card(value: &str) -> bool {
    let digits: Vec<u32> = value.chars().filter_map(|c| c.to_digit(10)).collect();
    let sum: u32 = (digits.iter().rev().enumerate())
        .map(|(at, digit)| if at % 2 == 0 { *digit } else { digit * 2 / 10 + digit * 2 % 10 })
        .sum();
    value.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-'))
        && (13..=19).contains(&digits.len())
        && matches!(digits[0], 2..=6)
        && sum.is_multiple_of(10)
}

/// Seven to fifteen digits with what people write between them; bare digits could be any number.
fn is_phone(value: &str) -> bool {
    let digits = value.chars().filter(char::is_ascii_digit).count();
    let is_written = value.starts_with('+') || (value.starts_with('(') && value.contains(')'));
    let is_allowed = |c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '(' | ')' | '.' | '/');
    (7..=15).contains(&digits) && value.chars().all(is_allowed) && (is_written || is_grouped(value))
}

/// `555-867-5309`, `0151 2345 678`; not `2024-01-31`, which is a day.
fn is_grouped(value: &str) -> bool {
    let groups: Vec<_> = value.split([' ', '-', '.']).collect();
    let is_number = groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_digit()));
    is_number && groups.len() >= 3 && groups[0].len() == 3 && groups[1..].iter().all(|group| group.len() >= 3)
        || is_number && groups.len() >= 2 && value.starts_with('0') && groups[0].len() >= 3
}

#[cfg(test)]
mod tests;
