//! From the bundle that a client sends to the desired state that it describes.

use std::collections::BTreeMap;

use daybook_api::change::Up;
use daybook_api::plan::DiagnosticView;
use daybook_decide::Problem;
use daybook_manifest::{Aim, Bundle, Diagnostic, EnvironmentSettings, Options, Severity};
use daybook_model::policy::Remarks;
use daybook_model::{Digest, EnvKey, SecretName, Spec};

use crate::error::ApiError;

/// A manifest that has no errors. Not `Debug`: it holds secrets.
pub(crate) struct Loaded {
    /// Artifacts and secrets are not resolved.
    pub(crate) spec: Spec,
    pub(crate) digest: Digest,
    pub(crate) diagnostics: Vec<DiagnosticView>,
    /// Values of secrets that come from the client's variables.
    pub(crate) provided: BTreeMap<SecretName, String>,
    /// The manifest, as the person named it.
    pub(crate) file: String,
    /// What it says of the environment itself.
    pub(crate) settings: EnvironmentSettings,
    /// What only its text shows.
    pub(crate) remarks: Remarks,
    /// What it was loaded from, and for what.
    pub(crate) source: (Bundle, Options),
}

impl Loaded {
    pub(crate) fn key(&self) -> EnvKey {
        self.spec.key.clone()
    }

    /// Warns of what plain processes cannot be given.
    pub(crate) fn warn_of_processes(&mut self) {
        for service in self.spec.services.values() {
            for key in daybook_runtime::process::not_honoured(&service.container) {
                let message =
                    format!("`{key}` of `{}` is not honoured: plain processes cannot be given it", service.name);
                let line = service.line.unwrap_or(1);
                let rendered = format!("warning[P0105]: {message}\n  --> {}:{line}", self.file);
                self.diagnostics.push(DiagnosticView {
                    code: "P0105".to_owned(),
                    severity: "warning".to_owned(),
                    message,
                    file: self.file.clone(),
                    line,
                    column: 1,
                    rendered,
                });
            }
        }
    }
}

/// Loads the manifest of `up` for a runtime of this name. All of its errors come at once.
pub(crate) fn load(up: &Up, runtime: &str, aim: Aim) -> Result<Loaded, ApiError> {
    let bundle: Bundle = up.bundle.decode().map_err(|_| ApiError::invalid("the bundle does not have its form"))?;
    let runtime = if runtime == "podman" { "docker" } else { runtime };
    let options = Options {
        environment: up.environment.clone(),
        profiles: up.profiles.clone(),
        app: up.app.clone(),
        runtime: Some(runtime.to_owned()),
        target: up.target.clone(),
        aim,
    };
    let mut loaded = daybook_manifest::load(&bundle, &options);
    if let Some(spec) = &loaded.spec {
        let found = crate::rules::check(spec, &bundle);
        loaded.spec = loaded.spec.filter(|_| !found.iter().any(Diagnostic::is_error));
        loaded.diagnostics.extend(found);
    }
    let diagnostics: Vec<_> = loaded.diagnostics.iter().map(|diagnostic| view(diagnostic, &bundle)).collect();
    let file = bundle.entries.first().map(|entry| bundle.shown(entry).to_owned()).unwrap_or_default();
    match loaded.spec {
        Some(spec) => Ok(Loaded {
            spec,
            digest: loaded.digest,
            diagnostics,
            provided: loaded.provided_secrets,
            file,
            settings: loaded.environment,
            remarks: loaded.remarks,
            source: (bundle, options),
        }),
        None => Err(refused(&loaded.diagnostics, diagnostics)),
    }
}

fn refused(found: &[Diagnostic], views: Vec<DiagnosticView>) -> ApiError {
    let mut errors = found.iter().filter(|diagnostic| diagnostic.is_error());
    let first = errors.next().map(|diagnostic| diagnostic.message.clone());
    let message = match errors.count() {
        0 => first.unwrap_or_else(|| "the manifest cannot be used".to_owned()),
        more => format!("{} (and {more} more errors)", first.unwrap_or_default()),
    };
    let mut error = ApiError::invalid(message);
    error.0.diagnostics = views;
    error
}

fn view(diagnostic: &Diagnostic, bundle: &Bundle) -> DiagnosticView {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    DiagnosticView {
        code: diagnostic.code.to_string(),
        severity: severity.to_owned(),
        message: diagnostic.message.clone(),
        file: bundle.shown(&diagnostic.place.file).to_owned(),
        line: diagnostic.place.line,
        column: diagnostic.place.column,
        rendered: rendered(diagnostic, bundle),
    }
}

/// The diagnostic with its lines; the last line, which counts, is left out.
fn rendered(diagnostic: &Diagnostic, bundle: &Bundle) -> String {
    let text = daybook_manifest::render(std::slice::from_ref(diagnostic), bundle, false);
    let text = text.trim_end();
    text.rsplit_once('\n').map_or(text, |(lines, _)| lines).trim_end().to_owned()
}

/// A reason why a plan is not fit to be carried out, beside the manifest's own diagnostics.
pub(crate) fn diagnostic_of_problem(problem: &Problem) -> DiagnosticView {
    let line = problem.line.unwrap_or(0);
    DiagnosticView {
        code: problem.code.clone(),
        severity: "error".to_owned(),
        message: problem.message.clone(),
        file: String::new(),
        line,
        column: 0,
        rendered: format!("error[{}]: {}\n  help: {}", problem.code, problem.message, problem.hint),
    }
}
