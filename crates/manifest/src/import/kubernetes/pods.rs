//! Pods: of several containers, one becomes the service.

use std::collections::HashSet;

use super::draft::{App, Draft, Role};
use super::objects::Cluster;
use super::volumes::Volumes;
use super::workloads::{labels, mounted_names};
use super::{Import, container, environment, fields, inits, probes, security};
use crate::import::read::{list, text};
use crate::tree::{Map, Node};

/// A pod as its template describes it.
pub(super) struct Pod<'n> {
    pub(super) spec: &'n Node,
    /// The container that becomes the service.
    pub(super) main: &'n Node,
    pub(super) labels: Option<&'n Map>,
    metadata: Option<&'n Node>,
}

impl<'n> Pod<'n> {
    /// The main container is the first, or the one that an annotation names. `None` without an image.
    pub(super) fn read(template: &'n Node) -> Option<Self> {
        let spec = template.get("spec")?;
        let annotations = template.get("metadata").and_then(|metadata| metadata.get("annotations"));
        let chosen = annotations.and_then(|annotations| text(annotations, "kubectl.kubernetes.io/default-container"));
        let containers = list(spec, "containers");
        let named = containers.iter().find(|container| chosen.is_some() && text(container, "name") == chosen);
        let main = named.or_else(|| containers.first())?;
        text(main, "image")?;
        Some(Self { spec, main, labels: labels(template), metadata: template.get("metadata") })
    }
}

/// Gives the draft what its pod says. The tasks that have to be done before come back.
pub(super) fn fill<'n>(
    import: &Import<'_, '_>,
    cluster: &Cluster<'n>,
    app: &mut App<'n>,
    draft: &mut Draft<'n>,
    pod: &Pod<'n>,
) -> Vec<Draft<'n>> {
    fields::check(&import.notes, pod.spec, fields::POD, &format!("the pod of {}", draft.object.shown()));
    if let Some(metadata) = pod.metadata {
        import.annotations(&draft.object, metadata);
    }
    environment::read(import, cluster, draft);
    let plan = inits::plan(import, cluster, draft, pod);
    let shared: HashSet<&str> = plan.tasks().flat_map(mounted_names).collect();
    one(import, cluster, app, draft, pod, &shared);
    sidecars(import, draft, pod);
    plan.carry_out(import, cluster, app, draft, pod, &shared)
}

/// Gives the draft what its own container says, but its variables and words.
pub(super) fn one<'n>(
    import: &Import<'_, '_>,
    cluster: &Cluster<'n>,
    app: &mut App<'n>,
    draft: &mut Draft<'n>,
    pod: &Pod<'n>,
    shared: &HashSet<&'n str>,
) {
    container::read(import, draft, pod.spec);
    security::read(import, draft, pod.spec);
    if draft.role == Role::Service {
        probes::read(import, draft);
    } else {
        no_probes(import, draft);
    }
    Volumes { import, cluster, app, pod: pod.spec, shared }.mount_all(draft);
}

fn no_probes(import: &Import<'_, '_>, draft: &Draft<'_>) {
    for key in ["readinessProbe", "livenessProbe", "startupProbe"] {
        if let Some(probe) = draft.container.get(key) {
            let what = format!("`{key}` of {}: a task is judged by how it ends", draft.object.shown());
            import.notes.not_carried(probe.span, what, "");
        }
    }
}

/// Containers beside the main one share its network and its volumes, which services do not.
fn sidecars(import: &Import<'_, '_>, draft: &Draft<'_>, pod: &Pod<'_>) {
    for container in list(pod.spec, "containers").iter().filter(|container| !std::ptr::eq(*container, pod.main)) {
        report_sidecar(import, draft, container);
    }
}

/// Says what becomes of a container that runs beside the main one.
pub(super) fn report_sidecar(import: &Import<'_, '_>, draft: &Draft<'_>, container: &Node) {
    const KNOWN: [(&str, &str); 12] = [
        ("istio", "the edge takes the place of a mesh's proxy"),
        ("linkerd", "the edge takes the place of a mesh's proxy"),
        ("envoy", "the edge takes the place of a proxy"),
        ("oauth2-proxy", "run it as a service with the `domain`, and let it lead to this one"),
        ("nginx", "run it as a service with the `domain`, and let it lead to this one"),
        ("cloud-sql-proxy", "run it as a service, and write its name where the program says localhost"),
        ("cloudsql", "run it as a service, and write its name where the program says localhost"),
        ("pgbouncer", "run it as a service, and write its name where the program says localhost"),
        ("fluent", "logs are kept: `daybook logs`"),
        ("filebeat", "logs are kept: `daybook logs`"),
        ("vector", "logs are kept: `daybook logs`"),
        ("exporter", "run it as a service, and write the service's name where it says localhost"),
    ];
    let image = text(container, "image").unwrap_or_default();
    let name = text(container, "name").unwrap_or(image);
    let known = KNOWN.iter().find(|(part, _)| image.contains(part));
    let advice = known
        .map_or("run it as a service of its own if it needs neither localhost nor the same files", |(_, advice)| {
            advice
        });
    let span = container.get("name").map_or(container.span, |name| name.span);
    let what = format!("the container `{name}` beside {}: a service is one container", draft.object.shown());
    import.notes.not_carried(span, what, advice);
}
