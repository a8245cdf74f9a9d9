//! How services join networks, and the further names they have there.

use std::collections::BTreeSet;

use daybook_model::spec::{Attachment, Condition, Dependency};
use daybook_model::{NetworkName, ServiceName, Spec};

use super::Manifest;
use super::read::{integer, text, texts};
use crate::context::Problem;
use crate::merge::pairs;
use crate::tree::{Entry, Node, Value};

/// The networks of a service: those it names, else `default`; none with `network_mode`.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, service: &Node) -> Vec<(NetworkName, Attachment)> {
    let named = service.get("networks");
    if let (Some(mode), Some(named)) = (service.get("network_mode"), named) {
        let problem = Problem::new("M0509", named.span, "`networks` and `network_mode` exclude each other");
        manifest.ctx.report(problem.label("choose one").also(mode.span, "the other"));
    }
    if service.get("network_mode").is_some() {
        return Vec::new();
    }
    let mut joined = Vec::with_capacity(1);
    let alias = text(service, "container_name");
    for entry in attachments(named) {
        if entry.key != "default" && !manifest.declared("networks", "network", &entry.key, entry.key_span) {
            continue;
        }
        let Ok(name) = NetworkName::new(entry.key.clone()) else { continue };
        let mut attachment = attachment(&entry.value);
        attachment.aliases.extend(alias.clone());
        joined.push((name, attachment));
    }
    joined
}

fn attachments(named: Option<&Node>) -> Vec<Entry> {
    let default = |span| Entry { key: "default".into(), key_span: span, value: Node::new(span, Value::Null) };
    match named.map(|node| (node, &node.value)) {
        Some((_, Value::Map(map))) if !map.is_empty() => map.iter().cloned().collect(),
        Some((node, Value::List(items))) if !items.is_empty() => pairs(node, &[]).into_iter().collect(),
        Some((node, _)) => vec![default(node.span)],
        None => vec![default(crate::tree::Span::default())],
    }
}

fn attachment(node: &Node) -> Attachment {
    Attachment {
        aliases: texts(node, "aliases"),
        ipv4: text(node, "ipv4_address"),
        ipv6: text(node, "ipv6_address"),
        priority: integer(node, "priority").unwrap_or(0),
    }
}

/// Honours `links`: the other service gets the further name, and starts before.
pub(crate) fn link(manifest: &Manifest<'_, '_>, spec: &mut Spec) {
    for entry in manifest.active_services() {
        let mut waited = BTreeSet::new();
        for item in entry.value.get("links").map(Node::items).unwrap_or_default() {
            let Some(written) = item.scalar() else { continue };
            let (target, alias) = written.split_once(':').unwrap_or((written, ""));
            if !manifest.declared("services", "service", target, item.span) {
                continue;
            }
            let (Ok(target), Ok(name)) = (ServiceName::new(target), ServiceName::new(entry.key.clone())) else {
                continue;
            };
            if let Some(other) = spec.services.get_mut(&target).filter(|_| !alias.is_empty()) {
                let attachments = other.container.networks.iter_mut().map(|(_, attachment)| attachment);
                attachments.for_each(|attachment| attachment.aliases.push(alias.to_owned()));
            }
            let Some(service) = spec.services.get_mut(&name) else { continue };
            let new = waited.insert(target.clone());
            if new && !service.depends_on.iter().any(|known| known.service == target) {
                service.depends_on.push(Dependency { service: target, condition: Condition::Started });
            }
        }
    }
}
