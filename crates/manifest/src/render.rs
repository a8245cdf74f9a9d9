//! Diagnostics as people read them.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::bundle::Bundle;
use crate::diagnostic::{Diagnostic, Place, Severity};

/// The widest line that is shown whole; of longer ones, the part around the place is shown.
const WIDTH: usize = 160;

/// The diagnostics with the lines that they are about, and a last line that counts them. Empty
/// without diagnostics.
pub fn render(diagnostics: &[Diagnostic], bundle: &Bundle, color: bool) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.term_width(WIDTH);
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&one(diagnostic, bundle, &renderer));
        out.push('\n');
    }
    out.push_str(&summary(diagnostics));
    out.push('\n');
    out
}

fn one(diagnostic: &Diagnostic, bundle: &Bundle, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.as_ref());
    let mut group = Group::with_title(title);
    for (index, (place, label)) in places(diagnostic).enumerate() {
        let kind = if index == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
        group = match snippet(place, label, bundle, kind) {
            Some(snippet) => group.element(snippet),
            None => group.element(annotate_snippets::Origin::path(bundle.shown(&place.file))),
        };
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

fn places(diagnostic: &Diagnostic) -> impl Iterator<Item = (&Place, &str)> {
    let own = std::iter::once((&diagnostic.place, diagnostic.label.as_str()));
    own.chain(diagnostic.also.iter().map(|(place, label)| (place, label.as_str())))
}

/// The line of `place`. Only this line is given to the renderer: a manifest may be megabytes long.
fn snippet<'b>(
    place: &Place,
    label: &'b str,
    bundle: &'b Bundle,
    kind: AnnotationKind,
) -> Option<Snippet<'b, annotate_snippets::Annotation<'b>>> {
    let text = bundle.text(&place.file).filter(|text| !text.is_empty())?;
    let start = floor(text, (place.start as usize).min(text.len()));
    let first = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let last = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let (first, last) = (floor(text, first.max(start.saturating_sub(400))), floor(text, last.min(start + 400)));
    let end = floor(text, (place.end as usize).clamp(start, last));
    let line = text[first..last].trim_end_matches('\r');
    let end = end.min(first + line.len());
    let annotation = kind.span(start.min(end) - first..end - first).label(label);
    let snippet = Snippet::source(line).line_start(place.line as usize).path(bundle.shown(&place.file).to_owned());
    Some(snippet.annotation(annotation))
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn summary(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let warnings = diagnostics.len() - errors;
    let count = |number: usize, word: &str| match number {
        0 => None,
        1 => Some(format!("1 {word}")),
        many => Some(format!("{many} {word}s")),
    };
    let parts: Vec<String> = [count(errors, "error"), count(warnings, "warning")].into_iter().flatten().collect();
    let first = diagnostics.iter().find(|diagnostic| diagnostic.is_error()).unwrap_or(&diagnostics[0]);
    let outcome = if errors > 0 { "; nothing was changed." } else { "." };
    format!("{}{outcome}   daybook explain {}", parts.join(", "), first.code)
}
