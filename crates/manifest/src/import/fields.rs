//! The fields of a format that are known, each with its fate. What is in no table is reported as well: nothing is
//! lost without a word.

use super::note::Notes;
use crate::tree::{Map, Node, Value};

/// One field of an object.
pub(super) type Field = (&'static str, Fate);

/// What becomes of a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    /// Somebody reads it, and says so where it does not mean the same.
    Read,
    /// It is the platform's own bookkeeping and says nothing about the system.
    Moot,
    /// Why it is not carried over, and what to use instead.
    Lost(&'static str, &'static str),
    /// The same, unless it says what is usual.
    LostUnless(&'static str, &'static str, &'static str),
}

use Fate::{Lost, LostUnless, Moot, Read};

/// Reports what is not carried over of `node`, which is called `what`.
pub(super) fn check(notes: &Notes<'_, '_>, node: &Node, table: &[Field], what: &str) {
    for entry in node.map().into_iter().flat_map(Map::iter).filter(|entry| !says_nothing(&entry.value)) {
        let row = table.iter().find(|(name, _)| *name == entry.key);
        let (why, advice) = match row.map(|(_, fate)| *fate) {
            Some(Read | Moot) => continue,
            Some(LostUnless(usual, ..)) if is_usual(&entry.value, usual) => continue,
            Some(Lost(why, advice) | LostUnless(_, why, advice)) => (why, advice),
            None => ("it is not known to the import", "look up what it does, and whether the manifest needs it"),
        };
        notes.not_carried(entry.key_span, format!("`{}` of {what}: {why}", entry.key), advice);
    }
}

fn is_usual(node: &Node, usual: &str) -> bool {
    node.scalar().is_some_and(|text| text.eq_ignore_ascii_case(usual))
}

fn says_nothing(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::List(items) => items.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Scalar(_) => false,
    }
}
