//! The text of a template to pieces: text, and the tokens of each action.

use super::TemplateError;

/// What stands between actions, and the actions.
pub(super) enum Segment {
    Text(String),
    Action { line: usize, tokens: Vec<Token> },
}

/// A token of an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Whether white space stands before it: `.a.b` is one operand, `.a .b` are two.
    pub(super) spaced: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Word(String),
    /// `.name`
    Field(String),
    /// `$name`
    Variable(String),
    Dot,
    Int(i64),
    Float(f64),
    Text(String),
    Open,
    Close,
    Pipe,
    Comma,
    /// `:=`
    Declare,
    /// `=`
    Assign,
}

/// Splits a template. Markers `{{-` and `-}}` take white space away; comments are gone.
pub(super) fn split(text: &str) -> Result<Vec<Segment>, TemplateError> {
    let mut segments = Vec::new();
    let (mut rest, mut trim) = (text, false);
    let (mut counted, mut lines) = (text, 1);
    loop {
        lines += counted[..counted.len() - rest.len()].matches('\n').count();
        counted = rest;
        let line = lines;
        let error = |message: &str| TemplateError { line, message: message.to_owned() };
        let Some((before, after)) = rest.split_once("{{") else {
            push(&mut segments, rest, trim, false);
            return Ok(segments);
        };
        let line = line + before.matches('\n').count();
        let trims_before = after.starts_with('-') && after[1..].starts_with(char::is_whitespace);
        push(&mut segments, before, trim, trims_before);
        let inner = if trims_before { after[1..].trim_start() } else { after };
        if let Some(comment) = inner.strip_prefix("/*") {
            let (_, end) = comment.split_once("*/").ok_or_else(|| error("unclosed comment"))?;
            let trimmed = end.trim_start();
            (trim, rest) = match (end.strip_prefix("}}"), trimmed.strip_prefix("-}}")) {
                (Some(rest), _) => (false, rest),
                (None, Some(rest)) if end.len() > trimmed.len() => (true, rest),
                _ => return Err(error("comment ends before closing delimiter")),
            };
            continue;
        }
        let (tokens, trims_after, after) = action(inner).map_err(|message| TemplateError { line, message })?;
        segments.push(Segment::Action { line, tokens });
        (trim, rest) = (trims_after, after);
    }
}

fn push(segments: &mut Vec<Segment>, text: &str, trim_start: bool, trim_end: bool) {
    let text = if trim_start { text.trim_start() } else { text };
    let text = if trim_end { text.trim_end() } else { text };
    if !text.is_empty() {
        segments.push(Segment::Text(text.to_owned()));
    }
}

/// The tokens of an action, whether it takes away the white space after it, and what comes after it.
fn action(text: &str) -> Result<(Vec<Token>, bool, &str), String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start();
        let spaced = trimmed.len() < rest.len();
        rest = trimmed;
        if let Some(after) = rest.strip_prefix("}}") {
            return Ok((tokens, false, after));
        }
        if let Some(after) = rest.strip_prefix("-}}").filter(|_| spaced) {
            return Ok((tokens, true, after));
        }
        let (kind, after) = token(rest)?;
        tokens.push(Token { kind, spaced });
        rest = after;
    }
}

fn token(text: &str) -> Result<(Kind, &str), String> {
    let first = text.chars().next().ok_or("unclosed action")?;
    let single = |kind| Ok((kind, &text[1..]));
    match first {
        '(' => single(Kind::Open),
        ')' => single(Kind::Close),
        '|' => single(Kind::Pipe),
        ',' => single(Kind::Comma),
        '=' => single(Kind::Assign),
        ':' => text.strip_prefix(":=").map(|rest| (Kind::Declare, rest)).ok_or_else(|| "expected :=".to_owned()),
        '"' => quoted(text),
        '`' => {
            let (inner, rest) = text[1..].split_once('`').ok_or("unterminated raw quoted string")?;
            Ok((Kind::Text(inner.to_owned()), rest))
        }
        '\'' => character(text),
        '$' => {
            let (name, rest) = word(&text[1..]);
            Ok((Kind::Variable(name.to_owned()), rest))
        }
        '.' if !text[1..].starts_with(|c: char| c.is_ascii_digit()) => match word(&text[1..]) {
            ("", rest) => Ok((Kind::Dot, rest)),
            (name, rest) => Ok((Kind::Field(name.to_owned()), rest)),
        },
        '+' | '-' | '.' | '0'..='9' => number(text),
        c if c == '_' || c.is_alphabetic() => {
            let (name, rest) = word(text);
            Ok((Kind::Word(name.to_owned()), rest))
        }
        c => Err(format!("unexpected {c:?} in operand")),
    }
}

fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(text.len()))
}

fn quoted(text: &str) -> Result<(Kind, &str), String> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' => break,
            '"' => {
                let inner = daybook_promql::unquote(&text[..=at])?;
                return Ok((Kind::Text(inner), &text[at + 1..]));
            }
            _ => {}
        }
    }
    Err("unterminated quoted string".to_owned())
}

fn character(text: &str) -> Result<(Kind, &str), String> {
    let bad = || "malformed character constant".to_owned();
    let inner = &text[1..];
    let end = inner.char_indices().skip(1).find(|(at, c)| *c == '\'' && !inner[..*at].ends_with('\\'));
    let (end, _) = end.ok_or_else(bad)?;
    let unquoted = daybook_promql::unquote(&format!("\"{}\"", &inner[..end])).map_err(|_| bad())?;
    let mut chars = unquoted.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok((Kind::Int(u32::from(c).into()), &inner[end + 1..])),
        _ => Err(bad()),
    }
}

fn number(text: &str) -> Result<(Kind, &str), String> {
    let mut previous = ' ';
    let end = text.find(|c: char| {
        let exponent = matches!(c, '+' | '-') && matches!(previous, 'e' | 'E');
        let part = c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || exponent;
        let signs = previous == ' ' && matches!(c, '+' | '-');
        previous = c;
        !part && !signs
    });
    let (written, rest) = text.split_at(end.unwrap_or(text.len()));
    let bad = || format!("bad number syntax: {written:?}");
    let plain = written.replace('_', "");
    if let Some(hex) = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
        return i64::from_str_radix(hex, 16).map(|number| (Kind::Int(number), rest)).map_err(|_| bad());
    }
    if plain.contains(['.', 'e', 'E']) {
        return plain.parse().map(|number| (Kind::Float(number), rest)).map_err(|_| bad());
    }
    plain.parse().map(|number| (Kind::Int(number), rest)).map_err(|_| bad())
}
