//! Who reaches what.

use std::net::IpAddr;

use daybook_model::policy::{Edit, Finding, KeyPath};
use daybook_model::spec::{EnvValue, Port, Service, ServiceFact, TemplatePart, Tls};

use crate::policy::{Found, Mend, Subject, images};

/// Ports of control planes: Docker, etcd, kubelets, API servers, Consul, Vault.
const CONTROL: [u16; 9] = [2375, 2376, 2379, 2380, 6443, 8200, 8500, 10250, 10255];
/// Ports at which people log in.
const LOGIN: [u16; 3] = [22, 2222, 3389];
/// Where instances ask what they are, and get their credentials.
const METADATA: [&str; 3] = ["169.254.169.254", "fd00:ec2::254", "metadata.google.internal"];

/// Ports that are open to whoever reaches the machine.
pub(super) fn open_ports(service: &Service) -> impl Iterator<Item = &Port> {
    service.ports.iter().filter(|port| {
        let Some(publish) = &port.publish else { return false };
        !publish.ip.is_some_and(|ip| ip.is_loopback())
    })
}

/// Publishes the port on loopback only.
pub(super) fn bind_to_loopback(finding: &mut Finding, service: &Service, port: &Port) {
    let path = KeyPath::service(&service.name, &["ports"]);
    finding.fix.push(Edit::Bind { path, container: port.container, address: "127.0.0.1".to_owned() });
}

/// Where a published port stands.
pub(super) fn published(service: &Service, port: &Port) -> KeyPath {
    KeyPath::service(&service.name, &["ports"]).holding(port.container.to_string())
}

fn outside(port: &Port) -> u16 {
    port.publish.as_ref().and_then(|publish| publish.port).unwrap_or(port.container)
}

pub(in crate::policy) fn ssh(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.replicated() {
        for port in open_ports(service).filter(|port| LOGIN.contains(&port.container) || LOGIN.contains(&outside(port)))
        {
            let message = format!("`{}` lets anybody log in at port {}", service.name, outside(port));
            bind_to_loopback(found.add(Some(&service.name), published(service, port), message), service, port);
        }
    }
}

pub(in crate::policy) fn control_plane(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.replicated() {
        for port in open_ports(service).filter(|port| CONTROL.contains(&port.container)) {
            let message = format!("`{}` opens port {}, of a control plane", service.name, port.container);
            bind_to_loopback(found.add(Some(&service.name), published(service, port), message), service, port);
        }
        let hosts = &service.container.options.extra_hosts;
        for host in hosts.iter().filter(|host| METADATA.iter().any(|address| host.ends_with(address))) {
            let at = KeyPath::service(&service.name, &["extra_hosts"]);
            let name = host.split([':', '=']).next().unwrap_or_default();
            found.add(Some(&service.name), at, format!("`{}` reaches the instance's metadata as {name}", service.name));
        }
        for (variable, value) in service.container.environment.iter() {
            let asks = |text: &str| METADATA.iter().any(|address| text.contains(address));
            if matches!(value, EnvValue::Text(text) if asks(text)) {
                let message = format!("`{}` asks the instance's metadata: {variable}", service.name);
                found.at(&service.name, &["environment", variable], message);
            }
        }
    }
}

/// Ports of the edge itself, which everybody is to reach.
const WEB: [u16; 2] = [80, 443];

pub(in crate::policy) fn open_port(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.replicated() {
        let known = |port: &Port| {
            WEB.contains(&outside(port))
                || LOGIN.contains(&port.container)
                || LOGIN.contains(&outside(port))
                || CONTROL.contains(&port.container)
                || images::database(service).is_some()
        };
        for port in open_ports(service).filter(|port| !known(port)) {
            if port.publish.as_ref().is_some_and(|publish| publish.ip.is_none_or(|ip: IpAddr| ip.is_unspecified())) {
                let message =
                    format!("port {} of `{}` is open on every address of the machine", outside(port), service.name);
                bind_to_loopback(found.add(Some(&service.name), published(service, port), message), service, port);
            }
        }
    }
}

pub(in crate::policy) fn no_tls(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.spec.services.values() {
        for route in service.routes.iter().filter(|route| route.tls == Tls::Off && is_public(&route.host)) {
            let message = format!("{} is served without TLS", route.host);
            let path = KeyPath::service(&service.name, &["domain"]);
            let finding = found.add(Some(&service.name), path, message);
            if route.host != "*" && service.routes.len() == 1 {
                finding.remove(KeyPath::service(&service.name, &["domain", "tls"]));
            }
        }
    }
}

/// Whether a name means something outside of this machine.
fn is_public(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    !matches!(last, "localhost" | "test" | "local" | "internal" | "lan" | "home")
}

pub(in crate::policy) fn shared(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.contained() {
        if service.container.options.network_mode.as_deref() == Some("bridge") {
            let path = KeyPath::service(&service.name, &["network_mode"]);
            found
                .at(
                    &service.name,
                    &["network_mode"],
                    format!("`{}` is on the network that every container is on", service.name),
                )
                .remove(path);
        }
        for name in service.container.networks.keys() {
            if subject.spec.networks.get(name).is_some_and(|network| network.external) {
                let message = format!("`{}` is on the network {name}, which others are on", service.name);
                found.at(&service.name, &["networks", name.as_str()], message);
            }
        }
    }
}

pub(in crate::policy) fn dangling(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.replicated() {
        let listens = |wanted: u16| service.ports.iter().any(|port| port.container == wanted);
        for route in service.routes.iter().filter(|route| !listens(route.port)) {
            let message =
                format!("{} leads to port {} of `{}`, which it does not name", route.host, route.port, service.name);
            let path = KeyPath::service(&service.name, &["expose"]);
            found.at(&service.name, &["domain"], message).append(path, &format!("\"{}\"", route.port));
        }
        for (variable, value) in service.container.environment.iter() {
            let EnvValue::Template(parts) = value else { continue };
            for part in parts {
                let TemplatePart::Service(name, ServiceFact::Port | ServiceFact::Url) = part else { continue };
                if subject.spec.services.get(name).is_none_or(|other| other.ports.is_empty()) {
                    let message =
                        format!("{variable} of `{}` asks for the port of `{name}`, which has none", service.name);
                    found.at(&service.name, &["environment", variable], message);
                }
            }
        }
    }
}
