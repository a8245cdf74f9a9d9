//! Ingress and HTTPRoute: public names.

use std::collections::HashSet;

use super::Import;
use super::addresses::Addresses;
use super::draft::App;
use super::fields;
use super::objects::{Cluster, Object};
use crate::import::read::{list, text, texts};
use crate::import::yaml::Yaml;
use crate::tree::{Node, Span};

/// What is at hand while routes are read.
struct Routes<'i, 'c, 'a, 'm, 'n> {
    import: &'i Import<'c, 'a>,
    addresses: &'m Addresses<'n>,
    app: &'m mut App<'n>,
    taken: HashSet<(String, String)>,
}

/// One route.
struct Route<'r> {
    host: &'r str,
    path: &'r str,
    service: &'r str,
    port: Option<&'r str>,
    tls: bool,
    span: Span,
}

/// Gives the services their public names.
pub(super) fn read<'n>(import: &Import<'_, '_>, cluster: &Cluster<'n>, addresses: &Addresses<'n>, app: &mut App<'n>) {
    let mut routes = Routes { import, addresses, app, taken: HashSet::new() };
    for object in cluster.of_kind("Ingress") {
        if let Some(spec) = object.spec() {
            routes.ingress(&object, spec);
        }
    }
    for object in cluster.of_kind("HTTPRoute") {
        if let Some(spec) = object.spec() {
            routes.http_route(&object, spec);
        }
    }
}

