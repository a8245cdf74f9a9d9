//! The level of a line that is for people.

use crate::Level;

/// How far a level is looked for.
const NEAR: usize = 160;

/// Words that name a level with a colon after them, whatever their case.
const BEFORE_COLON: [&str; 11] =
    ["error", "err", "warning", "warn", "fatal", "panic", "critical", "info", "notice", "debug", "trace"];

/// The level that the start of a line names: `ERROR`, `[warn]`, `<info>`, `error:`, `E0102 10:20:30` as glog writes it.
pub(super) fn level(text: &[u8]) -> Option<Level> {
    let near = &text[..text.len().min(NEAR)];
    if near.starts_with(b"Traceback (most recent call last)") || near.starts_with(b"Exception in thread ") {
        return Some(Level::Error);
    }
    if let Some(level) = glog(near) {
        return Some(level);
    }
    let mut at = 0;
    while at < near.len() {
        if near[at] == 0x1b {
            at += escape(&near[at..]);
            continue;
        }
        let length = near[at..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        if let Some(level) = word(near, at, at + length) {
            return Some(level);
        }
        at += length.max(1);
    }
    None
}

/// A letter, the month and the day.
fn glog(text: &[u8]) -> Option<Level> {
    let (letter, rest) = text.split_first()?;
    let date = rest.get(..5)?;
    if !(date[..4].iter().all(u8::is_ascii_digit) && date[4] == b' ') {
        return None;
    }
    match letter {
        b'I' => Some(Level::Info),
        b'W' => Some(Level::Warn),
        b'E' => Some(Level::Error),
        b'F' => Some(Level::Fatal),
        _ => None,
    }
}

/// How many bytes a sequence has that sets a colour.
fn escape(text: &[u8]) -> usize {
    if text.get(1) != Some(&b'[') {
        return 1;
    }
    2 + text[2..].iter().position(u8::is_ascii_alphabetic).map_or(text.len() - 2, |end| end + 1)
}

fn word(text: &[u8], from: usize, to: usize) -> Option<Level> {
    if !(3..=13).contains(&(to - from)) {
        return None;
    }
    let word = std::str::from_utf8(&text[from..to]).ok()?;
    let before = from.checked_sub(1).map(|at| text[at]);
    let after = text.get(to).copied();
    // The last byte of a sequence that sets a colour is a letter.
    let coloured = before == Some(b'm') && text[..from].contains(&0x1b);
    let free =
        |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_whitespace() || b"[](){}<>|:,\"'\x1b".contains(&byte));
    if !free(after) || !(free(before) || coloured) {
        return None;
    }
    let enclosed =
        matches!((before, after), (Some(b'['), Some(b']')) | (Some(b'<'), Some(b'>')) | (Some(b'|'), Some(b'|')));
    let labelled = after == Some(b':') && BEFORE_COLON.iter().any(|known| known.eq_ignore_ascii_case(word));
    let upper = word.bytes().all(|byte| byte.is_ascii_uppercase());
    if enclosed || labelled || upper || coloured { Level::named(word) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_that_people_write() {
        for (text, expected) in [
            ("2024-01-01T10:00:00Z ERROR shop::db: lost", Some(Level::Error)),
            ("2024/01/01 10:00:00 [error] 7#7: *1 open() failed", Some(Level::Error)),
            ("\x1b[2m10:00\x1b[0m \x1b[32m INFO\x1b[0m web: up", Some(Level::Info)),
            ("\x1b[33mwarn\x1b[39m: disk", Some(Level::Warn)),
            ("W0102 10:20:30.000 main.go:5] slow", Some(Level::Warn)),
            ("2024-01-01 10:00:00.000 UTC [12] FATAL:  the database is starting up", Some(Level::Fatal)),
            ("CRITICAL:root:no", Some(Level::Fatal)),
            ("panic: runtime error: index out of range", Some(Level::Fatal)),
            ("Traceback (most recent call last):", Some(Level::Error)),
            ("npm warn: old", Some(Level::Warn)),
            ("10.0.0.1 - - \"GET /ERROR/x HTTP/1.1\" 200", None),
            ("no error was found, all is fine: go on", None),
            ("INFORMATIONS are many", None),
            ("", None),
            ("\x1b", None),
            ("\x1b[", None),
        ] {
            assert_eq!(level(text.as_bytes()), expected, "{text}");
        }
    }
}
