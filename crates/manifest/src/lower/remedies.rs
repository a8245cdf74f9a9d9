//! `remedies`: what may be mended by itself.

use std::collections::BTreeSet;

use daybook_model::ServiceName;
use daybook_model::remedy::{Remedy, Rule};
use daybook_model::spec::Scale;

use super::Manifest;
use super::read::{integer, text, texts};
use crate::context::Problem;
use crate::tree::{Entry, Map, Node, Span};
use crate::units;

/// The rules, in the order in which they are written: that in which they are asked.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, node: Option<&Node>) -> Vec<Rule> {
    let entries = node.and_then(Node::map).into_iter().flat_map(Map::iter);
    entries.filter(|entry| !entry.value.is_null()).filter_map(|entry| rule(manifest, entry)).collect()
}

fn rule(manifest: &Manifest<'_, '_>, entry: &Entry) -> Option<Rule> {
    let (node, name) = (&entry.value, &entry.key);
    let report = |span: Span, message: String, label: &str| {
        manifest.ctx.report(Problem::new("M0143", span, message).label(label));
    };
    if name.trim().is_empty() {
        report(entry.key_span, "a rule has no name".to_owned(), "the journal knows it by one");
        return None;
    }
    // Words that are no remedies were reported when the tree was checked.
    let may: BTreeSet<Remedy> = texts(node, "may").iter().filter_map(|word| word.parse().ok()).collect();
    if texts(node, "may").is_empty() {
        report(node.span, format!("nothing says what `{name}` may do"), "add `may: swap-back`, `restart` or `scale`");
    }
    let named = node.get("services").map(Node::items).unwrap_or_default();
    let named = named.iter().filter_map(|node| Some((node.scalar()?, node.span)));
    let known = named.filter(|(name, span)| manifest.declared("services", "service", name, *span));
    let (most, within_ms) = match node.get("at_most").filter(|node| !node.is_null()) {
        None => (Rule::MOST, Rule::WITHIN_MS),
        Some(written) => often(written.scalar().unwrap_or_default()).unwrap_or_else(|| {
            report(written.span, "it does not say how often".to_owned(), "like `2 in 1h`");
            (Rule::MOST, Rule::WITHIN_MS)
        }),
    };
    let most_replicas = match node.get("most_replicas").filter(|node| !node.is_null()) {
        None => Rule::MOST_REPLICAS,
        Some(written) => {
            let number = integer(node, "most_replicas").and_then(|number| u32::try_from(number).ok());
            number.filter(|number| (1..=Scale::MOST).contains(number)).unwrap_or_else(|| {
                let label = format!("from 1 to {}", Scale::MOST);
                report(written.span, "it is no number of replicas".to_owned(), &label);
                Rule::MOST_REPLICAS
            })
        }
    };
    Some(Rule {
        name: name.to_string(),
        may,
        services: known.filter_map(|(name, _)| ServiceName::new(name).ok()).collect(),
        least_share: text(node, "least_share").and_then(|text| units::percent(&text)).unwrap_or(Rule::LEAST_SHARE),
        most,
        within_ms,
        most_replicas,
        line: manifest.ctx.line(entry.key_span),
    })
}

/// How often, and in which time: `2 in 1h`.
fn often(written: &str) -> Option<(u32, u64)> {
    let (times, within) = written.split_once(" in ")?;
    let times = times.trim().parse().ok().filter(|times| *times > 0)?;
    Some((times, units::span_ms(within.trim()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(often("2 in 1h"), Some((2, 3_600_000)));
        assert_eq!(often(" 1 in 2d "), Some((1, 172_800_000)));
        for wrong in ["often", "0 in 1h", "2", "2 in", "2 in 0s", "2 in an hour", "-1 in 1h", "2/1h"] {
            assert_eq!(often(wrong), None, "{wrong}");
        }
    }
}
