//! Small readers. What has the wrong shape was reported when the tree was checked; here it is absent.

use std::collections::BTreeMap;

use crate::merge::pairs;
use crate::tree::Node;
use crate::units;

/// The text of `key`.
pub(crate) fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key)?.scalar().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Whether `key` is true.
pub(crate) fn flag(node: &Node, key: &str) -> bool {
    boolean(node, key).unwrap_or(false)
}

pub(crate) fn boolean(node: &Node, key: &str) -> Option<bool> {
    units::boolean(node.get(key)?.scalar()?)
}

pub(crate) fn integer(node: &Node, key: &str) -> Option<i64> {
    units::integer(node.get(key)?.scalar()?)
}

pub(crate) fn duration(node: &Node, key: &str) -> Option<u64> {
    units::duration_ms(node.get(key)?.scalar()?)
}

pub(crate) fn bytes(node: &Node, key: &str) -> Option<u64> {
    units::bytes(node.get(key)?.scalar()?)
}

pub(crate) fn cpu(node: &Node, key: &str) -> Option<u64> {
    units::cpu_millis(node.get(key)?.scalar()?)
}

/// The texts of a list, or of a single value.
pub(crate) fn texts(node: &Node, key: &str) -> Vec<String> {
    let items = node.get(key).map(Node::items).unwrap_or_default();
    items.iter().filter_map(Node::scalar).map(str::to_owned).collect()
}

/// A mapping of texts, or a list of `KEY=value`.
pub(crate) fn text_map(node: &Node, key: &str) -> BTreeMap<String, String> {
    let Some(node) = node.get(key) else { return BTreeMap::new() };
    let pairs = pairs(node, &['=']);
    pairs.iter().map(|entry| (entry.key.to_string(), entry.value.scalar().unwrap_or_default().to_owned())).collect()
}
