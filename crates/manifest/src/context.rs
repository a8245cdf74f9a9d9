//! What every reader has at hand: the files, the variables, and a place to report to.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use crate::bundle::Files;
use crate::codes;
use crate::diagnostic::{Diagnostic, Place, Severity};
use crate::load::Aim;
use crate::tree::Span;

/// How many findings of one severity are kept: more help nobody, and many warnings must not hide an error.
const MAX_DIAGNOSTICS: usize = 100;

/// A file that was read as YAML.
#[derive(Debug, Clone)]
struct Source {
    path: String,
    base: String,
    text: Rc<str>,
    lines: Rc<[u32]>,
    variables: Rc<Variables>,
}

impl Source {
    /// The line that the byte `at` stands on, from 0.
    fn line(&self, at: u32) -> usize {
        self.lines.partition_point(|start| *start <= at).max(1) - 1
    }
}

/// What is at hand while one manifest is read.
pub(crate) struct Context<'a> {
    pub(crate) files: &'a dyn Files,
    sources: RefCell<Vec<Source>>,
    diagnostics: RefCell<Vec<Diagnostic>>,
    kept: RefCell<BTreeMap<Severity, usize>>,
    seen: RefCell<BTreeSet<(String, u32, String)>>,
    unset: RefCell<BTreeSet<String>>,
    hollow: RefCell<HashSet<Span>>,
    incomplete: Cell<bool>,
    aim: Aim,
    budget: Cell<usize>,
}

/// The values of dotenv files, nearest last; the process environment goes before all of them.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    pub(crate) own: BTreeMap<String, String>,
    pub(crate) parent: Option<Rc<Variables>>,
}

impl Variables {
    fn get(&self, name: &str) -> Option<String> {
        let outer = self.parent.as_ref().and_then(|parent| parent.get(name));
        outer.or_else(|| self.own.get(name).cloned())
    }
}

impl<'a> Context<'a> {
    pub(crate) fn new(files: &'a dyn Files, aim: Aim) -> Self {
        Self {
            files,
            sources: RefCell::default(),
            diagnostics: RefCell::default(),
            kept: RefCell::default(),
            seen: RefCell::default(),
            unset: RefCell::default(),
            hollow: RefCell::default(),
            incomplete: Cell::new(false),
            aim,
            budget: Cell::new(2_000_000),
        }
    }

