//! The form of a query that people write.

use std::fmt;

use super::{BadCondition, Condition, Direction, Op, Pattern, Query, Source, Text};
use crate::stream::LABELS;
use crate::{Level, Levels};

/// A query that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {why}; {hint}")]
pub struct BadQuery {
    /// Where, in characters from 1.
    pub column: usize,
    /// What is wrong.
    pub why: String,
    /// What to do.
    pub hint: String,
}

/// Comparisons, those first that begin like another one.
const OPS: [(&str, Op); 10] = [
    ("!=", Op::NotEqual),
    ("!~", Op::Unlike),
    ("=~", Op::Like),
    ("==", Op::Equal),
    ("=", Op::Equal),
    ("<=", Op::AtMost),
    ("<", Op::Less),
    (">=", Op::AtLeast),
    (">", Op::Greater),
    (":", Op::Equal),
];

const LEVEL: &str = "level";

pub(super) fn parse(text: &str) -> Result<Query, BadQuery> {
    let mut reader = Reader { text, at: 0 };
    let mut query = Query::default();
    loop {
        reader.blanks();
        if reader.rest().is_empty() {
            return Ok(query);
        }
        reader.term(&mut query)?;
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn wrong<T>(&self, at: usize, why: impl Into<String>, hint: impl Into<String>) -> Result<T, BadQuery> {
        let column = self.text[..at].chars().count() + 1;
        Err(BadQuery { column, why: why.into(), hint: hint.into() })
    }

    fn term(&mut self, query: &mut Query) -> Result<(), BadQuery> {
        let start = self.at;
        let wanted = match self.rest().strip_prefix('-') {
            Some(after) if after.starts_with(char::is_whitespace) || after.is_empty() => {
                return self.wrong(
                    start,
                    "`-` stands alone",
                    "write it in front of what lines must not have: `-health`",
                );
            }
            Some(_) => {
                self.at += 1;
                false
            }
            None => true,
        };
        if self.rest().starts_with('"') {
            let phrase = self.quoted()?;
            self.ends()?;
            return self.text(query, start, &phrase, wanted);
        }
        if self.rest().starts_with('/') {
            let from = self.at;
            return match Pattern::regex(&self.pattern()?) {
                Ok(pattern) => {
                    query.texts.push(Text { pattern, wanted });
                    Ok(())
                }
                Err(error) => {
                    let hint = "put a text that is no pattern in quotes";
                    self.wrong(from, format!("the pattern cannot be read: {}", error.why), hint)
                }
            };
        }
        if let Some((name, op)) = self.comparison() {
            return self.condition(query, start, name, op, wanted);
        }
        let word = self.word();
        if let "OR" | "AND" | "NOT" | "|" | "||" | "&&" = word {
            return self.wrong(start, format!("`{word}` means nothing here"), advice(word));
        }
        self.text(query, start, word, wanted)
    }

    fn text(&self, query: &mut Query, start: usize, text: &str, wanted: bool) -> Result<(), BadQuery> {
        if text.is_empty() {
            return self.wrong(start, "there is no text between the quotes", "write a text, or leave it out");
        }
        match Pattern::phrase(text) {
            Ok(pattern) => query.texts.push(Text { pattern, wanted }),
            Err(error) => return self.wrong(start, error.why, "write a shorter text"),
        }
        Ok(())
    }

    /// What is up to the next blank.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let word = &rest[..rest.find(char::is_whitespace).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    /// A name and how its value is compared, if that is what comes next.
    fn comparison(&mut self) -> Option<(&'a str, Op)> {
        let rest = self.rest();
        let inner = |letter: char| letter.is_ascii_alphanumeric() || "_.-@".contains(letter);
        let length = rest.find(|letter| !inner(letter)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(length);
        if !name.starts_with(|first: char| first.is_ascii_alphabetic() || "_@".contains(first)) {
            return None;
        }
        let (sign, op) = OPS.into_iter().find(|(sign, _)| after.starts_with(sign))?;
        if sign == ":" && name != LEVEL && !LABELS.contains(&name) {
            return None;
        }
        self.at += length + sign.len();
        Some((name, op))
    }

    fn condition(&mut self, query: &mut Query, start: usize, name: &str, op: Op, wanted: bool) -> Result<(), BadQuery> {
        let from = self.at;
        let value = if self.rest().starts_with('"') {
            let value = self.quoted()?;
            self.ends()?;
            value
        } else {
            let word = self.word().to_owned();
            if word.is_empty() {
                let hint = format!("write one, or `{name}=\"\"` for lines that have none");
                return self.wrong(from, format!("`{name}` has no value"), hint);
            }
            word
        };
        if name == LEVEL {
            let levels = self.levels(from, op, &value)?;
            query.levels = query.levels.both(if wanted { levels } else { levels.others() });
            return Ok(());
        }
        let op = match op.inverse() {
            _ if wanted => op,
            Some(inverse) => inverse,
            None => {
                return self.wrong(
                    start,
                    "`-` cannot stand before a comparison of numbers",
                    "turn the comparison round",
                );
            }
        };
        let condition = match Condition::new(name, op, value) {
            Ok(condition) => condition,
            Err(BadCondition::Pattern(error)) => {
                let hint = format!("write `{name}=` for a value that is no pattern");
                return self.wrong(from, format!("the pattern cannot be read: {}", error.why), hint);
            }
            Err(error @ BadCondition::Number(_)) => {
                return self.wrong(from, error.to_string(), "put it in quotes to search for the text");
            }
        };
        if LABELS.contains(&name) {
            query.labels.push(condition);
        } else {
            query.fields.push(condition);
        }
        Ok(())
    }

    fn levels(&self, from: usize, op: Op, value: &str) -> Result<Levels, BadQuery> {
        const KNOWN: &str = "levels are trace, debug, info, warn, error, fatal, and none for lines without one";
        let mut all = Levels::NONE;
        for name in value.split(',') {
            let level = Level::named(name);
            if level.is_none() && name != "none" {
                return self.wrong(from, format!("`{name}` is no level"), KNOWN);
            }
            let levels = match (op, level) {
                (Op::Equal | Op::NotEqual, _) => Levels::only(level),
                (Op::AtLeast, Some(level)) => Levels::at_least(level),
                (Op::Greater, Some(level)) => Levels::at_least(level).both(Levels::only(Some(level)).others()),
                (Op::Less, Some(level)) => Levels::at_least(level).either(Levels::only(None)).others(),
                (Op::AtMost, Some(level)) => {
                    let above = Levels::at_least(level).both(Levels::only(Some(level)).others());
                    above.either(Levels::only(None)).others()
                }
                _ => {
                    return self.wrong(
                        from,
                        "levels are not compared like that",
                        "write `level>=warn` or `level:error`",
                    );
                }
            };
            all = all.either(levels);
        }
        Ok(if op == Op::NotEqual { all.others() } else { all })
    }

    /// What is between quotes.
    fn quoted(&mut self) -> Result<String, BadQuery> {
        let start = self.at;
        let mut value = String::new();
        let mut letters = self.text[start + 1..].char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.at = start + 1 + at + 1;
                    return Ok(value);
                }
                '\\' => match letters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, 'r')) => value.push('\r'),
                    Some((_, letter @ ('"' | '\\'))) => value.push(letter),
                    Some((_, other)) => {
                        let hint = "write `\\\\` for a backslash";
                        return self.wrong(start + 1 + at, format!("`\\{other}` means nothing in quotes"), hint);
                    }
                    None => break,
                },
                letter => value.push(letter),
            }
        }
        self.wrong(start, "the quotes are not closed", "write `\"` after the text")
    }

    /// What is between slashes.
    fn pattern(&mut self) -> Result<String, BadQuery> {
        let start = self.at;
        let mut pattern = String::new();
        let mut letters = self.text[start + 1..].char_indices().peekable();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '/' => {
                    self.at = start + 1 + at + 1;
                    self.ends()?;
                    if pattern.is_empty() {
                        break;
                    }
                    return Ok(pattern);
                }
                '\\' => match letters.next() {
                    Some((_, '/')) => pattern.push('/'),
                    Some((_, other)) => pattern.extend(['\\', other]),
                    None => break,
                },
                letter => pattern.push(letter),
            }
        }
        let hint = "write `/pattern/`, or put a text that begins with a slash in quotes";
        self.wrong(start, "the pattern does not end with a slash", hint)
    }

    /// After quotes and slashes there is a blank, or nothing.
    fn ends(&self) -> Result<(), BadQuery> {
        let rest = self.rest();
        if rest.is_empty() || rest.starts_with(char::is_whitespace) {
            return Ok(());
        }
        self.wrong(self.at, "a blank is missing", "put one between two terms, or all of it in quotes")
    }
}

