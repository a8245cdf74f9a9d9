//! Values of attributes and bodies.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use serde_json::{Map, Value};

/// A value as JSON has it. Bytes are base64; numbers that JSON has not are texts.
pub(super) fn value(any: Option<AnyValue>) -> Value {
    match any.and_then(|any| any.value) {
        // An index is into a table that only profiles have.
        None | Some(Any::StringValueStrindex(_)) => Value::Null,
        Some(Any::StringValue(text)) => Value::String(text),
        Some(Any::BoolValue(truth)) => Value::Bool(truth),
        Some(Any::IntValue(whole)) => whole.into(),
        Some(Any::DoubleValue(number)) => {
            serde_json::Number::from_f64(number).map_or_else(|| Value::String(number.to_string()), Value::Number)
        }
        Some(Any::BytesValue(bytes)) => Value::String(STANDARD.encode(bytes)),
        Some(Any::ArrayValue(array)) => Value::Array(array.values.into_iter().map(|one| value(Some(one))).collect()),
        Some(Any::KvlistValue(list)) => {
            Value::Object(list.values.into_iter().map(|pair| (pair.key, value(pair.value))).collect::<Map<_, _>>())
        }
    }
}

/// Attributes; of two with one name the first counts.
pub(super) fn attributes(all: Vec<KeyValue>) -> Vec<(String, Value)> {
    let mut attributes: Vec<(String, Value)> = all.into_iter().map(|pair| (pair.key, value(pair.value))).collect();
    attributes.sort_by(|a, b| a.0.cmp(&b.0));
    attributes.dedup_by(|later, first| later.0 == first.0);
    attributes
}

/// A value of JSON as it is sent; `null` is a value that is none.
pub(super) fn sendable(value: Value) -> AnyValue {
    let value = match value {
        Value::Null => None,
        Value::Bool(truth) => Some(Any::BoolValue(truth)),
        Value::Number(number) => {
            let whole = number.as_i64().map(Any::IntValue);
            whole.or_else(|| number.as_f64().map(Any::DoubleValue))
        }
        Value::String(text) => Some(Any::StringValue(text)),
        Value::Array(all) => Some(Any::ArrayValue(ArrayValue { values: all.into_iter().map(sendable).collect() })),
        Value::Object(all) => Some(Any::KvlistValue(KeyValueList { values: key_values(all) })),
    };
    AnyValue { value }
}

/// Names and values as they are sent.
pub(super) fn key_values(all: impl IntoIterator<Item = (String, Value)>) -> Vec<KeyValue> {
    let sent = |(key, value)| KeyValue { key, value: Some(sendable(value)), ..KeyValue::default() };
    all.into_iter().map(sent).collect()
}

/// A value as a label has it: texts as they are, all else as JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
