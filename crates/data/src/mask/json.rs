//! JSON whose texts and numbers are changed, and whose form stays.

use serde_json::{Map, Number, Value};

/// What changes texts and numbers.
pub(super) trait Leaves {
    /// Another text.
    fn text(&self, text: &str) -> String;
    /// Another number.
    fn number(&self, number: &str) -> String;
    /// The name of a member, which stays unless it says something of somebody.
    fn name(&self, name: &str) -> String;
}

/// JSON with all its leaves changed. What cannot be read, because it is too deep or a number too large, becomes `{}`.
pub(super) fn changed(text: &str, leaves: &impl Leaves) -> String {
    match serde_json::from_str(text) {
        Ok(value) => change(value, leaves).to_string(),
        Err(_) => "{}".to_owned(),
    }
}

fn change(value: Value, leaves: &impl Leaves) -> Value {
    match value {
        Value::String(text) => Value::String(if text.is_empty() { text } else { leaves.text(&text) }),
        Value::Number(number) => leaves.number(&number.to_string()).parse().map_or(Value::Null, number_of),
        Value::Array(all) => all.into_iter().map(|one| change(one, leaves)).collect(),
        Value::Object(all) => {
            let members = all.into_iter().map(|(name, one)| (leaves.name(&name), change(one, leaves)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        other => other,
    }
}

fn number_of(number: Number) -> Value {
    Value::Number(number)
}
