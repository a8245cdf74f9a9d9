//! Values to YAML text that [`crate::load`] reads back as they were.

use std::fmt::Write as _;

/// How wide a line may be until a list is written one item a line.
const WIDTH: usize = 100;

/// A value to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Yaml {
    /// A number, a truth value or a word, exactly as it stands; or nothing.
    Word(String),
    /// A text in which a dollar sign has its meaning for interpolation.
    Template(String),
    List(Vec<Yaml>),
    /// One entry a line.
    Map(Vec<(String, Yaml)>),
    /// All entries on one line.
    Flow(Vec<(&'static str, Yaml)>),
    /// A value that takes the place of what another service says, rather than being added to it.
    Override(Box<Yaml>),
    /// Lines of comment above a value's key.
    Noted(Vec<String>, Box<Yaml>),
}

impl Yaml {
    /// A text that means itself: its dollar signs are doubled.
    pub(super) fn text(text: &str) -> Self {
        Self::Template(escaped(text))
    }

    pub(super) fn number(number: impl Into<u64>) -> Self {
        Self::Word(number.into().to_string())
    }

    pub(super) fn boolean(value: bool) -> Self {
        Self::Word(value.to_string())
    }

    pub(super) fn texts<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::List(texts.into_iter().map(|text| Self::text(text.as_ref())).collect())
    }

    fn is_nothing(&self) -> bool {
        match self {
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.iter().all(|(_, value)| value.is_nothing()),
            Self::Flow(entries) => entries.iter().all(|(_, value)| value.is_nothing()),
            Self::Noted(_, value) => value.is_nothing(),
            Self::Word(_) | Self::Template(_) | Self::Override(_) => false,
        }
    }
}

/// A text whose dollar signs begin no variable.
pub(super) fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

/// The entries as the text of a file. What is an empty list or mapping is left out.
pub(super) fn write(entries: &[(String, Yaml)]) -> String {
    let mut out = String::new();
    map(&mut out, entries, 0);
    out
}

fn map(out: &mut String, entries: &[(String, Yaml)], indent: usize) {
    for (key, value) in entries.iter().filter(|(_, value)| !value.is_nothing()) {
        let mut value = value;
        while let Yaml::Noted(lines, inner) = value {
            lines.iter().for_each(|line| comment(out, line, indent));
            value = inner;
        }
        let _ = write!(out, "{:indent$}{}:", "", scalar(key, Context::Block));
        after_key(out, value, indent);
    }
}

fn comment(out: &mut String, line: &str, indent: usize) {
    let shown: String = line.chars().map(|c| if is_printable(c) { c } else { ' ' }).collect();
    let _ = writeln!(out, "{:indent$}# {shown}", "");
}

/// The value behind `key:` or `-`, and the end of its last line.
fn after_key(out: &mut String, value: &Yaml, indent: usize) {
    match value {
        Yaml::Template(text) if is_block(text) => block(out, text, indent + 2),
        Yaml::Map(entries) => {
            out.push('\n');
            map(out, entries, indent + 2);
        }
        Yaml::List(items) if !fits(value, indent) => {
            out.push('\n');
            for item in items {
                let _ = write!(out, "{:indent$}  -", "");
                after_key(out, item, indent + 2);
            }
        }
        value => {
            let line = line(value, Context::Block);
            out.push_str(if line.is_empty() { "" } else { " " });
            out.push_str(&line);
            out.push('\n');
        }
    }
}

/// Whether a list can stand on one line.
fn fits(list: &Yaml, indent: usize) -> bool {
    let Yaml::List(items) = list else { return false };
    let single = |item: &Yaml| match item {
        Yaml::Word(_) => true,
        Yaml::Template(text) => !text.contains('\n') && text.len() < WIDTH,
        _ => false,
    };
    items.len() <= WIDTH && items.iter().all(single) && line(list, Context::Block).len() + indent < WIDTH
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Block,
    /// Inside of brackets, where a colon may end a key.
    Flow,
}

