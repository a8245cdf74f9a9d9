//! One service, put together from its parts.

use std::collections::BTreeMap;

use daybook_model::spec::{Container, Service, Volume};
use daybook_model::{ServiceName, VolumeName};

use super::read::text;
use super::{
    Manifest, check, domain, environment, files, image, lifecycle, mounts, networks, observe, options, ports, read,
    resources,
};
use crate::context::Problem;
use crate::tree::{Entry, Node, Value};
use crate::words;

/// The service. `None` when it cannot be made, which has been reported.
pub(crate) fn lower(
    manifest: &Manifest<'_, '_>,
    name: ServiceName,
    entry: &Entry,
    volumes: &mut BTreeMap<VolumeName, Volume>,
) -> Option<Service> {
    let node = &entry.value;
    let artifact = image::lower(manifest, &name, entry);
    let ports = ports::lower(manifest, node);
    let restart = lifecycle::restart(manifest, node);
    let mut service = Service {
        line: Some(manifest.ctx.line(entry.key_span)),
        kind: lifecycle::kind(manifest, entry, restart, &ports),
        container: container(manifest, &name, node, volumes),
        scale: lifecycle::scale(manifest, node),
        routes: domain::lower(manifest, node, &ports),
        check: check::lower(manifest, node, &ports),
        depends_on: lifecycle::depends_on(manifest, entry),
        restart,
        stop: lifecycle::stop(manifest, node),
        rollout: lifecycle::rollout(node),
        metrics: observe::metrics(manifest, node, &ports),
        slo: observe::slo(manifest, node),
        release_hook: words_of(manifest, node, "release").filter(|words| !words.is_empty()),
        stopped: false,
        generation: 0,
        ports,
        artifact: artifact?,
        name,
    };
    lifecycle::allow_loading(node, service.container.resources.gpus, &mut service.rollout);
    if !service.artifact.has_replicas() {
        service.container.networks.clear();
    }
    Some(service)
}

fn container(
    manifest: &Manifest<'_, '_>,
    name: &ServiceName,
    node: &Node,
    volumes: &BTreeMap<VolumeName, Volume>,
) -> Container {
    let mut labels = environment::label_files(manifest, node);
    labels.extend(read::text_map(node, "labels"));
    Container {
        entrypoint: words_of(manifest, node, "entrypoint"),
        command: words_of(manifest, node, "command"),
        working_dir: text(node, "working_dir"),
        user: text(node, "user"),
        environment: environment::lower(manifest, name, node).into_iter().collect(),
        mounts: mounts::lower(manifest, node, volumes),
        files: files::lower(manifest, node),
        networks: networks::lower(manifest, node).into_iter().collect(),
        resources: resources::lower(node),
        labels,
        log: resources::log_bound(node),
        options: options::lower(manifest, node).into(),
    }
}

/// A command as its words: a list as it stands, a text split as a shell would split it. No shell
/// runs.
pub(super) fn words_of(manifest: &Manifest<'_, '_>, node: &Node, key: &str) -> Option<Vec<String>> {
    let node = node.get(key)?;
    match &node.value {
        Value::Scalar(scalar) => match words::split(&scalar.text) {
            Ok(words) => Some(words),
            Err(why) => {
                let problem = Problem::new("M0522", node.span, format!("`{key}` cannot be split into words: {why}"));
                manifest.ctx.report(problem.label("check the quotes").help("or write a list of words"));
                None
            }
        },
        _ => Some(node.items().iter().filter_map(Node::scalar).map(str::to_owned).collect()),
    }
}
