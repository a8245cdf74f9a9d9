//! From an edit to bytes.

use std::collections::BTreeMap;

use daybook_model::policy::{Edit, Key, KeyPath};

use super::Texts;
use super::find::{Found, own, sets};
use crate::tree::{Node, Span, Value};

/// New text for some bytes of a file.
#[derive(Debug, Clone)]
pub(super) struct Splice {
    span: Span,
    text: String,
}

/// What `edit` replaces. Nothing, where it is so already.
pub(super) fn splices(texts: &Texts<'_>, edit: &Edit) -> Result<Vec<Splice>, String> {
    match edit {
        Edit::Set { paths, value } => {
            let there = paths.iter().find_map(|path| texts.whole(path).map(|found| (path, found)));
            match (there, paths.last()) {
                (Some((path, found)), _) => texts.set(path, &found, value),
                (None, Some(path)) => texts.add(path, value),
                (None, None) => Ok(Vec::new()),
            }
        }
        Edit::Append { path, value } => match texts.whole(path) {
            Some(found) => texts.append(path, found.node, value),
            None => texts.add(path, &format!("[{value}]")),
        },
        Edit::Remove { path } => match texts.whole(path) {
            Some(found) => texts.remove(path, &found),
            None => Err(format!("{path} is not written in the manifest's own files")),
        },
        Edit::KeepLast { path } => texts.keep_last(path),
        Edit::Bind { path, container, address } => texts.bind(path, *container, address),
    }
}

