//! Matchers as Alertmanager writes them: `severity="page"`, `{a=~"b|c", d!=e}`.

use std::fmt;

use daybook_metrics::{Labels, Matcher, Op};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Matchers that all have to hold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matchers(pub Vec<Matcher>);

impl Matchers {
    /// Whether all of them choose these labels.
    pub fn choose(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| matcher.chooses(labels))
    }
}

/// In braces, sorted.
impl fmt::Display for Matchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        all.sort();
        write!(f, "{{{}}}", all.join(","))
    }
}

impl Serialize for Matchers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Matchers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_matchers(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Reads one or more matchers, with or without braces around them; the error says what is wrong.
pub fn parse_matchers(text: &str) -> Result<Matchers, String> {
    let trimmed = text.trim();
    let inner = match (trimmed.strip_prefix('{'), trimmed.strip_suffix('}')) {
        (Some(_), Some(_)) => &trimmed[1..trimmed.len() - 1],
        (None, None) => trimmed,
        _ => return Err(format!("`{text}` has a brace on one side only")),
    };
    let parts = split(inner);
    let last = parts.len().saturating_sub(1);
    // A comma after the last one is allowed.
    let parts = parts.into_iter().enumerate().filter(|(at, part)| *at != last || !part.trim().is_empty());
    parts.map(|(_, part)| matcher(part.trim())).collect::<Result<_, _>>().map(Matchers)
}

/// Splits at commas outside of quotes.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn matcher(text: &str) -> Result<Matcher, String> {
    let bad = || format!("`{text}` is no matcher");
    let (name, rest) = match text.strip_prefix('"') {
        Some(_) => {
            let end = text[1..].find('"').ok_or_else(bad)? + 2;
            (unquoted(&text[..end])?, &text[end..])
        }
        None => {
            let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))).ok_or_else(bad)?;
            (text[..end].to_owned(), &text[end..])
        }
    };
    if name.is_empty() {
        return Err(bad());
    }
    let rest = rest.trim_start();
    const OPS: [(&str, Op); 4] = [("=~", Op::Like), ("!~", Op::Unlike), ("!=", Op::NotEqual), ("=", Op::Equal)];
    let found = OPS.into_iter().find_map(|(written, op)| Some((op, rest.strip_prefix(written)?)));
    let (op, value) = found.ok_or_else(bad)?;
    let value = value.trim();
    let value = if value.starts_with('"') { unquoted(value)? } else { value.to_owned() };
    if value.contains('"') && !rest.contains("\\\"") {
        return Err(bad());
    }
    Matcher::new(name, op, value).map_err(|error| error.to_string())
}

fn unquoted(text: &str) -> Result<String, String> {
    daybook_promql::unquote(text).map_err(|_| format!("`{text}` does not end as it begins"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_are_read_in_all_their_forms() {
        for (text, shown) in [
            ("a=b", r#"{a="b"}"#),
            (r#"{a="b, c", d!~"e|f",}"#, r#"{a="b, c",d!~"e|f"}"#),
            (" a != \"x\" ", r#"{a!="x"}"#),
            ("a=", r#"{a=""}"#),
            (r#""a b"="c""#, r#"{a b="c"}"#),
            (r#"a="\"q\"""#, r#"{a="\"q\""}"#),
            ("{}", "{}"),
        ] {
            assert_eq!(parse_matchers(text).unwrap().to_string(), shown, "{text}");
        }
        for text in ["a", "=b", "{a=b", "a=\"b", "a=~(", "a=b,,c=d"] {
            assert!(parse_matchers(text).is_err(), "{text}");
        }
    }
}
