//! What is said about an import.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::context::{Context, clip};
use crate::diagnostic::{Diagnostic, Place, Severity};
use crate::tree::Span;

/// How many notes are kept: what follows is counted and not told.
const MOST: usize = 5_000;
/// How long a part of a note may be, in characters: names that it quotes may be as long as the file.
const MAX_TEXT: usize = 500;

/// One thing that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What kind of thing it is.
    pub kind: NoteKind,
    /// Where it stands in what was read.
    pub place: Place,
    /// What it is, in one line.
    pub what: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// What a note means to whoever reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// It cannot be read: there is no manifest.
    Error,
    /// A person has to do it before the manifest can be carried out.
    ToDo,
    /// It is not in the manifest.
    NotCarried,
    /// It is in the manifest, and does not mean quite the same there.
    Changed,
}

impl fmt::Display for NoteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::ToDo => "to do",
            Self::NotCarried => "not carried over",
            Self::Changed => "changed",
        })
    }
}

impl From<Diagnostic> for Note {
    fn from(found: Diagnostic) -> Self {
        let kind = if found.severity == Severity::Error { NoteKind::Error } else { NoteKind::Changed };
        let label = if found.label.is_empty() { String::new() } else { format!(": {}", found.label) };
        Self { kind, place: found.place, what: format!("{}{label}", found.message), advice: found.help }
    }
}

/// Collects notes. One that says the same of the same place is kept once: aliases show a text again.
pub(super) struct Notes<'c, 'a> {
    ctx: &'c Context<'a>,
    all: RefCell<Vec<(Span, Note)>>,
    seen: RefCell<BTreeSet<(u16, u32, String)>>,
    untold: RefCell<usize>,
}

impl<'c, 'a> Notes<'c, 'a> {
    pub(super) fn new(ctx: &'c Context<'a>) -> Self {
        Self { ctx, all: RefCell::default(), seen: RefCell::default(), untold: RefCell::default() }
    }

    pub(super) fn not_carried(&self, span: Span, what: impl Into<String>, advice: impl Into<String>) {
        self.add(NoteKind::NotCarried, span, &what.into(), &advice.into());
    }

    pub(super) fn changed(&self, span: Span, what: impl Into<String>, advice: impl Into<String>) {
        self.add(NoteKind::Changed, span, &what.into(), &advice.into());
    }

    pub(super) fn to_do(&self, span: Span, what: impl Into<String>, advice: impl Into<String>) {
        self.add(NoteKind::ToDo, span, &what.into(), &advice.into());
    }

    pub(super) fn error(&self, span: Span, what: impl Into<String>, advice: impl Into<String>) {
        self.add(NoteKind::Error, span, &what.into(), &advice.into());
    }

    /// Whether there is an error among them.
    pub(super) fn failed(&self) -> bool {
        self.all.borrow().iter().any(|(_, note)| note.kind == NoteKind::Error)
    }

    fn add(&self, kind: NoteKind, span: Span, what: &str, advice: &str) {
        let (what, advice) = (shown(what), shown(advice));
        if !self.seen.borrow_mut().insert((span.file, span.start, what.clone())) {
            return;
        }
        if self.all.borrow().len() >= MOST && kind != NoteKind::Error {
            *self.untold.borrow_mut() += 1;
            return;
        }
        let advice = Some(advice).filter(|advice| !advice.is_empty());
        self.all.borrow_mut().push((span, Note { kind, place: self.ctx.place(span), what, advice }));
    }

    /// Everything that was said, by file and place.
    pub(super) fn into_notes(self) -> Vec<Note> {
        let mut all = self.all.into_inner();
        all.sort_by_key(|(span, note)| (span.file, span.start, note.kind));
        let mut notes: Vec<Note> = all.into_iter().map(|(_, note)| note).collect();
        let untold = self.untold.into_inner();
        if untold > 0 {
            let what = format!("{untold} more notes are not told");
            let advice = Some("import fewer objects at a time".to_owned());
            notes.push(Note { kind: NoteKind::NotCarried, place: Place::default(), what, advice });
        }
        notes
    }
}

/// One line, and nothing that a terminal would obey.
fn shown(text: &str) -> String {
    let clipped = clip(text, MAX_TEXT);
    let text = clipped.as_deref().unwrap_or(text);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
