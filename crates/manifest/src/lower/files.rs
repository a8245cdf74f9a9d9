//! Secrets and configs as files in a replica.

use daybook_model::spec::{FileContent, FileMount};

use super::Manifest;
use super::read::{integer, text};
use super::secrets::{Found, declared};
use crate::bundle::ReadError;
use crate::context::Problem;
use crate::tree::{Node, Span};
use crate::units;

/// The files that a service is given.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, service: &Node) -> Vec<FileMount> {
    let mut files = Vec::new();
    for item in service.get("secrets").map(Node::items).unwrap_or_default() {
        files.extend(file(manifest, item, &Section::SECRETS));
    }
    for item in service.get("configs").map(Node::items).unwrap_or_default() {
        files.extend(file(manifest, item, &Section::CONFIGS));
    }
    files
}

/// How one of the two sections differs from the other.
struct Section {
    name: &'static str,
    singular: &'static str,
    directory: &'static str,
    content: fn(&Manifest<'_, '_>, &str, &Node, Span) -> Option<FileContent>,
}

impl Section {
    const SECRETS: Self =
        Self { name: "secrets", singular: "secret", directory: "/run/secrets/", content: secret_content };
    const CONFIGS: Self = Self { name: "configs", singular: "config", directory: "/", content: config_content };
}

fn file(manifest: &Manifest<'_, '_>, item: &Node, section: &Section) -> Option<FileMount> {
    let source = if item.map().is_some() { item.get("source") } else { Some(item) };
    let Some((name, span)) = source.and_then(|node| Some((node.scalar()?, node.span))) else {
        let problem = Problem::new("M0119", item.span, "`source` is missing");
        manifest.ctx.report(problem.label(format!("which {}?", section.singular)));
        return None;
    };
    if !manifest.declared(section.name, section.singular, name, span) {
        return None;
    }
    let declared = manifest.section(section.name)?.entry(name)?;
    let content = (section.content)(manifest, name, &declared.value, declared.key_span)?;
    let target = text(item, "target").unwrap_or_else(|| name.to_owned());
    let target = if target.starts_with('/') { target } else { format!("{}{target}", section.directory) };
    let id = |key: &str| integer(item, key).and_then(|id| u32::try_from(id).ok());
    let mode = item.get("mode").and_then(|node| units::mode(node.scalar()?)).unwrap_or(0o444);
    Some(FileMount { target, content, uid: id("uid"), gid: id("gid"), mode })
}

fn secret_content(manifest: &Manifest<'_, '_>, name: &str, node: &Node, span: Span) -> Option<FileContent> {
    Some(match declared(manifest, name, node, span)? {
        Found::Sealed(secret) => FileContent::Secret(secret),
        Found::HostFile(path) => FileContent::HostFile(path),
    })
}

/// Reports a variable that holds a value and is not set.
pub(super) fn unset(manifest: &Manifest<'_, '_>, variable: &Node, what: &str) {
    let name = variable.scalar().unwrap_or_default();
    let problem = Problem::new("M0302", variable.span, format!("the variable `{name}` is not set"));
    manifest.ctx.report(problem.label(what));
}

fn config_content(manifest: &Manifest<'_, '_>, name: &str, declared: &Node, span: Span) -> Option<FileContent> {
    if let Some(content) = declared.get("content") {
        return Some(FileContent::Text(content.scalar()?.to_owned()));
    }
    if let Some(variable) = declared.get("environment") {
        let value = manifest.ctx.variable(variable.span, variable.scalar()?);
        if value.is_none() {
            unset(manifest, variable, "the file will be empty");
        }
        return Some(FileContent::Text(value.unwrap_or_default()));
    }
    if let Some(file) = declared.get("file") {
        let path = manifest.ctx.resolve(file.span, file.scalar()?);
        return match manifest.ctx.read(file.span, &path) {
            Ok(text) => Some(FileContent::Text(text)),
            Err(ReadError::TooMuch) => None,
            Err(ReadError::Unreadable(_)) => Some(FileContent::HostFile(path)),
            Err(ReadError::Missing) => host_file(manifest, file, "config").map(FileContent::HostFile),
        };
    }
    let problem = Problem::new("M0119", span, format!("the config `{name}` has no content"));
    manifest.ctx.report(problem.label("give `file`, `content` or `environment`"));
    None
}

/// A file of this machine. It may be made after this and before it is needed.
pub(super) fn host_file(manifest: &Manifest<'_, '_>, file: &Node, what: &str) -> Option<String> {
    let written = file.scalar()?;
    let path = manifest.ctx.resolve(file.span, written);
    if !manifest.ctx.files.exists(&path) {
        let problem = Problem::new("M0405", file.span, format!("the file of a {what} is not there: {written}"));
        manifest.ctx.report(problem.label("no such file").help("write it"));
    }
    Some(path)
}
