//! A landing zone: what an organisation asks of all its apps.

use std::collections::BTreeMap;
use std::path::Path;

use daybook_model::policy::Policy;

use crate::bundle::Bundle;
use crate::context::{Context, Problem, directory};
use crate::diagnostic::Diagnostic;
use crate::keys::Shape::{self, Map, Object, Text};
use crate::keys::root::POLICY;
use crate::keys::{Key, check, yes};
use crate::lower::read::text;
use crate::tree::{Map as Entries, Node};
use crate::{document, policy};

/// What a landing zone says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LandingZone {
    /// Whose it is.
    pub name: Option<String>,
    /// What every app is held to.
    pub policy: Policy,
    /// Manifests to begin with, by name.
    pub templates: BTreeMap<String, Template>,
}

/// A manifest to begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// What it is for.
    pub about: String,
    /// The manifest.
    pub text: String,
}

/// A template.
const TEMPLATE: &[Key] = &[yes("about", Text), yes("file", Text)];
/// A landing zone: a policy, and what stands beside it.
const LANDING_ZONE: &[Key] = &with_policy([yes("name", Text), yes("templates", Map(&Object(TEMPLATE)))]);

/// `beside`, and the keys of a policy.
const fn with_policy(beside: [Key; 2]) -> [Key; 2 + POLICY.len()] {
    let mut all = [beside[0]; 2 + POLICY.len()];
    all[1] = beside[1];
    let mut at = 0;
    while at < POLICY.len() {
        all[2 + at] = POLICY[at];
        at += 1;
    }
    all
}

impl LandingZone {
    /// Reads the landing zone at `path` and the files that it names. `None` when it has errors. The bundle holds the
    /// texts that the diagnostics are about.
    pub fn read(path: &Path) -> (Option<Self>, Vec<Diagnostic>, Bundle) {
        Bundle::while_reading(path, |files, entry| {
            let ctx = Context::new(files, crate::Aim::Act);
            let zone = document::documents(&ctx, entry, directory(entry), &std::rc::Rc::default(), None)
                .map(|documents| documents.iter().fold(Self::default(), |zone, node| zone.with(&ctx, node)));
            let failed = ctx.failed();
            (zone.filter(|_| !failed), ctx.into_diagnostics())
        })
    }

    fn with(mut self, ctx: &Context<'_>, node: &Node) -> Self {
        check::check(ctx, node, &Shape::Object(LANDING_ZONE), "a landing zone");
        self.name = text(node, "name").or(self.name);
        self.policy = policy::read(ctx, node, self.policy);
        for entry in node.get("templates").and_then(Node::map).into_iter().flat_map(Entries::iter) {
            if let Some(template) = template(ctx, &entry.value) {
                self.templates.insert(entry.key.to_string(), template);
            }
        }
        self
    }
}

fn template(ctx: &Context<'_>, node: &Node) -> Option<Template> {
    let Some(file) = node.get("file") else {
        ctx.report(Problem::new("M0119", node.span, "`file` is missing").label("name the manifest to begin with"));
        return None;
    };
    let path = ctx.resolve(file.span, file.scalar()?);
    match ctx.read(file.span, &path) {
        Ok(written) => Some(Template { about: text(node, "about").unwrap_or_default(), text: written }),
        Err(error) => {
            let problem = Problem::new("M0401", file.span, format!("cannot read {path}: {error}"));
            ctx.report(problem.label("asked for here").help("write the file, or leave the template out"));
            None
        }
    }
}
