//! What a service runs: an image, a build, or files alone.

use daybook_model::ServiceName;
use daybook_model::spec::{Artifact, Build, PullPolicy};

use super::Manifest;
use super::read::{text, text_map};
use crate::context::{Problem, join};
use crate::tree::{Entry, Node, Span};

/// The artifact of a service. `None` when it has none, which has been reported.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, name: &ServiceName, entry: &Entry) -> Option<Artifact> {
    let service = &entry.value;
    let image = text(service, "image");
    if let Some(node) = service.get("helm") {
        return super::chart::lower(manifest, entry, node);
    }
    if let Some(node) = service.get("status_page") {
        return super::status_page::lower(manifest, entry, node);
    }
    if let Some(node) = service.get("static") {
        return Some(Artifact::Static { root: manifest.ctx.resolve(node.span, node.scalar()?), digest: None });
    }
    if let Some(node) = service.get("build") {
        return build(manifest, name, node, image).map(Artifact::Build);
    }
    match image {
        Some(reference) => Some(Artifact::image(reference, pull_policy(manifest, service), None)),
        None if service.get("image").is_some_and(|node| node.scalar().is_some()) => {
            let span = service.get("image").map_or(entry.key_span, |node| node.span);
            let problem = Problem::new("M0524", span, format!("the image of `{}` is empty", entry.key));
            manifest.ctx.report(problem.label("no name").help("give the image's name"));
            Some(Artifact::image(String::new(), PullPolicy::Missing, None))
        }
        None => {
            let message = format!("the service `{}` has nothing to run", entry.key);
            let problem =
                Problem::new("M0121", entry.key_span, message).label("give `image`, `build`, `static` or `helm`");
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

fn build(manifest: &Manifest<'_, '_>, service: &ServiceName, node: &Node, tag: Option<String>) -> Option<Build> {
    let context = if node.map().is_some() { node.get("context") } else { Some(node) };
    let (written, span) = match context {
        Some(context) => (context.scalar()?, context.span),
        None => (".", node.span),
    };
    let elsewhere = written.contains("://") || written.starts_with("git@") || written.starts_with("github.com/");
    let context = if elsewhere { written.to_owned() } else { manifest.ctx.resolve(span, written) };
    if elsewhere {
        let problem = Problem::new("M0404", span, "build contexts elsewhere are not fetched");
        manifest.ctx.report(problem.label("not a local directory").help("clone it beside the manifest"));
    } else {
        look_for_files(manifest, service, node, &context, span);
    }
    let mut args = text_map(node, "args");
    // An argument without a value is taken from the environment, as in Compose.
    for entry in node.get("args").map(|args| crate::merge::pairs(args, &['='])).unwrap_or_default() {
        if entry.value.is_null() {
            match manifest.ctx.variable(entry.key_span, &entry.key) {
                Some(value) => drop(args.insert(entry.key.into(), value)),
                None => drop(args.remove(entry.key.as_str())),
            }
        }
    }
    Some(Build {
        context,
        dockerfile: text(node, "dockerfile"),
        dockerfile_inline: text(node, "dockerfile_inline"),
        target: text(node, "target"),
        args,
        labels: text_map(node, "labels"),
        tag,
        digest: None,
    })
}

/// Reports a build whose directory or Dockerfile is not there, and remembers what the Dockerfile says.
fn look_for_files(manifest: &Manifest<'_, '_>, service: &ServiceName, build: &Node, context: &str, span: Span) {
    let ctx = manifest.ctx;
    if !ctx.files.exists(context) {
        let problem = Problem::new("M0408", span, "the directory of a build is not there");
        return ctx.report(problem.label("no such directory").help("paths are meant from the manifest's directory"));
    }
    let named = build.get("dockerfile").filter(|node| node.scalar().is_some_and(|text| !text.is_empty()));
    let file = join(context, named.and_then(Node::scalar).unwrap_or("Dockerfile"));
    if text(build, "dockerfile_inline").is_none()
        && ctx.files.exists(&file)
        && let Ok(text) = ctx.read(span, &file)
    {
        manifest.remarks.borrow_mut().dockerfiles.push((service.clone(), text));
    }
    // The runtime `process` builds nothing, so only a Dockerfile that is named must be there.
    if let Some(node) = named.filter(|_| text(build, "dockerfile_inline").is_none() && !ctx.files.exists(&file)) {
        let problem = Problem::new("M0408", node.span, "the Dockerfile of a build is not there");
        ctx.report(problem.label("no such file").help("its path is meant from `context`"));
    }
}
