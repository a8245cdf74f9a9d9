//! YAML text to a tree in which everything has its place, within bounds.

use std::collections::HashMap;

use granit_parser::{BorrowedInput, Event, Parser, ScalarStyle};

/// The largest file that is read, in bytes.
const MAX_BYTES: usize = 8 << 20;
/// How deep values may stand in one another.
const MAX_DEPTH: usize = 64;
/// How many values aliases may copy.
const MAX_COPIED: usize = 200_000;

/// A line and a column, both counted from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Mark {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A value and where it begins.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Mark,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    /// A single value; `plain` if it may be a number or a truth value.
    Text {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and what it has. A mapping keeps the order of the file.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Mark,
    pub(crate) value: Node,
}

impl Node {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Text { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    fn size(&self) -> usize {
        match &self.value {
            Value::Null | Value::Text { .. } => 1,
            Value::List(items) => 1 + items.iter().map(Node::size).sum::<usize>(),
            Value::Map(entries) => 1 + entries.iter().map(|entry| 1 + entry.value.size()).sum::<usize>(),
        }
    }

    fn height(&self) -> usize {
        match &self.value {
            Value::Null | Value::Text { .. } => 1,
            Value::List(items) => 1 + items.iter().map(Node::height).max().unwrap_or(0),
            Value::Map(entries) => 1 + entries.iter().map(|entry| entry.value.height()).max().unwrap_or(0),
        }
    }
}

/// What is wrong with the text: where, what, and what to do.
pub(crate) struct Flaw {
    pub(crate) at: Mark,
    pub(crate) message: String,
    pub(crate) help: &'static str,
}

/// Reads a text that is one document. Nothing of one that cannot be read to its end; all flaws that were found until then.
pub(crate) fn parse(text: &str) -> (Option<Node>, Vec<Flaw>) {
    let start = Mark { line: 1, column: 1 };
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, and {MAX_BYTES} are the most", text.len());
        return (None, vec![Flaw { at: start, message, help: "split it into several files" }]);
    }
    if text.contains('\0') {
        let message = "a NUL byte is no text".to_owned();
        return (None, vec![Flaw { at: start, message, help: "remove it" }]);
    }
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        block_nesting_limit: 3 * MAX_DEPTH,
        flow_nesting_limit: 3 * MAX_DEPTH
    };
    let parser = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { parser, anchors: HashMap::new(), copied: 0, flaws: Vec::new() };
    let root = reader.document();
    (root.ok().flatten(), reader.flaws)
}

/// The rest cannot be read; why is among the flaws.
struct Stop;

struct Reader<'i, T: BorrowedInput<'i>> {
    parser: Parser<'i, T>,
    anchors: HashMap<usize, Node>,
    copied: usize,
    flaws: Vec<Flaw>,
}

impl<'i, T: BorrowedInput<'i>> Reader<'i, T> {
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => {
                    let node = self.node(event, at, 0)?;
                    if root.is_some() {
                        self.flaw(at, "a second document in one file", "put it into a file of its own");
                    }
                    root.get_or_insert(node);
                }
            }
        }
    }

    fn flaw(&mut self, at: Mark, message: impl Into<String>, help: &'static str) {
        self.flaws.push(Flaw { at, message: message.into(), help });
    }

    fn next(&mut self) -> Result<(Event<'i>, Mark), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                Ok((event, Mark { line: span.start.line().max(1), column: span.start.col() + 1 }))
            }
            Some(Err(error)) => {
                let at = Mark { line: error.marker().line().max(1), column: error.marker().col() + 1 };
                let message = format!("this is not YAML: {}", error.info());
                self.flaw(at, message, "look at the indentation, colons and quotes here and just above");
                Err(Stop)
            }
            None => Ok((Event::StreamEnd, Mark::default())),
        }
    }

    fn node(&mut self, event: Event<'i>, at: Mark, depth: usize) -> Result<Node, Stop> {
        if depth > MAX_DEPTH {
            self.flaw(at, format!("values stand more than {MAX_DEPTH} deep in one another"), "nest less");
            return Err(Stop);
        }
        Ok(match event {
            Event::Scalar(text, style, anchor, tag) => {
                let forced = tag.as_deref().is_some_and(|tag| tag.core_suffix() == Some("str"));
                let plain = style == ScalarStyle::Plain && !forced;
                let nothing = plain && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let value = if nothing { Value::Null } else { Value::Text { text: text.into_owned(), plain } };
                self.remember(anchor, Node { at, value })
            }
            Event::SequenceStart(_, anchor, _) => {
                let items = self.list(depth)?;
                self.remember(anchor, Node { at, value: Value::List(items) })
            }
            Event::MappingStart(_, anchor, _) => {
                let entries = self.mapping(depth)?;
                self.remember(anchor, Node { at, value: Value::Map(entries) })
            }
            Event::Alias(id) => self.copy(id, at, depth)?,
            Event::UnresolvedAlias(name) => {
                self.flaw(at, format!("no anchor `&{name}` stands before this"), "define it first");
                Node { at, value: Value::Null }
            }
            _ => Node { at, value: Value::Null },
        })
    }

    fn remember(&mut self, anchor: usize, node: Node) -> Node {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        node
    }

    fn copy(&mut self, id: usize, at: Mark, depth: usize) -> Result<Node, Stop> {
        let Some(node) = self.anchors.get(&id).cloned() else {
            self.flaw(at, "an alias cannot stand inside of what it names", "write it out");
            return Ok(Node { at, value: Value::Null });
        };
        self.copied += node.size();
        if depth + node.height() > MAX_DEPTH || self.copied > MAX_COPIED {
            self.flaw(at, "aliases copy more than a file could need", "write it out");
            return Err(Stop);
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Stop> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd | Event::StreamEnd, _) => return Ok(items),
                (event, at) => items.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Vec<Entry>, Stop> {
        let (mut entries, mut bases): (Vec<Entry>, Vec<Node>) = (Vec::new(), Vec::new());
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                return Ok(self.with_bases(entries, bases));
            }
            let key = self.node(event, at, depth + 1)?;
            let (event, value_at) = self.next()?;
            let value = self.node(event, value_at, depth + 1)?;
            match key.value {
                Value::Text { text, plain: true } if text == "<<" => bases.push(value),
                Value::Text { text, .. } => {
                    if let Some(first) = entries.iter().find(|entry| entry.key == text) {
                        let line = first.at.line;
                        self.flaw(at, format!("`{text}` is written twice, first in line {line}"), "remove one of them");
                    } else {
                        entries.push(Entry { key: text, at, value });
                    }
                }
                _ => self.flaw(at, "a key is a single value", "write a name before the colon"),
            }
        }
    }

    /// Adds what merge keys bring: what is written here wins, and an earlier base wins over a later.
    fn with_bases(&mut self, mut entries: Vec<Entry>, bases: Vec<Node>) -> Vec<Entry> {
        for base in bases {
            let list = match base.value {
                Value::List(list) => list,
                value => vec![Node { at: base.at, value }],
            };
            for item in list {
                let Value::Map(base) = item.value else {
                    self.flaw(item.at, "`<<` takes a mapping or a list of mappings", "give it one");
                    continue;
                };
                for entry in base {
                    if !entries.iter().any(|known| known.key == entry.key) {
                        entries.push(entry);
                    }
                }
            }
        }
        entries
    }
}