impl Routes<'_, '_, '_, '_, '_> {
    fn ingress(&mut self, object: &Object<'_>, spec: &Node) {
        let shown = object.shown();
        fields::check(&self.import.notes, spec, fields::INGRESS, &format!("`spec` of {shown}"));
        let secured: HashSet<&str> = list(spec, "tls").iter().flat_map(|item| texts(item, "hosts")).collect();
        for item in list(spec, "tls") {
            self.certificate(object, item);
        }
        if let Some(backend) = spec.get("defaultBackend").or_else(|| spec.get("backend")) {
            self.backend(object, "*", "/", backend, false);
        }
        for rule in list(spec, "rules") {
            let host = text(rule, "host").unwrap_or("*");
            let tls = secured.contains(host);
            for item in rule.get("http").map(|http| list(http, "paths")).unwrap_or_default() {
                let path = text(item, "path").unwrap_or("/");
                if item.get("backend").is_some_and(|backend| self.backend(object, host, path, backend, tls)) {
                    self.path_type(object, item, path);
                }
            }
        }
    }

    fn certificate(&self, object: &Object<'_>, item: &Node) {
        let hosts = texts(item, "hosts").join(", ");
        let Some(secret) = text(item, "secretName") else { return };
        self.import.secrets.mark_used(object.namespace, secret);
        let what = format!("the certificate of {hosts} is Daybook's own (`tls: internal`): browsers do not know it");
        let advice = format!("write Secret {secret} to files and give `tls: {{cert: FILE, key: FILE}}`");
        self.import.notes.to_do(item.span, what, advice);
    }

    fn path_type(&self, object: &Object<'_>, item: &Node, path: &str) {
        let span = item.get("path").map_or(item.span, |node| node.span);
        let what = match text(item, "pathType") {
            Some("Exact") => format!("the path `{path}` of {}: it holds for all beneath it, too", object.shown()),
            Some("Prefix") => return,
            _ if path == "/" => return,
            _ => format!(
                "the path `{path}` of {}: it is taken as a prefix, whatever the controller made of it",
                object.shown()
            ),
        };
        self.import.notes.changed(span, what, "");
    }

    /// A backend of an Ingress, in the form of today and in that before. Whether it is a route now.
    fn backend(&mut self, object: &Object<'_>, host: &str, path: &str, backend: &Node, tls: bool) -> bool {
        let service = backend.get("service");
        let name = service.and_then(|service| text(service, "name")).or_else(|| text(backend, "serviceName"));
        let Some(name) = name else {
            let what = format!("a backend of {} is no Service", object.shown());
            self.import.notes.not_carried(backend.span, what, "");
            return false;
        };
        let port = service.and_then(|service| service.get("port"));
        let port = port.and_then(|port| text(port, "number").or_else(|| text(port, "name")));
        let port = port.or_else(|| text(backend, "servicePort"));
        self.add(object, &Route { host, path, service: name, port, tls, span: backend.span })
    }

    fn http_route(&mut self, object: &Object<'_>, spec: &Node) {
        let shown = object.shown();
        fields::check(&self.import.notes, spec, fields::HTTP_ROUTE, &format!("`spec` of {shown}"));
        let mut hosts = texts(spec, "hostnames");
        if hosts.is_empty() {
            hosts.push("*");
        }
        let what = format!("{shown}: whether its names have TLS is a matter of the Gateway, and here they have it");
        self.import.notes.changed(object.at, what, "`tls: off` in `domain` turns it off");
        for rule in list(spec, "rules") {
            fields::check(&self.import.notes, rule, fields::ROUTE_RULE, &format!("a rule of {shown}"));
            let Some((first, others)) = list(rule, "backendRefs").split_first() else { continue };
            for other in others {
                let what =
                    format!("a further backend of {shown}: requests are shared among the replicas of one service");
                self.import.notes.not_carried(
                    other.span,
                    what,
                    "for a share of the requests to a new version see `rollout: {canary: 10%}`",
                );
            }
            let Some(service) =
                text(first, "name").filter(|_| text(first, "kind").is_none_or(|kind| kind == "Service"))
            else {
                self.import.notes.not_carried(first.span, format!("a backend of {shown} is no Service"), "");
                continue;
            };
            let port = text(first, "port");
            for path in self.paths(&shown, rule) {
                for host in &hosts {
                    let tls = *host != "*";
                    self.add(object, &Route { host, path, service, port, tls, span: first.span });
                }
            }
        }
    }

    /// The paths of a rule's matches. What else a match asks for cannot be told apart.
    fn paths<'r>(&self, shown: &str, rule: &'r Node) -> Vec<&'r str> {
        let mut paths = Vec::new();
        for item in list(rule, "matches") {
            for key in ["headers", "queryParams", "method"] {
                if let Some(node) = item.get(key) {
                    let what = format!("`{key}` in a match of {shown}: the edge goes by host and path");
                    self.import.notes.not_carried(node.span, what, "let the program look at it");
                }
            }
            let path = item.get("path");
            let value = path.and_then(|path| text(path, "value")).unwrap_or("/");
            match path.and_then(|path| text(path, "type")) {
                Some("RegularExpression") => {
                    let what = format!("the path `{value}` of {shown}: the edge knows no expressions");
                    self.import.notes.not_carried(item.span, what, "write the beginning that all of them have");
                    continue;
                }
                Some("Exact") => {
                    let what = format!("the path `{value}` of {shown}: it holds for all beneath it, too");
                    self.import.notes.changed(item.span, what, "");
                }
                _ => {}
            }
            paths.push(value);
        }
        if list(rule, "matches").is_empty() {
            paths.push("/");
        }
        paths
    }

    /// Makes the route, or says why not. Whether it is made.
    fn add(&mut self, object: &Object<'_>, route: &Route<'_>) -> bool {
        let lost = |what: String, advice: &str| {
            self.import.notes.not_carried(route.span, what, advice);
            false
        };
        let Route { host, path, service, .. } = *route;
        let Some(backend) = self.addresses.find(object.namespace, service) else {
            return lost(
                format!("{host}{path}: the Service {service} is not among what was imported"),
                "import its file as well",
            );
        };
        let only = || match backend.ports.as_slice() {
            [(.., target)] => Some(*target),
            _ => None,
        };
        let Some(port) = route.port.map_or_else(only, |port| backend.port(port)) else {
            return lost(
                format!("{host}{path}: the Service {service} has no such port"),
                "write `domain` on the service",
            );
        };
        if !is_host(host) || !path.starts_with('/') || path.contains(['?', '#', ' ', '*', '(', '[', '^', '$', '\\']) {
            return lost(
                format!("{host}{path}: this is no name and path that the edge could go by"),
                "write `domain` on the service",
            );
        }
        let path = path.trim_end_matches('/');
        let path = if path.is_empty() { "/" } else { path };
        if !self.taken.insert((host.to_ascii_lowercase(), path.to_owned())) {
            return lost(format!("{host}{path}: it leads to another service already"), "");
        }
        let draft = &mut self.app.services[backend.draft];
        draft.ports.insert((port, false), true);
        let mut entries = vec![("host", Yaml::text(host))];
        if path != "/" {
            entries.push(("path", Yaml::text(path)));
        }
        entries.push(("port", Yaml::number(port)));
        entries.push(("tls", Yaml::Word(if route.tls { "internal" } else { "off" }.to_owned())));
        draft.domains.push(Yaml::Flow(entries));
        let comment = format!("Browsers do not know the certificate of {host}: give `tls: {{cert: FILE, key: FILE}}`.");
        if route.tls && !draft.comments.contains(&comment) {
            draft.comments.push(comment);
        }
        true
    }
}

/// Letters, digits and hyphens between dots; the first part may be `*`.
fn is_host(host: &str) -> bool {
    let rest = host.strip_prefix("*.").unwrap_or(host);
    let label = |part: &str| {
        let good = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        good && (1..=63).contains(&part.len()) && !part.starts_with('-')
    };
    host == "*" || (host.len() <= 253 && rest.split('.').all(label))
}
