//! What others describe, as a manifest to begin with.
//!
//! An import never guesses silently: whatever is not carried over as it was has a [`Note`] with its place.
//! Values of secrets are in neither the manifest nor the notes.

mod fields;
mod kubernetes;
mod names;
mod note;
mod order;
mod platform;
mod read;
mod yaml;

use serde::Serialize;

use crate::bundle::Bundle;
use crate::context::Context;
use crate::{Diagnostic, Options, load};

pub use kubernetes::kubernetes;
pub use note::{Note, NoteKind};
pub use platform::{fly, heroku, kamal, render, score};

/// A text to import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// How notes name it: a path as the caller wrote it, or `-`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What came of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The text of `daybook.yaml`, which loads without an error; `None` where a note is an error.
    pub manifest: Option<String>,
    /// What a person should know, by file and place.
    pub notes: Vec<Note>,
}

/// What came of an import whose text is `manifest`: nothing, where it was told of an error or does not load.
fn finish(ctx: Context<'_>, manifest: Option<String>, mut notes: Vec<Note>) -> Imported {
    notes.extend(ctx.into_diagnostics().into_iter().map(Note::from));
    let is_error = |note: &Note| note.kind == NoteKind::Error;
    let manifest = manifest.filter(|_| !notes.iter().any(is_error));
    notes.extend(manifest.as_deref().map(misread).unwrap_or_default());
    let failed = notes.iter().any(is_error);
    if failed {
        // Without a manifest there is nothing that the others could be about.
        notes.retain(is_error);
    }
    Imported { manifest: manifest.filter(|_| !failed), notes }
}

/// What is wrong with a manifest that was written here: nothing, or it is not given out.
fn misread(text: &str) -> Vec<Note> {
    let path = "/daybook.yaml".to_owned();
    let mut bundle = Bundle { entries: vec![path.clone()], root: "/".to_owned(), ..Bundle::default() };
    bundle.files.insert(path, text.to_owned());
    let environment = "production".parse().expect("a literal name is valid");
    let loaded = load(&bundle, &Options::new(environment));
    let errors = loaded.diagnostics.into_iter().filter(Diagnostic::is_error);
    errors
        .map(|error| Note {
            what: format!("the manifest that came of it does not load: {}", error.message),
            ..error.into()
        })
        .collect()
}

/// What stands at the top of a manifest: what is to be done before the first `up`.
fn header<'s>(platform: &str, secrets: impl Iterator<Item = &'s String>) -> Vec<String> {
    let mut lines = vec![format!("Imported from {platform}. Next: daybook validate, then daybook plan.")];
    let secrets: Vec<String> = secrets.map(|name| format!("  daybook secret set {name}")).collect();
    if !secrets.is_empty() {
        lines.push("Before the first `daybook up`, with values that are not in this file:".to_owned());
        lines.push("  daybook env create production".to_owned());
        lines.extend(secrets);
    }
    lines
}
