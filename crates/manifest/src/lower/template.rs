//! References in values: `${web.url}`, `${db.url}`, `${secret.NAME}`.

use daybook_model::ServiceName;
use daybook_model::spec::{EnvValue, ServiceFact, TemplatePart};

use super::{Manifest, databases, secrets};
use crate::context::Problem;
use crate::tree::{Piece, Scalar, Span};

/// The value of an environment variable of `service`. `None` when it holds a reference that cannot be filled in, which
/// has been reported.
pub(crate) fn value(
    manifest: &Manifest<'_, '_>,
    service: &ServiceName,
    scalar: &Scalar,
    span: Span,
) -> Option<EnvValue> {
    let Some(pieces) = &scalar.pieces else { return Some(EnvValue::Text(scalar.text.to_string())) };
    let mut parts = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match piece {
            Piece::Text(text) if text.is_empty() => {}
            Piece::Text(text) => parts.push(TemplatePart::Text(text.clone())),
            Piece::Reference(name) => parts.push(reference(manifest, service, name, span)?),
        }
    }
    match parts.as_slice() {
        [TemplatePart::Secret(secret)] => Some(EnvValue::Secret(secret.clone())),
        _ => Some(EnvValue::Template(parts)),
    }
}

fn reference(manifest: &Manifest<'_, '_>, service: &ServiceName, written: &str, span: Span) -> Option<TemplatePart> {
    if let Some(name) = written.strip_prefix("secret.") {
        return secrets::named(manifest, name, span, false).map(TemplatePart::Secret);
    }
    let (name, fact) = written.rsplit_once('.')?;
    if let Some(entry) = manifest.section("databases").and_then(|all| all.entry(name)) {
        return databases::used(manifest, service, entry, fact, span);
    }
    let fact = match fact {
        "host" => ServiceFact::Host,
        "port" => ServiceFact::Port,
        "url" => ServiceFact::Url,
        other => {
            let problem = Problem::new("M0306", span, format!("a service has no `{other}`"));
            let near = manifest.ctx.nearest(other, ["host", "port", "url"]);
            let label =
                near.map_or("one of `host`, `port`, `url`".to_owned(), |near| format!("did you mean `{near}`?"));
            manifest.ctx.report(problem.label(label).help("write `$$` for a dollar sign"));
            return None;
        }
    };
    if !manifest.declared("services", "service", name, span) {
        return None;
    }
    Some(TemplatePart::Service(ServiceName::new(name).ok()?, fact))
}
