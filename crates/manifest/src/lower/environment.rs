//! Environment variables: env files first, then `environment`, which wins.

use std::collections::BTreeMap;

use daybook_model::ServiceName;
use daybook_model::secrecy::is_secret;
use daybook_model::spec::EnvValue;

use super::read::{flag, text};
use super::template;
use super::{Manifest, secrets};
use crate::bundle::ReadError;
use crate::context::Problem;
use crate::document::read_dotenv;
use crate::dotenv;
use crate::merge::pairs;
use crate::tree::{Entry, Node, Span, Value};

/// The variables of a service.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, name: &ServiceName, service: &Node) -> BTreeMap<String, EnvValue> {
    let mut all = BTreeMap::new();
    for file in service.get("env_file").map(Node::items).unwrap_or_default() {
        for (name, value) in env_file(manifest, file) {
            let value = value.or_else(|| manifest.ctx.variable(file.span, &name));
            if let Some(value) = value {
                all.insert(name, EnvValue::Text(value));
            }
        }
    }
    if let Some(environment) = service.get("environment") {
        remark_repeated(manifest, name, environment);
        for entry in pairs(environment, &['=']).iter() {
            remark_clear(manifest, name, entry);
            match variable(manifest, name, entry) {
                Some(value) => drop(all.insert(entry.key.to_string(), value)),
                // Passed through from an environment that does not have it: what a file said stays.
                None if entry.value.is_null() => {}
                None => drop(all.remove(entry.key.as_str())),
            }
        }
    }
    all
}

/// Remembers a variable that looks secret and whose value stands in the manifest as it is.
fn remark_clear(manifest: &Manifest<'_, '_>, service: &ServiceName, entry: &Entry) {
    let Value::Scalar(scalar) = &entry.value.value else { return };
    let is_written =
        || manifest.ctx.slice(entry.value.span).is_some_and(|written| written.contains(scalar.text.as_str()));
    if scalar.pieces.is_none() && is_secret(&entry.key, &scalar.text) && is_written() {
        manifest.remarks.borrow_mut().clear_secrets.push((service.clone(), entry.key.to_string()));
    }
}

/// Remembers the variables that a list sets more than once.
fn remark_repeated(manifest: &Manifest<'_, '_>, service: &ServiceName, environment: &Node) {
    let mut seen = BTreeMap::new();
    for item in environment.list().unwrap_or_default() {
        let Some(text) = item.scalar() else { continue };
        let count = seen.entry(text.split('=').next().unwrap_or(text)).or_insert(0);
        *count += 1;
        if *count == 2 {
            let variable = text.split('=').next().unwrap_or(text).to_owned();
            manifest.remarks.borrow_mut().repeated_variables.push((service.clone(), variable));
        }
    }
}

fn variable(manifest: &Manifest<'_, '_>, service: &ServiceName, entry: &Entry) -> Option<EnvValue> {
    let name_is_good = !entry.key.is_empty() && !entry.key.contains(['=', '\0']);
    if !name_is_good {
        let problem = Problem::new("M0307", entry.key_span, format!("`{}` cannot be a variable's name", entry.key));
        manifest.ctx.report(problem.label("write NAME=value"));
        return None;
    }
    match &entry.value.value {
        Value::Null => manifest.ctx.variable(entry.key_span, &entry.key).map(EnvValue::Text),
        Value::Scalar(scalar) => template::value(manifest, service, scalar, entry.value.span),
        Value::Map(_) => sealed(manifest, entry),
        Value::List(_) => None,
    }
}

/// `{secret: NAME}`, or `{secret: generate}` for a random value under the variable's own name.
fn sealed(manifest: &Manifest<'_, '_>, entry: &Entry) -> Option<EnvValue> {
    let name = entry.value.get("secret").and_then(|node| Some((node.scalar()?, node.span)));
    let Some((name, span)) = name else {
        let problem = Problem::new("M0119", entry.value.span, "`secret` is missing");
        manifest.ctx.report(problem.label("write `{secret: NAME}` or `{secret: generate}`"));
        return None;
    };
    let secret = match name {
        "generate" => secrets::sealed(manifest, &entry.key, span, true),
        name => secrets::named(manifest, name, span, flag(&entry.value, "generate")),
    };
    secret.map(EnvValue::Secret)
}

/// The lines of one item of `env_file`, or of any other file of that form.
fn env_file(manifest: &Manifest<'_, '_>, item: &Node) -> Vec<(String, Option<String>)> {
    let ctx = manifest.ctx;
    let path = item.get("path").unwrap_or(item);
    let Some(written) = path.scalar().filter(|written| !written.is_empty()) else { return Vec::new() };
    let full = ctx.resolve(path.span, written);
    let required = item.get("required").and_then(Node::scalar).is_none_or(|text| text != "false");
    match ctx.read_lines(path.span, &full) {
        Ok(content) if text(item, "format").as_deref() == Some("raw") => dotenv::parse_raw(&content),
        Ok(content) => read_dotenv(ctx, &full, &content),
        Err(ReadError::Missing) if !required => Vec::new(),
        Err(ReadError::TooMuch) => Vec::new(),
        Err(error) => {
            unreadable(manifest, path.span, written, &error, "or mark it `required: false`");
            Vec::new()
        }
    }
}

/// Labels from `label_file`.
pub(crate) fn label_files(manifest: &Manifest<'_, '_>, service: &Node) -> BTreeMap<String, String> {
    let items = service.get("label_file").map(Node::items).unwrap_or_default();
    let lines = items.iter().flat_map(|item| env_file(manifest, item));
    lines.map(|(name, value)| (name, value.unwrap_or_default())).collect()
}

pub(super) fn unreadable(manifest: &Manifest<'_, '_>, span: Span, written: &str, error: &ReadError, help: &str) {
    let code = if *error == ReadError::Missing { "M0401" } else { "M0402" };
    let problem = Problem::new(code, span, format!("cannot read {written}: {error}"));
    manifest.ctx.report(problem.label("asked for here").help(format!("write the file, {help}")));
}
