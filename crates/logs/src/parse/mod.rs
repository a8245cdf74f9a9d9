//! What a line says: its level, its message, its fields.
//!
//! A line may be a JSON object, pairs as logfmt has them (`level=info msg="it runs"`), or plain, where pairs may be in it as
//! well. Nothing is changed by it: the text of a line stays what it is, and is read again whenever somebody asks.

mod json;
mod pairs;
mod plain;

use std::borrow::Cow;

use crate::Level;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// How it is written.
    pub form: Form,
    /// How grave it is.
    pub level: Option<Level>,
    /// Names and values in their order. What is nested in JSON has names with dots (`http.status`); a list is one value, as it is
    /// written; `null` is no value.
    pub fields: Vec<Pair<'a>>,
}

/// A name and its value.
pub type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// How a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A JSON object.
    Json,
    /// Pairs from its start on.
    Logfmt,
    /// Anything else.
    Plain,
}

/// What fields are called that say how grave a line is.
const LEVEL: [&str; 11] = [
    "level",
    "lvl",
    "severity",
    "log.level",
    "loglevel",
    "log_level",
    "levelname",
    "level_name",
    "severity_text",
    "severitytext",
    "@l",
];

/// What the field with the message is called.
const MESSAGE: [&str; 6] = ["message", "msg", "@m", "@mt", "body", "event"];

/// What fields are called that name a request, without what stands between words; the first that is there counts.
const REQUEST: [&str; 7] =
    ["requestid", "xrequestid", "reqid", "httprequestid", "correlationid", "xcorrelationid", "traceid"];

/// What a line says.
pub fn parse(text: &[u8]) -> Parsed<'_> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Parsed { form: Form::Plain, level: plain::level(text), fields: Vec::new() };
    };
    if let Some(fields) = json::fields(text) {
        let level = level_of(&fields).or_else(|| plain::level(message_of(&fields)?.as_bytes()));
        return Parsed { form: Form::Json, level, fields };
    }
    let (logfmt, fields) = pairs::fields(text);
    let told = || level_of(&fields);
    let guessed = || plain::level(text.as_bytes());
    let (form, level) = if logfmt {
        (Form::Logfmt, told().or_else(|| plain::level(message_of(&fields)?.as_bytes())))
    } else {
        (Form::Plain, guessed().or_else(told))
    };
    Parsed { form, level, fields }
}

/// How grave a line is.
pub fn level(text: &[u8]) -> Option<Level> {
    parse(text).level
}

impl Parsed<'_> {
    /// The value of the first field with this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    /// The message, where a field holds it; else the whole line is the message.
    pub fn message(&self) -> Option<&str> {
        message_of(&self.fields)
    }

    /// The request that the line is about, if it says so.
    pub fn request(&self) -> Option<&str> {
        request_of(self.fields.iter().map(|(name, value)| (name.as_ref(), value.as_ref())))
    }
}

fn message_of<'a>(fields: &'a [Pair<'_>]) -> Option<&'a str> {
    let named = |name: &&str| fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    MESSAGE.iter().find_map(named).map(|(_, value)| value.as_ref())
}

fn level_of(fields: &[Pair<'_>]) -> Option<Level> {
    let is_level = |name: &str| LEVEL.iter().any(|known| known.eq_ignore_ascii_case(name));
    let mut values = fields.iter().filter(|(name, _)| is_level(name)).map(|(_, value)| value.as_ref());
    values.find_map(|value| match value.parse() {
        Ok(number) => Level::numbered(number),
        Err(_) => Level::named(value),
    })
}

/// The value of the field that names a request.
pub(crate) fn request_of<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Option<&'a str> {
    let ranked = fields.filter_map(|(name, value)| Some((request_rank(name)?, value)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, value)| value)
}

/// Whether this is a name for what names a request.
pub(crate) fn names_request(name: &str) -> bool {
    request_rank(name).is_some()
}

fn request_rank(name: &str) -> Option<usize> {
    if name.len() > 24 {
        return None;
    }
    let letters = name.bytes().filter(|byte| !matches!(byte, b'_' | b'-' | b'.')).map(|byte| byte.to_ascii_lowercase());
    let mut plain = [0; 24];
    let mut length = 0;
    for letter in letters {
        plain[length] = letter;
        length += 1;
    }
    REQUEST.iter().position(|known| known.as_bytes() == &plain[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> (Form, Option<Level>, Option<String>, Option<String>) {
        let parsed = parse(text.as_bytes());
        (parsed.form, parsed.level, parsed.message().map(Into::into), parsed.request().map(Into::into))
    }

    #[test]
    fn levels_messages_and_requests_by_their_usual_names() {
        let some = |text: &str| Some(text.to_owned());
        for (text, expected) in [
            (
                r#"{"level":30,"time":1531171074631,"msg":"hello","req":{"id":"r-1"}}"#,
                (Form::Json, Some(Level::Info), some("hello"), some("r-1")),
            ),
            (
                r#"{"severity":"ERROR","message":"no","traceId":"t","requestId":"r"}"#,
                (Form::Json, Some(Level::Error), some("no"), some("r")),
            ),
            (
                r#"{"@l":"Verbose","@mt":"x {y}","log":{"level":"x"}}"#,
                (Form::Json, Some(Level::Trace), some("x {y}"), None),
            ),
            (r#"{"log":{"level":"warn"}}"#, (Form::Json, Some(Level::Warn), None, None)),
            (r#"{"msg":"[error] it fails"}"#, (Form::Json, Some(Level::Error), some("[error] it fails"), None)),
            (
                r#"time=2024-01-01T00:00:00Z level=warning msg="slow \"query\"" x-request-id=a-b"#,
                (Form::Logfmt, Some(Level::Warn), some("slow \"query\""), some("a-b")),
            ),
            ("2024-01-01 10:00:00 ERROR db: lost request_id=77", (Form::Plain, Some(Level::Error), None, some("77"))),
            ("2024/01/01 starting level=debug", (Form::Plain, Some(Level::Debug), None, None)),
            ("just words", (Form::Plain, None, None, None)),
            ("", (Form::Plain, None, None, None)),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
        assert_eq!(parse(b"[warn] \xff").level, Some(Level::Warn));
    }
}
