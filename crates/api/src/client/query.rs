//! Paths and query strings (RFC 3986).

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

/// Escapes one segment of a path or one part of a query string.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    out
}

/// `path` with the fields of `query`, a struct of scalars, as its query string.
pub(super) fn with_query(path: &str, query: &impl Serialize) -> String {
    let Ok(Value::Object(fields)) = serde_json::to_value(query) else {
        unreachable!("a query is a struct of scalars");
    };
    let mut out = path.to_owned();
    let mut separator = '?';
    for (name, value) in fields {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            other => other.to_string(),
        };
        write!(out, "{separator}{name}={}", segment(&text)).expect("writing to a String cannot fail");
        separator = '&';
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::LogsQuery;

    #[test]
    fn a_query_holds_what_is_set_and_nothing_is_left_to_interpret() {
        assert_eq!(with_query("/x", &LogsQuery::default()), "/x");
        let query =
            LogsQuery { service: Some("web,a b&c".to_owned()), tail: Some(5), follow: true, ..Default::default() };
        assert_eq!(with_query("/x", &query), "/x?service=web%2Ca%20b%26c&tail=5&follow=true");
    }
}
