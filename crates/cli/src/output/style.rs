//! Colours. They add nothing that the characters do not say, and vanish where nobody sees them.

use anstyle::{AnsiColor, Style};

/// It is as it should be.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// It is wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default();
/// It needs a look.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
/// Beside the point.
pub(crate) const DIM: Style = Style::new().dimmed();
/// The point.
pub(crate) const STRONG: Style = Style::new().bold();

/// `text` in a style.
pub(crate) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// How many columns `text` takes, colours not counted.
pub(crate) fn width(text: &str) -> usize {
    plain(text).chars().count()
}

/// `text` without colours.
pub(crate) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// What others have named or written, in a line: what would steer a terminal is shown as programs write it.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// A plan with its marks coloured.
pub(crate) fn plan(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let body = line.trim_start();
        let style = match body.split(' ').next() {
            Some("+") => GOOD,
            Some("~") => WARN,
            Some("-" | "-/+") => BAD,
            _ => {
                out.push_str(line);
                continue;
            }
        };
        let indent = &line[..line.len() - body.len()];
        let (mark, rest) = body.split_once(' ').unwrap_or((body, ""));
        out.push_str(&format!("{indent}{} {rest}", paint(style, mark)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_changes_no_character_of_a_plan() {
        let text = "shop/production  release 1 → 2\n\n  ~ web   image a → b\n  - old   removed\n-/+ db    new\n\nend\n";
        assert_ne!(plan(text), text);
        assert_eq!(plain(&plan(text)), text);
    }

    #[test]
    fn what_others_write_steers_no_terminal() {
        assert_eq!(clean("GET /é\u{1b}[2J\r\n\u{9b}0m"), r"GET /é\u{1b}[2J\r\n\u{9b}0m");
    }

    #[test]
    fn width_is_what_is_seen() {
        assert_eq!(width(&paint(GOOD, "✓ ok")), 4);
    }
}
