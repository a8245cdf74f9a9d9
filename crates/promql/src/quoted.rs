//! Texts in quotes, as Go and so Prometheus write them.

/// The text between quotes: `"…"` and `'…'` with escapes, or `` `…` `` as it stands. The error says what is wrong.
pub fn unquote(text: &str) -> Result<String, String> {
    let bad = || format!("`{text}` is no text in quotes");
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\'' | '`')).ok_or_else(bad)?;
    let inner = text[1..].strip_suffix(quote).ok_or_else(bad)?;
    if quote == '`' {
        return if inner.contains('`') { Err(bad()) } else { Ok(inner.to_owned()) };
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, quote, &mut bytes).ok_or_else(bad)?,
            c if c == quote || c == '\n' => return Err(bad()),
            c => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

/// What stands behind a backslash; `\xHH` and `\NNN` are bytes.
fn escape(chars: &mut std::str::Chars<'_>, quote: char, bytes: &mut Vec<u8>) -> Option<()> {
    let first = chars.next()?;
    let simple = match first {
        'a' => Some(0x07),
        'b' => Some(0x08),
        'f' => Some(0x0c),
        'n' => Some(b'\n'),
        'r' => Some(b'\r'),
        't' => Some(b'\t'),
        'v' => Some(0x0b),
        '\\' => Some(b'\\'),
        c if c == quote => u8::try_from(c).ok(),
        _ => None,
    };
    if let Some(byte) = simple {
        bytes.push(byte);
        return Some(());
    }
    let (written, more, base) = match first {
        'x' => (None, 2, 16),
        'u' => (None, 4, 16),
        'U' => (None, 8, 16),
        '0'..='7' => (Some(first), 2, 8),
        _ => return None,
    };
    let mut number = written.map_or(Some(0), |c| c.to_digit(8))?;
    for _ in 0..more {
        number = number.checked_mul(base)?.checked_add(chars.next()?.to_digit(base)?)?;
    }
    match first {
        'u' | 'U' => bytes.extend(char::from_u32(number)?.encode_utf8(&mut [0; 4]).bytes()),
        _ => bytes.push(u8::try_from(number).ok()?),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_unquoted_as_go_does() {
        for (quoted, text) in [
            (r#""a\n\"b\\""#, "a\n\"b\\"),
            (r"'\'\x41\101\u00e9\U0001F600'", "'AAé😀"),
            (r"`a\n`", r"a\n"),
            (r#""\xc3\xa9""#, "é"),
            ("\"\"", ""),
        ] {
            assert_eq!(unquote(quoted).as_deref(), Ok(text), "{quoted}");
        }
        for quoted in [
            "",
            "\"",
            "a",
            "\"a",
            "\"a'",
            r#""\""#,
            r#""\q""#,
            r#""\x4""#,
            "\"\\é\"",
            r#""\xff""#,
            "`a`b`",
            r#""\ud800""#,
            "'a'b'",
        ] {
            assert!(unquote(quoted).is_err(), "{quoted}");
        }
    }
}
