//! JSON values as YAML 1.2: what `-o yaml` prints.

use serde_json::Value;

/// One document, block style. Every text that a reader could take for anything else is quoted.
pub(crate) fn render(value: &Value) -> String {
    let mut out = String::new();
    block(&mut out, value, 0);
    out
}

/// Writes `value` at the start of a line that is indented by `indent`.
fn block(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (i, (name, value)) in fields.iter().enumerate() {
                pad(out, if i == 0 { 0 } else { indent });
                out.push_str(&scalar(name));
                out.push(':');
                nested(out, value, indent + 2);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (i, item) in items.iter().enumerate() {
                pad(out, if i == 0 { 0 } else { indent });
                out.push_str("- ");
                block(out, item, indent + 2);
            }
        }
        Value::String(text) if is_literal(text) => literal(out, text, indent.max(2)),
        other => {
            out.push_str(&leaf(other));
            out.push('\n');
        }
    }
}

/// Whether a text of several lines can stand as it is.
fn is_literal(text: &str) -> bool {
    let is_blank = |line: &str| !line.is_empty() && line.trim().is_empty();
    text.contains('\n')
        && !text.starts_with(char::is_whitespace)
        && text.chars().all(|c| c == '\n' || c == '\t' || is_printable(c))
        && !text.lines().any(is_blank)
}

/// Writes a text one line beneath the other.
fn literal(out: &mut String, text: &str, indent: usize) {
    let ends = text.len() - text.trim_end_matches('\n').len();
    out.push_str(["|-", "|", "|+"][ends.min(2)]);
    out.push('\n');
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        pad(out, if line.is_empty() { 0 } else { indent });
        out.push_str(line);
        out.push('\n');
    }
}

/// Neither a control character nor one that ends lines, marks byte orders or turns the direction of text.
fn is_printable(c: char) -> bool {
    let is_hidden = matches!(u32::from(c), 0x2028..=0x202E | 0x2066..=0x2069 | 0xFEFF | 0xFFFE..=0xFFFF);
    !c.is_control() && !is_hidden
}

/// Writes the value of a key: on the same line, or below and indented.
fn nested(out: &mut String, value: &Value, indent: usize) {
    let below = matches!(value, Value::Object(m) if !m.is_empty()) || matches!(value, Value::Array(a) if !a.is_empty());
    if below {
        out.push('\n');
        pad(out, indent);
    } else {
        out.push(' ');
    }
    block(out, value, indent);
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

fn leaf(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// Plain where nobody can misread it, else in double quotes: JSON strings are YAML strings.
fn scalar(text: &str) -> String {
    let head = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'/');
    let tail = text.bytes().all(|b| b.is_ascii_alphanumeric() || b" _-./@".contains(&b));
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    if head && tail && !word && !text.ends_with(' ') { text.to_owned() } else { quoted(text) }
}

/// What JSON leaves as it stands and YAML does not take is escaped as well.
fn quoted(text: &str) -> String {
    let json = Value::from(text).to_string();
    let escaped = |c: char| if is_printable(c) { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) };
    json.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_shape_and_texts_their_type() {
        let value = serde_json::json!({
            "key": "shop/production", "release": 42, "none": null, "empty": [], "no": "no", "at": "12:30",
            "services": [{"name": "web", "urls": ["http://x:1"]}, {"name": "1", "urls": {}}], "list": [[1, 2], "a\nb"],
            "text": "[a]\n\n  b: 1\n", "odd": " a\nb\u{85}"
        });
        insta::assert_snapshot!(render(&value), @r#"
        key: shop/production
        release: 42
        none: null
        empty: []
        "no": "no"
        at: "12:30"
        services:
          - name: web
            urls:
              - "http://x:1"
          - name: "1"
            urls: {}
        list:
          - - 1
            - 2
          - |-
            a
            b
        text: |
          [a]

            b: 1
        odd: " a\nb\u0085"
        "#);
    }
}
