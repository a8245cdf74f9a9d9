//! What there is to draw.

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::secrecy::looks_secret;
use daybook_model::spec::{Artifact, EnvValue, Kind as Runs, MountSource, Protocol, Service, TemplatePart, Tls};
use daybook_model::{EnvKey, ServiceName, Spec};
use serde::Serialize;

use crate::policy::database_of;

/// A picture as data: nodes in zones, and what flows between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Graph {
    /// Which environment it is.
    pub key: EnvKey,
    /// In the order of their zones, then of their names.
    pub nodes: Vec<Node>,
    /// In the order of their ends.
    pub flows: Vec<Flow>,
}

/// A boundary of trust, from the outside in, and out again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Zone {
    /// Anybody.
    Internet,
    /// Where TLS ends, and requests are looked at.
    Entry,
    /// What this environment runs.
    Services,
    /// What keeps data.
    Data,
    /// What others run, and this depends on.
    Outside,
}

impl Zone {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::Internet, Self::Entry, Self::Services, Self::Data, Self::Outside];

    /// Its title.
    pub fn title(self) -> &'static str {
        match self {
            Self::Internet => "Internet",
            Self::Entry => "Entry",
            Self::Services => "Services",
            Self::Data => "Data",
            Self::Outside => "Others' services",
        }
    }
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// People and programs that send requests.
    Users,
    /// Our edge.
    Edge,
    /// It serves.
    Service,
    /// It works, and nobody asks it anything.
    Worker,
    /// It runs at times.
    Job,
    /// It runs once.
    Task,
    /// Files that the edge serves.
    Static,
    /// A Helm chart.
    Chart,
    /// A data store.
    Database,
    /// A volume.
    Volume,
    /// A host elsewhere.
    External,
}

impl Kind {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Edge => "edge",
            Self::Service => "service",
            Self::Worker => "worker",
            Self::Job => "job",
            Self::Task => "task",
            Self::Static => "static site",
            Self::Chart => "chart",
            Self::Database => "database",
            Self::Volume => "volume",
            Self::External => "external",
        }
    }
}

/// What is said of a node beside what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Nothing.
    #[default]
    Plain,
    /// A plan makes it.
    Added,
    /// A plan changes it.
    Changed,
    /// A plan takes it away.
    Removed,
    /// It runs as it should.
    Healthy,
    /// It does not.
    Unhealthy,
}

impl Mark {
    /// What is written at the node: colours alone say nothing to many.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Added => "+ added",
            Self::Changed => "~ changed",
            Self::Removed => "− removed",
            Self::Healthy => "✓ ready",
            Self::Unhealthy => "✗ not ready",
        }
    }
}

/// A box of the picture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Unlike that of all others: `service:web`.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub zone: Zone,
    /// A few words more: the image, how many replicas.
    pub details: Vec<String>,
    /// What a plan does to it, or how it is.
    pub mark: Mark,
}

/// Something that goes from one node to another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Flow {
    /// Id of the node that begins it.
    pub from: String,
    /// Id of the node that it leads to.
    pub to: String,
    /// What it is: `https shop.example.com`, `5432`, `/data`.
    pub label: String,
}

fn of_service(name: &str) -> String {
    format!("service:{name}")
}

impl Graph {
    /// What `spec` describes.
    pub fn of(spec: &Spec) -> Self {
        let mut drawing = Drawing::default();
        for service in spec.services.values() {
            drawing.service(service);
        }
        for service in spec.services.values() {
            drawing.entry(service);
            drawing.asks(spec, service);
            drawing.mounts(service);
        }
        let Drawing { nodes, flows } = drawing;
        let mut nodes: Vec<Node> = nodes.into_values().collect();
        nodes.sort_by(|a, b| (a.zone, &a.id).cmp(&(b.zone, &b.id)));
        Self {
            key: spec.key.clone(),
            nodes,
            flows: flows.into_iter().map(|((from, to), label)| Flow { from, to, label }).collect(),
        }
    }

    /// Says of a service what happens to it; draws it where the specification no longer has it.
    pub fn mark_service(&mut self, name: &str, mark: Mark) {
        self.mark(of_service(name), name.to_owned(), Kind::Service, Zone::Services, mark);
    }

    /// The same of a volume.
    pub fn mark_volume(&mut self, name: &str, mark: Mark) {
        self.mark(format!("volume:{name}"), name.to_owned(), Kind::Volume, Zone::Data, mark);
    }

