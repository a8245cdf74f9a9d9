//! Ports: Daybook's `port`, Compose's `ports` and `expose`.

use std::collections::HashMap;
use std::net::IpAddr;

use daybook_model::spec::{Port, Protocol, Publish};

use super::Manifest;
use super::read::{integer, text};
use crate::context::Problem;
use crate::tree::{Node, Span};

/// Ports on which the server speaks first or which do not carry HTTP: waiting for the client's first
/// bytes would wait forever.
const NOT_HTTP: [u16; 23] = [
    21, 22, 23, 25, 53, 110, 143, 389, 465, 587, 993, 995, 1433, 1521, 1883, 2181, 3306, 5432, 5672, 6379, 9092, 11211,
    27017,
];

/// The ports of a service, each once for every place that it is offered at.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, service: &Node) -> Vec<Port> {
    let mut ports = Ports::default();
    for item in service.get("port").map(Node::items).unwrap_or_default() {
        if let Some(container) = number(manifest, item) {
            ports.add(Port { container, protocol: Protocol::Http, publish: None });
        }
    }
    for item in service.get("ports").map(Node::items).unwrap_or_default() {
        published(manifest, item).into_iter().for_each(|(port, _)| ports.add(port));
    }
    for item in service.get("expose").map(Node::items).unwrap_or_default() {
        let Some((range, protocol)) = item.scalar().and_then(|text| exposed(manifest, text, item.span)) else {
            continue;
        };
        if !manifest.ctx.afford(item.span, usize::from(range.1 - range.0)) {
            break;
        }
        for container in range.0..=range.1 {
            if !ports.has(container) {
                let protocol = protocol_of(container, protocol.as_deref(), None);
                ports.add(Port { container, protocol, publish: None });
            }
        }
    }
    ports.all
}

/// The ports of this machine that `service` asks for, with where it asks.
pub(crate) fn host_ports(manifest: &Manifest<'_, '_>, service: &Node) -> Vec<(Option<IpAddr>, u16, Protocol, Span)> {
    let items = service.get("ports").map(Node::items).unwrap_or_default();
    let all = items.iter().flat_map(|item| published(manifest, item));
    all.filter_map(|(port, span)| {
        let publish = port.publish?;
        Some((publish.ip, publish.port?, port.protocol, span))
    })
    .collect()
}

/// The ports of a service, and where the first of each number and transport is: a range may hold all of them.
#[derive(Default)]
struct Ports {
    all: Vec<Port>,
    first: HashMap<(u16, bool), usize>,
}

impl Ports {
    /// One number may be said to be HTTP by `port` and offered by `ports`: then it is both.
    fn add(&mut self, port: Port) {
        let Some(at) = self.first.get(&(port.container, udp(&port))) else {
            self.first.insert((port.container, udp(&port)), self.all.len());
            return self.all.push(port);
        };
        let known = &mut self.all[*at];
        if known.publish.is_none() {
            known.publish = port.publish;
        } else if known.publish != port.publish && port.publish.is_some() {
            let protocol = known.protocol;
            self.all.push(Port { protocol, ..port });
        }
    }

    fn has(&self, container: u16) -> bool {
        [false, true].iter().any(|udp| self.first.contains_key(&(container, *udp)))
    }
}

fn udp(port: &Port) -> bool {
    port.protocol == Protocol::Udp
}

fn protocol_of(container: u16, transport: Option<&str>, app: Option<&str>) -> Protocol {
    match (transport, app) {
        (Some("udp"), _) => Protocol::Udp,
        (_, Some("http" | "http2" | "h2c" | "grpc" | "ws" | "websocket")) => Protocol::Http,
        (_, Some(_)) => Protocol::Tcp,
        _ if NOT_HTTP.contains(&container) => Protocol::Tcp,
        _ => Protocol::Detect,
    }
}

fn number(manifest: &Manifest<'_, '_>, item: &Node) -> Option<u16> {
    let port = crate::units::integer(item.scalar()?)?;
    in_range(manifest, port, item.span)
}

fn in_range(manifest: &Manifest<'_, '_>, port: i64, span: Span) -> Option<u16> {
    let good = u16::try_from(port).ok().filter(|port| *port > 0);
    if good.is_none() {
        let problem = Problem::new("M0501", span, format!("{port} is no port"));
        manifest.ctx.report(problem.label("ports go from 1 to 65535"));
    }
    good
}

type Range = (u16, u16);

fn exposed(manifest: &Manifest<'_, '_>, written: &str, span: Span) -> Option<(Range, Option<String>)> {
    let (ports, protocol) = match written.split_once('/') {
        Some((ports, protocol)) => (ports, Some(protocol.to_ascii_lowercase())),
        None => (written, None),
    };
    match range(ports) {
        Some(range) => Some((range, protocol)),
        None => {
            bad(manifest, written, span);
            None
        }
    }
}

