//! YAML text to a tree, within bounds.
//!
//! Aliases are copied in place and merge keys (`<<`) are resolved here, so that nobody after this
//! knows of them. How much aliases may copy is bounded by what the file says without them.

use std::collections::HashMap;

use compact_str::CompactString;
use granit_parser::{Event, Parser, ScalarStyle, Tag};

use crate::context::{Context, Problem, weight};
use crate::tree::{Entry, Map, Merge, Node, Scalar, Span, Value};

/// The largest file that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 8 << 20;
/// How deep values may stand in one another.
const MAX_DEPTH: usize = 64;
/// How many values aliases may copy, whatever the size of the file.
const ALIAS_ALLOWANCE: usize = 20_000;
/// How many values aliases may copy for each value that is written.
const ALIAS_FACTOR: usize = 30;

/// The documents in file `file`, of which each overrides those before. What is wrong is reported to
/// `ctx`; after an error that leaves the rest without meaning, there is nothing.
pub(crate) fn parse(ctx: &Context<'_>, file: u16) -> Option<Vec<Node>> {
    let text = ctx.text(file);
    if let Some(at) = text.bytes().position(|byte| byte == 0) {
        let span = Span { file, start: at as u32, end: at as u32 + 1 };
        ctx.report(Problem::new("M0101", span, "a NUL byte is no text").label("remove it"));
        return None;
    }
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        block_nesting_limit: 3 * MAX_DEPTH,
        flow_nesting_limit: 3 * MAX_DEPTH
    };
    // A byte order mark in front is no content; cutting it off here would move every position.
    let parser = Parser::new_from_str_with_options(&text, options);
    let mut reader = Reader { ctx, file, parser, anchors: HashMap::new(), written: 0, copied: 0 };
    let mut documents = Vec::new();
    reader.documents(&mut documents).ok()?;
    Some(documents)
}

/// The rest of the file cannot be read; why has been reported.
struct Stop;

struct Reader<'c, 'a, 'i, T: granit_parser::BorrowedInput<'i>> {
    ctx: &'c Context<'a>,
    file: u16,
    parser: Parser<'i, T>,
    anchors: HashMap<usize, (Node, usize, usize)>,
    written: usize,
    copied: usize,
}

