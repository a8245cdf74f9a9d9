//! Where in a manifest's files something stands, and how its text is changed without touching the rest.
//!
//! A [`KeyPath`] means the whole manifest. It is looked for in each file as it is written, before anything is merged:
//! what the environment says for itself first, then the file that overrides the others, then the service that a service
//! is made `from`. Comments, order and layout stay, because only the bytes of what changes are replaced.

mod find;
mod splice;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::rc::Rc;

use daybook_model::policy::{Edit, KeyPath};

use crate::bundle::Bundle;
use crate::context::Context;
use crate::diagnostic::Place;
use crate::load::{Aim, Options};
use crate::tree::Node;
use crate::{document, yaml};

/// The texts of a manifest's YAML files, with what stands where.
pub struct Texts<'b> {
    ctx: Context<'b>,
    /// Each document, with the file that it is in: the first file's first.
    documents: Vec<Node>,
    environment: String,
}

/// What became of edits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edited {
    /// New texts by absolute path, of the files that change.
    pub files: BTreeMap<String, String>,
    /// Edits that cannot be made, with why.
    pub refused: Vec<(Edit, String)>,
}

impl<'b> Texts<'b> {
    /// The texts of `bundle`, as they count for the environment of `options`.
    pub fn of(bundle: &'b Bundle, options: &Options) -> Self {
        let environment = options.environment.to_string();
        // The whole is put together only to know which files it is made of. They are read anew, within a budget of their own.
        let whole = Context::new(bundle, Aim::Look);
        let _ = document::assemble(&whole, &bundle.entries, &bundle.root, Some(&environment));
        let ctx = Context::new(bundle, Aim::Look);
        for (path, base) in whole.yaml_files() {
            let text = bundle.text(&path).unwrap_or_default();
            ctx.add_source(&path, text, &base, Rc::default());
        }
        let documents = (0..ctx.sources()).flat_map(|file| yaml::parse(&ctx, file as u16).unwrap_or_default());
        let documents = documents.filter(|document| document.map().is_some()).collect();
        Self { ctx, documents, environment }
    }

    /// Where `path` stands, or else the nearest thing above it that is there.
    pub fn place(&self, path: &KeyPath) -> Option<Place> {
        self.find(path).map(|found| self.ctx.place(found.key))
    }
}

/// Makes `edits` one after the other. Each sees what those before it made.
pub fn edit(bundle: &Bundle, options: &Options, edits: &[Edit]) -> Edited {
    let mut bundle = bundle.clone();
    let mut edited = Edited::default();
    for edit in edits {
        let texts = Texts::of(&bundle, options);
        match splice::splices(&texts, edit) {
            Ok(splices) => {
                for (path, text) in texts.apply(splices) {
                    bundle.files.insert(path.clone(), text.clone());
                    edited.files.insert(path, text);
                }
            }
            Err(why) => edited.refused.push((edit.clone(), why)),
        }
    }
    edited
}
