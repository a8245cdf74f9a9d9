//! The objects of the documents, and finding one by its name.

use std::collections::HashMap;

use super::Import;
use super::kinds::is_read;
use crate::import::read::{list, text};
use crate::tree::{Node, Span};

/// The namespace of an object that names none.
const DEFAULT: &str = "default";

/// One object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'n> {
    pub(super) kind: &'n str,
    /// The part of `apiVersion` before the slash; empty for the core.
    pub(super) group: &'n str,
    pub(super) name: &'n str,
    pub(super) namespace: &'n str,
    pub(super) node: &'n Node,
    /// Where its name stands.
    pub(super) at: Span,
}

impl<'n> Object<'n> {
    fn read(node: &'n Node) -> Option<Self> {
        let kind = text(node, "kind")?;
        let version = text(node, "apiVersion")?;
        let metadata = node.get("metadata");
        let named = metadata.and_then(|metadata| metadata.get("name").or_else(|| metadata.get("generateName")));
        let name = named.and_then(Node::scalar).unwrap_or_default();
        let kind_span = node.get("kind").map_or(node.span, |kind| kind.span);
        Some(Self {
            kind,
            group: version.split_once('/').map_or("", |(group, _)| group),
            name: name.trim_end_matches('-'),
            namespace: metadata.and_then(|metadata| text(metadata, "namespace")).unwrap_or(DEFAULT),
            node,
            at: named.map_or(kind_span, |named| named.span),
        })
    }

    /// `Deployment web`.
    pub(super) fn shown(&self) -> String {
        if self.name.is_empty() { self.kind.to_owned() } else { format!("{} {}", self.kind, self.name) }
    }

    pub(super) fn spec(&self) -> Option<&'n Node> {
        self.node.get("spec")
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&'n str> {
        text(self.node.get("metadata")?.get("annotations")?, key)
    }

    pub(super) fn label(&self, key: &str) -> Option<&'n str> {
        text(self.node.get("metadata")?.get("labels")?, key)
    }
}

/// Every object, in the order of the documents.
#[derive(Default)]
pub(super) struct Cluster<'n> {
    pub(super) all: Vec<Object<'n>>,
    /// Those of kinds that nobody reads.
    pub(super) others: Vec<Object<'n>>,
    places: HashMap<(&'n str, &'n str, &'n str), usize>,
}

impl<'n> Cluster<'n> {
    /// Takes lists apart. What is no object is reported. Of two objects with one name the later counts, as it
    /// does for who applies one after the other.
    pub(super) fn read(import: &Import<'_, '_>, documents: &'n [Node]) -> Self {
        let mut found = Vec::new();
        documents.iter().for_each(|document| take_apart(import, document, &mut found));
        let mut cluster = Self::default();
        for object in found {
            if is_read(&object) {
                cluster.add(import, object);
            } else {
                cluster.others.push(object);
            }
        }
        cluster
    }

    fn add(&mut self, import: &Import<'_, '_>, object: Object<'n>) {
        let key = (object.kind, object.namespace, object.name);
        let Some(at) = self.places.get(&key).filter(|_| !object.name.is_empty()) else {
            self.places.insert(key, self.all.len());
            self.all.push(object);
            return;
        };
        let what = format!("{} is described again: the later one counts", object.shown());
        import.notes.changed(self.all[*at].at, what, "remove one of the two");
        self.all[*at] = object;
    }

    pub(super) fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<Object<'n>> {
        self.places.get(&(kind, namespace, name)).map(|at| self.all[*at])
    }

    pub(super) fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = Object<'n>> + '_ {
        self.all.iter().copied().filter(move |object| object.kind == kind)
    }
}

fn take_apart<'n>(import: &Import<'_, '_>, node: &'n Node, into: &mut Vec<Object<'n>>) {
    if node.is_null() {
        return;
    }
    match Object::read(node) {
        Some(object) if object.kind.ends_with("List") && node.get("items").is_some() => {
            list(node, "items").iter().for_each(|item| take_apart(import, item, into));
        }
        Some(object) => into.push(object),
        None => {
            let what = "this is no object of Kubernetes: `apiVersion` or `kind` is missing";
            let advice = "for a chart or an overlay, import what it renders: `helm template …` or `kubectl kustomize …`, and `-` as the path";
            import.notes.not_carried(Span { end: node.span.start, ..node.span }, what, advice);
        }
    }
}
