//! Rules of one's own, and what is different about those by default.

use std::collections::BTreeMap;

use daybook_model::ServiceName;
use daybook_model::policy::RuleFile;
use daybook_model::rules::{Adjustment, Rules};

use super::Manifest;
use super::read::{duration, text};
use crate::bundle::ReadError;
use crate::context::Problem;
use crate::load::{own, own_or_whole};
use crate::tree::{Entry, Map, Node, Span};
use crate::units;

/// All rules of an environment together, in bytes: each release keeps them.
const MOST: usize = 1 << 20;

/// What an environment's own `rules`, or else those of the whole manifest, and both its `alerts` say. Whether a file is one
/// of rules, and whether an alert is known, is found by who evaluates them.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, environment: &str) -> Rules {
    let mut files: Vec<RuleFile> = Vec::new();
    for item in own_or_whole(manifest.root, environment, "rules").map(Node::items).unwrap_or_default() {
        for found in read(manifest, item) {
            if !files.iter().any(|known| known.name == found.name) {
                files.push(found);
            }
        }
        let size: usize = files.iter().map(|file| file.text.len()).sum();
        if size > MOST {
            let problem = Problem::new("M0529", item.span, format!("the rules have {size} bytes"));
            manifest.ctx.report(problem.label(format!("{MOST} are the most")));
            break;
        }
    }
    let both = [manifest.root.get("alerts"), own(manifest.root, environment, "alerts")];
    let entries = both.into_iter().flatten().filter_map(Node::map).flat_map(Map::iter);
    let adjusted = entries.map(|entry| (entry.key.to_string(), adjustment(manifest, entry)));
    Rules { files, adjusted: adjusted.collect::<BTreeMap<_, _>>() }
}

/// The files that one item names: one, or all that fit its wildcards.
fn read(manifest: &Manifest<'_, '_>, item: &Node) -> Vec<RuleFile> {
    let ctx = manifest.ctx;
    let Some(written) = item.scalar() else { return Vec::new() };
    let path = ctx.resolve(item.span, written);
    let paths = if written.contains(['*', '?']) { ctx.files.matching(&path) } else { vec![path] };
    if paths.is_empty() {
        let problem = Problem::new("M0401", item.span, format!("no file fits {written}"));
        ctx.report(problem.label("asked for here").help("write the rules, or leave it out"));
    }
    let here = ctx.resolve(item.span, ".");
    // As it is known beside the first manifest, whichever named it.
    let is_of_root = ctx.resolve(Span { file: 0, ..item.span }, ".") == here;
    let known_as = |path: &str| match path.strip_prefix(&here).and_then(|rest| rest.strip_prefix('/')) {
        Some(below) if is_of_root => below.to_owned(),
        None if is_of_root && !written.starts_with(['/', '~']) => {
            format!("{}/{}", written.rsplit_once('/').map_or(".", |(above, _)| above), name_in(path))
        }
        _ => path.to_owned(),
    };
    let read = |path: String| Some(RuleFile { text: text_of(manifest, item.span, &path)?, name: known_as(&path) });
    paths.into_iter().filter_map(read).collect()
}

fn name_in(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

fn text_of(manifest: &Manifest<'_, '_>, span: Span, path: &str) -> Option<String> {
    let error = match manifest.ctx.read(span, path) {
        Ok(text) => return Some(text),
        Err(ReadError::TooMuch) => return None,
        Err(error) => error,
    };
    let code = if error == ReadError::Missing { "M0401" } else { "M0402" };
    let problem = Problem::new(code, span, format!("cannot read {path}: {error}"));
    manifest.ctx.report(problem.label("asked for here").help("write the rules, or leave the file out"));
    None
}

fn adjustment(manifest: &Manifest<'_, '_>, entry: &Entry) -> Adjustment {
    let node = &entry.value;
    let services = node.get("services").and_then(Node::map).into_iter().flat_map(Map::iter);
    let known = services.filter(|service| manifest.declared("services", "service", &service.key, service.key_span));
    Adjustment {
        off: node.scalar() == Some("off"),
        threshold: text(node, "threshold").and_then(|text| number(&text)),
        hold_ms: duration(node, "for"),
        severity: text(node, "severity").and_then(|word| word.parse().ok()),
        services: known
            .filter_map(|service| Some((ServiceName::new(&service.key).ok()?, adjustment(manifest, service))))
            .collect(),
        line: manifest.ctx.line(entry.key_span),
    }
}

/// A number as queries have it: `2%` is `0.02`, and `500ms` is `0.5`.
fn number(written: &str) -> Option<String> {
    let written = written.trim();
    // Divided as decimals: 7 % is 0.07, and not a number beside it.
    let number = match (written.strip_suffix('%'), written.parse::<f64>()) {
        (Some(share), _) => (share.trim_end().parse::<f64>().ok()? * 1e6).round() / 1e8,
        (None, Ok(number)) => number,
        (None, Err(_)) => units::duration_ms(written)? as f64 / 1e3,
    };
    number.is_finite().then(|| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_numbers() {
        let read = |text| number(text).unwrap_or_default();
        assert_eq!([read("7%"), read("0.5 %"), read("3"), read("1e3"), read("x")], ["0.07", "0.005", "3", "1000", ""]);
        assert_eq!([read("500ms"), read("2s"), read("1m30s"), read("inf")], ["0.5", "2", "90", ""]);
    }
}
