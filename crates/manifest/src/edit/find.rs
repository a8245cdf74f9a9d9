//! Looking for a path in files as they are written.

use daybook_model::policy::{Key, KeyPath};

use super::Texts;
use crate::tree::{Entry, Node, Span, Value};

/// How many services a service may be made from, one after the other.
const LONGEST_CHAIN: usize = 8;
/// How many keys lead to what an environment says for itself.
const OWN: usize = 2;

/// What was found of a path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found<'t> {
    /// The last node of the path that is there.
    pub(super) node: &'t Node,
    /// Where its key stands; for the item of a list, the item.
    pub(super) key: Span,
    /// How many keys of the path are there.
    pub(super) depth: usize,
    /// All of them.
    pub(super) whole: bool,
    /// What it stands in.
    pub(super) above: Option<&'t Node>,
}

impl Texts<'_> {
    /// What there is of `path`: all of it, or else as much as any file has. What the environment says for itself goes
    /// before what is said of all, where it says it.
    pub(super) fn find(&self, path: &KeyPath) -> Option<Found<'_>> {
        let mut best: Option<Found<'_>> = None;
        for (keys, own) in self.ways(path) {
            for document in self.documents.iter().rev() {
                let found = self.walk(document, &keys, if own { OWN } else { 0 });
                let rank = |found: &Found<'_>| (found.whole, found.depth);
                if best.as_ref().is_none_or(|best| rank(&found) > rank(best) || (found.whole && best.whole && own)) {
                    best = Some(found);
                }
            }
        }
        best.filter(|found| found.depth > 0)
    }

    /// Where all of `path` stands.
    pub(super) fn whole(&self, path: &KeyPath) -> Option<Found<'_>> {
        self.find(path).filter(|found| found.whole)
    }

    /// The path as it is, as the environment says it for itself, and as those say it that the service is made from.
    fn ways(&self, path: &KeyPath) -> Vec<(Vec<Key>, bool)> {
        let mut ways = vec![(path.0.clone(), false)];
        let own = ["environments", &self.environment].map(|name| Key::Name(name.to_owned()));
        ways.push((own.into_iter().chain(path.0.iter().cloned()).collect(), true));
        let mut keys = path.0.clone();
        for _ in 0..LONGEST_CHAIN {
            let [Key::Name(section), Key::Name(service), ..] = keys.as_slice() else { break };
            let Some(base) = (section == "services").then(|| self.base(service)).flatten() else { break };
            keys[1] = Key::Name(base);
            ways.push((keys.clone(), false));
        }
        ways
    }

    /// The service that `service` is made from, in the same manifest.
    fn base(&self, service: &str) -> Option<String> {
        self.documents.iter().rev().find_map(|document| {
            let node = document.get("services")?.get(service)?;
            let extends = || {
                let node = node.get("extends")?;
                if node.get("file").is_some() { None } else { node.get("service").or(Some(node)) }
            };
            node.get("from").or_else(extends)?.scalar().map(str::to_owned)
        })
    }

    /// Follows `keys` as far as they are there. The first `before` of them are no part of the path.
    fn walk<'t>(&self, document: &'t Node, keys: &[Key], before: usize) -> Found<'t> {
        let mut found = Found { node: document, key: document.span, depth: 0, whole: false, above: None };
        for (at, key) in keys.iter().enumerate() {
            let Some((node, span)) = self.step(found.node, key) else { return found };
            found = Found {
                node,
                key: span,
                depth: (at + 1).saturating_sub(before),
                whole: false,
                above: Some(found.node),
            };
        }
        Found { whole: true, ..found }
    }

    fn step<'t>(&self, node: &'t Node, key: &Key) -> Option<(&'t Node, Span)> {
        match (key, &node.value) {
            (Key::Name(name), Value::Map(map)) => map.entry(name).map(|entry| (&entry.value, entry.key_span)),
            (Key::Name(name), Value::List(items)) => {
                items.iter().rev().find(|item| sets(item, name)).map(|item| (item, item.span))
            }
            (Key::Holding(text), Value::List(items)) => {
                items.iter().find(|item| self.holds(item, text)).map(|item| (item, item.span))
            }
            (Key::Holding(text), Value::Scalar(_)) => self.holds(node, text).then_some((node, node.span)),
            _ => None,
        }
    }

    fn holds(&self, item: &Node, text: &str) -> bool {
        let is = |node: &Node, part: &str| {
            let part =
                part.split('/').next().filter(|_| part.ends_with("/tcp") || part.ends_with("/udp")).unwrap_or(part);
            part == text || (part.starts_with(['.', '~']) && self.ctx.resolve(node.span, part) == text)
        };
        match &item.value {
            Value::Scalar(scalar) => is(item, &scalar.text) || scalar.text.split([':', '=']).any(|part| is(item, part)),
            Value::Map(map) => {
                map.iter().any(|entry| entry.value.scalar().is_some_and(|value| is(&entry.value, value)))
            }
            Value::Null | Value::List(_) => false,
        }
    }
}

/// Whether an item of a list sets `name`: `NAME=value`, or names it.
pub(super) fn sets(item: &Node, name: &str) -> bool {
    let Some(text) = item.scalar() else { return false };
    text == name || text.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))
}

/// The entries of a mapping that stand in it, and did not come by an alias.
pub(super) fn own(map: &Node) -> impl Iterator<Item = &Entry> {
    let entries = map.map().into_iter().flat_map(crate::tree::Map::iter);
    entries.filter(|entry| {
        let (outer, key) = (map.span, entry.key_span);
        key.file == outer.file && key.start >= outer.start && key.end <= outer.end
    })
}
