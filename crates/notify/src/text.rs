//! Text that fits: without control characters, and no longer than who receives it takes.

/// What stands for the rest of a text that was cut.
const MORE: &str = "…";

/// One line: whatever else is no letter becomes a space.
pub(crate) fn line(text: &str) -> String {
    text.split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Several lines, without control characters.
pub(crate) fn lines(text: &str) -> String {
    let kept = text.replace("\r\n", "\n").replace('\r', "\n");
    kept.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// At most `most` characters.
pub(crate) fn chars(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept.trim_end().to_owned() + MORE
}

/// At most `most` bytes of UTF-8.
pub(crate) fn bytes(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut end = most.saturating_sub(MORE.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].trim_end().to_owned() + MORE
}

/// At most `most` characters once each is escaped, and no escape cut in two.
pub(crate) fn escaped(text: &str, most: usize, escape: impl Fn(char) -> Option<&'static str>) -> String {
    let width = |c: char| escape(c).map_or(1, str::len);
    let whole: usize = text.chars().map(width).sum();
    let room = if whole <= most { most } else { most.saturating_sub(1) };
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += width(c);
        if used > room {
            break;
        }
        match escape(c) {
            Some(form) => out.push_str(form),
            None => out.push(c),
        }
    }
    if whole > most {
        out.push_str(MORE);
    }
    out
}

/// The characters that mean something in XML and HTML, and to Slack.
pub(crate) fn markup(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_control_characters() {
        assert_eq!(line(" a\r\nBcc: b\u{7}\tc "), "a Bcc: b c");
        assert_eq!(lines("a\r\nb\u{1b}[31m\n"), "a\nb [31m");
    }

    #[test]
    fn what_is_cut_says_so_and_fits() {
        assert_eq!((chars("abcdef", 6), chars("abcdef", 4)), ("abcdef".to_owned(), "abc…".to_owned()));
        assert_eq!((bytes("ééé", 6), bytes("ééé", 5)), ("ééé".to_owned(), "é…".to_owned()));
        assert_eq!(escaped("a<b<c", 11, markup), "a&lt;b&lt;c");
        assert_eq!(escaped("a<b<c", 10, markup), "a&lt;b…");
        assert_eq!(bytes("", 0), "");
    }
}
