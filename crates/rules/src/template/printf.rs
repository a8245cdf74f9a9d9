//! `printf`, with the verbs of Go.

use super::numbers;
use super::value::Value;

/// Flags, width and precision of a verb.
#[derive(Default)]
struct Shape {
    left: bool,
    plus: bool,
    zero: bool,
    space: bool,
    sharp: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// The widest that a verb may make its text.
const WIDEST: usize = 1_000;

/// Formats values.
pub(super) fn printf(format: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let mut next = 0;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let shape = shape(&mut chars, values, &mut next);
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match values.get(next) {
                None => out.push_str(&format!("%!{verb}(MISSING)")),
                Some(value) => {
                    out.push_str(&shape.pad(shape.verb(verb, value)));
                    next += 1;
                }
            },
        }
    }
    if next < values.len() {
        let extra: Vec<String> =
            values[next..].iter().map(|value| format!("{}={}", value.kind(), value.print())).collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn shape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, values: &[Value], next: &mut usize) -> Shape {
    let mut shape = Shape::default();
    while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '+' | '0' | ' ' | '#')) {
        match flag {
            '-' => shape.left = true,
            '+' => shape.plus = true,
            '0' => shape.zero = true,
            ' ' => shape.space = true,
            _ => shape.sharp = true,
        }
    }
    shape.width = size(chars, values, next);
    if chars.next_if_eq(&'.').is_some() {
        shape.precision = Some(size(chars, values, next).unwrap_or(0));
    }
    shape
}

/// A number of columns or digits, written or (`*`) given as a value.
fn size(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, values: &[Value], next: &mut usize) -> Option<usize> {
    if chars.next_if_eq(&'*').is_some() {
        let size = values.get(*next).and_then(|value| match value {
            Value::Int(size) => usize::try_from(*size).ok(),
            _ => None,
        });
        *next += 1;
        return size.map(|size| size.min(WIDEST));
    }
    let mut size = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        size = Some((size.unwrap_or(0) * 10 + digit as usize).min(WIDEST));
    }
    size
}

impl Shape {
    fn verb(&self, verb: char, value: &Value) -> String {
        let bad = || format!("%!{verb}({}={})", value.kind(), value.print());
        match (verb, value) {
            ('v', Value::Nil) => "<nil>".to_owned(),
            ('v', Value::Float(number)) => self.sign(is_positive(*number), numbers::general(*number, self.precision)),
            ('v' | 'd', Value::Int(number)) => self.sign(*number >= 0, number.to_string()),
            ('v', value) => value.print(),
            ('t', Value::Bool(value)) => value.to_string(),
            ('s', Value::Text(text)) => self.cut(text),
            ('s', Value::Duration(_) | Value::Time(_) | Value::Texts(_) | Value::Map(_)) => value.print(),
            ('q', Value::Text(text)) => quoted(&self.cut(text)),
            ('x', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
            ('X', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
            ('f' | 'F', Value::Float(number)) => {
                self.sign(is_positive(*number), numbers::fixed(*number, self.precision.unwrap_or(6)))
            }
            ('e', Value::Float(number)) => {
                self.sign(is_positive(*number), numbers::scientific(*number, self.precision.unwrap_or(6)))
            }
            ('E', Value::Float(number)) => self
                .sign(is_positive(*number), numbers::scientific(*number, self.precision.unwrap_or(6)).to_uppercase()),
            ('g', Value::Float(number)) => self.sign(is_positive(*number), numbers::general(*number, self.precision)),
            ('G', Value::Float(number)) => {
                self.sign(is_positive(*number), numbers::general(*number, self.precision).to_uppercase())
            }
            ('d', Value::Duration(number)) => number.to_string(),
            ('x', Value::Int(number)) => self.based(*number, if self.sharp { "0x" } else { "" }, 16),
            ('X', Value::Int(number)) => self.based(*number, if self.sharp { "0x" } else { "" }, 16).to_uppercase(),
            ('o', Value::Int(number)) => self.based(*number, if self.sharp { "0" } else { "" }, 8),
            ('b', Value::Int(number)) => self.based(*number, "", 2),
            ('c', Value::Int(number)) => {
                u32::try_from(*number).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER).to_string()
            }
            ('T', value) => value.kind().to_owned(),
            _ => bad(),
        }
    }

    fn sign(&self, positive: bool, text: String) -> String {
        match () {
            () if !positive || text.starts_with(['+', '-']) => text,
            () if self.plus => format!("+{text}"),
            () if self.space => format!(" {text}"),
            () => text,
        }
    }

    fn based(&self, number: i64, prefix: &str, base: u64) -> String {
        let mut rest = number.unsigned_abs();
        let mut digits = Vec::new();
        while rest > 0 || digits.is_empty() {
            digits.push(char::from_digit((rest % base) as u32, base as u32).unwrap_or('0'));
            rest /= base;
        }
        let text: String = digits.into_iter().rev().collect();
        let text = format!("{prefix}{text}");
        if number < 0 { format!("-{text}") } else { self.sign(true, text) }
    }

    fn cut(&self, text: &str) -> String {
        text.chars().take(self.precision.unwrap_or(usize::MAX)).collect()
    }

    fn pad(&self, text: String) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        if missing == 0 {
            return text;
        }
        if self.left {
            return format!("{text}{}", " ".repeat(missing));
        }
        if !self.zero || text.ends_with("NaN") || text.ends_with("Inf") {
            return format!("{}{text}", " ".repeat(missing));
        }
        let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
        format!("{sign}{}{digits}", "0".repeat(missing))
    }
}

/// What is no number counts as positive.
fn is_positive(number: f64) -> bool {
    number.is_nan() || number >= 0.0
}

/// A text in double quotes, as Go writes it.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
