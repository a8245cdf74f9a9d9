//! How requests come in from outside of the cluster.

use std::collections::{BTreeMap, BTreeSet};

use daybook_model::spec::{Domain, Port, Tls};
use daybook_model::{Launch, Service};
use k8s_openapi::api::core::v1::{Service as Balancer, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS, NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPort, NetworkPolicySpec, ServiceBackendPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::values::quoted;
use super::{Export, NoteKind};
use crate::names;
use crate::objects::{Surroundings, transport, workload};

impl Export<'_> {
    /// The Ingress of a service's domains, the balancer of its published ports, and what lets both in.
    pub(super) fn outside(&mut self, service: &Service, launch: &Launch, around: &Surroundings) {
        let mut open = BTreeSet::new();
        if !service.routes.is_empty() {
            open.extend(service.routes.iter().map(|domain| (domain.port, "TCP")));
            self.ingress(service, launch, around);
        }
        let published: Vec<&Port> = launch.ports.iter().filter(|port| self.is_public(service, port)).collect();
        if !published.is_empty() {
            open.extend(published.iter().map(|port| (port.container, transport(port.protocol))));
            self.push(Some(service), &balancer(service, launch, around, &published));
        }
        if !open.is_empty() {
            self.push(Some(service), &policy(service, launch, around, &open));
        }
    }

    /// Whether others than this machine are offered a port.
    fn is_public(&mut self, service: &Service, port: &Port) -> bool {
        let Some(publish) = &port.publish else { return false };
        let what = match publish.ip {
            Some(ip) if ip.is_loopback() => {
                format!("the port {} is offered to this machine only: kubectl port-forward does that", port.container)
            }
            Some(ip) if !ip.is_unspecified() => {
                format!("the port {} is offered at {ip} only: the cluster chooses an address", port.container)
            }
            _ => return true,
        };
        let is_public = !publish.ip.is_some_and(|ip| ip.is_loopback());
        self.note(if is_public { NoteKind::Changed } else { NoteKind::NotExported }, Some(service), what, Vec::new());
        is_public
    }

    fn ingress(&mut self, service: &Service, launch: &Launch, around: &Surroundings) {
        let mut rules: BTreeMap<&str, Vec<&Domain>> = BTreeMap::new();
        for domain in &service.routes {
            rules.entry(&domain.host).or_default().push(domain);
        }
        let backend = names::resource(service.name.as_str());
        let rules = rules.into_iter().map(|(host, domains)| rule(host, &domains, &backend)).collect();
        let tls = self.certificates(service, &backend);
        let metadata = named(workload::metadata(launch, around), backend);
        let spec = IngressSpec { rules: Some(rules), tls: (!tls.is_empty()).then_some(tls), ..IngressSpec::default() };
        self.push(Some(service), &Ingress { metadata, spec: Some(spec), status: None });
    }

    /// One Secret for the hosts of each certificate.
    fn certificates(&mut self, service: &Service, name: &str) -> Vec<IngressTLS> {
        let mut all: Vec<(&Tls, BTreeSet<&str>)> = Vec::new();
        for domain in service.routes.iter().filter(|domain| domain.tls != Tls::Off) {
            match all.iter_mut().find(|(tls, _)| **tls == domain.tls) {
                Some((_, hosts)) => drop(hosts.insert(&domain.host)),
                None => all.push((&domain.tls, [domain.host.as_str()].into())),
            }
        }
        let entries = all.into_iter().enumerate().map(|(index, (tls, hosts))| {
            let suffix = if index == 0 { "tls".to_owned() } else { format!("tls-{}", index + 1) };
            let secret = names::resource(&format!("{name}-{suffix}"));
            let hosts: Vec<String> = hosts.into_iter().filter(|host| *host != "*").map(str::to_owned).collect();
            (tls, secret, hosts)
        });
        let entries: Vec<_> = entries.collect();
        for (tls, secret, hosts) in &entries {
            self.certificate(service, tls, secret, hosts);
        }
        let entry = |(_, secret, hosts): (&Tls, String, Vec<String>)| IngressTLS {
            hosts: (!hosts.is_empty()).then_some(hosts),
            secret_name: Some(secret),
        };
        entries.into_iter().map(entry).collect()
    }

    fn certificate(&mut self, service: &Service, tls: &Tls, secret: &str, hosts: &[String]) {
        let (cert, key) = match tls {
            Tls::Files { cert, key } => ((self.settings.shown)(cert), (self.settings.shown)(key)),
            Tls::Internal | Tls::Off => ("<CERTIFICATE>".to_owned(), "<KEY>".to_owned()),
        };
        let whose = if hosts.is_empty() { "every host".to_owned() } else { hosts.join(", ") };
        let what = format!("make the Secret `{secret}` with the certificate of {whose}, or let cert-manager make it");
        let command = format!(
            "kubectl create secret tls {secret} --namespace {} --cert={} --key={}",
            self.namespace,
            quoted(&cert),
            quoted(&key)
        );
        self.note(NoteKind::ToDo, Some(service), what, vec![command]);
    }
}

