//! Small readers. What has another shape than Kubernetes gives it is absent.

use crate::tree::{Map, Node, Span};
use crate::units;

/// The text of `key`, if it says something.
pub(super) fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key)?.scalar().filter(|text| !text.is_empty())
}

/// The text of `key`, and where it stands.
pub(super) fn placed<'n>(node: &'n Node, key: &str) -> Option<(&'n str, Span)> {
    let value = node.get(key)?;
    Some((value.scalar()?, value.span))
}

/// The items of the list at `key`.
pub(super) fn list<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    node.get(key).and_then(Node::list).unwrap_or_default()
}

/// The texts of the list at `key`.
pub(super) fn texts<'n>(node: &'n Node, key: &str) -> Vec<&'n str> {
    list(node, key).iter().filter_map(Node::scalar).collect()
}

/// The mapping at `key`.
pub(super) fn map<'n>(node: &'n Node, key: &str) -> Option<&'n Map> {
    node.get(key).and_then(Node::map)
}

pub(super) fn flag(node: &Node, key: &str) -> bool {
    text(node, key).and_then(units::boolean).unwrap_or(false)
}

/// The number at `key`, if it is not negative.
pub(super) fn number(node: &Node, key: &str) -> Option<u32> {
    text(node, key)?.trim().parse().ok()
}

pub(super) fn port(text: &str) -> Option<u16> {
    text.trim().parse().ok().filter(|port| *port > 0)
}

/// Permission bits. Kubernetes reads YAML 1.1, where `0644` is octal and `420` is decimal.
pub(super) fn mode(node: &Node, key: &str) -> Option<String> {
    let written = text(node, key)?.trim();
    let octal = written.strip_prefix("0o").or_else(|| written.strip_prefix('0'));
    let mode = match octal {
        Some("") => 0,
        Some(octal) => u32::from_str_radix(octal, 8).ok()?,
        None => written.parse().ok()?,
    };
    (mode <= 0o777).then(|| format!("{mode:04o}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Entry, Scalar, Value};

    #[test]
    fn modes_are_octal_with_a_zero_in_front_and_decimal_without() {
        let mode = |text: &str| {
            let scalar = Scalar { text: text.into(), quoted: false, pieces: None };
            let mut map = Map::default();
            let value = Node::new(Span::default(), Value::Scalar(scalar));
            map.put(Entry { key: "mode".into(), key_span: Span::default(), value });
            mode(&Node::new(Span::default(), Value::Map(map)), "mode")
        };
        let all = [("0644", Some("0644")), ("420", Some("0644")), ("0o400", Some("0400")), ("256", Some("0400"))];
        for (text, expect) in all {
            assert_eq!(mode(text).as_deref(), expect, "{text}");
        }
        assert_eq!([mode("0"), mode("9999"), mode("x")], [Some("0000".to_owned()), None, None]);
    }
}
