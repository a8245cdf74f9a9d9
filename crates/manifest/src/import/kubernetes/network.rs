//! Services: ports, further names, and what is published.

use std::collections::{HashMap, HashSet};

use super::Import;
use super::addresses::{Addresses, Backend};
use super::container::host_ports;
use super::draft::{App, Draft, Role};
use super::fields::{self, Fate, Field};
use super::objects::{Cluster, Object};
use super::probes::resolve;
use crate::import::read::{list, map, port, text};
use crate::tree::{Map, Node};

const PORT: &[Field] = &[
    ("name", Fate::Read),
    ("port", Fate::Read),
    ("targetPort", Fate::Read),
    ("nodePort", Fate::Read),
    ("protocol", Fate::Read),
    ("appProtocol", Fate::Read),
];

/// Every Service by the first label that it selects.
pub(super) struct Selectors<'n>(HashMap<(&'n str, &'n str, &'n str), Vec<Object<'n>>>);

impl<'n> Selectors<'n> {
    pub(super) fn of(cluster: &Cluster<'n>) -> Self {
        let mut all: HashMap<_, Vec<_>> = HashMap::new();
        for object in cluster.of_kind("Service") {
            let first = object.spec().and_then(|spec| map(spec, "selector")?.iter().next());
            if let Some((key, value)) = first.and_then(|entry| Some((entry.key.as_str(), entry.value.scalar()?))) {
                all.entry((object.namespace, key, value)).or_default().push(object);
            }
        }
        Self(all)
    }

    /// The Services that lead to pods with `labels`, in their order.
    pub(super) fn leading_to(
        &self,
        import: &Import<'_, '_>,
        object: &Object<'n>,
        labels: Option<&'n Map>,
    ) -> Vec<Object<'n>> {
        let mut found = Vec::new();
        for entry in labels.into_iter().flat_map(Map::iter) {
            let value = entry.value.scalar().unwrap_or_default();
            for service in self.0.get(&(object.namespace, entry.key.as_str(), value)).into_iter().flatten() {
                // Every Service may select every pod: the comparisons are paid for.
                if !import.ctx.afford(object.at, 1) {
                    return found;
                }
                let selector = service.spec().and_then(|spec| map(spec, "selector"));
                if selector.zip(labels).is_some_and(|(selector, labels)| selects(selector, labels)) {
                    found.push(*service);
                }
            }
        }
        found.sort_by_key(|service| (service.at.file, service.at.start));
        found
    }
}

/// Whether all of `selector` is among `labels`.
fn selects(selector: &Map, labels: &Map) -> bool {
    selector.iter().all(|entry| labels.get(&entry.key).and_then(Node::scalar) == entry.value.scalar())
}

/// Gives the services their ports, and learns the addresses by which Services were reached.
pub(super) fn read<'n>(import: &Import<'_, '_>, cluster: &Cluster<'n>, app: &mut App<'n>) -> Addresses<'n> {
    let mut addresses = Addresses::default();
    let mut published = HashSet::new();
    let mut leading: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (at, draft) in app.services.iter_mut().enumerate() {
        publish_host_ports(import, draft, &mut published);
        for service in &draft.reached_by {
            leading.entry((service.namespace, service.name)).or_default().push(at);
        }
    }
    for object in cluster.of_kind("Service") {
        let shown = object.shown();
        let Some(spec) = object.spec() else { continue };
        fields::check(&import.notes, spec, fields::SERVICE, &format!("`spec` of {shown}"));
        let found = leading.get(&(object.namespace, object.name)).map(Vec::as_slice).unwrap_or_default();
        let Some((at, others)) = found.split_first() else {
            leads_nowhere(import, &object, spec);
            continue;
        };
        for other in others.iter().map(|other| &app.services[*other]) {
            let what =
                format!("{shown}: it leads to `{}` only, not to `{}` as well", app.services[*at].name, other.name);
            let advice = "for a share of the requests to a new version see `rollout: {canary: 10%}`";
            import.notes.not_carried(object.at, what, advice);
        }
        let draft = &mut app.services[*at];
        let ports = ports(import, draft, &object, spec, &mut published);
        also_called(import, draft, &object);
        addresses.learn(&object, Backend { draft: *at, host: draft.name.clone(), ports });
    }
    app.services.iter_mut().for_each(|draft| listen(import, draft));
    addresses
}

/// A Service by whose name the service here is not called.
fn also_called(import: &Import<'_, '_>, draft: &mut Draft<'_>, object: &Object<'_>) {
    if draft.name == object.name {
        return;
    }
    let name = import.services.take(&[object.name]);
    if name != object.name {
        let what = format!("{}: it is reached as `{}`", object.shown(), draft.name);
        return import.notes.changed(object.at, what, "where the name is put together by a program, change it there");
    }
    let what = format!("{}: it is a further name of `{}`, which leads past the edge", object.shown(), draft.name);
    import.notes.changed(object.at, what, format!("say `{}` instead, so that a rollout fails no request", draft.name));
    draft.aliases.insert(name);
}

