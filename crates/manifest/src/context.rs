//! What every reader has at hand: the files, the variables, and a place to report to.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use crate::bundle::{Cipher, Files, ReadError};
use crate::codes;
use crate::diagnostic::{Diagnostic, Place, Severity};
use crate::load::Aim;
use crate::suggest::nearest;
use crate::tree::Span;

/// How many findings of one severity are kept: more help nobody, and many warnings must not hide an error.
const MAX_DIAGNOSTICS: usize = 100;
/// How long a message or a label may be, in characters: what it quotes may be as long as the file.
const MAX_TEXT: usize = 300;
/// What a whole manifest may weigh, with everything that it copies and reads: one for each value, and one
/// for each [`weight`] of text. Ten thousand services as people write them are within it.
const BUDGET: usize = 500_000;
/// What a file weighs beside its text, whether it is there or not. It keeps the number of files far below what a [`Span`] can name.
const FILE_WEIGHT: usize = 30;
/// What a line weighs that is an assignment.
const LINE_WEIGHT: usize = 4;
/// How many names are compared to guess what was meant.
const GUESSES: usize = 100_000;

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
    budget: Cell<Option<usize>>,
    guesses: Cell<usize>,
}

/// How much a text weighs in the budget of a manifest, beside the value that it is.
pub(crate) fn weight(text: &str) -> usize {
    text.len() / 256
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
            budget: Cell::new(Some(BUDGET)),
            guesses: Cell::new(GUESSES),
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

    /// Takes a file in that is no YAML, once: it may be read for many services.
    pub(crate) fn add_lines(&self, path: &str, text: &str) -> u16 {
        let known = self.sources.borrow().iter().position(|source| source.path == path);
        known.map_or_else(|| self.add_source(path, text, directory(path), Rc::default()), |index| index as u16)
    }

    /// Where `line` (from 1) of a file is, or `part` of that line where it has it.
    pub(crate) fn span_in_line(&self, file: u16, line: usize, part: &str) -> Span {
        let sources = self.sources.borrow();
        let source = &sources[file as usize];
        let start = source.lines.get(line - 1).map_or(source.text.len(), |start| *start as usize);
        let written = source.text[start..].lines().next().unwrap_or_default();
        let (at, length) =
            written.find(part).filter(|_| !part.is_empty()).map_or((0, written.len()), |at| (at, part.len()));
        Span { file, start: (start + at) as u32, end: (start + at + length) as u32 }
    }

    /// How many files were taken in: a bound against files that include each other without end.
    pub(crate) fn sources(&self) -> usize {
        self.sources.borrow().len()
    }

    /// The files that were taken in as YAML, each with the directory that its paths are meant from.
    pub(crate) fn yaml_files(&self) -> Vec<(String, String)> {
        let sources = self.sources.borrow();
        let is_yaml = |source: &&Source| source.path.ends_with(".yaml") || source.path.ends_with(".yml");
        sources.iter().filter(is_yaml).map(|source| (source.path.clone(), source.base.clone())).collect()
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

    /// Takes `weight` from the budget of the manifest for what stands at `span`. When it is used up that is
    /// reported once, and nothing more can be had.
    #[must_use]
    pub(crate) fn afford(&self, span: Span, weight: usize) -> bool {
        let Some(budget) = self.budget.get() else { return false };
        let left = budget.checked_sub(weight);
        self.budget.set(left);
        if left.is_none() {
            let problem = Problem::new("M0106", span, "the manifest holds more than a manifest could need");
            self.report(problem.label("what was read before this is already too much").always());
        }
        left.is_some()
    }

    /// The text of a file that is asked for at `span`.
    pub(crate) fn read(&self, span: Span, path: &str) -> Result<String, ReadError> {
        if !self.afford(span, FILE_WEIGHT) {
            return Err(ReadError::TooMuch);
        }
        let text = self.files.read(path)?;
        if self.afford(span, weight(&text)) { Ok(text) } else { Err(ReadError::TooMuch) }
    }

    /// The text of an encrypted file that is asked for at `span`. `None`: nobody tries to open it.
    pub(crate) fn open(&self, span: Span, path: &str, cipher: Cipher) -> Option<Result<String, ReadError>> {
        if !self.afford(span, FILE_WEIGHT) {
            return Some(Err(ReadError::TooMuch));
        }
        let opened = self.files.open(path, cipher)?;
        Some(opened.and_then(|text| if self.afford(span, weight(&text)) { Ok(text) } else { Err(ReadError::TooMuch) }))
    }

    /// The text of a file of which each line says something.
    pub(crate) fn read_lines(&self, span: Span, path: &str) -> Result<String, ReadError> {
        let text = self.read(span, path)?;
        let lines = text.bytes().filter(|byte| *byte == b'\n').count();
        if self.afford(span, LINE_WEIGHT * lines) { Ok(text) } else { Err(ReadError::TooMuch) }
    }

    /// The name that may have been meant by `wrong`. After very many guesses there are none: they would
    /// not be shown.
    pub(crate) fn nearest<'n>(&self, wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
        let left = &self.guesses;
        let allowed = names.into_iter().take_while(|_| {
            let before = left.get();
            left.set(before.saturating_sub(1));
            before > 0
        });
        nearest(wrong, allowed)
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
        let message = shortened(problem.message);
        let file = self.sources.borrow().get(problem.span.file as usize).map(|source| source.path.clone());
        let id = (file.unwrap_or_default(), problem.span.start, format!("{} {message}", problem.code));
        if !self.seen.borrow_mut().insert(id) {
            return;
        }
        *kept += 1;
        self.diagnostics.borrow_mut().push(Diagnostic {
            code: problem.code.into(),
            severity,
            message,
            place: self.place(problem.span),
            label: shortened(problem.label),
            also: problem.also.into_iter().map(|(span, label)| (self.place(span), shortened(label))).collect(),
            help: help.map(shortened),
        });
    }

    fn is_deferred(&self, row: &codes::Explanation, problem: &Problem) -> bool {
        let for_a_missing_file = || self.incomplete.get() && matches!(row.code, "M0121" | "M0122" | "M0201");
        let for_an_unset_variable = || self.hollow.borrow().contains(&problem.span);
        let error = row.severity == Severity::Error;
        error && !problem.always && (row.deferred || for_a_missing_file() || for_an_unset_variable())
    }

    /// Whether an error was reported.
    pub(crate) fn failed(&self) -> bool {
        self.kept.borrow().contains_key(&Severity::Error)
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

fn shortened(text: String) -> String {
    clip(&text, MAX_TEXT).unwrap_or(text)
}

/// The first `most` characters of a text that has more, and a sign that there were more.
pub(crate) fn clip(text: &str, most: usize) -> Option<String> {
    text.char_indices().nth(most).map(|(end, _)| format!("{}…", &text[..end]))
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