fn bad(manifest: &Manifest<'_, '_>, written: &str, span: Span) {
    let problem = Problem::new("M0501", span, format!("`{written}` is no port"));
    manifest
        .ctx
        .report(problem.label("for example `8080:80`").help("the form is [[ADDRESS:]HOST:]CONTAINER[/PROTOCOL]"));
}

fn range(text: &str) -> Option<Range> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first > 0 && first <= last).then_some((first, last))
}

/// An item of `ports`, with the place of each.
fn published(manifest: &Manifest<'_, '_>, item: &Node) -> Vec<(Port, Span)> {
    let parsed = match item.scalar() {
        Some(short) => short_form(short).or_else(|| {
            bad(manifest, short, item.span);
            None
        }),
        None => long_form(manifest, item),
    };
    let Some(parsed) = parsed else { return Vec::new() };
    if parsed.transport.as_deref().is_some_and(|transport| !matches!(transport, "tcp" | "udp")) {
        let problem = Problem::new("M0111", item.span, "SCTP is not honoured: no runtime here carries it");
        manifest.ctx.report(problem.label("has no effect").help("use TCP or UDP"));
        return Vec::new();
    }
    expand(manifest, &parsed, item.span).into_iter().map(|port| (port, item.span)).collect()
}

struct Parsed {
    ip: Option<IpAddr>,
    /// `None`: any free port.
    host: Option<Range>,
    container: Range,
    transport: Option<String>,
    app: Option<String>,
}

fn short_form(written: &str) -> Option<Parsed> {
    let (ports, transport) = match written.rsplit_once('/') {
        Some((ports, transport)) => (ports, Some(transport.to_ascii_lowercase())),
        None => (written, None),
    };
    let (head, container) = match ports.rsplit_once(':') {
        Some((head, container)) => (Some(head), range(container)?),
        None => (None, range(ports)?),
    };
    let (ip, host) = match head {
        None => (None, None),
        Some(head) => match head.rsplit_once(':') {
            None if head.contains('.') => (Some(address(head)?), None),
            None => (None, host_range(head)?),
            Some((ip, host)) => (Some(address(ip)?), host_range(host)?),
        },
    };
    Some(Parsed { ip, host, container, transport, app: None })
}

fn address(text: &str) -> Option<IpAddr> {
    text.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// No number, or 0, asks for any free port.
fn host_range(text: &str) -> Option<Option<Range>> {
    if text.is_empty() || text == "0" { Some(None) } else { range(text).map(Some) }
}

fn long_form(manifest: &Manifest<'_, '_>, item: &Node) -> Option<Parsed> {
    let Some(target) = integer(item, "target") else {
        let problem = Problem::new("M0119", item.span, "`target` is missing");
        manifest.ctx.report(problem.label("which port of the service?"));
        return None;
    };
    let target = in_range(manifest, target, item.get("target").map_or(item.span, |node| node.span))?;
    let host = match item.get("published") {
        Some(node) => {
            let written = node.scalar()?;
            let Some(range) = host_range(written) else {
                bad(manifest, written, node.span);
                return None;
            };
            range
        }
        None => None,
    };
    let ip = match item.get("host_ip").and_then(|node| Some((node.scalar()?, node.span))) {
        Some((written, span)) => {
            let address = address(written);
            if address.is_none() {
                let problem = Problem::new("M0502", span, format!("`{written}` is no address"));
                manifest.ctx.report(problem.label("for example `127.0.0.1`"));
            }
            Some(address?)
        }
        None => None,
    };
    let app = text(item, "app_protocol");
    Some(Parsed { ip, host, container: (target, target), transport: text(item, "protocol"), app })
}

fn expand(manifest: &Manifest<'_, '_>, parsed: &Parsed, span: Span) -> Vec<Port> {
    let inside = parsed.container.1 - parsed.container.0;
    let outside = parsed.host.map(|(first, last)| last - first);
    if inside == 0 && outside.is_some_and(|outside| outside > 0) {
        let problem = Problem::new("M0503", span, "only the first port of the range is used");
        manifest.ctx.report(
            problem.label("one port inside cannot be many outside").help("the edge shares one port among replicas"),
        );
    } else if outside.is_some_and(|outside| outside != inside) {
        let problem = Problem::new("M0504", span, "the two ranges of ports differ in length");
        manifest.ctx.report(problem.label(format!("{} inside, {} outside", inside + 1, outside.unwrap_or(0) + 1)));
        return Vec::new();
    }
    if !manifest.ctx.afford(span, usize::from(inside)) {
        return Vec::new();
    }
    (0..=inside)
        .map(|offset| {
            let container = parsed.container.0 + offset;
            let port = parsed.host.map(|(first, _)| first + offset);
            let protocol = protocol_of(container, parsed.transport.as_deref(), parsed.app.as_deref());
            Port { container, protocol, publish: Some(Publish { ip: parsed.ip, port }) }
        })
        .collect()
}
