//! A service that is a page for the public.

use std::collections::BTreeSet;

use daybook_model::ServiceName;
use daybook_model::spec::Artifact;
use daybook_model::status_page::{PageComponent, StatusPage};

use super::Manifest;
use super::lifecycle::time_zone;
use super::read::text;
use crate::context::Problem;
use crate::tree::{Entry, Map, Node, Span};

/// What a service may have beside its page.
const BESIDE: [&str; 6] = ["status_page", "domain", "ports", "rollout", "profiles", "extends"];

/// The page of a service that is one. `None` when it cannot be made, which has been reported.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, entry: &Entry, node: &Node) -> Option<Artifact> {
    let others = entry.value.map().into_iter().flat_map(Map::iter);
    for other in others.filter(|other| !BESIDE.contains(&other.key.as_str()) && !other.key.starts_with("x-")) {
        let message = format!("`{}` means nothing for a status page", other.key);
        let problem = Problem::new("M0138", other.key_span, message).label("nothing of it runs");
        manifest.ctx.report(problem.help("the server writes the page, and the edge serves it: leave this out"));
    }
    let Some(title) = text(node, "title") else {
        let problem = Problem::new("M0138", node.span, format!("the status page `{}` has no title", entry.key));
        manifest.ctx.report(problem.label("add `title`").help("what the public knows the system as: `title: Shop`"));
        return None;
    };
    let zone = node.get("timezone").map_or_else(|| "UTC".to_owned(), |node| time_zone(manifest, node));
    let components: Vec<_> = match node.get("components").and_then(Node::map) {
        Some(map) => map.iter().filter_map(|entry| component(manifest, entry)).collect(),
        None => Vec::new(),
    };
    if components.is_empty() {
        let problem = Problem::new("M0138", node.span, format!("the status page `{}` has no components", entry.key));
        let help =
            "for example `components: {Checkout: [web, stock]}`: what the public knows, and the services behind it";
        manifest.ctx.report(problem.label("it would show nothing").help(help));
        return None;
    }
    Some(Artifact::StatusPage(Box::new(StatusPage { title, components, zone })))
}

fn component(manifest: &Manifest<'_, '_>, entry: &Entry) -> Option<PageComponent> {
    let report = |span: Span, message: String, label: &str| {
        manifest.ctx.report(Problem::new("M0138", span, message).label(label));
        None
    };
    if entry.key.trim().is_empty() {
        return report(entry.key_span, "a component has no name".to_owned(), "what the public knows it as");
    }
    let named = entry.value.items().iter().filter_map(|node| Some((node.scalar()?, node.span)));
    let known = named.filter(|(name, span)| manifest.declared("services", "service", name, *span));
    let services: BTreeSet<_> = known.filter_map(|(name, _)| ServiceName::new(name).ok()).collect();
    if services.is_empty() && entry.value.items().is_empty() {
        return report(entry.value.span, format!("no service stands behind `{}`", entry.key), "name at least one");
    }
    Some(PageComponent { name: entry.key.to_string(), services })
}