impl<'i, T: granit_parser::BorrowedInput<'i>> Reader<'_, '_, 'i, T> {
    fn documents(&mut self, into: &mut Vec<Node>) -> Result<(), Stop> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => into.push(self.node(event, span, 0)?),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'i>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let start = span.start.byte_offset().unwrap_or(0) as u32;
                let end = span.end.byte_offset().map_or(start, |end| end as u32).max(start);
                Ok((event, Span { file: self.file, start, end }))
            }
            Some(Err(error)) => {
                let at = error.marker().byte_offset().unwrap_or(0) as u32;
                let span = Span { file: self.file, start: at, end: at };
                let info = error.info();
                if info.contains("recursion limit") {
                    return Err(self.too_deep(span));
                }
                let problem = Problem::new("M0102", span, format!("this is not YAML: {info}"));
                self.ctx.report(self.explain(problem, at));
                Err(Stop)
            }
            None => Ok((Event::StreamEnd, Span { file: self.file, ..Span::default() })),
        }
    }

    /// Adds what usually is behind a syntax error at byte `at`: a tab in the indentation.
    fn explain(&self, problem: Problem, at: u32) -> Problem {
        let text = self.ctx.text(self.file);
        let head = text.get(..at as usize).unwrap_or(&text);
        let line = head.rfind('\n').map_or(0, |newline| newline + 1);
        let indent = text[line..].bytes().take_while(|byte| byte.is_ascii_whitespace() && *byte != b'\n');
        if indent.into_iter().any(|byte| byte == b'\t') {
            return problem.help("YAML is indented with spaces, never with tabs");
        }
        problem
    }

    fn too_deep(&self, span: Span) -> Stop {
        let message = format!("values stand more than {MAX_DEPTH} deep in one another");
        self.ctx.report(Problem::new("M0103", span, message).label("this one is too deep"));
        Stop
    }

    fn node(&mut self, event: Event<'i>, span: Span, depth: usize) -> Result<Node, Stop> {
        if depth > MAX_DEPTH {
            return Err(self.too_deep(span));
        }
        let size = if let Event::Scalar(text, ..) = &event { 1 + weight(text) } else { 1 };
        self.written += size;
        if !self.ctx.afford(span, size) {
            return Err(Stop);
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let (merge, forced) = self.tag(tag.as_deref(), span);
                let quoted = forced || style != ScalarStyle::Plain;
                let nothing = !quoted && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let value = if nothing {
                    Value::Null
                } else {
                    Value::Scalar(Scalar { text: text.into(), quoted, pieces: None })
                };
                Ok(self.remember(anchor, Node { span, value, merge }))
            }
            Event::SequenceStart(_, anchor, tag) => {
                let (merge, _) = self.tag(tag.as_deref(), span);
                let (list, span) = self.list(span, depth)?;
                Ok(self.remember(anchor, Node { span, value: Value::List(list), merge }))
            }
            Event::MappingStart(_, anchor, tag) => {
                let (merge, _) = self.tag(tag.as_deref(), span);
                let (map, span) = self.mapping(span, depth)?;
                Ok(self.remember(anchor, Node { span, value: Value::Map(map), merge }))
            }
            Event::Alias(id) => self.copy(id, span, depth),
            Event::UnresolvedAlias(name) => {
                let message = format!("no anchor `&{name}` stands before this");
                self.ctx.report(Problem::new("M0104", span, message).label("unknown alias"));
                Ok(Node::new(span, Value::Null))
            }
            _ => Ok(Node::new(span, Value::Null)),
        }
    }

    /// What a tag asks for, and whether it makes a text of the value.
    fn tag(&self, tag: Option<&Tag>, span: Span) -> (Merge, bool) {
        let Some(tag) = tag else { return (Merge::Join, false) };
        match (tag.core_suffix(), tag.suffix()) {
            (Some("str"), _) => (Merge::Join, true),
            (Some(_), _) => (Merge::Join, false),
            (None, "merge") => (Merge::Join, false),
            (None, "reset") => (Merge::Reset, false),
            (None, "override") => (Merge::Override, false),
            (None, other) => {
                let message = format!("unknown tag `!{other}`");
                self.ctx.report(Problem::new("M0105", span, message).label("`!reset` and `!override` are known"));
                (Merge::Join, false)
            }
        }
    }

    fn remember(&mut self, anchor: usize, node: Node) -> Node {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), node.size(), node.height()));
        }
        node
    }

    fn copy(&mut self, id: usize, span: Span, depth: usize) -> Result<Node, Stop> {
        let Some((node, size, height)) = self.anchors.get(&id) else {
            let message = "an alias cannot stand inside of what it names";
            self.ctx.report(Problem::new("M0104", span, message).label("closes a circle"));
            return Ok(Node::new(span, Value::Null));
        };
        if depth + height > MAX_DEPTH {
            return Err(self.too_deep(span));
        }
        self.copied += size;
        if self.copied > ALIAS_ALLOWANCE + ALIAS_FACTOR * self.written {
            let message = "aliases copy more than a manifest could need";
            self.ctx.report(Problem::new("M0106", span, message).label("copied too often"));
            return Err(Stop);
        }
        if !self.ctx.afford(span, *size) {
            return Err(Stop);
        }
        Ok(node.clone())
    }

    fn list(&mut self, open: Span, depth: usize) -> Result<(Vec<Node>, Span), Stop> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::SequenceEnd | Event::StreamEnd => {
                    items.shrink_to_fit();
                    return Ok((items, Span { end: span.end.max(open.end), ..open }));
                }
                event => {
                    let mut item = self.node(event, span, depth + 1)?;
                    if item.is_null() && item.span.start == item.span.end {
                        item.span = Span { end: open.end, ..open };
                    }
                    items.push(item);
                }
            }
        }
    }

    fn mapping(&mut self, open: Span, depth: usize) -> Result<(Map, Span), Stop> {
        let mut map = Map::roomy();
        let mut bases = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                let mut map = self.with_bases(map, bases);
                map.fit();
                return Ok((map, Span { end: span.end.max(open.end), ..open }));
            }
            let key = self.key(event, span, depth)?;
            let (event, span) = self.next()?;
            let mut value = self.node(event, span, depth + 1)?;
            let Some((key, key_span, quoted)) = key else { continue };
            if value.is_null() {
                value.span = key_span;
            }
            if key == "<<" && !quoted {
                bases.push(value);
            } else if let Some(first) = map.entry(&key) {
                let problem = Problem::new("M0110", key_span, format!("`{key}` is written twice"));
                self.ctx.report(problem.label("second time").also(first.key_span, "first here"));
            } else {
                map.put(Entry { key, key_span, value });
            }
        }
    }

    fn key(&mut self, event: Event<'i>, span: Span, depth: usize) -> Result<Option<(CompactString, Span, bool)>, Stop> {
        let node = self.node(event, span, depth + 1)?;
        match node.value {
            Value::Scalar(scalar) => Ok(Some((scalar.text, span, scalar.quoted))),
            Value::Null => Ok(Some((self.ctx.slice(span).map_or("null".into(), Into::into), span, false))),
            Value::List(_) | Value::Map(_) => {
                self.ctx.report(Problem::new("M0108", span, "a key is a single value").label("not a name"));
                Ok(None)
            }
        }
    }

    /// Adds what merge keys bring: what is written here wins, and an earlier base wins over a later.
    fn with_bases(&mut self, mut map: Map, bases: Vec<Node>) -> Map {
        for base in bases {
            let span = base.span;
            let list = match base.value {
                Value::List(list) => list,
                Value::Null => continue,
                value => vec![Node::new(span, value)],
            };
            for item in list {
                let Value::Map(base) = item.value else {
                    let problem = Problem::new("M0109", item.span, "`<<` takes a mapping or a list of mappings");
                    self.ctx.report(problem.label(format!("this is {}", item.kind())));
                    continue;
                };
                for entry in base {
                    if map.get(&entry.key).is_none() {
                        map.put(entry);
                    }
                }
            }
        }
        map
    }
}
