//! The operations of the OpenAPI document, and malformed requests for each.

use daybook_fuzz::{Chance, damage};
use serde_json::{Map, Value, json};

use crate::wire::Sent;

/// Ends the server, whatever it is sent.
const NOT_TRIED: [&str; 1] = ["/v1/shutdown"];

/// Texts that mean something where they are expected, so that some requests get far.
const GOOD: [&str; 9] = [
    "shop",
    "production",
    "shop/production",
    "web",
    "web.1",
    "018f0000-0000-7000-8000-000000000000",
    "/work/shop/daybook.yaml",
    "services: {web: {image: shop:1, port: 8080}}",
    "1",
];

/// Texts that mean something to a shell, a database, a file system, a terminal or a parser.
const ODD: [&str; 22] = [
    "",
    ".",
    "..",
    "../../etc/passwd",
    "$(reboot)",
    "`reboot`",
    "'; DROP TABLE journal; --",
    "a\0b",
    "\u{1b}[2J",
    "\r\nx-evil: 1",
    "%00",
    "%ff",
    "-1",
    "99999999999999999999999999",
    "1e999",
    "0x10",
    "NaN",
    "{{7*7}}",
    "🐳",
    "\u{202e}",
    "*",
    "shop/production/more",
];

pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    queries: Vec<String>,
    schemas: Map<String, Value>,
}

/// Every operation that can be tried.
pub(crate) fn operations() -> Vec<Operation> {
    let document = serde_json::to_value(daybook_server::openapi()).unwrap();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut all = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let queries = parameters.filter(|parameter| parameter["in"] == "query");
            all.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                body: operation.pointer("/requestBody/content/application~1json/schema").cloned(),
                queries: queries.map(|query| query["name"].as_str().unwrap().to_owned()).collect(),
                schemas: schemas.clone(),
            });
        }
    }
    all.retain(|operation| !NOT_TRIED.contains(&operation.path.as_str()));
    assert!(all.len() >= 28, "the document has {} operations", all.len());
    all
}

impl Operation {
    /// Whether it goes on as another protocol.
    pub(crate) fn upgrades(&self) -> bool {
        self.path.ends_with("/exec")
    }

    /// A request with good parts but for its body.
    pub(crate) fn with(&self, body: &str) -> Sent {
        let path = self.filled(|name| good_part(name).to_owned());
        self.sent(format!("{} {path}", self.method), body.into())
    }

    /// A request of which at least one part is by chance.
    pub(crate) fn malformed(&self, chance: &mut Chance) -> Sent {
        let mut path = self.filled(|name| {
            let odd = chance.below(4) == 0;
            if odd { encoded(&text(chance)) } else { good_part(name).to_owned() }
        });
        for query in &self.queries {
            let mark = if path.contains('?') { '&' } else { '?' };
            // `true` asks for a stream, which has no end.
            let value = text(chance).replace("true", "1");
            match chance.below(4) {
                0 => path += &format!("{mark}{query}={}", encoded(&value)),
                1 => path += &format!("{mark}{query}=%ff%fe&{query}=1&&&=&{query}"),
                _ => {}
            }
        }
        let body = self.body.as_ref().map_or_else(Vec::new, |schema| self.malformed_body(schema, chance));
        let mut sent = self.sent(format!("{} {path}", self.method), body);
        if chance.below(20) == 0 {
            sent.content_type = "text/plain";
        }
        sent
    }

    fn sent(&self, line: String, body: Vec<u8>) -> Sent {
        Sent { line, content_type: "application/json", upgrade: self.upgrades(), body }
    }

    fn filled(&self, mut part: impl FnMut(&str) -> String) -> String {
        let parts = self.path.split('/').map(|segment| {
            let name = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
            name.map_or_else(|| segment.to_owned(), &mut part)
        });
        parts.collect::<Vec<_>>().join("/")
    }

    fn malformed_body(&self, schema: &Value, chance: &mut Chance) -> Vec<u8> {
        let mut value = self.example(schema, chance, 0);
        for _ in 0..chance.below(3) {
            spoil(&mut value, chance);
        }
        let bytes = serde_json::to_vec(&value).unwrap();
        match chance.below(8) {
            0 => damage(&bytes, chance),
            1 => Vec::new(),
            2 => b"[".repeat(1 + chance.below(20_000)),
            3 => String::from_utf8_lossy(&bytes).replace('"', "'").into_bytes(),
            _ => bytes,
        }
    }

    /// A value that has the form of `schema`.
    fn example(&self, schema: &Value, chance: &mut Chance, depth: usize) -> Value {
        if depth > 12 {
            return Value::Null;
        }
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            return self.example(&self.schemas[name], chance, depth + 1);
        }
        for choice in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[choice].as_array() {
                return self.example(chance.one_of(choices), chance, depth + 1);
            }
        }
        let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("object");
        match kind {
            "object" => self.object(schema, chance, depth),
            "array" => (0..chance.below(3)).map(|_| self.example(&schema["items"], chance, depth + 1)).collect(),
            "integer" | "number" => json!(*chance.one_of(&[0, 1, 2, -1, i64::MAX, i64::MIN])),
            "boolean" => json!(chance.below(2) == 0),
            "null" => Value::Null,
            _ => json!(text(chance)),
        }
    }

    fn object(&self, schema: &Value, chance: &mut Chance, depth: usize) -> Value {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut object = Map::new();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            if required.contains(&name.as_str()) || chance.below(3) == 0 {
                object.insert(name.clone(), self.example(property, chance, depth + 1));
            }
        }
        if schema["additionalProperties"].is_object() {
            object.insert(text(chance), self.example(&schema["additionalProperties"], chance, depth + 1));
        }
        Value::Object(object)
    }
}

fn good_part(name: &str) -> &'static str {
    match name {
        "app" => "shop",
        "env" => "production",
        "replica" => "web.1",
        "run" => "018f0000-0000-7000-8000-000000000000",
        _ => "web",
    }
}

fn text(chance: &mut Chance) -> String {
    match chance.below(8) {
        0 => "a".repeat(1 + chance.below(5_000)),
        1 | 2 => (*chance.one_of(&ODD)).to_owned(),
        _ => (*chance.one_of(&GOOD)).to_owned(),
    }
}

/// Percent-encoded but for what has no meaning in a target. A percent sign stays as it is: some of what is sent
/// is encoded already, and not even as UTF-8.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'%');
    let encode = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") };
    text.bytes().map(encode).collect()
}

/// Replaces, removes or adds something at a place by chance.
fn spoil(value: &mut Value, chance: &mut Chance) {
    let deeper = chance.below(4) > 0;
    match value {
        Value::Object(map) if !map.is_empty() => {
            let key = map.keys().nth(chance.below(map.len())).cloned().unwrap_or_default();
            match chance.below(6) {
                0 => drop(map.remove(&key)),
                1 => drop(map.insert(text(chance), json!(1))),
                _ => spoil(&mut map[&key], chance),
            }
        }
        Value::Array(items) if !items.is_empty() && deeper => {
            let at = chance.below(items.len());
            spoil(&mut items[at], chance);
        }
        _ => {
            let others = [
                Value::Null,
                json!(true),
                json!(-1),
                json!(u64::MAX),
                json!(1e300),
                json!([]),
                json!({}),
                json!([[[[[[1]]]]]]),
                json!("x".repeat(10_000)),
                json!(text(chance)),
            ];
            *value = chance.one_of(&others).clone();
        }
    }
}