fn advice(word: &str) -> &'static str {
    match word {
        "OR" | "||" => "search for one of several with `/one|other/`, or put the word in quotes",
        "AND" | "&&" => "leave it out, since lines have to fit all terms, or put it in quotes",
        "NOT" => "write `-` in front of what lines must not have, or put the word in quotes",
        _ => "put it in quotes to search for it",
    }
}

/// A value in quotes.
pub(super) fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for letter in text.chars() {
        match letter {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
            letter => write!(f, "{letter}")?,
        }
    }
    f.write_str("\"")
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.wanted { "" } else { "-" })?;
        match &self.pattern.source {
            Source::Phrase(text) => quoted(f, text),
            Source::Regex(text) => write!(f, "/{}/", text.replace('/', "\\/")),
        }
    }
}

/// What it asks for, as it can be read again: levels, labels, fields and texts. Times, order and limit have no text form.
impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut terms: Vec<String> = Vec::new();
        if self.levels != Levels::ALL {
            let levels = [None].into_iter().chain(Level::ALL.map(Some)).filter(|level| self.levels.has(*level));
            let names: Vec<&str> = levels.map(|level| level.map_or("none", Level::name)).collect();
            let some = format!("level:{}", names.join(","));
            // No line has a level that is none and another one.
            terms.push(if names.is_empty() { "level:none level!=none".to_owned() } else { some });
        }
        terms.extend(self.labels.iter().chain(&self.fields).map(ToString::to_string));
        terms.extend(self.texts.iter().map(ToString::to_string));
        f.write_str(&terms.join(" "))
    }
}

