//! The JSON Schema of the manifest, made of the same tables that check it.

use serde_json::{Map, Value, json};

use crate::keys::{Fate, Key, Shape, root};

/// The schema as it is published in `schemas/`; a test compares it with [`generate`].
pub const SCHEMA: &str = include_str!("../../../schemas/daybook.schema.json");

/// The schema, from the tables.
pub fn generate() -> Value {
    let Value::Object(body) = object(root::ROOT) else { return Value::Null };
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("daybook.yaml"));
    let about = "A system for Daybook to run. Every compose.yaml is one too.";
    schema.insert("description".to_owned(), json!(about));
    schema.extend(body);
    Value::Object(schema)
}

fn object(keys: &[Key]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    json!({
        "type": ["object", "null"],
        "properties": properties,
        "patternProperties": {"^x-": true, "^<<$": true},
        "additionalProperties": false
    })
}

fn property(key: &Key) -> Value {
    let mut schema = shape(&key.shape);
    let about = match key.fate {
        Fate::Honoured => return schema,
        Fate::NotHonoured { why, instead } => format!("Not honoured: {why}. Instead: {instead}."),
        Fate::Later => "Not honoured yet.".to_owned(),
    };
    if let Value::Object(map) = &mut schema {
        map.insert("description".to_owned(), json!(about));
        map.insert("deprecated".to_owned(), json!(true));
    }
    schema
}

fn shape(of: &Shape) -> Value {
    match of {
        Shape::Any => json!({}),
        Shape::List(item) => json!({"type": ["array", "null"], "items": shape(item)}),
        Shape::Map(value) => json!({"type": ["object", "null"], "additionalProperties": shape(value)}),
        Shape::Object(keys) => object(keys),
        Shape::Either(shapes) => json!({"anyOf": shapes.iter().map(shape).collect::<Vec<_>>()}),
        scalar => scalar_shape(scalar),
    }
}

/// A text with a variable in it can stand for any scalar.
fn scalar_shape(of: &Shape) -> Value {
    let with_variable = json!({"type": "string", "pattern": "\\$"});
    let either = |own: Value| json!({"anyOf": [own, {"type": "null"}, with_variable]});
    match of {
        Shape::Bool => either(json!({"enum": [true, false, "true", "false", "yes", "no", "on", "off"]})),
        Shape::Integer => {
            either(json!({"type": ["integer", "string"], "pattern": "^[-+]?(0x[0-9a-fA-F]+|0o[0-7]+|[0-9]+)$"}))
        }
        Shape::Number => either(json!({"type": ["number", "string"], "pattern": "^[-+0-9.eE]+$"})),
        Shape::Duration => {
            either(json!({"type": ["integer", "string"], "pattern": "^([0-9.]+(ns|us|µs|ms|s|m|h|d|w))+$|^[0-9]+$"}))
        }
        Shape::Bytes => {
            either(json!({"type": ["integer", "string"], "pattern": "^-1$|^[0-9.]+ ?[kKmMgGtTpP]?([iI]?[bB]?|i)$"}))
        }
        Shape::Cpu => either(json!({"type": ["number", "string"], "pattern": "^[0-9.]+m?$"})),
        Shape::Percent => either(json!({"type": ["number", "string"], "pattern": "^[0-9.]+ ?%?$"})),
        Shape::Mode => either(json!({"type": ["integer", "string"], "pattern": "^(0o)?[0-9]+$"})),
        Shape::Choice(words) => either(json!({"enum": words})),
        _ => json!({"type": ["string", "number", "boolean", "null"]}),
    }
}
