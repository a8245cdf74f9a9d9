//! What commands print: data on standard output, messages on standard error.

pub(crate) mod page;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod words;
pub(crate) mod yaml;

use std::io::Write as _;

use serde::Serialize;
use serde_json::Value;

use crate::args::Format;
use crate::error::{CommandError, Result};

/// Prints `value` in `format`; as a table, the text that `table` makes of it.
pub(crate) fn data<T: Serialize>(format: Format, value: &T, table: impl FnOnce(&T) -> String) -> Result<()> {
    match format {
        Format::Table => text(&table(value)),
        Format::Json => text(&pretty(value)?),
        Format::Yaml => text(&yaml::render(&plain(value)?)),
        Format::Jsonl => text(&lines(plain(value)?)),
    }
}

/// Prints text on standard output, without colour where that is not a terminal.
pub(crate) fn text(text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| CommandError::io("write to standard output", &error))
}

/// Prints a message for people on standard error. A lost standard error is nobody's concern.
pub(crate) fn message(text: &str) {
    let mut err = anstream::stderr().lock();
    let _ = writeln!(err, "{}", text.trim_end_matches('\n'));
}

fn pretty(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| unprintable(&error))
}

fn plain(value: &impl Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| unprintable(&error))
}

fn lines(value: Value) -> String {
    match value {
        Value::Array(items) => items.iter().map(|item| format!("{item}\n")).collect(),
        other => format!("{other}\n"),
    }
}

fn unprintable(error: &serde_json::Error) -> CommandError {
    CommandError::failed(format!("print the answer: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_one_object_a_line_and_anything_else_is_one_line() {
        assert_eq!(lines(serde_json::json!([{"a": 1}, {"a": 2}])), "{\"a\":1}\n{\"a\":2}\n");
        assert_eq!(lines(serde_json::json!({"a": [1]})), "{\"a\":[1]}\n");
    }
}