impl Texts<'_> {
    /// The new text of each file that changes.
    pub(super) fn apply(&self, mut splices: Vec<Splice>) -> BTreeMap<String, String> {
        splices.sort_by_key(|splice| std::cmp::Reverse((splice.span.file, splice.span.start)));
        let mut files = BTreeMap::new();
        for Splice { span, text } in splices {
            let path = self.ctx.place(Span { end: 0, start: 0, ..span }).file;
            let file: &mut String = files.entry(path).or_insert_with(|| self.ctx.text(span.file).to_string());
            file.replace_range(span.start as usize..span.end as usize, &text);
        }
        files
    }

    fn text(&self, span: Span) -> String {
        self.ctx.slice(span).unwrap_or_default()
    }

    fn is_flow(&self, node: &Node) -> bool {
        self.text(node.span).starts_with(['{', '['])
    }

    /// The column at which `at` stands in its line, in bytes.
    fn column(&self, file: u16, at: u32) -> usize {
        let text = self.ctx.text(file);
        let head = &text[..at as usize];
        head.len() - head.rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// The byte after the line that `at` stands on, and whether the line ends there or the file does.
    fn line_end(&self, file: u16, at: u32) -> u32 {
        let text = self.ctx.text(file);
        text[at as usize..].find('\n').map_or(text.len(), |newline| at as usize + newline) as u32
    }

    /// The last byte of what a node says.
    fn end(&self, node: &Node) -> u32 {
        let start = node.span.start;
        let of = |child: &Node| if child.span.file == node.span.file { self.end(child) } else { start };
        match &node.value {
            _ if self.is_flow(node) => node.span.end,
            Value::List(items) => items.iter().map(of).max().unwrap_or(node.span.end),
            Value::Map(_) => {
                own(node).map(|entry| of(&entry.value).max(entry.key_span.end)).max().unwrap_or(node.span.end)
            }
            Value::Scalar(_) | Value::Null => start + self.text(node.span).trim_end().len() as u32,
        }
    }

    fn set(&self, path: &KeyPath, found: &Found<'_>, value: &str) -> Result<Vec<Splice>, String> {
        let end = self.end(found.node);
        if found.node.is_null() || found.node.list().is_some() || found.node.map().is_some() {
            return Err(format!("{path} holds more than one value, or none"));
        }
        let span = Span { end, ..found.node.span };
        if let [.., Key::Name(name)] = path.0.as_slice()
            && found.above.is_some_and(|above| above.list().is_some())
        {
            return Ok(vec![Splice { span, text: format!("{name}={value}") }]);
        }
        Ok(vec![Splice { span, text: value.to_owned() }])
    }

    /// Adds what is missing of `path`, in the deepest mapping of it that is there.
    fn add(&self, path: &KeyPath, value: &str) -> Result<Vec<Splice>, String> {
        let found =
            self.find(path).ok_or_else(|| format!("nothing of {path} is written in the manifest's own files"))?;
        let missing = path.0[found.depth..].iter().map(|key| match key {
            Key::Name(name) | Key::Holding(name) => name.as_str(),
        });
        let missing: Vec<_> = missing.collect();
        let Some((first, deeper)) = missing.split_first() else { return Ok(Vec::new()) };
        let nested = deeper.iter().rev().fold(value.to_owned(), |value, key| format!("{{{key}: {value}}}"));
        match &found.node.value {
            Value::Map(_) => Ok(vec![self.entry(found.node, &format!("{first}: {nested}"))]),
            Value::List(_) if deeper.is_empty() => self.append(path, found.node, &format!("{first}={value}")),
            _ => Err(format!("what stands at {path} is {}", found.node.kind())),
        }
    }

    /// A mapping with one entry more, at its end.
    fn entry(&self, map: &Node, entry: &str) -> Splice {
        let file = map.span.file;
        let last = own(map).max_by_key(|entry| entry.key_span.start);
        let Some(last) = last else {
            let at = map.span.start + 1;
            return Splice { span: Span { file, start: at, end: at }, text: entry.to_owned() };
        };
        let end = self.end(&last.value).max(last.key_span.end);
        if self.is_flow(map) {
            return Splice { span: Span { file, start: end, end }, text: format!(", {entry}") };
        }
        let first = own(map).map(|entry| entry.key_span.start).min().unwrap_or(map.span.start);
        let indent = " ".repeat(self.column(file, first));
        let at = self.line_end(file, end);
        Splice { span: Span { file, start: at, end: at }, text: format!("\n{indent}{entry}") }
    }

    fn append(&self, path: &KeyPath, node: &Node, value: &str) -> Result<Vec<Splice>, String> {
        let file = node.span.file;
        match &node.value {
            Value::List(items) => {
                let plain = value.trim_matches('"');
                if items.iter().any(|item| item.scalar() == Some(plain)) {
                    return Ok(Vec::new());
                }
                let Some(last) = items.last() else {
                    let at = node.span.start + 1;
                    return Ok(vec![Splice { span: Span { file, start: at, end: at }, text: value.to_owned() }]);
                };
                let end = self.end(last);
                if self.is_flow(node) {
                    return Ok(vec![Splice { span: Span { file, start: end, end }, text: format!(", {value}") }]);
                }
                let indent = " ".repeat(self.dash(last));
                let at = self.line_end(file, end);
                Ok(vec![Splice { span: Span { file, start: at, end: at }, text: format!("\n{indent}- {value}") }])
            }
            Value::Scalar(_) => {
                let span = Span { end: self.end(node), ..node.span };
                Ok(vec![Splice { span, text: format!("[{}, {value}]", self.text(span)) }])
            }
            Value::Map(_) | Value::Null => Err(format!("what stands at {path} is {}", node.kind())),
        }
    }

    /// The column of the dash before an item of a list.
    fn dash(&self, item: &Node) -> usize {
        let text = self.ctx.text(item.span.file);
        let head = &text[..item.span.start as usize];
        let line = head.rfind('\n').map_or(0, |newline| newline + 1);
        head[line..].rfind('-').unwrap_or(0)
    }

    fn remove(&self, path: &KeyPath, found: &Found<'_>) -> Result<Vec<Splice>, String> {
        let Some(above) = found.above else { return Err(format!("{path} is the whole manifest")) };
        // A list or a mapping with nothing left would be another thing than none.
        let alone = match &above.value {
            Value::List(items) => items.len() == 1,
            Value::Map(_) => own(above).count() == 1,
            _ => true,
        };
        let outer = KeyPath(path.0[..path.0.len() - 1].to_vec());
        if alone && let Some(outside) = self.whole(&outer) {
            return self.remove(&outer, &outside);
        }
        let file = found.key.file;
        let end = self.end(found.node).max(found.key.end);
        let start = found.key.start;
        if self.is_flow(above) {
            return Ok(vec![self.without_comma(file, start, end)]);
        }
        let (line, first) = match &above.value {
            Value::List(_) => (self.dash(found.node), true),
            _ => (self.column(file, start), self.begins_line(file, start)),
        };
        if !first {
            return Err(format!("{path} begins in the middle of a line"));
        }
        let begin = start - self.column(file, start) as u32;
        debug_assert!(line <= self.column(file, start), "a dash stands before its item");
        let after = self.line_end(file, end);
        let after = if (after as usize) < self.ctx.text(file).len() { after + 1 } else { after };
        Ok(vec![Splice { span: Span { file, start: begin, end: after }, text: String::new() }])
    }

    /// Whether only spaces stand before `at` in its line.
    fn begins_line(&self, file: u16, at: u32) -> bool {
        let text = self.ctx.text(file);
        let head = &text[..at as usize];
        head[head.rfind('\n').map_or(0, |newline| newline + 1)..].trim().is_empty()
    }

    /// What is between commas goes with the one behind it, or else with the one before.
    fn without_comma(&self, file: u16, start: u32, end: u32) -> Splice {
        let text = self.ctx.text(file);
        let (head, tail) = (&text[..start as usize], &text[end as usize..]);
        let behind = tail.trim_start();
        if let Some(rest) = behind.strip_prefix(',') {
            let end = text.len() - rest.trim_start().len();
            return Splice { span: Span { file, start, end: end as u32 }, text: String::new() };
        }
        let head = head.trim_end();
        let start = head.strip_suffix(',').unwrap_or(head).len();
        Splice { span: Span { file, start: start as u32, end }, text: String::new() }
    }

    fn keep_last(&self, path: &KeyPath) -> Result<Vec<Splice>, String> {
        let [outer @ .., Key::Name(name)] = path.0.as_slice() else { return Ok(Vec::new()) };
        let list = self.whole(&KeyPath(outer.to_vec())).ok_or_else(|| format!("{path} is not written here"))?;
        let items: Vec<_> = list.node.list().unwrap_or_default().iter().filter(|item| sets(item, name)).collect();
        let Some((_, earlier)) = items.split_last() else { return Ok(Vec::new()) };
        let one = |item: &&&Node| {
            let found = Found { node: item, key: item.span, depth: 0, whole: true, above: Some(list.node) };
            self.remove(path, &found)
        };
        let all: Result<Vec<Vec<Splice>>, String> = earlier.iter().map(|item| one(&item)).collect();
        Ok(all?.into_iter().flatten().collect())
    }

    fn bind(&self, path: &KeyPath, container: u16, address: &str) -> Result<Vec<Splice>, String> {
        let list = self.whole(path).ok_or_else(|| format!("{path} is not written in the manifest's own files"))?;
        for item in list.node.items() {
            match &item.value {
                Value::Scalar(scalar) => {
                    let (ports, protocol) =
                        scalar.text.rsplit_once('/').map_or((scalar.text.as_str(), None), |(a, b)| (a, Some(b)));
                    let parts = parts(ports);
                    if !parts.last().is_some_and(|last| covers(last, container)) {
                        continue;
                    }
                    let outside = if parts.len() > 1 { parts[parts.len() - 2] } else { "" };
                    let protocol = protocol.map_or(String::new(), |protocol| format!("/{protocol}"));
                    let text = format!("\"{address}:{outside}:{}{protocol}\"", parts[parts.len() - 1]);
                    let span = Span { end: self.end(item), ..item.span };
                    return Ok(vec![Splice { span, text }]);
                }
                Value::Map(map) => {
                    if !map.get("target").and_then(Node::scalar).is_some_and(|target| covers(target, container)) {
                        continue;
                    }
                    return Ok(vec![match map.get("host_ip") {
                        Some(node) => {
                            Splice { span: Span { end: self.end(node), ..node.span }, text: address.to_owned() }
                        }
                        None => self.entry(item, &format!("host_ip: {address}")),
                    }]);
                }
                Value::Null | Value::List(_) => {}
            }
        }
        Err(format!("no item of {path} publishes {container} in so many digits"))
    }
}

/// The parts of `IP:OUTSIDE:INSIDE`; colons in braces and brackets separate nothing.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_i32, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth -= 1,
            ':' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Whether `written`, a port or a range of ports, has `port`.
fn covers(written: &str, port: u16) -> bool {
    let number = |text: &str| text.trim().parse::<u16>().ok();
    match written.split_once('-') {
        Some((first, last)) => {
            number(first).zip(number(last)).is_some_and(|(first, last)| (first..=last).contains(&port))
        }
        None => number(written) == Some(port),
    }
}
