//! Files of `NAME=value` lines, by the rules of Compose's env files.

use std::collections::BTreeMap;

/// A line that is no assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Line, from 1.
    pub(crate) line: usize,
    /// What is wrong with it.
    pub(crate) why: &'static str,
}

/// Replaces the variables of a value that begins on a line, given the assignments before it.
type Expand<'e> = &'e dyn Fn(usize, &str, &BTreeMap<String, String>) -> String;

/// The assignments of `text` in their order. A name without `=` has no value: whoever asks takes it
/// from the environment.
pub(crate) fn parse(text: &str, expand: Expand<'_>) -> Result<Vec<(String, Option<String>)>, BadLine> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut out: Vec<(String, Option<String>)> = Vec::new();
    let mut known = BTreeMap::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let wrong = |why| BadLine { line: index + 1, why };
        let line = line.trim_start();
        if line.trim_end().is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let (name, value) = match line.find(['=', ':']) {
            Some(at) => (line[..at].trim(), Some(line[at + 1..].trim_start())),
            None => (line.trim(), None),
        };
        if name.is_empty() {
            return Err(wrong("a name must stand before `=`"));
        }
        if name.chars().any(|c| c.is_whitespace() || c == '\0' || matches!(c, '"' | '\'' | '$' | '{' | '}')) {
            return Err(wrong("this is not a variable name"));
        }
        let value = match value {
            None => None,
            Some(value) => {
                let mut more = || lines.next().map(|(_, line)| line);
                let (text, literal) = read_value(value, &mut more).map_err(wrong)?;
                Some(if literal { text } else { expand(index + 1, &text, &known) })
            }
        };
        if let Some(value) = &value {
            known.insert(name.to_owned(), value.clone());
        }
        out.push((name.to_owned(), value));
    }
    Ok(out)
}

/// The assignments of a file of `NAME=value` lines, none of which may need another: `${NAME}` in a value is refused.
/// The error names the line.
pub fn assignments(text: &str) -> Result<Vec<(String, String)>, String> {
    let refers = std::cell::Cell::new(None);
    let as_written = |line: usize, value: &str, _: &BTreeMap<String, String>| {
        if value.contains("${") && refers.get().is_none() {
            refers.set(Some(line));
        }
        value.to_owned()
    };
    let all = parse(text, &as_written).map_err(|bad| format!("line {}: {}", bad.line, bad.why))?;
    match refers.get() {
        Some(line) => Err(format!("line {line}: it refers to another variable: write what it stands for")),
        None => Ok(all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()),
    }
}

/// The assignments of a `format: raw` file: everything after `=` as it stands.
pub(crate) fn parse_raw(text: &str) -> Vec<(String, Option<String>)> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    lines
        .map(|line| match line.split_once('=') {
            Some((name, value)) => (name.trim().to_owned(), Some(value.to_owned())),
            None => (line.trim().to_owned(), None),
        })
        .collect()
}

/// A value that begins with `head`, and whether its variables stay as they are.
fn read_value<'t>(head: &'t str, more: &mut dyn FnMut() -> Option<&'t str>) -> Result<(String, bool), &'static str> {
    match head.chars().next() {
        Some('\'') => Ok((quoted(&head[1..], '\'', more)?, true)),
        Some('"') => Ok((unescape(&quoted(&head[1..], '"', more)?), false)),
        _ => Ok((unquoted(head).to_owned(), false)),
    }
}

/// Up to the closing quote, over lines where it must. A backslash keeps the quote after it.
fn quoted<'t>(head: &str, quote: char, more: &mut dyn FnMut() -> Option<&'t str>) -> Result<String, &'static str> {
    let mut text = String::new();
    let mut line = head.to_owned();
    loop {
        let mut escaped = false;
        for (at, c) in line.char_indices() {
            if c == quote && !escaped {
                text.push_str(&line[..at]);
                return Ok(text);
            }
            escaped = c == '\\' && !escaped;
        }
        text.push_str(&line);
        text.push('\n');
        line = more().ok_or("the quote is not closed")?.to_owned();
    }
}

/// Up to a comment, which has a space before its `#`.
fn unquoted(value: &str) -> &str {
    if value.starts_with('#') {
        return "";
    }
    let end = value.find(" #").or_else(|| value.find("\t#")).unwrap_or(value.len());
    value[..end].trim_end()
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some('$') => out.push_str("$$"),
                Some(c @ ('"' | '\'' | '\\')) => out.push(c),
                Some(c) => out.extend(['\\', c]),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, Option<String>)> {
        parse(text, &|_, value, known| value.replace("$A", known.get("A").map_or("", String::as_str))).unwrap()
    }

    fn pairs(text: &str) -> String {
        read(text).into_iter().map(|(k, v)| format!("{k}={v:?};")).collect()
    }

    #[test]
    fn values_are_read_as_compose_reads_them() {
        for (text, expect) in [
            ("A=1", "A=Some(\"1\");"),
            ("export A = 1 # note", "A=Some(\"1\");"),
            ("A: b", "A=Some(\"b\");"),
            ("A=", "A=Some(\"\");"),
            ("A", "A=None;"),
            ("A=x#y", "A=Some(\"x#y\");"),
            ("A=\"a # b\\n\" # c", "A=Some(\"a # b\\n\");"),
            ("A='$A \\n'", "A=Some(\"$A \\\\n\");"),
            ("A=1\nB=${A}$A", "A=Some(\"1\");B=Some(\"${A}1\");"),
            ("A=\"one\ntwo\"\nB=3", "A=Some(\"one\\ntwo\");B=Some(\"3\");"),
            ("\u{feff}# c\r\nA=1\r\n", "A=Some(\"1\");"),
            ("A=postgres://u:p@h/d?x=1", "A=Some(\"postgres://u:p@h/d?x=1\");"),
        ] {
            assert_eq!(pairs(text), expect, "{text:?}");
        }
    }

    #[test]
    fn lines_that_are_no_assignments_are_named() {
        let expand = |_: usize, value: &str, _: &BTreeMap<String, String>| value.to_owned();
        assert_eq!(parse("A=1\n=2", &expand).unwrap_err().line, 2);
        assert_eq!(parse("A B=1", &expand).unwrap_err().line, 1);
        assert_eq!(parse("A='x", &expand).unwrap_err().why, "the quote is not closed");
    }

    #[test]
    fn raw_values_stay_as_they_stand() {
        assert_eq!(parse_raw("A='x' # $y\n"), [("A".to_owned(), Some("'x' # $y".to_owned()))]);
    }
}