fn leads_nowhere(import: &Import<'_, '_>, object: &Object<'_>, spec: &Node) {
    let shown = object.shown();
    if let Some(name) = text(spec, "externalName") {
        let what = format!("{shown}: names outside of the app have no second name in it");
        return import.notes.not_carried(object.at, what, format!("write `{name}` where `{}` is named", object.name));
    }
    if map(spec, "selector").is_none_or(Map::is_empty) {
        let what = format!("{shown}: it selects no pods");
        return import.notes.not_carried(object.at, what, "give the address in `extra_hosts`");
    }
    let what = format!("{shown}: nothing that was imported has the labels that it selects");
    import.notes.not_carried(object.at, what, "import the workload as well");
}

/// What a container listens on, others reach there. A job or task has nobody who asks.
fn listen(import: &Import<'_, '_>, draft: &mut Draft<'_>) {
    if draft.role != Role::Service {
        if !draft.listening.is_empty() {
            let what = format!("ports of {}: a task gets no requests", draft.object.shown());
            import.notes.not_carried(draft.object.at, what, "");
        }
        return draft.ports.clear();
    }
    let listening = std::mem::take(&mut draft.listening);
    for port in &listening {
        let http = port.name.as_deref().is_some_and(is_http);
        *draft.ports.entry((port.number, port.udp)).or_default() |= http && !port.udp;
    }
    draft.listening = listening;
}

/// Whether the name or protocol of a port says that it carries HTTP: `http`, `grpc-api`, `kubernetes.io/h2c`.
fn is_http(name: &str) -> bool {
    let word = name.rsplit('/').next().and_then(|name| name.split('-').next());
    matches!(word, Some("http" | "http2" | "h2c" | "grpc" | "web" | "ws" | "wss"))
}

type Published = HashSet<(u16, bool)>;

fn ports(
    import: &Import<'_, '_>,
    draft: &mut Draft<'_>,
    object: &Object<'_>,
    spec: &Node,
    published: &mut Published,
) -> Vec<(Option<String>, u16, u16)> {
    let shown = object.shown();
    let kind = text(spec, "type").unwrap_or("ClusterIP");
    let mut all = Vec::new();
    for item in list(spec, "ports") {
        fields::check(&import.notes, item, PORT, &format!("a port of {shown}"));
        let Some(number) = text(item, "port").and_then(port) else { continue };
        let udp = text(item, "protocol") == Some("UDP");
        if text(item, "protocol") == Some("SCTP") {
            import.notes.not_carried(item.span, format!("port {number} of {shown}: no runtime here carries SCTP"), "");
            continue;
        }
        let Some(target) = target(import, draft, item, number, &shown) else { continue };
        let name = text(item, "name");
        let named_http = text(item, "appProtocol").or(name).is_some_and(is_http);
        *draft.ports.entry((target, udp)).or_default() |= named_http && !udp;
        let outside = match kind {
            "LoadBalancer" => Some(number),
            "NodePort" => text(item, "nodePort").and_then(port).or(Some(number)),
            _ => None,
        };
        if let Some(outside) = outside {
            publish(import, draft, (None, outside, target, udp), item, published);
        }
        all.push((name.map(str::to_owned), number, target));
    }
    all
}

/// The container's port that one of a Service leads to.
fn target(import: &Import<'_, '_>, draft: &Draft<'_>, item: &Node, number: u16, shown: &str) -> Option<u16> {
    let Some(written) = text(item, "targetPort") else { return Some(number) };
    let found = resolve(written, &draft.listening);
    if found.is_none() {
        let what = format!("port {number} of {shown}: `{}` has no port named `{written}`", draft.name);
        import.notes.not_carried(item.span, what, "a sidecar may have it; write the number of a port of the service");
    }
    found
}

fn publish_host_ports(import: &Import<'_, '_>, draft: &mut Draft<'_>, published: &mut Published) {
    for (address, host, inside, udp, node) in host_ports(draft.container) {
        publish(import, draft, (address, host, inside, udp), node, published);
    }
}

/// Publishes a port of this machine, which only one service can have.
fn publish(
    import: &Import<'_, '_>,
    draft: &mut Draft<'_>,
    (address, outside, inside, udp): (Option<&str>, u16, u16, bool),
    node: &Node,
    published: &mut Published,
) {
    if draft.role != Role::Service {
        return;
    }
    if draft.keys.contains_key("network_mode") {
        if outside != inside {
            let what = format!(
                "`{}` does not publish port {outside}: on the machine's own network it is {inside}",
                draft.name
            );
            import.notes.not_carried(node.span, what, "");
        }
        return;
    }
    if !published.insert((outside, udp)) {
        let what = format!("`{}` cannot publish port {outside}: it is published already", draft.name);
        return import.notes.not_carried(node.span, what, "choose another port, or give each a `domain`");
    }
    if udp && draft.most_replicas() > 1 {
        let what = format!("`{}` cannot publish the UDP port {outside}: it has several replicas", draft.name);
        return import.notes.not_carried(node.span, what, "publish it with `scale: 1`");
    }
    let address = address.map(|address| format!("{address}:")).unwrap_or_default();
    let protocol = if udp { "/udp" } else { "" };
    draft.published.push(format!("{address}{outside}:{inside}{protocol}"));
    let what =
        format!("port {outside} is published on the machine that Daybook runs on, and leads to `{}`", draft.name);
    let advice = if matches!(outside, 80 | 443) {
        "the edge itself listens on 80 and 443 where a service has a `domain`"
    } else {
        ""
    };
    import.notes.changed(node.span, what, advice);
}