fn line(value: &Yaml, context: Context) -> String {
    match value {
        Yaml::Word(word) => word.clone(),
        Yaml::Template(text) => scalar(text, context),
        Yaml::Noted(_, value) => line(value, context),
        Yaml::Override(value) => format!("!override {}", line(value, context)),
        Yaml::List(items) => {
            let items: Vec<String> = items.iter().map(|item| line(item, Context::Flow)).collect();
            format!("[{}]", items.join(", "))
        }
        Yaml::Flow(entries) => {
            let entries = entries.iter().filter(|(_, value)| !value.is_nothing());
            let entries: Vec<String> =
                entries.map(|(key, value)| format!("{key}: {}", line(value, Context::Flow))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Yaml::Map(entries) => {
            let entries = entries.iter().filter(|(_, value)| !value.is_nothing());
            let entries: Vec<String> = entries
                .map(|(key, value)| format!("{}: {}", scalar(key, Context::Flow), line(value, Context::Flow)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn scalar(text: &str, context: Context) -> String {
    if is_plain(text, context) { text.to_owned() } else { quoted(text) }
}

/// Whether every reader of YAML takes the bare text for a text.
fn is_plain(text: &str, context: Context) -> bool {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_'));
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '@' | '+' | '=' | '$');
    let colons = context == Context::Block && !text.ends_with(':');
    begins && text.chars().all(|c| good(c) || (c == ':' && colons)) && !WORDS.contains(&text.to_lowercase().as_str())
}

/// A text in double quotes, with an escape for whatever some reader would not take as it stands.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_printable(c) => out.push(c),
            c if u32::from(c) > 0xFFFF => drop(write!(out, "\\U{:08X}", u32::from(c))),
            c => drop(write!(out, "\\u{:04X}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

/// Neither a control character nor one that ends lines, marks byte orders or turns the direction of text.
fn is_printable(c: char) -> bool {
    let hidden = matches!(u32::from(c), 0x2028..=0x202E | 0x2066..=0x2069 | 0xFEFF | 0xFFFE..=0xFFFF);
    !c.is_control() && !hidden
}

/// Whether a text can stand as it is, one line beneath the other.
fn is_block(text: &str) -> bool {
    let blank = |line: &str| !line.is_empty() && line.trim().is_empty();
    let good = |c: char| is_printable(c) || matches!(c, '\n' | '\t');
    let first = text.chars().next();
    text.contains('\n')
        && first.is_some_and(|c| !c.is_whitespace())
        && text.chars().all(good)
        && !text.lines().any(blank)
}

fn block(out: &mut String, text: &str, indent: usize) {
    let body = text.trim_end_matches('\n');
    let chomp = match text.len() - body.len() {
        0 => "-",
        1 => "",
        _ => "+",
    };
    let _ = writeln!(out, " |{chomp}");
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if line.is_empty() {
            out.push('\n');
        } else {
            let _ = writeln!(out, "{:indent$}{line}", "");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Aim;
    use crate::bundle::Bundle;

    fn read_back(text: &str) -> Option<String> {
        let bundle = Bundle::default();
        let ctx = crate::context::Context::new(&bundle, Aim::Act);
        let file = ctx.add_source("/a", text, "/", std::rc::Rc::default());
        let documents = crate::yaml::parse(&ctx, file)?;
        documents.first()?.get("key")?.items().first()?.get("inner")?.scalar().map(str::to_owned)
    }

    fn written(text: &str) -> String {
        let inner = Yaml::Map(vec![("inner".to_owned(), Yaml::Template(text.to_owned()))]);
        write(&[("key".to_owned(), inner), ("next".to_owned(), Yaml::number(1u32))])
    }

    #[test]
    fn texts_are_read_back_as_they_were() {
        let all = [
            "",
            " ",
            "a",
            "null",
            "~",
            "5",
            "1e3",
            "a: b",
            "a:",
            "- a",
            "#",
            "a #b",
            "\u{feff}a",
            "a\u{85}b",
            "\u{0}",
            "a\nb",
            "a\nb\n",
            "a\nb\n\n",
            "a\n\n  b\n",
            " a\nb",
            "\ta\nb",
            "a\n \nb",
            "a\r\nb",
            "\n",
            "\n\na",
            "a\tb\n",
            "'",
            "\"",
            "\\",
            "|",
            "🐳\u{10ffff}",
            "%a",
            "@a",
            "a\n---\nb\n",
            "a\n# b\n",
            "<<",
        ];
        for text in all {
            assert_eq!(read_back(&written(text)).as_deref(), Some(text), "{}", written(text));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_back_as_it_was(text in "(?s).{0,40}") {
            prop_assert_eq!(read_back(&written(&text)), Some(text.clone()), "{}", written(&text));
        }

        #[test]
        fn any_lines_are_read_back_as_they_were(text in "[ab:#\\- \\n\\t'\"]{0,40}") {
            prop_assert_eq!(read_back(&written(&text)), Some(text.clone()), "{}", written(&text));
        }
    }

    #[test]
    fn what_is_short_stands_on_one_line() {
        let entries = [
            ("list".to_owned(), Yaml::texts(["a", "b c", "1"])),
            ("nothing".to_owned(), Yaml::List(Vec::new())),
            ("flow".to_owned(), Yaml::Flow(vec![("secret", Yaml::text("a.b"))])),
            ("dollar".to_owned(), Yaml::Noted(vec!["two\nlines".to_owned()], Box::new(Yaml::text("$A ${B}")))),
        ];
        let text = "list: [a, \"b c\", \"1\"]\nflow: {secret: a.b}\n# two lines\ndollar: \"$$A $${B}\"\n";
        assert_eq!(write(&entries), text);
    }
}
