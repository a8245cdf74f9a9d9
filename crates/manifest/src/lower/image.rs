//! What a service runs: an image, a build, or files alone.

use daybook_model::spec::{Artifact, Build, PullPolicy};

use super::Manifest;
use super::read::{text, text_map};
use crate::context::Problem;
use crate::tree::{Entry, Node};

/// The artifact of a service. `None` when it has none, which has been reported.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, entry: &Entry) -> Option<Artifact> {
    let service = &entry.value;
    let image = text(service, "image");
    if let Some(node) = service.get("static") {
        return Some(Artifact::Static { root: manifest.ctx.resolve(node.span, node.scalar()?), digest: None });
    }
    if let Some(node) = service.get("build") {
        return build(manifest, node, image).map(Artifact::Build);
    }
    match image {
        Some(reference) => Some(Artifact::Image { reference, pull: pull_policy(manifest, service), digest: None }),
        None => {
            let message = format!("the service `{}` has nothing to run", entry.key);
            let problem = Problem::new("M0121", entry.key_span, message).label("give `image`, `build` or `static`");
            manifest.ctx.report(problem);
            None
        }
    }
}

fn pull_policy(manifest: &Manifest<'_, '_>, service: &Node) -> PullPolicy {
    let Some(node) = service.get("pull_policy") else { return PullPolicy::Missing };
    match node.scalar().unwrap_or_default() {
        "" | "missing" | "if_not_present" => PullPolicy::Missing,
        "never" => PullPolicy::Never,
        "always" | "daily" | "weekly" => PullPolicy::Always,
        text if text.starts_with("every_") => PullPolicy::Always,
        other => {
            let message = format!("`pull_policy: {other}` is not honoured: nothing is built from an image alone");
            let problem = Problem::new("M0111", node.span, message).label("has no effect");
            manifest.ctx.report(problem.help("use `always`, `missing` or `never`"));
            PullPolicy::Missing
        }
    }
}

fn build(manifest: &Manifest<'_, '_>, node: &Node, tag: Option<String>) -> Option<Build> {
    let context = if node.map().is_some() { node.get("context") } else { Some(node) };
    let (written, span) = match context {
        Some(context) => (context.scalar()?, context.span),
        None => (".", node.span),
    };
    if written.contains("://") || written.starts_with("git@") {
        let problem = Problem::new("M0404", span, "build contexts elsewhere are not fetched");
        manifest.ctx.report(problem.label("not a local directory").help("clone it beside the manifest"));
        return None;
    }
    let mut args = text_map(node, "args");
    // An argument without a value is taken from the environment, as in Compose.
    for entry in node.get("args").map(|args| crate::merge::pairs(args, &['='])).unwrap_or_default() {
        if entry.value.is_null() {
            match manifest.ctx.variable(entry.key_span, &entry.key) {
                Some(value) => drop(args.insert(entry.key, value)),
                None => drop(args.remove(&entry.key)),
            }
        }
    }
    Some(Build {
        context: manifest.ctx.resolve(span, written),
        dockerfile: text(node, "dockerfile"),
        dockerfile_inline: text(node, "dockerfile_inline"),
        target: text(node, "target"),
        args,
        labels: text_map(node, "labels"),
        tag,
        digest: None,
    })
}
