//! What a manifest declares beside services: its name, volumes, networks.

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::spec::{MountSource, Network, Volume};
use daybook_model::{AppName, NetworkName, Spec, VolumeName};

use super::Manifest;
use super::backups::policy_of_volume;
use super::read::{flag, text, text_map};
use crate::context::{Context, Problem};
use crate::tree::{Node, Span};
use crate::units;

/// The app's name: the one asked for, the variable that Compose has for it, what the manifest says,
/// or the directory.
pub(crate) fn app_name(ctx: &Context<'_>, root: &Node, asked: Option<&AppName>, directory: &str) -> Option<AppName> {
    if let Some(asked) = asked {
        return Some(asked.clone());
    }
    let from_environment = ctx.files.variable("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty());
    let filled = |key: &str| root.get(key).filter(|node| node.scalar() != Some(""));
    let written = filled("app").or_else(|| filled("name"));
    if from_environment.is_none()
        && let Some((text, span)) = written.and_then(|node| Some((node.scalar()?, node.span)))
    {
        return match AppName::new(text) {
            Ok(name) => Some(name),
            Err(error) => {
                ctx.report(Problem::new("M0118", span, error.to_string()).label("choose another name"));
                None
            }
        };
    }
    let text = from_environment.unwrap_or_else(|| directory.rsplit('/').next().unwrap_or_default().to_owned());
    match AppName::new(usual_name(&text)) {
        Ok(name) => Some(name),
        Err(_) => {
            let problem = Problem::new("M0120", Span { end: 0, ..root.span }, format!("`{text}` makes no app name"));
            ctx.report(problem.help("name the app: `app: NAME` at the top"));
            None
        }
    }
}

/// As Compose makes names of directories: lower case, letters, digits, `_` and `-` only.
fn usual_name(text: &str) -> String {
    let kept = text.to_lowercase();
    let kept = kept.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'));
    kept.collect::<String>().trim_start_matches(['_', '-']).chars().take(63).collect()
}

/// `external: true`, or the old `external: {name: NAME}`.
fn external(node: &Node) -> (bool, Option<String>) {
    let Some(external) = node.get("external") else { return (false, text(node, "name")) };
    let on = external.map().is_some() || external.scalar().and_then(units::boolean).unwrap_or(false);
    (on, text(external, "name").or_else(|| text(node, "name")))
}

pub(crate) fn volumes(manifest: &Manifest<'_, '_>) -> BTreeMap<VolumeName, Volume> {
    let mut volumes = BTreeMap::new();
    for entry in manifest.section("volumes").into_iter().flat_map(|map| map.iter()) {
        let name = match VolumeName::new(entry.key.clone()) {
            Ok(name) => name,
            Err(error) => {
                manifest
                    .ctx
                    .report(Problem::new("M0118", entry.key_span, error.to_string()).label("choose another name"));
                continue;
            }
        };
        let node = &entry.value;
        let (external, outside_name) = external(node);
        let shared = flag(node, "shared") || flag(node, "x-daybook-shared");
        let labels = text_map(node, "labels");
        let driver_opts = text_map(node, "driver_opts");
        let driver = text(node, "driver");
        let backup = policy_of_volume(manifest, node);
        let made = Volume { external, outside_name, driver, driver_opts, labels, size: None, shared, backup };
        volumes.insert(name, made);
    }
    volumes
}

pub(crate) fn networks(manifest: &Manifest<'_, '_>) -> BTreeMap<NetworkName, Network> {
    let mut networks = BTreeMap::new();
    for entry in manifest.section("networks").into_iter().flat_map(|map| map.iter()) {
        let name = match NetworkName::new(entry.key.clone()) {
            Ok(name) => name,
            Err(error) => {
                manifest
                    .ctx
                    .report(Problem::new("M0118", entry.key_span, error.to_string()).label("choose another name"));
                continue;
            }
        };
        networks.insert(name, network(&entry.value));
    }
    networks
}

fn network(node: &Node) -> Network {
    let (external, outside_name) = external(node);
    let ranges = node.get("ipam").and_then(|ipam| ipam.get("config")).map(Node::items).unwrap_or_default();
    let subnets = ranges.iter().filter_map(|range| Some((text(range, "subnet")?, text(range, "gateway")))).collect();
    Network {
        external,
        outside_name,
        driver: text(node, "driver"),
        driver_opts: text_map(node, "driver_opts"),
        internal: flag(node, "internal"),
        ipv6: flag(node, "enable_ipv6"),
        subnets,
        labels: text_map(node, "labels"),
    }
}

/// Keeps the networks and volumes that a service uses, as Compose makes no others. The network
/// `default` needs no declaration.
pub(crate) fn keep_used_networks(spec: &mut Spec) {
    let used: BTreeSet<NetworkName> =
        spec.services.values().flat_map(|service| service.container.networks.keys().cloned()).collect();
    spec.networks.retain(|name, _| used.contains(name));
    for name in used {
        spec.networks.entry(name).or_default();
    }
    let mounted: BTreeSet<VolumeName> = (spec.services.values())
        .flat_map(|service| &service.container.mounts)
        .filter_map(|mount| match &mount.source {
            MountSource::Volume { name, .. } => Some(name.clone()),
            _ => None,
        })
        .collect();
    spec.volumes.retain(|name, _| mounted.contains(name));
}