    /// Says how many replicas of a service are ready.
    pub fn mark_live(&mut self, name: &str, ready: u64, wanted: u64) {
        let mark = if ready < wanted { Mark::Unhealthy } else { Mark::Healthy };
        self.mark_service(name, mark);
        if let Some(node) = self.nodes.iter_mut().find(|node| node.id == of_service(name)) {
            node.details.retain(|detail| !detail.ends_with("replicas") && !detail.ends_with("replica"));
            node.details.push(format!("{ready}/{wanted} replicas ready"));
        }
    }

    fn mark(&mut self, id: String, name: String, kind: Kind, zone: Zone, mark: Mark) {
        match self.nodes.iter_mut().find(|node| node.id == id) {
            Some(node) => node.mark = mark,
            None => {
                self.nodes.push(Node { id, name, kind, zone, details: Vec::new(), mark });
                self.nodes.sort_by(|a, b| (a.zone, &a.id).cmp(&(b.zone, &b.id)));
            }
        }
    }

    /// The node with an id.
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }
}

/// A graph in the making; a flow between two nodes is drawn once.
#[derive(Default)]
struct Drawing {
    nodes: BTreeMap<String, Node>,
    flows: BTreeMap<(String, String), String>,
}

impl Drawing {
    fn node(&mut self, id: String, name: &str, kind: Kind, zone: Zone, details: Vec<String>) {
        let name = name.to_owned();
        self.nodes.entry(id.clone()).or_insert(Node { id, name, kind, zone, details, mark: Mark::Plain });
    }

    fn flow(&mut self, from: String, to: String, label: impl Into<String>) {
        if from == to {
            return;
        }
        let label = label.into();
        let known = self.flows.entry((from, to)).or_default();
        if known.is_empty() {
            *known = label;
        }
    }

    fn service(&mut self, service: &Service) {
        let serves = !service.routes.is_empty() || !service.ports.is_empty();
        let (kind, zone) = match (&service.artifact, &service.kind) {
            (Artifact::Static { .. } | Artifact::StatusPage(_), _) => (Kind::Static, Zone::Services),
            (Artifact::Chart(_), _) => (Kind::Chart, Zone::Services),
            _ if database_of(service).is_some() => (Kind::Database, Zone::Data),
            (_, Runs::Job(_)) => (Kind::Job, Zone::Services),
            (_, Runs::Task) => (Kind::Task, Zone::Services),
            (_, Runs::Service) if serves => (Kind::Service, Zone::Services),
            (_, Runs::Service) => (Kind::Worker, Zone::Services),
        };
        let mut details = Vec::new();
        match &service.artifact {
            Artifact::Image { reference, .. } => {
                details.push(reference.split('@').next().unwrap_or_default().to_owned());
            }
            Artifact::Build(_) => details.push("built here".to_owned()),
            Artifact::Chart(chart) => details.push(chart.reference.rsplit('/').next().unwrap_or_default().to_owned()),
            Artifact::Static { .. } => details.push("files".to_owned()),
            Artifact::StatusPage(_) => details.push("status page".to_owned()),
        }
        match &service.kind {
            Runs::Job(schedule) => details.push(schedule.cron.clone()),
            Runs::Task => {}
            Runs::Service if service.artifact.has_replicas() => {
                let count = service.scale.min;
                details.push(format!("{count} replica{}", if count == 1 { "" } else { "s" }));
            }
            Runs::Service => {}
        }
        self.node(of_service(service.name.as_str()), service.name.as_str(), kind, zone, details);
    }

    /// Users, the edge, and ports that are open beside it.
    fn entry(&mut self, service: &Service) {
        let to = of_service(service.name.as_str());
        for route in &service.routes {
            self.node("users".to_owned(), "users", Kind::Users, Zone::Internet, Vec::new());
            self.node("edge".to_owned(), "edge", Kind::Edge, Zone::Entry, vec!["TLS, routing, draining".to_owned()]);
            let scheme = if route.tls == Tls::Off { "http" } else { "https" };
            self.flow("users".to_owned(), "edge".to_owned(), scheme);
            let path = if route.path == "/" { "" } else { &route.path };
            self.flow("edge".to_owned(), to.clone(), format!("{}{path}", route.host));
        }
        let is_open = |port: &&daybook_model::spec::Port| {
            port.publish.as_ref().is_some_and(|publish| !publish.ip.is_some_and(|ip| ip.is_loopback()))
        };
        for port in service.ports.iter().filter(is_open) {
            self.node("users".to_owned(), "users", Kind::Users, Zone::Internet, Vec::new());
            let outside = port.publish.as_ref().and_then(|publish| publish.port).unwrap_or(port.container);
            let protocol = if port.protocol == Protocol::Udp { "udp" } else { "tcp" };
            self.flow("users".to_owned(), to.clone(), format!("{protocol} {outside}"));
        }
    }