/// `newest` or `oldest`.
impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Newest => "newest",
            Self::Oldest => "oldest",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_write() {
        for (text, expected) in [
            ("", ""),
            ("  timeout \t \"lost it\" ", r#""timeout" "lost it""#),
            ("-health -\"a \\\"b\\\\\\n\"", r#"-"health" -"a \"b\\\n""#),
            (r"/5\d\d$/ -/a\/b/", r"/5\d\d$/ -/a\/b/"),
            ("level>=warn", "level:warn,error,fatal"),
            ("level>warn", "level:error,fatal"),
            ("level<debug", "level:trace"),
            ("level<=debug", "level:trace,debug"),
            ("level:ERR,none", "level:none,error"),
            ("level!=info -level:none", "level:trace,debug,warn,error,fatal"),
            ("level:info level:warn", "level:none level!=none"),
            ("service:web -replica=2 app=~\"a|b\"", r#"service="web" replica!="2" app=~"a|b""#),
            ("user=7 a.b!=\"x y\" took>=250ms c!~d", r#"user="7" a.b!="x y" took>="250ms" c!~"d""#),
            ("http://x.org/?a=1 12:30 é=1 a/b", r#""http://x.org/?a=1" "12:30" "é=1" "a/b""#),
            ("x=\"\" (a) a->b-c", "error"),
        ] {
            match Query::parse(text) {
                Ok(query) => assert_eq!(query.to_string(), expected, "{text}"),
                Err(error) => assert_eq!(expected, "error", "{text}: {error}"),
            }
        }
    }

    #[test]
    fn what_cannot_be_read_says_where_and_what_to_do() {
        for (text, column, why, hint) in [
            ("a OR b", 3, "`OR` means nothing here", "/one|other/"),
            ("é \"lost", 3, "the quotes are not closed", "after the text"),
            ("\"a\"b", 4, "a blank is missing", "between two terms"),
            ("a \"\"", 3, "there is no text", "leave it out"),
            ("\"a\\d\"", 3, "`\\d` means nothing in quotes", "for a backslash"),
            ("x /a(/", 3, "the pattern cannot be read: unclosed group", "in quotes"),
            ("/var/log", 6, "a blank is missing", "in quotes"),
            ("/var", 1, "does not end with a slash", "in quotes"),
            ("level:loud", 7, "`loud` is no level", "trace, debug"),
            ("level=~x", 8, "`x` is no level", "levels are"),
            ("level=~warn", 8, "not compared like that", "level>=warn"),
            ("service:", 9, "`service` has no value", "service=\"\""),
            ("x took>fast", 8, "`fast` is no number", "in quotes"),
            ("-took>5", 1, "`-` cannot stand before", "turn"),
            ("a=~\"(\"", 4, "the pattern cannot be read: unclosed group", "`a=`"),
            ("a - b", 3, "`-` stands alone", "-health"),
            ("a | b", 3, "`|` means nothing here", "in quotes"),
        ] {
            let error = Query::parse(text).expect_err(text);
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.why.contains(why) && error.hint.contains(hint), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_said_so_that_it_is_read_alike(text in "([a-c\"\\\\/=~!<>:é -]|level|service:|1s){0,12}") {
            if let Ok(query) = Query::parse(&text) {
                let said = query.to_string();
                let again = Query::parse(&said).map(|query| query.to_string());
                prop_assert_eq!(again.as_deref(), Ok(said.as_str()));
            }
        }
    }
}
