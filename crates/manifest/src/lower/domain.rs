//! Public names.
//!
//! Unless told otherwise, a name is served over TLS with a certificate of Daybook's own authority.
//! For names that only this machine knows (`localhost`, `*.localhost`, `*.test`, `*.local`,
//! `*.internal`) that is what is wanted; for others browsers will say that they do not know the
//! authority, which is said to the author. `*` stands for any host and has no certificate.

use daybook_model::spec::{Domain, Port, Protocol, Tls};

use super::Manifest;
use super::read::{integer, text};
use crate::context::Problem;
use crate::tree::{Node, Span};

/// The routes of a service.
pub(crate) fn lower(manifest: &Manifest<'_, '_>, service: &Node, ports: &[Port]) -> Vec<Domain> {
    let items = service.get("domain").map(Node::items).unwrap_or_default();
    // As long as it is written, which is less than a vector would reserve.
    let mut domains = Vec::with_capacity(items.len());
    domains.extend(items.iter().filter_map(|item| domain(manifest, service, item, ports)));
    domains
}

fn domain(manifest: &Manifest<'_, '_>, service: &Node, item: &Node, ports: &[Port]) -> Option<Domain> {
    let named = if item.map().is_some() { item.get("host") } else { Some(item) };
    let Some((written, span)) = named.and_then(|node| Some((node.scalar()?, node.span))) else {
        let problem = Problem::new("M0119", item.span, "`host` is missing");
        manifest.ctx.report(problem.label("for example `host: shop.example.com`"));
        return None;
    };
    let (host, path) = written.split_once('/').unwrap_or((written, ""));
    let host = host.to_ascii_lowercase();
    if !is_host(&host) {
        let problem = Problem::new("M0513", span, format!("`{written}` is no host name"));
        manifest.ctx.report(problem.label("for example `shop.example.com` or `*.example.com`"));
        return None;
    }
    let path = text(item, "path").unwrap_or_else(|| format!("/{path}"));
    if !path.starts_with('/') || path.contains(['?', '#', ' ']) {
        let span = item.get("path").map_or(span, |node| node.span);
        let problem = Problem::new("M0510", span, format!("`{path}` is no path"));
        manifest.ctx.report(problem.label("a path begins with `/`"));
        return None;
    }
    let port = port(manifest, service, item, ports, span)?;
    let tls = tls(manifest, item, &host, span);
    Some(Domain { host, path, port, tls })
}

/// Letters, digits and hyphens between dots; the first part may be `*`.
fn is_host(host: &str) -> bool {
    let rest = host.strip_prefix("*.").unwrap_or(host);
    let label = |part: &str| {
        !part.is_empty()
            && part.len() <= 63
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !part.starts_with('-')
    };
    host == "*" || (host.len() <= 253 && rest.split('.').all(label))
}

fn port(manifest: &Manifest<'_, '_>, service: &Node, item: &Node, ports: &[Port], span: Span) -> Option<u16> {
    if let Some(port) = integer(item, "port").and_then(|port| u16::try_from(port).ok()) {
        return Some(port);
    }
    if service.get("static").or(service.get("status_page")).is_some() {
        return Some(80);
    }
    let port = ports.iter().find(|port| port.protocol != Protocol::Udp).map(|port| port.container);
    if port.is_none() {
        let problem = Problem::new("M0514", span, "a public name must lead to a port");
        manifest.ctx.report(problem.label("the service has no port").help("give `port`"));
    }
    port
}

fn tls(manifest: &Manifest<'_, '_>, item: &Node, host: &str, span: Span) -> Tls {
    let node = item.get("tls");
    if let Some(files) = node.filter(|node| node.map().is_some()) {
        let path = |key: &str| files.get(key).and_then(|node| Some(manifest.ctx.resolve(node.span, node.scalar()?)));
        if let (Some(cert), Some(key)) = (path("cert"), path("key")) {
            return Tls::Files { cert, key };
        }
        let problem = Problem::new("M0119", files.span, "`cert` and `key` belong together");
        manifest.ctx.report(problem.label("one of them is missing"));
        return Tls::Internal;
    }
    match node.and_then(Node::scalar) {
        Some("off" | "false" | "no") => return Tls::Off,
        Some("internal" | "true" | "on" | "yes") => return Tls::Internal,
        Some(other) => {
            let problem =
                Problem::new("M0113", node.map_or(span, |node| node.span), format!("`tls` cannot be `{other}`"));
            manifest.ctx.report(problem.label("one of `off`, `internal`, `{cert: FILE, key: FILE}`"));
        }
        None if host == "*" => return Tls::Off,
        None if !is_private(host) => {
            let message = format!("the certificate of `{host}` comes from Daybook's own authority");
            let problem = Problem::new("M0515", span, message).label("browsers do not know it");
            manifest.ctx.report(problem.help("give `tls: {cert: FILE, key: FILE}`, or `tls: internal` to be content"));
        }
        None => {}
    }
    Tls::Internal
}

/// Whether a name means nothing outside of this machine or its network.
fn is_private(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    matches!(last, "localhost" | "test" | "local" | "internal" | "lan" | "home") || !host.contains('.')
}