fn rule(host: &str, domains: &[&Domain], backend: &str) -> IngressRule {
    let path = |domain: &&Domain| HTTPIngressPath {
        backend: IngressBackend {
            service: Some(IngressServiceBackend {
                name: backend.to_owned(),
                port: Some(ServiceBackendPort { name: None, number: Some(domain.port.into()) }),
            }),
            resource: None,
        },
        path: Some(domain.path.clone()),
        path_type: "Prefix".to_owned(),
    };
    IngressRule {
        host: (host != "*").then(|| host.to_owned()),
        http: Some(HTTPIngressRuleValue { paths: domains.iter().map(path).collect() }),
    }
}

/// The Service that the cluster gives an address of its own.
fn balancer(service: &Service, launch: &Launch, around: &Surroundings, published: &[&Port]) -> Balancer {
    let offered: BTreeMap<(u16, &str), u16> = published
        .iter()
        .map(|port| {
            let outside = port.publish.as_ref().and_then(|publish| publish.port).unwrap_or(port.container);
            ((outside, transport(port.protocol)), port.container)
        })
        .collect();
    let ports = offered.into_iter().map(|((outside, protocol), inside)| ServicePort {
        name: Some(format!("{}-{outside}", protocol.to_lowercase())),
        port: outside.into(),
        protocol: Some(protocol.to_owned()),
        target_port: Some(IntOrString::Int(inside.into())),
        ..ServicePort::default()
    });
    let spec = ServiceSpec {
        ports: Some(ports.collect()),
        selector: Some(around.of_service(launch)),
        type_: Some("LoadBalancer".to_owned()),
        ..ServiceSpec::default()
    };
    Balancer { metadata: public(service, launch, around), spec: Some(spec), status: None }
}

/// Lets anybody reach the ports that are meant for anybody: the rest of the environment is closed.
fn policy(service: &Service, launch: &Launch, around: &Surroundings, open: &BTreeSet<(u16, &str)>) -> NetworkPolicy {
    let ports = open.iter().map(|(port, protocol)| NetworkPolicyPort {
        port: Some(IntOrString::Int((*port).into())),
        protocol: Some((*protocol).to_owned()),
        end_port: None,
    });
    let pods = LabelSelector { match_labels: Some(around.of_service(launch)), ..LabelSelector::default() };
    let spec = NetworkPolicySpec {
        ingress: Some(vec![NetworkPolicyIngressRule { from: None, ports: Some(ports.collect()) }]),
        pod_selector: Some(pods),
        policy_types: Some(vec!["Ingress".to_owned()]),
        ..NetworkPolicySpec::default()
    };
    NetworkPolicy { metadata: public(service, launch, around), spec: Some(spec) }
}

fn public(service: &Service, launch: &Launch, around: &Surroundings) -> ObjectMeta {
    named(workload::metadata(launch, around), names::resource(&format!("{}-public", service.name)))
}

fn named(metadata: ObjectMeta, name: String) -> ObjectMeta {
    ObjectMeta { name: Some(name), ..metadata }
}
