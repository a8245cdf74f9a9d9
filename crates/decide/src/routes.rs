//! What the edge should serve for a service.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use daybook_model::route::{Endpoint, Entry, Speaks, Target, is_service_address};
use daybook_model::spec::{Artifact, Protocol, Publish};
use daybook_model::{Backend, Digest, EnvRoutes, ReplicaId, Service, ServiceName};

/// Replicas and their shares of new requests, as the edge serves them now. 0: warm.
pub fn shares(routes: &EnvRoutes, service: &ServiceName) -> BTreeMap<ReplicaId, u32> {
    endpoints(routes, service).iter().map(|endpoint| (endpoint.replica.clone(), endpoint.weight)).collect()
}

/// The replicas of a service as the edge reaches them now; none of a static site.
pub fn endpoints<'a>(routes: &'a EnvRoutes, service: &ServiceName) -> &'a [Endpoint] {
    match routes.backends.get(service).map(|backend| &backend.target) {
        Some(Target::Endpoints(endpoints)) => endpoints,
        Some(Target::Files { .. }) | None => &[],
    }
}

/// All of the requests to `serving`; `warm` ones are kept checked and get nothing.
pub fn with_warm(serving: &[ReplicaId], warm: &[ReplicaId]) -> Vec<(ReplicaId, u32)> {
    let serving = serving.iter().map(|id| (id.clone(), 1));
    serving.chain(warm.iter().map(|id| (id.clone(), 0))).collect()
}

