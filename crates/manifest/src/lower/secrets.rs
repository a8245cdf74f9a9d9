//! Secrets by the names that services use, and where `secrets` says that their values are from.

use daybook_model::SecretName;
use daybook_model::spec::SecretRef;
use serde_json::Value;

use super::Manifest;
use super::environment::unreadable;
use super::files::host_file;
use super::read::{flag, text};
use super::vault::Wanted;
use crate::bundle::{Cipher, ReadError};
use crate::context::Problem;
use crate::tree::{Node, Span};

/// Keys of a secret that say where its value is from.
const SOURCES: [&str; 7] = ["file", "environment", "external", "generate", "vault", "sops", "age"];

/// What a name of a secret stands for.
pub(crate) enum Found {
    /// A secret of the sealed store. Where the manifest has the value, it is on its way there.
    Sealed(SecretRef),
    /// A file of this machine that could not be read now, by its absolute path.
    HostFile(String),
}

/// The secret that a service calls `name`: what `secrets` says of it, or else that of the sealed store.
pub(crate) fn named(manifest: &Manifest<'_, '_>, name: &str, span: Span, generate: bool) -> Option<SecretRef> {
    let found = match manifest.section("secrets").and_then(|secrets| secrets.entry(name)) {
        Some(entry) => declared(manifest, name, &entry.value, entry.key_span)?,
        None => return sealed(manifest, name, span, generate),
    };
    match found {
        Found::Sealed(secret) => Some(SecretRef { generate: generate || secret.generate, ..secret }),
        // It was reported, and a replica can be given it as a file only.
        Found::HostFile(_) => None,
    }
}

/// A secret of the sealed store by its name there.
pub(crate) fn sealed(manifest: &Manifest<'_, '_>, name: &str, span: Span, generate: bool) -> Option<SecretRef> {
    match SecretName::new(name) {
        Ok(name) => Some(SecretRef { name, version: None, generate }),
        Err(error) => {
            manifest.ctx.report(Problem::new("M0118", span, error.to_string()).label("choose another name"));
            None
        }
    }
}

/// A secret that `secrets` has, whose key is at `span`.
pub(crate) fn declared(manifest: &Manifest<'_, '_>, name: &str, node: &Node, span: Span) -> Option<Found> {
    refuse_two_sources(manifest, name, node);
    if let Some(file) = node.get("file") {
        return from_file(manifest, name, file, span);
    }
    if let Some(variable) = node.get("environment") {
        let value = manifest.ctx.variable(variable.span, variable.scalar()?);
        if value.is_none() {
            super::files::unset(manifest, variable, "the sealed store must have it already");
        }
        return provided(manifest, name, span, value);
    }
    if let Some(vault) = node.get("vault") {
        let secret = sealed(manifest, name, span, false)?;
        let path = vault.scalar()?.to_owned();
        let field = text(node, "field").unwrap_or_else(|| name.to_owned());
        manifest.kept.borrow_mut().insert(secret.name.clone(), Wanted { path, field, span: vault.span });
        return Some(Found::Sealed(secret));
    }
    if let Some(file) = node.get("sops") {
        let key = node.get("key");
        let value = opened(manifest, file, Cipher::Sops).and_then(|text| {
            let (key, at) = key.and_then(|key| Some((key.scalar()?, key.span))).unwrap_or((name, span));
            value_at(manifest, file, &text, key, at)
        });
        return provided(manifest, name, span, value);
    }
    if let Some(file) = node.get("age") {
        let value = opened(manifest, file, Cipher::Age);
        return provided(manifest, name, span, value);
    }
    // Everything else is a secret of the sealed store: `external`, `generate`, or the name alone.
    let outside = node.get("external").and_then(|external| text(external, "name"));
    let outside = outside.or_else(|| text(node, "name")).unwrap_or_else(|| name.to_owned());
    sealed(manifest, &outside, span, flag(node, "generate")).map(Found::Sealed)
}

/// The sealed secret `name`, which gets this value.
fn provided(manifest: &Manifest<'_, '_>, name: &str, span: Span, value: Option<String>) -> Option<Found> {
    let secret = sealed(manifest, name, span, false)?;
    if let Some(value) = value {
        manifest.provided.borrow_mut().insert(secret.name.clone(), value);
    }
    Some(Found::Sealed(secret))
}

fn refuse_two_sources(manifest: &Manifest<'_, '_>, name: &str, node: &Node) {
    let said = SOURCES.into_iter().filter_map(|key| {
        let value = node.get(key)?;
        (value.scalar() != Some("false")).then_some((key, value.span))
    });
    let said: Vec<_> = said.collect();
    if let [(first, _), (second, span), ..] = said.as_slice() {
        let problem = Problem::new("M0128", *span, format!("the value of the secret `{name}` is from two places"));
        manifest.ctx.report(problem.label(format!("`{first}` is there as well: leave `{first}` or `{second}` out")));
    }
}

/// A file of this machine. Sealed like any other secret, so that a change of it is planned and a rollback brings it back.
fn from_file(manifest: &Manifest<'_, '_>, name: &str, file: &Node, span: Span) -> Option<Found> {
    let path = manifest.ctx.resolve(file.span, file.scalar()?);
    match manifest.ctx.read(file.span, &path) {
        Ok(value) => provided(manifest, name, span, Some(value)),
        Err(ReadError::TooMuch) => None,
        Err(_) => host_file(manifest, file, "secret").map(Found::HostFile),
    }
}

/// What an encrypted file says, where whoever reads the manifest opens such files, and can.
fn opened(manifest: &Manifest<'_, '_>, file: &Node, cipher: Cipher) -> Option<String> {
    let written = file.scalar()?;
    let path = manifest.ctx.resolve(file.span, written);
    if !manifest.ctx.files.exists(&path) {
        unreadable(manifest, file.span, written, &ReadError::Missing, "or correct its name");
        return None;
    }
    match manifest.ctx.open(file.span, &path, cipher)? {
        Ok(text) => Some(text),
        Err(ReadError::TooMuch) => None,
        Err(why) => {
            let problem = Problem::new("M0409", file.span, format!("cannot open {written}: {why}"));
            manifest.ctx.report(problem.label("encrypted"));
            None
        }
    }
}

/// The value at a key of an opened file. `.` leads into mappings and lists.
fn value_at(manifest: &Manifest<'_, '_>, file: &Node, text: &str, key: &str, at: Span) -> Option<String> {
    let root: Value = serde_json::from_str(text).unwrap_or_default();
    let whole = root.get(key);
    let found = whole.or_else(|| {
        key.split('.').try_fold(&root, |value, part| match value {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            other => other.get(part),
        })
    });
    match found {
        None | Some(Value::Null) => {
            let name = file.scalar().unwrap_or_default();
            let problem = Problem::new("M0410", at, format!("{name} has no value `{key}`"));
            let known: Vec<&str> = root.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            let near = manifest.ctx.nearest(key, known.iter().copied());
            manifest.ctx.report(match (near, known.as_slice()) {
                (Some(near), _) => problem.label(format!("did you mean `{near}`?")),
                (None, []) => problem.label("it has none at all"),
                (None, [first, ..]) => problem.label(format!("it has `{first}`, for one; say which with `key`")),
            });
            None
        }
        Some(Value::String(value)) => Some(value.clone()),
        Some(other) => Some(other.to_string()),
    }
}
