//! Pairs of names and values in a line: `level=info msg="it runs" took=3ms`.

use std::borrow::Cow;

use super::Pair;

/// All pairs of a line, and whether it begins with one.
pub(super) fn fields(text: &str) -> (bool, Vec<Pair<'_>>) {
    let bytes = text.as_bytes();
    let mut fields = Vec::new();
    let mut at = bytes.len() - text.trim_ascii_start().len();
    let start = at;
    let mut first = false;
    while let Some(equals) = memchr::memchr(b'=', bytes.get(at..).unwrap_or_default()).map(|found| at + found) {
        let name = equals - bytes[at..equals].iter().rev().take_while(|byte| in_name(**byte)).count();
        let begins = name == start || (name > 0 && opens(bytes[name - 1]));
        if name == equals || !begins || bytes[name].is_ascii_digit() || bytes.get(equals + 1) == Some(&b'=') {
            at = equals + 1;
            continue;
        }
        let (value, end) = value(text, equals + 1);
        first |= name == start;
        fields.push((Cow::Borrowed(&text[name..equals]), value));
        at = end;
    }
    (first, fields)
}

fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-@/".contains(&byte)
}

/// What may stand before a name.
fn opens(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b",;{([|".contains(&byte)
}

/// The value from there on, and where it ends.
fn value(text: &str, from: usize) -> (Cow<'_, str>, usize) {
    let rest = &text[from..];
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, length) = unquote(quoted);
        return (value, from + 1 + length);
    }
    let length = rest.bytes().take_while(|byte| !byte.is_ascii_whitespace()).count();
    (Cow::Borrowed(rest[..length].trim_end_matches([',', ';', '}', ')', ']'])), from + length)
}

/// What is before the next quote, and where that ends; all if there is none.
fn unquote(text: &str) -> (Cow<'_, str>, usize) {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut value: Option<String> = None;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &bytes[at..]).map(|found| at + found) {
        if bytes[found] == b'"' {
            let rest = &text[at..found];
            let whole = value.map_or(Cow::Borrowed(rest), |value| Cow::Owned(value + rest));
            return (whole, found + 1);
        }
        let value = value.get_or_insert_default();
        value.push_str(&text[at..found]);
        let Some(letter) = text[found + 1..].chars().next() else {
            at = found;
            break;
        };
        match letter {
            'n' => value.push('\n'),
            't' => value.push('\t'),
            'r' => value.push('\r'),
            '"' | '\\' => value.push(letter),
            other => value.extend(['\\', other]),
        }
        at = found + 1 + letter.len_utf8();
    }
    let rest = &text[at..];
    (value.map_or(Cow::Borrowed(rest), |value| Cow::Owned(value + rest)), text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &str) -> (bool, Vec<(String, String)>) {
        let (first, fields) = fields(text);
        (first, fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    #[test]
    fn pairs_are_found_where_they_are() {
        let check = |text: &str, first: bool, expected: &[(&str, &str)]| {
            let expected = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(all(text), (first, expected), "{text}");
        };
        check("level=info a.b=\"x y\" c= d=1", true, &[("level", "info"), ("a.b", "x y"), ("c", ""), ("d", "1")]);
        check("  INFO web: done{id=7, took=3ms} x=1;", false, &[("id", "7"), ("took", "3ms"), ("x", "1")]);
        check("GET /a?b=1&c=2 a==b 1=2 =3 (k=\"v", false, &[("k", "v")]);
        check(r#"m="a \"b\" \\ \n \d é" n=2"#, true, &[("m", "a \"b\" \\ \n \\d é"), ("n", "2")]);
        check("a=\"open \\", true, &[("a", "open \\")]);
        check("", false, &[]);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[a-c=\"\\\\ ,é\\{\\}]{0,40}") {
            _ = fields(&text);
        }
    }
}
