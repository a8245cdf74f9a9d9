//! What can only be seen of the whole: circles, and what two services cannot both have.

mod circles;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use daybook_model::spec::{Artifact, Protocol};
use daybook_model::{Service, ServiceName, Spec};

use crate::context::Problem;
use crate::lower::{Manifest, host_ports};
use crate::tree::{Entry, Node, Span};

/// Reports what does not fit together.
pub(crate) fn check(manifest: &Manifest<'_, '_>, spec: &Spec, runtime: Option<&str>) {
    circles::check(manifest);
    published_once(manifest);
    domains_once(manifest, spec);
    not_too_many(manifest, spec);
    for entry in manifest.active_services() {
        referred_service(manifest, entry);
        let name = ServiceName::new(entry.key.clone()).ok();
        let Some(service) = name.and_then(|name| spec.services.get(&name)) else { continue };
        one_name_for_many(manifest, entry, service);
        fixed_ports_for_many(manifest, entry, service);
        if runtime == Some("process") {
            runs_without_images(manifest, entry, service);
        }
    }
}

/// One port of this machine belongs to one port of one service.
fn published_once(manifest: &Manifest<'_, '_>) {
    let mut taken: HashMap<(u16, bool), Holders<'_>> = HashMap::new();
    for entry in manifest.active_services() {
        for (ip, port, protocol, span) in host_ports(manifest, &entry.value) {
            let holders = taken.entry((port, protocol == Protocol::Udp)).or_default();
            let holder = (entry.key.as_str(), span);
            let Some((name, other)) = holders.take(ip, holder) else { continue };
            if (name, other) != holder {
                let message = format!("`{name}` and `{}` both publish port {port}", entry.key);
                let problem = Problem::new("M0205", span, message).label("taken already");
                manifest
                    .ctx
                    .report(problem.also(other, "first here").help("choose another port, or give each a `domain`"));
            }
        }
    }
}

/// A service and where it asks.
type Holder<'m> = (&'m str, Span);

/// Who holds a port: the first of all, who holds it at every address, and who at a single one.
#[derive(Default)]
struct Holders<'m> {
    first: Option<Holder<'m>>,
    everywhere: Option<Holder<'m>>,
    single: HashMap<IpAddr, Holder<'m>>,
}

impl<'m> Holders<'m> {
    /// Who holds the port already where `ip` is. When nobody does, `holder` does from now on.
    fn take(&mut self, ip: Option<IpAddr>, holder: Holder<'m>) -> Option<Holder<'m>> {
        let ip = ip.filter(|ip| !ip.is_unspecified());
        let known = match ip {
            None => self.first,
            Some(ip) => self.everywhere.or_else(|| self.single.get(&ip).copied()),
        };
        if known.is_none() {
            self.first.get_or_insert(holder);
            match ip {
                None => self.everywhere = Some(holder),
                Some(ip) => drop(self.single.insert(ip, holder)),
            }
        }
        known
    }
}

/// One host and path leads to one service.
fn domains_once(manifest: &Manifest<'_, '_>, spec: &Spec) {
    let mut taken: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for service in spec.services.values() {
        for route in &service.routes {
            let Some(first) = taken.insert((&route.host, &route.path), service.name.as_str()) else { continue };
            let node = manifest.section("services").and_then(|all| all.get(service.name.as_str())?.get("domain"));
            let message = format!("`{}{}` leads to `{first}` already", route.host, route.path);
            let problem = Problem::new("M0209", node.map_or(Span::default(), |node| node.span), message);
            manifest.ctx.report(problem.label("second service for it").help("give one of them another `path`"));
        }
    }
}

/// A plan names every replica.
fn not_too_many(manifest: &Manifest<'_, '_>, spec: &Spec) {
    let all = spec.replicas();
    if all <= Spec::MOST_REPLICAS {
        return;
    }
    let largest = spec.services.values().max_by_key(|service| service.scale.max);
    let entry = largest.and_then(|service| manifest.section("services")?.entry(service.name.as_str()));
    let message = format!("the services have {all} replicas together");
    let problem = Problem::new("M0520", entry.map_or(Span::default(), |entry| entry.key_span), message);
    manifest.ctx.report(problem.label(format!("at most {}; this has the most", Spec::MOST_REPLICAS)));
}

/// `service:NAME` in `network_mode`, `pid`, `ipc`.
fn referred_service(manifest: &Manifest<'_, '_>, entry: &Entry) {
    for key in ["network_mode", "pid", "ipc"] {
        let Some(node) = entry.value.get(key) else { continue };
        if let Some(name) = node.scalar().and_then(|text| text.strip_prefix("service:")) {
            manifest.declared("services", "service", name, node.span);
        }
    }
}

fn one_name_for_many(manifest: &Manifest<'_, '_>, entry: &Entry, service: &Service) {
    let Some(node) = entry.value.get("container_name").filter(|_| service.scale.max > 1) else { return };
    let message = format!("`{}` has one `container_name` for up to {} replicas", entry.key, service.scale.max);
    let problem = Problem::new("M0206", node.span, message).label("only one replica can have it");
    manifest.ctx.report(problem.help("leave it out: the service's own name leads to all of them"));
}

/// The edge shares TCP ports among replicas. Datagrams and the machine's own network are not shared.
fn fixed_ports_for_many(manifest: &Manifest<'_, '_>, entry: &Entry, service: &Service) {
    if service.scale.max < 2 {
        return;
    }
    let report = |node: Option<&Node>, what: &str| {
        let span = node.map_or(entry.key_span, |node| node.span);
        let message = format!("`{}` cannot have {} replicas: {what}", entry.key, service.scale.max);
        manifest.ctx.report(Problem::new("M0207", span, message).label("only one can have it").help("set `scale: 1`"));
    };
    let fixed = |port: &daybook_model::spec::Port| port.publish.as_ref().is_some_and(|publish| publish.port.is_some());
    if service.ports.iter().any(|port| port.protocol == Protocol::Udp && fixed(port)) {
        report(entry.value.get("ports"), "a UDP port of this machine cannot be shared");
    }
    if service.container.options.network_mode.as_deref() == Some("host") {
        report(entry.value.get("network_mode"), "they would all use the ports of this machine");
    }
}

fn runs_without_images(manifest: &Manifest<'_, '_>, entry: &Entry, service: &Service) {
    if !matches!(service.artifact, Artifact::Image { .. }) {
        return;
    }
    let span = entry.value.get("image").map_or(entry.key_span, |node| node.span);
    let problem =
        Problem::new("M0210", span, "the runtime `process` runs no images").label("an image needs a container");
    manifest.ctx.report(problem.help("give `build` with a `command`, or use the runtime `docker`"));
}