/// `percent` of the requests to `canary`, the rest to `old`, each group sharing evenly. The weights
/// are the smallest integers that do so exactly.
pub fn with_share(canary: &[ReplicaId], old: &[ReplicaId], percent: u32) -> Vec<(ReplicaId, u32)> {
    let new_weight = percent * u32::try_from(old.len()).unwrap_or(u32::MAX);
    let old_weight = (100 - percent.min(100)) * u32::try_from(canary.len()).unwrap_or(u32::MAX);
    let common = gcd(new_weight, old_weight).max(1);
    let new = canary.iter().map(|id| (id.clone(), new_weight / common));
    new.chain(old.iter().map(|id| (id.clone(), old_weight / common))).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Whether the edge serves `service` to just these endpoints, at its present entries, by its present
/// check, holding nothing.
pub fn matches(routes: &EnvRoutes, service: &Service, endpoints: &[(ReplicaId, u32)]) -> bool {
    let Some(backend) = routes.backends.get(&service.name) else { return false };
    let target = match (&service.artifact, &backend.target) {
        (Artifact::Static { digest: Some(digest), .. }, Target::Files { root }) => root.ends_with(&digest.hex()),
        (Artifact::StatusPage(_), Target::Files { root }) => root.ends_with(&format!("/{}", service.name)),
        (Artifact::Static { .. } | Artifact::StatusPage(_), _) | (_, Target::Files { .. }) => false,
        (_, Target::Endpoints(_)) => {
            shares(routes, &service.name) == endpoints.iter().cloned().collect::<BTreeMap<_, _>>()
        }
    };
    target
        && backend.hold_ms.is_none()
        && backend.check == service.effective_check()
        && backend.drain_ms == service.rollout.drain_ms
        && backend.entries.iter().filter(|entry| !is_internal(entry)).eq(&public_entries(service))
}

/// Whether the edge sends requests for one of this service's entries to another service now.
pub fn is_served_by_another(routes: &EnvRoutes, service: &Service) -> bool {
    let wanted = public_entries(service);
    let same = |a: &Entry, b: &Entry| match (a, b) {
        (Entry::Domain { host, path, .. }, Entry::Domain { host: other_host, path: other_path, .. }) => {
            (host, path) == (other_host, other_path)
        }
        (Entry::Address { listen, .. }, Entry::Address { listen: other, .. }) => listen == other,
        _ => false,
    };
    let others = routes.backends.iter().filter(|(name, _)| **name != service.name);
    others.flat_map(|(_, backend)| &backend.entries).any(|entry| wanted.iter().any(|one| same(one, entry)))
}

/// Whether other services of the environment come in here.
pub fn is_internal(entry: &Entry) -> bool {
    matches!(entry, Entry::Address { listen, .. } if is_service_address(listen.ip()))
}

/// Everything that the edge must know of `service`.
///
/// `addresses` are where other services of the environment reach it, if the runtime gives addresses: one, or two
/// while the environment moves.
/// `site` is the directory of a static site's snapshot, or of a status page.
pub fn backend(
    service: &Service,
    endpoints: Vec<Endpoint>,
    addresses: impl IntoIterator<Item = IpAddr>,
    site: Option<&str>,
) -> Backend {
    let mut entries = public_entries(service);
    entries.extend(addresses.into_iter().flat_map(|ip| internal_entries(service, ip)));
    let target = match site {
        Some(root) => Target::Files { root: root.to_owned() },
        None => Target::Endpoints(endpoints),
    };
    Backend { entries, target, check: service.effective_check(), hold_ms: None, drain_ms: service.rollout.drain_ms }
}

/// How long the edge holds requests while a service is replaced: as long as its replacement may take,
/// milliseconds.
pub fn hold_ms(service: &Service) -> u64 {
    service.rollout.ready_ms + service.stop.grace_ms
}

/// Domains and published ports.
pub fn public_entries(service: &Service) -> Vec<Entry> {
    let domains = service.routes.iter().map(|domain| Entry::Domain {
        host: domain.host.clone(),
        path: domain.path.clone(),
        port: domain.port,
        tls: domain.tls.clone(),
    });
    let published = service.ports.iter().filter_map(|port| {
        let publish = port.publish.as_ref()?;
        let listen = SocketAddr::new(
            publish.ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            published_port(&service.name, port.container, publish),
        );
        Some(Entry::Address { listen, port: port.container, speaks: speaks(port.protocol)? })
    });
    domains.chain(published).collect()
}

fn internal_entries(service: &Service, ip: IpAddr) -> impl Iterator<Item = Entry> {
    service.ports.iter().filter_map(move |port| {
        let listen = SocketAddr::new(ip, port.container);
        Some(Entry::Address { listen, port: port.container, speaks: speaks(port.protocol)? })
    })
}

fn speaks(protocol: Protocol) -> Option<Speaks> {
    match protocol {
        Protocol::Http => Some(Speaks::Http),
        Protocol::Tcp => Some(Speaks::Tcp),
        Protocol::Detect => Some(Speaks::Detect),
        Protocol::Udp => None,
    }
}

/// The port of this machine for a published port. Where the manifest leaves it open, it is one of
/// 20000–29999 that follows from the service and its port, so that it stays the same.
pub fn published_port(service: &ServiceName, container: u16, publish: &Publish) -> u16 {
    publish.port.unwrap_or_else(|| {
        let digest = Digest::of(format!("{service}:{container}").as_bytes());
        let number = u64::from_str_radix(&digest.hex()[..8], 16).expect("a digest is hexadecimal");
        20_000 + u16::try_from(number % 10_000).expect("a remainder of 10,000 fits")
    })
}

/// Public addresses of a service, for people: `https://shop.example.com`, `http://localhost:8080`.
pub fn urls(service: &Service, http_port: u16, https_port: u16) -> Vec<String> {
    public_entries(service).iter().filter_map(|entry| url(entry, http_port, https_port)).collect()
}

fn url(entry: &Entry, http_port: u16, https_port: u16) -> Option<String> {
    use daybook_model::spec::Tls;
    match entry {
        Entry::Domain { host, path, tls, .. } => {
            let host = if host == "*" { "localhost" } else { host };
            let path = if path == "/" { "" } else { path };
            let (scheme, port, usual) =
                if *tls == Tls::Off { ("http", http_port, 80) } else { ("https", https_port, 443) };
            let port = if port == usual { String::new() } else { format!(":{port}") };
            Some(format!("{scheme}://{host}{port}{path}"))
        }
        Entry::Address { listen, speaks: Speaks::Tcp, .. } => Some(format!("tcp://localhost:{}", listen.port())),
        Entry::Address { listen, .. } => {
            let host = if listen.ip().is_unspecified() { "localhost".to_owned() } else { listen.ip().to_string() };
            Some(format!("http://{host}:{}", listen.port()))
        }
    }
}
