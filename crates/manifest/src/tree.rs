//! What a YAML file says, with the place of everything in it.

use std::collections::HashMap;

use compact_str::CompactString;

use crate::context::weight;

/// A place in one of the files that were read, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Span {
    /// Which file, by its place in [`crate::context::Context::source`].
    pub(crate) file: u16,
    /// First byte.
    pub(crate) start: u32,
    /// Byte after the last.
    pub(crate) end: u32,
}

/// A value, where it stands, and how it takes part in merging.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
    pub(crate) merge: Merge,
}

/// What Compose's tags ask for when files are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Merge {
    /// Mappings merge, lists grow, scalars replace.
    #[default]
    Join,
    /// `!reset`: what was there goes, and nothing takes its place.
    Reset,
    /// `!override`: this takes the place of what was there.
    Override,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
}

/// A scalar as text: what it means depends on who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar {
    pub(crate) text: CompactString,
    /// Written in quotes or as a block, so never a number, a truth value or nothing.
    pub(crate) quoted: bool,
    /// Set when the text holds references to services or secrets.
    pub(crate) pieces: Option<Vec<Piece>>,
}

/// A part of a scalar with references in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// `${name.fact}`: what stood between the braces.
    Reference(String),
}

/// A mapping in the order of the file; each key once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Map {
    entries: Vec<Entry>,
    /// The [`mark`] of every key that was ever put in. Readers ask a service for some seventy keys of
    /// which it has a few; most questions end here.
    marks: u64,
    /// Where each key is. Nothing while there are few: then looking through them is faster, and most
    /// mappings of a manifest stay small.
    #[expect(clippy::box_collection, reason = "there are thousands of small mappings, and each is moved often")]
    places: Option<Box<HashMap<CompactString, usize>>>,
}

/// How many entries are looked through one by one.
const FEW: usize = 16;

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: CompactString,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// One of 64 bits for a key, by its length and its ends: telling keys apart is enough.
fn mark(key: &str) -> u64 {
    let bytes = key.as_bytes();
    let ends = bytes.first().zip(bytes.last()).map_or(0, |(first, last)| usize::from(*first) * 5 + usize::from(*last));
    1 << ((bytes.len() * 11 + ends) % 64)
}

impl Map {
    /// An empty mapping with room for as many entries as most have: [`Map::fit`] gives back what is left.
    pub(crate) fn roomy() -> Self {
        Self { entries: Vec::with_capacity(8), ..Self::default() }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.place(key).map(|at| &self.entries[at])
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.place(key).map(|at| &mut self.entries[at].value)
    }

    fn place(&self, key: &str) -> Option<usize> {
        if self.marks & mark(key) == 0 {
            return None;
        }
        match &self.places {
            Some(places) => places.get(key).copied(),
            None => self.entries.iter().position(|entry| entry.key == key),
        }
    }

    /// Puts `entry` in; one with its key keeps its place and gets the new value.
    pub(crate) fn put(&mut self, entry: Entry) {
        if let Some(at) = self.place(&entry.key) {
            self.entries[at] = entry;
            return;
        }
        self.marks |= mark(&entry.key);
        if let Some(places) = &mut self.places {
            places.insert(entry.key.clone(), self.entries.len());
        }
        self.entries.push(entry);
        if self.places.is_none() {
            self.index();
        }
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<Node> {
        let at = self.place(key)?;
        let entry = self.entries.remove(at);
        self.index();
        Some(entry.value)
    }

    /// Keeps what `keep` holds for.
    pub(crate) fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        let before = self.entries.len();
        self.entries.retain(keep);
        if self.entries.len() < before {
            self.index();
        }
    }

    fn index(&mut self) {
        let keys = self.entries.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at));
        self.places = (self.entries.len() > FEW).then(|| Box::new(keys.collect()));
    }

    /// Gives back the room that was kept for more entries.
    pub(crate) fn fit(&mut self) {
        self.entries.shrink_to_fit();
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl IntoIterator for Map {
    type Item = Entry;
    type IntoIter = std::vec::IntoIter<Entry>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl Node {
    pub(crate) fn new(span: Span, value: Value) -> Self {
        Self { span, value, merge: Merge::Join }
    }

    /// The mapping, if it is one.
    pub(crate) fn map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub(crate) fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The scalar's text, if it is a scalar that says something.
    pub(crate) fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The value of `key`, if this is a mapping that has it and it says something.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.map()?.get(key).filter(|node| !node.is_null())
    }

    /// A list's items; a single value is a list of one.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(list) => list,
            Value::Null => &[],
            _ => std::slice::from_ref(self),
        }
    }

    /// How many values it holds, itself included; a long text counts for more than one.
    pub(crate) fn size(&self) -> usize {
        match &self.value {
            Value::Null => 1,
            Value::Scalar(scalar) => 1 + weight(&scalar.text),
            Value::List(list) => 1 + list.iter().map(Node::size).sum::<usize>(),
            Value::Map(map) => 1 + map.iter().map(|entry| 1 + weight(&entry.key) + entry.value.size()).sum::<usize>(),
        }
    }

    /// How many values stand in one another, itself included.
    pub(crate) fn height(&self) -> usize {
        match &self.value {
            Value::Null | Value::Scalar(_) => 1,
            Value::List(list) => 1 + list.iter().map(Node::height).max().unwrap_or(0),
            Value::Map(map) => 1 + map.iter().map(|entry| entry.value.height()).max().unwrap_or(0),
        }
    }

    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}
