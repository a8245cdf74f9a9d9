//! One tree over another, as Compose merges files, `extends` and overrides.

use std::collections::HashMap;

use crate::tree::{Entry, Map, Merge, Node, Scalar, Value};

/// Keys whose lists of `KEY=value` are mappings in another spelling.
const PAIR_KEYS: [&str; 8] =
    ["environment", "labels", "annotations", "args", "sysctls", "extra_hosts", "additional_contexts", "driver_opts"];
/// Keys whose lists are mappings from names to nothing.
const NAME_KEYS: [&str; 2] = ["depends_on", "networks"];
/// Keys whose new value takes the place of the old, lists among them.
const REPLACED: [&str; 6] = ["command", "entrypoint", "test", "release", "port", "domain"];

/// `over` on top of `base`: mappings merge, lists grow, everything else is replaced.
pub(crate) fn merge(base: Node, over: Node) -> Node {
    merge_value("", base, over)
}

/// Takes what is marked with `!reset` out of a tree that nothing more is merged into.
pub(crate) fn settle(node: &mut Node) {
    match &mut node.value {
        Value::Map(map) => {
            map.retain(|entry| entry.value.merge != Merge::Reset);
            map.values_mut().for_each(|entry| settle(&mut entry.value));
        }
        Value::List(items) => {
            items.retain(|item| item.merge != Merge::Reset);
            items.iter_mut().for_each(settle);
        }
        Value::Null | Value::Scalar(_) => {}
    }
}

fn merge_value(key: &str, base: Node, over: Node) -> Node {
    if over.merge != Merge::Join {
        return over;
    }
    if over.is_null() {
        return base;
    }
    let (base, over) = (in_merging_form(key, base, &over), over);
    let over = in_merging_form(key, over, &base);
    let over_span = over.span;
    match (base.value, over.value) {
        (Value::Map(base), Value::Map(over)) => Node::new(over_span, Value::Map(merge_maps(base, over))),
        (Value::List(base), Value::List(over)) if !REPLACED.contains(&key) => {
            Node::new(over_span, Value::List(append(key, base, over)))
        }
        (_, value) => Node::new(over_span, value),
    }
}

fn merge_maps(mut base: Map, over: Map) -> Map {
    for entry in over {
        let Entry { key, key_span, value } = entry;
        // A value belongs where it was first written, which is where people look for it.
        let key_span = base.entry(&key).map_or(key_span, |old| old.key_span);
        let value = match base.get_mut(&key) {
            Some(old) if value.merge == Merge::Join => {
                let old = std::mem::replace(old, Node::new(key_span, Value::Null));
                merge_value(&key, old, value)
            }
            _ => value,
        };
        base.put(Entry { key, key_span, value });
    }
    base
}

/// `node` in the form in which it merges with `other`.
fn in_merging_form(key: &str, node: Node, other: &Node) -> Node {
    let scalar = matches!(node.value, Value::Scalar(_));
    let list = matches!(node.value, Value::List(_));
    if list && PAIR_KEYS.contains(&key) {
        let separators: &[char] = if key == "extra_hosts" { &['=', ':'] } else { &['='] };
        return Node { span: node.span, merge: node.merge, value: Value::Map(pairs(&node, separators)) };
    }
    if list && NAME_KEYS.contains(&key) {
        return Node { span: node.span, merge: node.merge, value: Value::Map(names(&node)) };
    }
    if scalar && key == "build" && other.map().is_some() {
        let mut map = Map::default();
        let span = node.span;
        map.put(Entry { key: "context".into(), key_span: span, value: node });
        return Node::new(span, Value::Map(map));
    }
    if scalar && other.list().is_some() && !REPLACED.contains(&key) {
        return Node::new(node.span, Value::List(vec![node]));
    }
    node
}

/// A mapping of items such as `KEY=value`; one that is a mapping already stays. The first of
/// `separators` that an item has divides it; an item without has no value.
pub(crate) fn pairs(node: &Node, separators: &[char]) -> Map {
    let mut map = Map::default();
    match &node.value {
        Value::Map(known) => return known.clone(),
        Value::List(items) => {
            for item in items {
                if let Value::Scalar(scalar) = &item.value {
                    map.put(pair(item, scalar, separators));
                }
            }
        }
        _ => {}
    }
    map
}

fn pair(item: &Node, scalar: &Scalar, separators: &[char]) -> Entry {
    let split = separators.iter().find_map(|separator| scalar.text.find(*separator));
    let Some(at) = split else {
        return Entry { key: scalar.text.clone(), key_span: item.span, value: Node::new(item.span, Value::Null) };
    };
    let pieces = scalar.pieces.clone().map(|mut pieces| {
        if let Some(crate::tree::Piece::Text(first)) = pieces.first_mut() {
            *first = first.get(at + 1..).unwrap_or_default().to_owned();
        }
        pieces
    });
    let text = scalar.text[at + 1..].into();
    let value = Value::Scalar(Scalar { text, quoted: true, pieces });
    Entry { key: scalar.text[..at].trim_end().into(), key_span: item.span, value: Node::new(item.span, value) }
}

fn names(node: &Node) -> Map {
    let mut map = Map::default();
    for item in node.items() {
        if let Some(name) = item.scalar() {
            let value = Node::new(item.span, Value::Null);
            map.put(Entry { key: name.into(), key_span: item.span, value });
        }
    }
    map
}

fn append(key: &str, mut base: Vec<Node>, over: Vec<Node>) -> Vec<Node> {
    let mut places: HashMap<String, usize> = HashMap::new();
    for (at, item) in base.iter().enumerate() {
        if let Some(id) = identity(key, item) {
            places.entry(id).or_insert(at);
        }
    }
    for item in over {
        let Some(id) = identity(key, &item) else {
            base.push(item);
            continue;
        };
        match places.get(&id) {
            Some(at) => base[*at] = item,
            None => {
                places.insert(id, base.len());
                base.push(item);
            }
        }
    }
    base
}

/// What tells an item of a list from the others: a later item with the same replaces an earlier one.
fn identity(key: &str, item: &Node) -> Option<String> {
    let field = |name: &str| item.get(name).and_then(Node::scalar).unwrap_or_default().to_owned();
    match (key, item.scalar()) {
        ("volumes", Some(short)) => Some(mount_target(short).to_owned()),
        ("volumes", None) => Some(field("target")),
        ("ports", None) => Some([field("host_ip"), field("published"), field("target"), field("protocol")].join(":")),
        ("secrets" | "configs", None) => Some([field("source"), field("target")].join(":")),
        (_, Some(text)) => Some(text.to_owned()),
        (_, None) => None,
    }
}

/// The path inside the replica in a short volume.
fn mount_target(short: &str) -> &str {
    let mut parts = short.split(':');
    let first = parts.next().unwrap_or_default();
    parts.next().unwrap_or(first)
}