    /// Whom a service asks, as its variables and its dependencies say.
    fn asks(&mut self, spec: &Spec, service: &Service) {
        let from = of_service(service.name.as_str());
        let known = |name: &str| ServiceName::new(name).ok().and_then(|name| spec.services.get(&name));
        let port_of = |name: &str| {
            known(name).and_then(|other| other.ports.first()).map(|port| port.container.to_string()).unwrap_or_default()
        };
        let mut asked = BTreeSet::new();
        for (variable, value) in service.container.environment.iter() {
            match value {
                // What may be a secret is no address, unless it says that it is one.
                EnvValue::Text(text) if looks_secret(variable) && !text.contains("://") => {}
                EnvValue::Template(parts) => asked.extend(parts.iter().filter_map(|part| match part {
                    TemplatePart::Service(name, _) => Some(name.to_string()),
                    // What runs a database of ours is waited for, which is drawn below.
                    TemplatePart::Text(_) | TemplatePart::Secret(_) | TemplatePart::Database(_) => None,
                })),
                EnvValue::Text(text) => {
                    for host in hosts(text) {
                        if known(&host).is_some() {
                            asked.insert(host);
                        } else if host.contains('.') && !is_private(&host) {
                            self.node(format!("host:{host}"), &host, Kind::External, Zone::Outside, Vec::new());
                            self.flow(from.clone(), format!("host:{host}"), scheme(text));
                        }
                    }
                }
                EnvValue::Secret(_) => {}
            }
        }
        for used in service.container.databases() {
            let Some(database) = spec.databases.get(&used.database).filter(|found| found.kept().is_none()) else {
                continue;
            };
            let (id, name) = (format!("database:{}", used.database), used.database.as_str());
            self.node(id.clone(), name, Kind::Database, Zone::Outside, vec![database.engine.name().to_owned()]);
            self.flow(from.clone(), id, database.engine.scheme());
        }
        for name in &asked {
            self.flow(from.clone(), of_service(name), port_of(name));
        }
        for other in &service.depends_on {
            let name = other.service.as_str();
            if !asked.contains(name) {
                self.flow(from.clone(), of_service(name), port_of(name));
            }
        }
    }

    fn mounts(&mut self, service: &Service) {
        for mount in &service.container.mounts {
            let MountSource::Volume { name, .. } = &mount.source else { continue };
            let id = format!("volume:{name}");
            self.node(id.clone(), name.as_str(), Kind::Volume, Zone::Data, Vec::new());
            let how = if mount.read_only { " (reads)" } else { "" };
            self.flow(of_service(service.name.as_str()), id, format!("{}{how}", mount.target));
        }
    }
}

/// The hosts that a value names: of each URL in it, or of `host:port`. Never what stands before an `@`.
fn hosts(text: &str) -> Vec<String> {
    let of_url = |rest: &str| {
        let authority = rest.split(['/', '?', '#', ' ', ',', '"', '\'']).next().unwrap_or_default();
        authority.rsplit('@').next().unwrap_or_default().split(':').next().unwrap_or_default().to_ascii_lowercase()
    };
    let is_host = |host: &String| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
    };
    let mut hosts: Vec<String> = text.split("://").skip(1).map(of_url).filter(is_host).collect();
    if hosts.is_empty()
        && let Some((host, port)) = text.split_once(':')
        && port.parse::<u16>().is_ok()
    {
        hosts.push(host.to_ascii_lowercase());
    }
    if hosts.is_empty() && text.len() < 64 {
        hosts.push(text.to_ascii_lowercase());
        // A bare word is a host only where a service is called so.
        hosts.retain(|host| !host.contains('.') && is_host(host));
    }
    hosts
}

fn scheme(text: &str) -> String {
    text.split_once("://").map(|(scheme, _)| scheme.to_owned()).unwrap_or_default()
}

/// Whether a host is this machine, or a number in its network.
fn is_private(host: &str) -> bool {
    host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_private() || ip.is_loopback() || ip.is_unspecified())
        || host.ends_with(".localhost")
        || host.ends_with(".local")
        || host.ends_with(".internal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r31_hosts_are_found_without_what_stands_before_them() {
        let cases = [
            ("postgres://app:swordfish@db:5432/app", vec!["db"]),
            ("https://api.example.com/v1", vec!["api.example.com"]),
            ("cache:6379", vec!["cache"]),
            ("cache", vec!["cache"]),
            ("amqp://a:b@mq1,amqp://a:b@mq2:5672", vec!["mq1", "mq2"]),
            ("1.2.3", vec![]),
            ("hello world", vec![]),
        ];
        for (text, expected) in cases {
            assert_eq!(hosts(text), expected, "{text}");
        }
    }
}