    /// Takes a file in. Relative paths in it are meant from `base`, its variables are looked up in
    /// `variables`.
    pub(crate) fn add_source(&self, path: &str, text: &str, base: &str, variables: Rc<Variables>) -> u16 {
        let mut sources = self.sources.borrow_mut();
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at as u32 + 1);
        let lines: Rc<[u32]> = std::iter::once(0).chain(starts).collect();
        let (path, base) = (path.to_owned(), base.to_owned());
        sources.push(Source { path, base, text: Rc::from(text), lines, variables });
        (sources.len() - 1) as u16
    }

    /// How many files were taken in: a bound against files that include each other without end.
    pub(crate) fn sources(&self) -> usize {
        self.sources.borrow().len()
    }

    pub(crate) fn text(&self, file: u16) -> Rc<str> {
        self.sources.borrow().get(file as usize).map_or_else(|| Rc::from(""), |source| Rc::clone(&source.text))
    }

    pub(crate) fn slice(&self, span: Span) -> Option<String> {
        self.text(span.file).get(span.start as usize..span.end as usize).map(str::to_owned)
    }

    /// An absolute path from one that was written at `span`. `~` is the home directory.
    pub(crate) fn resolve(&self, span: Span, path: &str) -> String {
        let base = self.sources.borrow().get(span.file as usize).map(|source| source.base.clone()).unwrap_or_default();
        let home = || self.files.variable("HOME").unwrap_or_else(|| "/root".to_owned());
        match path.strip_prefix('~') {
            Some("") => home(),
            Some(rest) if rest.starts_with('/') => join(&home(), &rest[1..]),
            _ => join(&base, path),
        }
    }

    /// The value of a variable, as seen from `span`: the environment's first, then the dotenv files'.
    pub(crate) fn variable(&self, span: Span, name: &str) -> Option<String> {
        let variables = self.sources.borrow().get(span.file as usize).map(|source| Rc::clone(&source.variables));
        self.files.variable(name).or_else(|| variables?.get(name))
    }

    /// Whether this is the first time that somebody asks for the unset variable `name`.
    pub(crate) fn first_unset(&self, name: &str) -> bool {
        self.unset.borrow_mut().insert(name.to_owned())
    }

    /// Remembers that the value at `span` lacks a variable's text. What is wrong with such a value may be
    /// right where the variable is set, so it is an error only for who carries the manifest out.
    pub(crate) fn mark_hollow(&self, span: Span) {
        self.hollow.borrow_mut().insert(span);
    }

    /// Remembers that a file of the manifest itself is missing: what it would have declared cannot be held
    /// against the rest before somebody carries the manifest out.
    pub(crate) fn mark_incomplete(&self) {
        self.incomplete.set(true);
    }

    /// Takes `size` from what may be copied while a manifest is put together; `false` when nothing is
    /// left, which the caller reports.
    pub(crate) fn spend(&self, size: usize) -> bool {
        let left = self.budget.get().saturating_sub(size);
        self.budget.set(left);
        left > 0
    }

    /// The line that `span` begins on, from 1.
    pub(crate) fn line(&self, span: Span) -> u32 {
        self.sources.borrow().get(span.file as usize).map_or(1, |source| source.line(span.start) as u32 + 1)
    }

    pub(crate) fn place(&self, span: Span) -> Place {
        let sources = self.sources.borrow();
        let Some(source) = sources.get(span.file as usize) else { return Place::default() };
        let index = source.line(span.start);
        let head = source.text.get(source.lines[index] as usize..span.start as usize).unwrap_or_default();
        let written = source.text.get(span.start as usize..span.end as usize).unwrap_or_default();
        Place {
            file: source.path.clone(),
            line: index as u32 + 1,
            column: head.chars().count() as u32 + 1,
            start: span.start,
            end: span.start + written.trim_end().len() as u32,
        }
    }

    /// Keeps a finding. One that says the same of the same place is kept once: aliases, `extends` and
    /// environments show the same text more than once.
    pub(crate) fn report(&self, problem: Problem) {
        let row = codes::find(problem.code);
        let (severity, help) = match self.aim {
            Aim::Look if self.is_deferred(row, &problem) => (Severity::Warning, Some(until_up(problem.help))),
            _ => (row.severity, problem.help),
        };
        let mut kept = self.kept.borrow_mut();
        let kept = kept.entry(severity).or_default();
        if *kept >= MAX_DIAGNOSTICS {
            return;
        }
        let place = self.place(problem.span);
        let mut diagnostics = self.diagnostics.borrow_mut();
        let id = (place.file.clone(), place.start, format!("{} {}", problem.code, problem.message));
        if !self.seen.borrow_mut().insert(id) {
            return;
        }
        *kept += 1;
        diagnostics.push(Diagnostic {
            code: problem.code.into(),
            severity,
            message: problem.message,
            place,
            label: problem.label,
            also: problem.also.into_iter().map(|(span, label)| (self.place(span), label)).collect(),
            help,
        });
    }

    fn is_deferred(&self, row: &codes::Explanation, problem: &Problem) -> bool {
        let for_a_missing_file = || self.incomplete.get() && matches!(row.code, "M0121" | "M0122" | "M0201");
        let for_an_unset_variable = || self.hollow.borrow().contains(&problem.span);
        let error = row.severity == Severity::Error;
        error && !problem.always && (row.deferred || for_a_missing_file() || for_an_unset_variable())
    }

    /// Everything that was reported, by file and place.
    pub(crate) fn into_diagnostics(self) -> Vec<Diagnostic> {
        let order: HashMap<String, usize> = (self.sources.borrow().iter().enumerate().rev())
            .map(|(index, source)| (source.path.clone(), index))
            .collect();
        let mut diagnostics = self.diagnostics.into_inner();
        diagnostics.sort_by_key(|d| (order.get(&d.place.file).copied(), d.place.start));
        diagnostics
    }
}

/// The help of what is put off.
fn until_up(help: Option<String>) -> String {
    const REFUSES: &str = "`daybook up` refuses as long as this is so";
    help.map_or_else(|| REFUSES.to_owned(), |help| format!("{help}; {REFUSES}"))
}

/// A finding before its place is known as line and column.
#[derive(Debug)]
#[must_use]
pub(crate) struct Problem {
    code: &'static str,
    span: Span,
    message: String,
    label: String,
    also: Vec<(Span, String)>,
    help: Option<String>,
    always: bool,
}

impl Problem {
    pub(crate) fn new(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Self { code, span, message: message.into(), label: String::new(), also: Vec::new(), help: None, always: false }
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn also(mut self, span: Span, label: impl Into<String>) -> Self {
        self.also.push((span, label.into()));
        self
    }

    /// Without what is missing there is no manifest at all, not even one to look at.
    pub(crate) fn always(mut self) -> Self {
        self.always = true;
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// `path` from `base`, with `.` and `..` taken out by name. What is absolute stays so.
pub(crate) fn join(base: &str, path: &str) -> String {
    let full = if path.starts_with('/') { path.to_owned() } else { format!("{base}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in full.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The directory that a file stands in.
pub(crate) fn directory(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((head, _)) => head,
    }
}
