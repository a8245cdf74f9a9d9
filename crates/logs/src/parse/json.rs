//! Lines that are JSON objects (RFC 8259).

use std::borrow::Cow;

use super::Pair;

/// What is nested deeper is one value, as it is written.
const DEEPEST: usize = 8;

/// The fields of an object, if that is what the text is.
pub(super) fn fields(text: &str) -> Option<Vec<Pair<'_>>> {
    let text = text.trim_ascii();
    if !(text.starts_with('{') && text.ends_with('}')) {
        return None;
    }
    let mut scanner = Scanner { text, at: 0, fields: Vec::new() };
    scanner.object("", 0)?;
    (scanner.at == text.len()).then_some(scanner.fields)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    fields: Vec<Pair<'a>>,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.blanks();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn object(&mut self, prefix: &str, depth: usize) -> Option<()> {
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            self.blanks();
            let key = self.string()?;
            let name = if prefix.is_empty() { key } else { Cow::Owned(format!("{prefix}.{key}")) };
            self.take(b':')?;
            self.blanks();
            self.value(name, depth)?;
            if self.take(b',').is_none() {
                return self.take(b'}');
            }
        }
    }

    fn value(&mut self, name: Cow<'a, str>, depth: usize) -> Option<()> {
        match self.peek()? {
            b'"' => {
                let value = self.string()?;
                self.fields.push((name, value));
            }
            b'{' if depth < DEEPEST => self.object(&name, depth + 1)?,
            b'{' | b'[' => {
                let value = self.nested()?;
                self.fields.push((name, Cow::Borrowed(value)));
            }
            _ => {
                let value = self.word()?;
                if value != "null" {
                    self.fields.push((name, Cow::Borrowed(value)));
                }
            }
        }
        Some(())
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Option<&'a str> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
        let word = &rest[..length];
        let number = || word.starts_with(|first: char| first.is_ascii_digit() || first == '-');
        let known = matches!(word, "true" | "false" | "null") || number();
        self.at += length;
        known.then_some(word)
    }

    /// A list or an object, as it is written.
    fn nested(&mut self) -> Option<&'a str> {
        let start = self.at;
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(&self.text[start..self.at]);
            }
        }
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        if self.peek()? != b'"' {
            return None;
        }
        let start = self.at + 1;
        let end = start + memchr::memchr2(b'"', b'\\', &self.text.as_bytes()[start..])?;
        if self.text.as_bytes()[end] == b'"' {
            self.at = end + 1;
            return Some(Cow::Borrowed(&self.text[start..end]));
        }
        let mut value = self.text[start..end].to_owned();
        self.at = end;
        loop {
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(Cow::Owned(value));
                }
                b'\\' => value.push(self.escape()?),
                _ => {
                    let rest = &self.text[self.at..];
                    let length = memchr::memchr2(b'"', b'\\', rest.as_bytes())?;
                    value.push_str(&rest[..length]);
                    self.at += length;
                }
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let letter = *self.text.as_bytes().get(self.at + 1)?;
        self.at += 2;
        Some(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.escaped_number()?,
            _ => return None,
        })
    }

    /// Four digits, or two times four for what needs more. Half a pair is shown as such.
    fn escaped_number(&mut self) -> Option<char> {
        let first = self.four()?;
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            let before = self.at;
            self.at += 2;
            let second = self.four()?;
            if (0xdc00..0xe000).contains(&second) {
                return char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
            }
            self.at = before;
        }
        Some(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(text: &str) -> Option<Vec<(String, String)>> {
        Some(fields(text)?.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }

    fn pairs(all: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn fields_with_what_is_nested() {
        let text = r#" { "a" : 1.50, "b":{"c":"x","d":{}},"e":[1,"]",{"f":2}],"g":null,"h":true,"":"" } "#;
        assert_eq!(
            all(text),
            pairs(&[("a", "1.50"), ("b.c", "x"), ("e", r#"[1,"]",{"f":2}]"#), ("h", "true"), ("", "")])
        );
        assert_eq!(all("{}"), pairs(&[]));
        let text = r#"{"a":"q\"\\\/\n\tz","é\u00e9":"\ud83d\ude00\ud83dx\ud83d\u0041"}"#;
        assert_eq!(all(text), pairs(&[("a", "q\"\\/\n\tz"), ("éé", "😀\u{fffd}x\u{fffd}A")]));
        let deep = format!("{}1{}", "{\"a\":".repeat(12), "}".repeat(12));
        assert_eq!(
            all(&deep).unwrap(),
            [("a.".repeat(9).trim_end_matches('.').to_owned(), "{\"a\":{\"a\":{\"a\":1}}}".into())]
        );
    }

    #[test]
    fn what_is_no_object_has_no_fields() {
        for text in [
            "",
            "{",
            "}",
            "{}}",
            "{} x",
            "[1]",
            "{a:1}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":x}"#,
            r#"{"a":"}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\u12"}"#,
            r#"{"a":[}"#,
            r#"{"a":"\u+123"}"#,
            r#"{"a":"\uéé"}"#,
        ] {
            assert_eq!(all(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in r#"[{}\[\]":,\\u0-9a-f é]{0,60}"#) {
            _ = fields(&text);
            _ = fields(&format!("{{\"a\":{text}}}"));
        }
    }
}
