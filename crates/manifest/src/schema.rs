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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::bundle::Bundle;
    use crate::context::Context;
    use crate::tree::{Node, Value as Tree};
    use crate::yaml;

    /// A tree as JSON, its plain scalars by the core schema of YAML 1.2.
    fn to_json(node: &Node) -> Value {
        match &node.value {
            Tree::Null => Value::Null,
            Tree::List(items) => items.iter().map(to_json).collect(),
            Tree::Map(map) => {
                Value::Object(map.iter().map(|entry| (entry.key.to_string(), to_json(&entry.value))).collect())
            }
            Tree::Scalar(scalar) if scalar.quoted => json!(scalar.text),
            Tree::Scalar(scalar) => {
                let typed = serde_json::from_str::<Value>(&scalar.text).ok();
                typed.filter(|value| value.is_number() || value.is_boolean()).unwrap_or_else(|| json!(scalar.text))
            }
        }
    }

    fn documents(text: &str) -> Vec<Value> {
        let bundle = Bundle::default();
        let ctx = Context::new(&bundle, crate::Aim::Look);
        let file = ctx.add_source("/m.yaml", text, "/", std::rc::Rc::default());
        yaml::parse(&ctx, file).unwrap_or_default().iter().map(to_json).collect()
    }

    #[test]
    fn every_fixture_fits_the_schema_and_a_typo_does_not() {
        let schema = jsonschema::validator_for(&generate()).unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/compose");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path().join("compose.yaml");
            for document in documents(&std::fs::read_to_string(&path).unwrap()) {
                let wrong: Vec<String> =
                    schema.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
                assert!(wrong.is_empty(), "{}: {wrong:#?}", path.display());
                count += 1;
            }
        }
        assert!(count >= 25);
        for typo in documents("services: {web: {imgae: nginx}}\n---\nservices: {web: {image: [a]}}\n") {
            assert!(!schema.is_valid(&typo), "{typo}");
        }
    }
}
