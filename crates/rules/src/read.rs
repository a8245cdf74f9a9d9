//! What the readers of our YAML files share: fields with known keys, values of known kinds, all problems at once.

use std::cell::RefCell;
use std::sync::Arc;

use daybook_promql::Query;

use crate::problem::{Place, Problem, Problems};
use crate::yaml::{self, Entry, Mark, Node, Value};
use crate::{Expression, duration};

/// A file that is being read.
pub(crate) struct Reading {
    file: Arc<str>,
    problems: RefCell<Vec<Problem>>,
}

impl Reading {
    /// Begins to read a file; its root, if there is any.
    pub(crate) fn of(file: &str, text: &str) -> (Self, Option<Node>) {
        let reading = Self { file: file.into(), problems: RefCell::default() };
        let (root, flaws) = yaml::parse(text);
        for flaw in flaws {
            reading.problem(flaw.at, flaw.message, flaw.help);
        }
        (reading, root)
    }

    /// What was read, if nothing is wrong with it.
    pub(crate) fn finish<T>(self, read: T) -> Result<T, Problems> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        if problems.is_empty() { Ok(read) } else { Err(Problems(problems)) }
    }

    pub(crate) fn place(&self, at: Mark) -> Place {
        Place { file: self.file.clone(), line: at.line, column: at.column }
    }

    pub(crate) fn problem(&self, at: Mark, message: impl Into<String>, help: impl Into<String>) {
        let problem = Problem { place: self.place(at), message: message.into(), help: help.into() };
        self.problems.borrow_mut().push(problem);
    }

    /// The fields of a mapping; a key that is not `known` is a problem.
    pub(crate) fn fields<'n>(&self, node: &'n Node, what: &str, known: &[&str]) -> Fields<'_, 'n> {
        let entries = self.entries(node, what);
        for entry in entries {
            if known.contains(&entry.key.as_str()) {
                continue;
            }
            let near = known.iter().map(|name| (strsim::damerau_levenshtein(name, &entry.key), name)).min();
            let help = match near {
                Some((distance, name)) if distance <= 2 => format!("did you mean `{name}`?"),
                _ => format!("remove it; known are {}", known.join(", ")),
            };
            self.problem(entry.at, format!("{what} has no field `{}`", entry.key), help);
        }
        Fields { reading: self, at: node.at, entries }
    }

    /// The entries of a mapping; none, and a problem, where it is something else.
    pub(crate) fn entries<'n>(&self, node: &'n Node, what: &str) -> &'n [Entry] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Null => &[],
            _ => {
                self.problem(node.at, format!("{what} is {}", node.kind()), "write a mapping: `name: value`");
                &[]
            }
        }
    }

    /// The items of a list; none, and a problem, where it is something else.
    pub(crate) fn items<'n>(&self, node: &'n Node, what: &str) -> &'n [Node] {
        match &node.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => {
                self.problem(node.at, format!("{what} is {}", node.kind()), "write a list: `- item`");
                &[]
            }
        }
    }

    /// A single value as text; nothing counts as an empty one.
    pub(crate) fn text<'n>(&self, node: &'n Node, what: &str) -> Option<&'n str> {
        match &node.value {
            Value::Text { text, .. } => Some(text),
            Value::Null => Some(""),
            _ => {
                self.problem(node.at, format!("{what} is {}", node.kind()), "write a single value");
                None
            }
        }
    }

    pub(crate) fn duration(&self, node: &Node, what: &str) -> Option<i64> {
        let text = self.text(node, what)?;
        let read = duration::parse(text);
        if read.is_none() {
            let help = "write a number and a unit, like `30s`, `5m` or `1h30m`";
            self.problem(node.at, format!("{what} is `{text}`, which is no duration"), help);
        }
        read
    }

    pub(crate) fn boolean(&self, node: &Node, what: &str) -> Option<bool> {
        match &node.value {
            Value::Text { text, plain: true } if text == "true" => Some(true),
            Value::Text { text, plain: true } if text == "false" => Some(false),
            _ => {
                self.problem(node.at, format!("{what} is neither true nor false"), "write `true` or `false`");
                None
            }
        }
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, node: &Node, what: &str) -> Option<T> {
        let text = self.text(node, what)?;
        let read = text.parse().ok();
        if read.is_none() {
            self.problem(node.at, format!("{what} is `{text}`, which is no such number"), "write a number");
        }
        read
    }

    /// A mapping of texts, with the place of each value.
    pub(crate) fn texts(&self, node: &Node, what: &str) -> Vec<(String, Mark, String)> {
        let entries = self.entries(node, what).iter();
        let read = entries.filter_map(|entry| {
            let text = self.text(&entry.value, &format!("`{}` of {what}", entry.key))?;
            Some((entry.key.clone(), entry.value.at, text.to_owned()))
        });
        read.collect()
    }

    /// A query, checked.
    pub(crate) fn query(&self, node: &Node, what: &str) -> Option<Expression> {
        let text = self.text(node, what)?.trim();
        if text.is_empty() {
            self.problem(node.at, format!("{what} is empty"), "write a query");
            return None;
        }
        match Query::parse(text) {
            Ok(query) => Some(Expression { text: text.to_owned(), query }),
            Err(error) => {
                self.problem(node.at, format!("{what} is wrong: {}", one_line(&error)), "correct the query");
                None
            }
        }
    }
}

fn one_line(error: &impl ToString) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The fields of a mapping.
pub(crate) struct Fields<'r, 'n> {
    reading: &'r Reading,
    /// Where the mapping begins.
    pub(crate) at: Mark,
    entries: &'n [Entry],
}

impl<'n> Fields<'_, 'n> {
    /// The value of a field, unless it is missing or says nothing.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|entry| &entry.value).filter(|node| !matches!(node.value, Value::Null))
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(crate) fn text(&self, key: &str) -> Option<&'n str> {
        self.get(key).and_then(|node| self.reading.text(node, &format!("`{key}`")))
    }

    pub(crate) fn duration(&self, key: &str) -> Option<i64> {
        self.get(key).and_then(|node| self.reading.duration(node, &format!("`{key}`")))
    }

    pub(crate) fn boolean(&self, key: &str) -> Option<bool> {
        self.get(key).and_then(|node| self.reading.boolean(node, &format!("`{key}`")))
    }

    pub(crate) fn items(&self, key: &str) -> &'n [Node] {
        self.get(key).map_or(&[], |node| self.reading.items(node, &format!("`{key}`")))
    }
}
