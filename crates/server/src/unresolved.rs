//! What a change needs and nobody has now: shown with a plan, refused when the change is to be carried out.

use std::collections::BTreeSet;

use daybook_api::ErrorCode;
use daybook_api::plan::{DiagnosticView, Unresolved};
use daybook_model::spec::Artifact;
use daybook_model::{DatabaseName, SecretName, ServiceName, Spec};
use daybook_runtime::{Error, ErrorKind};

use crate::change::Desired;
use crate::error::ApiError;
use crate::sealing::refers_to;

/// Artifacts without a digest.
pub(crate) fn of_artifacts(spec: &Spec, open: Vec<daybook_executor::Unresolved>) -> Vec<Unresolved> {
    let one = |open: daybook_executor::Unresolved| {
        let (kind, name) = match open.artifact {
            Artifact::Image { reference, .. } => ("image", reference),
            Artifact::Build(build) => ("build", build.context),
            Artifact::Static { root, .. } => ("files", root),
            Artifact::Chart(chart) => ("chart", chart.reference),
            Artifact::StatusPage(page) => ("status page", page.title),
        };
        // What keeps many images away is one cause: the image's name does not enter it.
        let reason = match (kind, open.error.kind) {
            ("image", ErrorKind::Unavailable) => open.error.message.clone(),
            _ => open.error.to_string(),
        };
        Unresolved {
            kind: kind.to_owned(),
            name,
            line: open.services.first().and_then(|name| line_of(spec, name)),
            services: open.services.iter().map(ToString::to_string).collect(),
            reason,
            hint: open.error.hint,
        }
    };
    open.into_iter().map(one).collect()
}

/// Migrations that cannot be read.
pub(crate) fn of_migrations(spec: &Spec, unread: Vec<(DatabaseName, Error)>) -> Vec<Unresolved> {
    let one = |(name, error): (DatabaseName, Error)| Unresolved {
        kind: "migrations".to_owned(),
        name: name.to_string(),
        services: Vec::new(),
        line: spec.databases.get(&name).and_then(|database| database.line),
        reason: format!("the migrations of `{name}`: {error}"),
        hint: error.hint,
    };
    unread.into_iter().map(one).collect()
}

/// Secrets without a value.
pub(crate) fn of_secrets(spec: &Spec, missing: &BTreeSet<SecretName>) -> Vec<Unresolved> {
    missing.iter().map(|name| missing_secret(spec, name)).collect()
}

/// A secret without a value.
pub(crate) fn missing_secret(spec: &Spec, name: &SecretName) -> Unresolved {
    let service = refers_to(spec, name);
    let vault = spec.vault.as_ref().filter(|vault| vault.login.credential() == Some(name));
    let channel = spec.notify.iter().find(|channel| channel.needs(name));
    let outlet = spec.forward.needing(name);
    let (line, hint) = match (vault, channel, outlet) {
        (Some(vault), ..) => (vault.line, "it lets into the Vault: ".to_owned()),
        (None, Some(channel), _) => (channel.line, format!("the channel {} needs it: ", channel.name)),
        (None, None, Some((key, line))) => (line, format!("`forward.{key}` needs it: ")),
        (None, None, None) => (service.and_then(|service| line_of(spec, service)), "set it: ".to_owned()),
    };
    let generate =
        if vault.is_some() || channel.is_some() || outlet.is_some() { "" } else { ", or write `{secret: generate}`" };
    Unresolved {
        kind: "secret".to_owned(),
        name: name.to_string(),
        services: service.iter().map(ToString::to_string).collect(),
        line,
        reason: format!("the secret `{name}` is not set in {}", spec.key),
        hint: Some(format!("{hint}`daybook secret set {name}`{generate}")),
    }
}

fn line_of(spec: &Spec, service: &ServiceName) -> Option<u32> {
    spec.services.get(service)?.line
}

/// Refuses a change that needs what nobody has, naming all of it. `file` is the manifest.
pub(crate) fn refuse(desired: &Desired, file: &str) -> Result<(), ApiError> {
    let Some(first) = desired.unresolved.first() else { return Ok(()) };
    let message = match desired.unresolved.len() {
        1 => sentence(first),
        many => format!("{many} things that it needs cannot be had; nothing was changed"),
    };
    let mut error = ApiError::new(ErrorCode::Invalid, message);
    error.0.hint.clone_from(&first.hint);
    let located = desired.unresolved.iter().map(|open| diagnostic(open, file));
    error.0.diagnostics = desired.diagnostics.iter().cloned().chain(located).collect();
    Err(error)
}

fn sentence(open: &Unresolved) -> String {
    match open.kind.as_str() {
        "image" if !open.reason.contains(&open.name) => format!("cannot get the image {}: {}", open.name, open.reason),
        _ => open.reason.clone(),
    }
}

fn diagnostic(open: &Unresolved, file: &str) -> DiagnosticView {
    let (code, message) = (if open.kind == "secret" { "P0120" } else { "P0103" }, sentence(open));
    let line = open.line.unwrap_or(1);
    let hint = open.hint.as_ref().map(|hint| format!("\n  help: {hint}")).unwrap_or_default();
    DiagnosticView {
        code: code.to_owned(),
        severity: "error".to_owned(),
        rendered: format!("error[{code}]: {message}\n  --> {file}:{line}{hint}"),
        message,
        file: file.to_owned(),
        line,
        column: 1,
    }
}
